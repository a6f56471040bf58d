import json

import numpy as np
import pytest
import soundfile
import torch

from audiocodec import codec as codec_module
from audiocodec.adaptation.registry import Registry, round_changes
from audiocodec.cli.parts import codecs


@pytest.fixture
def store(codec, tmp_path):
    """books: the tiny model's codebooks and one revision of them."""
    registry = Registry(tmp_path / "books", actor="tester")
    own = codec.model.quantizer.codebooks()
    parent = registry.baseline(codec.model_id, own, model="tiny").codebook_id
    rng = torch.Generator().manual_seed(0)
    new = {name: c + 0.1 * c.std() * torch.randn(c.shape, generator=rng) for name, c in own.items()}
    registry.publish(
        codec.model_id,
        round_changes(registry.get(parent), new),
        parent,
        reason="factory hall",
        environment="hall",
        verdict={"accepted": True},
    )
    return registry


@pytest.fixture
def revision(store):
    return store.revisions()[-1]


def test_list_show_and_log(run, rows, store, revision):
    listed = rows(run("codebooks", "list", "--store", "books", "--json"))
    assert [(row["status"], row["active"], row["model"]) for row in listed] == [
        ("baseline", True, "tiny"),
        ("published", False, "tiny"),
    ]
    table = run("codebooks", "list", "--store", "books").stdout
    assert all(word in table for word in ("*", "factory hall", "hall", revision.codebook_id[:12]))
    shown = rows(run("codebooks", "show", revision.codebook_id[:8], "--store", "books", "--json"))[0]
    assert shown == json.loads(json.dumps(revision.as_json()))
    assert shown["verdict"] == {"accepted": True}
    text = run("codebooks", "show", revision.codebook_id[:8], "--store", "books").stdout
    assert all(
        part in text for part in ("512 entries of 8 codebooks", "published", "by tester", "factory hall")
    )
    assert "sequence" not in text
    assert [row["event"] for row in rows(run("codebooks", "log", "--store", "books", "--json"))] == [
        "baseline",
        "publish",
    ]
    assert "factory hall" in run("codebooks", "log", "--store", "books").stdout


def test_the_whole_story(run, rows, store, revision, speech, codec, monkeypatch):
    """Activate, encode, send the codebooks, decode there, roll back."""
    monkeypatch.setenv("AUDIOCODEC_STORE", "books")
    assert run("encode", "talk.wav", "-o", "before.nac").exit_code == 0
    result = run("codebooks", "activate", revision.codebook_id[:8], "--reason", "new hall")
    assert f"active: codebook {revision.codebook_id[:12]}" in result.stdout
    encoded = rows(run("encode", "talk.wav", "--json"))[0]
    assert encoded["codebook"] == revision.codebook_id[:32]
    monkeypatch.delenv("AUDIOCODEC_STORE")

    failed = run("decode", "talk.nac", "-o", "out.wav")
    assert failed.exit_code == 1
    assert f"codebook {revision.codebook_id[:32]} is not available" in failed.stderr
    assert "audiocodec codebooks import FILE" in failed.stderr
    exported = rows(run("codebooks", "export", revision.codebook_id[:8], "--store", "books", "--json"))[0]
    assert exported["file"] == f"{revision.codebook_id[:12]}.nacbook"
    imported = rows(run("codebooks", "import", exported["file"], "--store", "theirs", "--json"))[0]
    assert (imported["status"], imported["active"]) == ("imported", False)
    assert run("decode", "talk.nac", "-o", "out.wav", "--store", "theirs").exit_code == 0
    np.testing.assert_array_equal(
        soundfile.read("out.wav", dtype="int16")[0],
        soundfile.read(decoded_here(run), dtype="int16")[0],
    )
    assert rows(run("info", "talk.nac", "--json"))[0]["codebook_installed"] is False
    assert rows(run("info", "talk.nac", "--store", "theirs", "--json"))[0]["codebook_installed"] is True
    assert rows(run("info", "before.nac", "--json"))[0]["codebook_installed"] is True

    back = rows(run("codebooks", "rollback", "--store", "books", "--reason", "complaints", "--json"))[0]
    assert back["codebook_id"] == codec.codebook_id
    again = rows(run("encode", "talk.wav", "-o", "after.nac", "--store", "books", "--json"))[0]
    assert again["codebook"] == codec.codebook_id[:32]
    assert run("decode", "talk.nac", "-o", "old.wav", "--store", "books").exit_code == 0


def decoded_here(run):
    assert run("decode", "talk.nac", "-o", "here.wav", "--store", "books").exit_code == 0
    return "here.wav"


def test_a_model_is_loaded_once_for_all_its_codebooks(run, store, speech, monkeypatch):
    loads = []
    loading = codec_module.load_model
    monkeypatch.setattr(codec_module, "load_model", lambda *given: loads.append(given) or loading(*given))
    codecs.codec_for.cache_clear()
    assert run("encode", "talk.wav", "--store", "books").exit_code == 0
    assert len(loads) == 1


def test_a_codebook_can_be_named(run, rows, store, revision, speech):
    arguments = ("--store", "books", "--codebook", revision.codebook_id[:10], "--json")
    assert rows(run("encode", "talk.wav", *arguments))[0]["codebook"] == revision.codebook_id[:32]
    rate = ("--bitrate", "600")
    found = rows(run("roundtrip", "talk.wav", *rate, *arguments))
    assert {row["codebook"] for row in found[:-1]} == {revision.codebook_id[:32]}
    unknown = run("encode", "talk.wav", "--force", "--store", "books", "--codebook", "ffffffff")
    assert unknown.exit_code == 1
    assert "codebook ffffffff is not in the store books" in unknown.stderr


def test_verify(run, rows, store):
    good = rows(run("codebooks", "verify", "--store", "books", "--json"))
    assert good == [
        {"summary": True, "sound": True, "revisions": 2, "events": 2, "head": store.log()[-1].hash}
    ]
    assert run("codebooks", "verify", "--store", "books", "--head", good[0]["head"]).exit_code == 0
    log = store.path / "log.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"seq')
    torn = run("codebooks", "verify", "--store", "books")
    assert torn.exit_code == 0
    assert "note: books/log.jsonl: 5 bytes of an unfinished line" in torn.stderr
    log.write_bytes(whole.replace(b"factory", b"fantasy"))
    broken = run("codebooks", "verify", "--store", "books", "--json")
    assert broken.exit_code == 1
    assert rows(broken)[0]["level"] == "error"
    assert rows(broken)[-1] == {"summary": True, "sound": False, "errors": 1}
    failed = run("codebooks", "activate", "00", "--store", "books")
    assert failed.exit_code == 1
    assert "log.jsonl: line 2: its hash is wrong" in failed.stderr
    assert run("encode", "talk.wav", "--store", "books").exit_code == 1


def test_import_of_a_file_for_another_model(run, store, revision, tmp_path):
    run("codebooks", "export", revision.codebook_id, "--store", "books", "-o", "a.nacbook")
    other = Registry(tmp_path / "other")
    other.baseline("cd" * 32, {"codebook": torch.ones(4, 2)}, model="other")
    refused = run("codebooks", "import", "a.nacbook", "--store", "other")
    assert refused.exit_code == 1
    assert "error: a.nacbook: made for model tiny" in refused.stderr
    assert "is for other" in refused.stderr
    # Named on purpose, one store keeps several models.
    assert (
        run("codebooks", "import", "a.nacbook", "--store", "other", "--model", "tiny", "--activate").exit_code
        == 0
    )
    assert other.active(revision.model_id).codebook_id == revision.codebook_id
    ambiguous = run("codebooks", "rollback", "--store", "other")
    assert "holds 2 models (other, tiny); name one with --model" in ambiguous.stderr
    assert run("codebooks", "rollback", "--store", "other", "--model", "tiny").exit_code == 0


def test_wrong_usage(run, store, revision, monkeypatch):
    monkeypatch.delenv("AUDIOCODEC_STORE", raising=False)
    missing = run("codebooks", "list")
    assert missing.exit_code == 2
    assert "--store" in missing.stderr
    nowhere = run("codebooks", "list", "--store", "nowhere")
    assert nowhere.exit_code == 1
    assert "nowhere: no store there" in nowhere.stderr
    assert "`audiocodec refresh RECORDINGS --store nowhere`" in nowhere.stderr
    (store.path.parent / "file").write_text("x")
    assert "a file, not a store" in run("codebooks", "list", "--store", "file").stderr
    unknown = run("codebooks", "show", "ffff", "--store", "books")
    assert unknown.exit_code == 1
    assert "codebook 'ffff' is not known; there are" in unknown.stderr
    assert "no codebooks" not in run("codebooks", "rollback", "--store", "books").stderr
    for result in (missing, nowhere, unknown):
        assert "Traceback" not in result.output


@pytest.mark.parametrize("log", [None, b"", b'{"sequence":0'])
def test_a_store_without_its_log(run, rows, store, revision, speech, log):
    assert run("codebooks", "activate", revision.codebook_id, "--store", "books").exit_code == 0
    assert run("encode", "talk.wav", "--store", "books").exit_code == 0
    (store.path / "log.jsonl").unlink()
    if log is not None:
        (store.path / "log.jsonl").write_bytes(log)
    result = run("codebooks", "verify", "--store", "books", "--json")
    assert result.exit_code == 1
    found = rows(result)
    assert found[0]["level"] == "error"
    assert "restore it from a copy; without one, move books/revisions aside" in found[0]["problem"]
    assert found[-1]["sound"] is False
    for command in (
        ("encode", "talk.wav", "-o", "again.nac"),
        ("codebooks", "list"),
        ("codebooks", "log"),
        ("codebooks", "activate", revision.codebook_id),
        ("codebooks", "export", revision.codebook_id),
        ("monitor", "talk.wav"),
    ):
        result = run(*command, "--store", "books")
        assert result.exit_code == 1, command
        assert "log.jsonl: " in result.stderr
        assert "restore it from a copy" in result.stderr
    assert not (store.path.parent / "again.nac").exists()
    # What was encoded decodes all the same: codebooks are known by their content.
    assert run("decode", "talk.nac", "-o", "out.wav", "--store", "books").exit_code == 0


def test_a_folder_that_is_no_store(run, store, revision, speech, tmp_path):
    run("codebooks", "export", revision.codebook_id, "--store", "books", "-o", "a.nacbook")
    (tmp_path / "empty").mkdir()
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song.txt").write_text("la")
    run("encode", "talk.wav")
    readers = [
        ("encode", "talk.wav", "-o", "again.nac"),
        ("decode", "talk.nac", "-o", "out.wav"),
        ("roundtrip", "talk.wav"),
        ("tokens", "talk.wav", "-o", "talk.npz"),
        ("info", "talk.nac"),
        ("monitor", "talk.wav"),
        ("baseline", "talk.wav", "-o", "b.safetensors"),
        ("evaluate", "--data", "talk.wav", "-o", "scores"),
        ("dashboard", "-o", "page.html"),
        *[("codebooks", name) for name in ("list", "log", "verify", "rollback")],
        *[("codebooks", name, "ab") for name in ("show", "activate", "export")],
    ]
    for folder in ("empty", "music"):
        for command in readers:
            result = run(*command, "--store", folder)
            assert result.exit_code == 1, (command, result.output)
            assert f"{folder}: no store there" in result.stderr, command
            assert [path.name for path in (tmp_path / folder).iterdir()] == ["song.txt"] * (folder == "music")
    refused = run("codebooks", "import", "a.nacbook", "--store", "music")
    assert "music: not a store, and not empty (song.txt)" in refused.stderr
    assert (tmp_path / "music").stat().st_nlink == 2
    assert run("codebooks", "import", "a.nacbook", "--store", "empty").exit_code == 0


def test_keys_may_lie_in_a_store_before_it_is_one(run, store, revision, tmp_path):
    run("codebooks", "export", revision.codebook_id, "--store", "books", "-o", "a.nacbook")
    (tmp_path / "theirs" / "trust").mkdir(parents=True)
    (tmp_path / "theirs" / "trust" / "boss.pub").write_text("no key")
    refused = run("codebooks", "import", "a.nacbook", "--store", "theirs")
    assert refused.exit_code == 1
    assert "boss.pub: no unencrypted Ed25519 public key" in refused.stderr
    assert "move it out of theirs/trust" in refused.stderr
    assert "imported" not in run("codebooks", "list", "--store", "theirs").stdout


def test_show_takes_any_verdict(run, store, revision):
    """A revision from elsewhere may hold anything: what has the form of a score is a row of the table."""
    score = {"pairs": 9, "before": 2.0, "after": 2.25, "change": 0.25, "low": 0.1, "high": 0.4}
    odd = {"pairs": [9], "before": None, "change": "up"}
    verdict = {
        "accepted": False,
        "reason": "too loud",
        "clean": 3,
        "environment": {"stoi": score, "odd": odd, "none": 1},
    }
    parent = store.get(revision.parent)
    new = round_changes(parent, {name: codebook + 1 for name, codebook in parent.items()})
    given = store.publish(
        revision.model_id, new, revision.parent, reason="hall", verdict=verdict, refused=True
    )
    result = run("codebooks", "show", given.codebook_id, "--store", "books")
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "environment stoi 9 2 2.25 +0.2500 +0.1000 to +0.4000 -" in lines
    assert "environment odd - - - - - -" in lines
    assert lines[-1] == "refused: too loud"
    assert len(lines) < 20


def test_every_command_has_an_example(run):
    for name in ("list", "show", "activate", "rollback", "log", "verify", "export", "import"):
        assert f"Example: audiocodec codebooks {name}" in run("codebooks", name, "--help").stdout
