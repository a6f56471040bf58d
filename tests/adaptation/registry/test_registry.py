"""The registry as its users see it: publish, activate, roll back, get."""

import errno
import os

import pytest
import torch

from audiocodec.adaptation.registry import Registry, round_changes
from audiocodec.checkpoint import identify_codebooks
from audiocodec.errors import RegistryError


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_the_models_own_codebooks_come_first_and_are_active(new_store, codebooks, model_id):
    registry = new_store()
    assert registry.active(model_id) is None
    assert registry.revisions() == []
    baseline = registry.baseline(model_id, codebooks, model="made-up", statistics={"perplexity": 800.5})
    assert baseline.codebook_id == identify_codebooks(codebooks)
    assert baseline.status == "baseline"
    assert baseline.provenance.statistics == {"perplexity": 800.5}
    assert registry.active(model_id) == baseline
    assert registry.baseline(model_id, codebooks) == baseline
    assert len(registry.log()) == 1
    assert same(registry.get(baseline.codebook_id[:32]), codebooks)


def test_a_published_revision_is_kept_with_everything_known_of_it(store, codebooks, changed, model_id):
    parent = store.active(model_id).codebook_id
    new = changed(codebooks)
    revision = store.publish(
        model_id,
        new,
        parent,
        reason="factory hall",
        fingerprint="f00d",
        statistics={"before": {"error": 2.0}, "after": {"error": 1.5}},
        verdict={"accepted": True, "pesq": 0.12},
        environment="hall",
    )
    assert revision.codebook_id == identify_codebooks(new)
    assert same(store.get(revision.codebook_id), new)
    assert not revision.active
    assert (revision.status, revision.actor, revision.parent) == ("published", "tester", parent)
    assert revision.created == "2023-11-14T22:13:22.000Z"
    assert revision.file["changed"] == {f"{stage}.codebook": 16 for stage in range(3)}
    event = store.log()[-1]
    assert event.kind == "publish"
    assert event.details["provenance"] == {
        "parent": parent,
        "reason": "factory hall",
        "fingerprint": "f00d",
        "statistics": {"before": {"error": 2.0}, "after": {"error": 1.5}},
        "verdict": {"accepted": True, "pesq": 0.12},
        "environment": "hall",
    }
    assert Registry(store.path).revision(revision.codebook_id[:10]) == revision


def test_extras_travel_with_the_codebooks_and_count_for_the_identity(store, codebooks, changed, model_id):
    parent, new = store.active(model_id).codebook_id, changed(codebooks)
    extras = {"map.scale": torch.tensor([1.0, 2.0]), "map.shift": torch.tensor(0.5)}
    with_extras = store.publish(model_id, {**new, **extras}, parent, reason="")
    without = store.publish(model_id, new, parent, reason="")
    assert with_extras.codebook_id != without.codebook_id
    assert same(store.get(with_extras.codebook_id), {**new, **extras})
    child = store.publish(model_id, new, with_extras.codebook_id, reason="")  # nothing but the extras dropped
    assert child.codebook_id == without.codebook_id


def test_rounded_codebooks_are_small(store, codebooks, changed, model_id):
    parent = store.active(model_id).codebook_id
    exact = changed(codebooks)
    rounded = round_changes(store.get(parent), exact)
    small = store.publish(model_id, rounded, parent, reason="")
    large = store.publish(model_id, exact, parent, reason="")
    assert small.codebook_id != large.codebook_id
    content = 3 * 16 * (16 + 1 + 4)  # stages, entries, a byte a number, exponent, row
    assert small.file["bytes"] < content + 1600
    assert large.file["bytes"] > 3 * 16 * 16 * 4
    assert same(round_changes(store.get(parent), rounded), rounded)


def test_activate_and_roll_back(store, published, model_id):
    baseline = store.active(model_id)
    first, second = published(1), published(2)
    assert store.activate(first.codebook_id[:9], reason="try").active
    store.activate(second.codebook_id)
    store.activate(second.codebook_id)  # is active: nothing happens
    assert store.active(model_id).codebook_id == second.codebook_id
    assert store.rollback(model_id, reason="worse").codebook_id == first.codebook_id
    assert store.rollback(model_id).codebook_id == baseline.codebook_id
    with pytest.raises(RegistryError, match="no earlier active codebooks"):
        store.rollback(model_id)
    store.activate(second.codebook_id)
    assert store.rollback(model_id).codebook_id == baseline.codebook_id
    events = [(event.kind, event.details.get("reason")) for event in store.log()[3:]]
    assert events == [
        *(("activate", "try"), ("activate", "")),
        *(("rollback", "worse"), ("rollback", "")),
        *(("activate", ""), ("rollback", "")),
    ]
    assert store.log()[5].details["from"] == second.codebook_id


def test_a_refused_candidate_is_kept_but_not_used(store, codebooks, changed, model_id):
    parent, new = store.active(model_id).codebook_id, changed(codebooks)
    refused = store.publish(
        model_id, new, parent, reason="clean speech suffers", verdict={"pesq": -0.2}, refused=True
    )
    assert refused.status == "refused"
    assert refused.provenance.verdict == {"pesq": -0.2}
    assert same(store.get(refused.codebook_id), new)
    with pytest.raises(RegistryError, match="was refused \\(clean speech suffers\\)"):
        store.activate(refused.codebook_id)
    assert store.active(model_id).codebook_id == parent
    assert store.activate(refused.codebook_id, force=True).active
    # Judged again with more audio; a later refusal does not touch what is published.
    assert store.publish(model_id, new, parent, reason="more audio").status == "published"
    assert store.publish(model_id, new, parent, reason="again", refused=True).status == "published"


def test_chains_of_changes_end_in_whole_codebooks(store, published, model_id):
    depths = [published(seed).file["depth"] for seed in range(1, 20)]
    assert depths == [*range(1, 17), 0, 1, 2]
    last = store.revisions(model_id)[-1]
    assert identify_codebooks(store.get(last.codebook_id)) == last.codebook_id
    assert store.verify() == []


def test_two_models_in_one_store_do_not_meet(store, published, codebooks, changed, model_id):
    other = "cd" * 32
    published(1)
    store.baseline(other, codebooks, model="other")  # the same codebooks
    assert [r.model_id for r in store.revisions(other)] == [other]
    with pytest.raises(RegistryError, match="is no revision of model cdcdcd"):
        store.publish(other, changed(codebooks), published(2).codebook_id, reason="")
    assert same(store.get(identify_codebooks(codebooks)), codebooks)
    assert store.verify() == []


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (lambda new: {}, "there are no codebooks"),
        (lambda new: {**new, "1.codebook": new["1.codebook"] * torch.nan}, "1.codebook has values that are"),
        (lambda new: {"../../x": new["0.codebook"]}, "names are letters"),
        (lambda new: {"a": torch.ones(3, dtype=torch.int64)}, "floats"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused(store, codebooks, model_id, wrong, problem):
    with pytest.raises(RegistryError, match=problem):
        store.publish(model_id, wrong(codebooks), None, reason="")
    assert len(store.log()) == 1


def test_wrong_identities(store, codebooks, changed, model_id):
    parent = store.active(model_id).codebook_id
    with pytest.raises(RegistryError, match="nothing changed"):
        store.publish(model_id, codebooks, parent, reason="")
    with pytest.raises(RegistryError, match="the parent eeee"):
        store.publish(model_id, changed(codebooks), "ee" * 32, reason="")
    with pytest.raises(RegistryError, match="expected 64 hexadecimal digits"):
        store.publish("../../etc", changed(codebooks), None, reason="")
    with pytest.raises(RegistryError, match="codebook 'ffff' is not known; there are "):
        store.activate("ffff")
    for wrong in ("", "*", "../../log", "ee" * 40):
        with pytest.raises(RegistryError, match="is not in the store"):
            store.get(wrong)


def test_a_prefix_that_means_several(store, published):
    found: dict[str, int] = {}
    for seed in range(1, 18):  # more than there are first digits
        digit = published(seed).codebook_id[0]
        found[digit] = found.get(digit, 0) + 1
    digit = max(found, key=lambda name: found[name])
    with pytest.raises(RegistryError, match="means more than one"):
        store.revision(digit)
    with pytest.raises(RegistryError, match="give more digits"):
        store.get(digit)


def test_a_damaged_revision_is_named_and_not_activated(store, published, model_id):
    first = published(1)
    second = published(2)
    path = store.files.path(model_id, first.codebook_id)
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        for revision in (first, second):
            with pytest.raises(RegistryError, match=str(path)):
                store.activate(revision.codebook_id)
    path.unlink()
    with pytest.raises(RegistryError, match=rf"{path}: missing"):
        store.get(second.codebook_id)
    path.write_bytes(whole)
    assert store.activate(second.codebook_id).active


def test_a_broken_chain_changes_nothing_but_old_files_still_decode(
    store, published, codebooks, changed, model_id
):
    revision = published(1)
    log = store.path / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b"tester", b"nobody", 1))
    before = log.read_bytes()
    for act in (
        lambda: store.activate(revision.codebook_id),
        lambda: store.rollback(model_id),
        lambda: store.active(model_id),
        lambda: store.publish(model_id, changed(codebooks, 7), revision.codebook_id, reason=""),
    ):
        with pytest.raises(RegistryError, match=r"log\.jsonl: line 1: its hash is wrong"):
            act()
    assert log.read_bytes() == before
    assert identify_codebooks(store.get(revision.codebook_id)) == revision.codebook_id


@pytest.mark.parametrize("step", ["file written", "file named", "before event"])
def test_a_full_disk_activates_nothing_and_leaves_no_half_files(
    store, published, changed, codebooks, model_id, step
):
    parent = store.active(model_id).codebook_id

    def fill(name):
        if name == step:
            raise OSError(errno.ENOSPC, "No space left on device")

    failing = Registry(store.path, actor="tester", on_step=fill)
    with pytest.raises(RegistryError, match="No space left on device"):
        failing.publish(model_id, changed(codebooks), parent, reason="")
    assert len(store.log()) == 1
    assert store.files.leftovers() == []
    assert store.active(model_id).codebook_id == parent
    revision = published(1)
    with pytest.raises(RegistryError, match="No space left"):
        Registry(store.path, on_step=lambda name: fill(step)).activate(revision.codebook_id)
    assert store.active(model_id).codebook_id == parent
    assert [finding.level for finding in store.verify()] in ([], ["note"])


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_store_that_cannot_be_written_can_be_read(store, published, model_id):
    revision = published(1)
    store.path.chmod(0o500)
    try:
        assert store.get(revision.codebook_id)
    finally:
        store.path.chmod(0o700)


def test_who_did_it_is_known_by_default(tmp_path, codebooks, model_id):
    revision = Registry(tmp_path / "store").baseline(model_id, codebooks)
    assert "@" in revision.actor
