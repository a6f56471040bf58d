import shutil

import pytest

from audiocodec.adaptation.registry import Registry
from audiocodec.adaptation.registry.revision_files import RevisionFolder, pack, to_arrays
from audiocodec.errors import RegistryError


@pytest.fixture
def filled(store, published):
    published(1)
    published(2)
    assert store.verify() == []
    return store


def levels(store, head=None):
    return [(finding.level, finding.where.name) for finding in store.verify(head)]


def test_a_missing_revision_takes_its_followers_with_it(filled, model_id):
    _, first, second = (filled.files.path(model_id, r.codebook_id) for r in filled.revisions())
    first.unlink()
    assert levels(filled) == [("error", first.name), ("error", second.name)]
    assert "missing; restore it" in filled.verify()[0].problem


def test_a_file_replaced_by_another_of_equal_content_is_noticed(filled, model_id):
    last = filled.revisions()[-1]
    path = filled.files.path(model_id, last.codebook_id)
    data, _ = pack(model_id, filled.files.load(model_id, last.codebook_id).codebooks, None)
    path.write_bytes(data)
    assert "not the file that event 2 of the log describes" in filled.verify()[0].problem


def test_files_that_do_not_belong(filled, model_id):
    folder = filled.files.path(model_id, "ab" * 32).parent
    (folder / "notes.txt").write_text("hello")
    (folder / f".x{'0' * 12}.part").write_text("half")
    shutil.copy(
        filled.files.path(model_id, filled.revisions()[-1].codebook_id), folder / f"{'ab' * 32}.safetensors"
    )
    found = {finding.where.name: (finding.level, finding.problem) for finding in filled.verify()}
    assert found["notes.txt"] == ("error", "not a revision file; move it out of the store")
    assert found[f".x{'0' * 12}.part"][0] == "note"
    assert found[f"{'ab' * 32}.safetensors"][0] == "note"


def test_a_log_cut_off_at_the_end_of_a_line_shows_against_a_hash_kept_elsewhere(filled):
    head = filled.log()[-1].hash
    assert levels(filled, head) == []
    log = filled.path / "log.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    # The chain alone cannot know: what is left is sound, but a revision has no event.
    assert [level for level, _ in levels(filled)] == ["note"]
    assert levels(filled, head)[0] == ("error", "log.jsonl")


def test_a_broken_chain_is_named_and_what_follows_does_not_count(filled):
    log = filled.path / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b"fit 1", b"fit 9"))
    findings = filled.verify()
    assert findings[0].level == "error"
    assert "line 2: its hash is wrong" in findings[0].problem
    assert [finding.level for finding in findings[1:]] == ["note", "note"]


@pytest.mark.parametrize("log", [None, b"", b'{"sequence":0,"ti'])
def test_revisions_without_a_log(filled, changed, codebooks, model_id, log):
    path, parent = filled.path / "log.jsonl", filled.active(model_id).codebook_id
    path.unlink()
    if log is not None:
        path.write_bytes(log)
    assert levels(filled)[0] == ("error", "log.jsonl")
    assert "restore it from a copy; without one, move" in filled.verify()[0].problem
    new = changed(codebooks, 9)
    for attempt in (
        filled.revisions,
        filled.log,
        lambda: filled.active(model_id),
        lambda: filled.baseline(model_id, codebooks),
        lambda: filled.publish(model_id, new, parent, reason=""),
    ):
        with pytest.raises(RegistryError, match=r"log\.jsonl: .*restore it from a copy"):
            attempt()
    assert (path.read_bytes() if path.exists() else None) == log
    assert len(filled.files.listing()) == 3


def test_a_reader_beside_the_first_writer_finds_no_fault(tmp_path, codebooks, model_id):
    found = []

    def look(step):
        store = Registry(tmp_path)
        found.append((step, store.log(), [f.level for f in store.verify()]))

    Registry(tmp_path, on_step=look).baseline(model_id, codebooks)
    assert [step for step, *_ in found] == ["file written", "file named", "before event", "event written"]
    assert [len(events) for _, events, _ in found] == [0, 0, 0, 1]
    assert not any("error" in levels for *_, levels in found)


def test_an_unreadable_log(filled):
    (filled.path / "log.jsonl").unlink()
    (filled.path / "log.jsonl").mkdir()
    assert levels(filled) == [("error", "log.jsonl")]


def test_new_files_are_durable_before_they_have_their_name(tmp_path, codebooks, model_id):
    steps = []
    data, facts = pack(model_id, to_arrays(codebooks), None)
    folder = RevisionFolder(tmp_path / "a", lambda step: steps.append((step, path.exists())))
    path = folder.path(model_id, facts.codebook_id)
    folder.add(facts, data)
    assert steps == [("file written", False), ("file named", True)]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("kind", "details"),
    [("activate", {}), ("rollback", {}), ("publish", {"provenance": [1]}), ("publish", {"file": "x"})],
)
def test_events_that_contradict_the_log_are_named(filled, model_id, kind, details):
    with filled.locked():
        filled.log_event(kind, model_id, "cd" * 32, details)
    assert levels(filled)[0] == ("error", "log.jsonl")
    for ask in (filled.log, filled.revisions, lambda: filled.active(model_id)):
        with pytest.raises(RegistryError, match="restore the log from a copy"):
            ask()
