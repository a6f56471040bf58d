"""The loop on the tiny model, with a monitor that says what the test wants."""

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiocodec.adaptation.refresh import acceptance
from audiocodec.adaptation.refresh.acceptance import SCORES, Scored
from audiocodec.adaptation.refresh.candidate import RefreshOptions
from audiocodec.adaptation.refresh.proposal import Plan, exclusive, present_codec, propose
from audiocodec.adaptation.refresh.service import DriftReading, ErrorMonitor, Service
from audiocodec.adaptation.refresh.sound import SoundClips
from audiocodec.adaptation.registry import Registry
from audiocodec.codec import load
from audiocodec.errors import InputError, RegistryError


def alarm(codec, window, clean):
    return DriftReading(True, "made up")


def calm(codec, window, clean):
    return DriftReading(False, "all well")


@pytest.fixture(scope="module")
def recordings(make_sound):
    """100 s of the hall with the machine."""
    pieces = [clip.wav for clip in make_sound(20, seconds=5.0, changed=True).clips]
    return [np.concatenate(pieces[5 * number :][:5]) for number in range(4)]


@pytest.fixture
def hall(tmp_path, recordings):
    """incoming: recordings that arrived a minute ago."""
    folder = tmp_path / "incoming"
    folder.mkdir()
    for number, wav in enumerate(recordings):
        soundfile.write(folder / f"{number}.wav", wav, 16000)
        os.utime(folder / f"{number}.wav", (1000 + number, 1000 + number))
    return folder


@pytest.fixture
def service(tmp_path, tiny_folder, hall, make_sound):
    """Makes services that share a store, an hour apart."""
    hours = itertools.count(1)

    def make(**changes):
        now = 3600.0 * next(hours) + 2000
        registry = Registry(changes.pop("store", tmp_path / "books"), clock=lambda: now, actor="tester")
        codec = load(tiny_folder, "cpu", registry)
        if changes.pop("own", True):
            registry.baseline(codec.model_id, codec.model.quantizer.codebooks(), model="tiny")
        clean = make_sound(14, seconds=1.5, seed=5)
        plan = Plan(RefreshOptions(fraction=0.5), **changes.pop("plan", {}))
        return Service(
            registry, codec, hall, clean, changes.pop("monitor", alarm), plan, clock=lambda: now, **changes
        )

    return make


def unscored(codec, clips, bitrate, progress):
    ones = {name: np.ones(len(clips)) for name in SCORES}
    return Scored(tuple(clip.name for clip in clips), ones, (1.0,), (1.0,))


@pytest.fixture(autouse=True)
def accept_everything(monkeypatch):
    """What decides is tested with it; scores, which take a second a piece, are not looked at here."""
    monkeypatch.setattr(acceptance, "_no_gain", lambda *_: "")
    monkeypatch.setattr(acceptance, "_clean_loss", lambda *_: "")
    monkeypatch.setattr(acceptance, "score", unscored)


def test_the_whole_round(service, hall):
    """Drift, refresh, publication, activation; then cool-down; then the same sound is not tried again."""
    assert service(monitor=calm).step().state == "steady"
    first = service()
    own = {name: codebook.clone() for name, codebook in first.codec.model.quantizer.codebooks().items()}
    found = first.step()
    assert found.state == "published"
    revision = first.registry.active(first.codec.model_id)
    assert revision.codebook_id == found.outcome.revision.codebook_id
    assert revision.provenance.reason == "drift: made up"
    assert revision.provenance.fingerprint == found.outcome.fingerprint
    assert revision.provenance.verdict["accepted"] is True
    assert all(torch.equal(own[n], c) for n, c in first.codec.model.quantizer.codebooks().items())
    fit = revision.provenance.statistics["fit"]
    assert fit["moved_entries"] == [32] * 8
    assert first.step().state == "cooling"
    later = service()
    assert later.step().state == "known"
    assert present_codec(later.registry, later.codec).codebook_id == revision.codebook_id
    wav = soundfile.read(hall / "0.wav", dtype="float32")[0]
    data = present_codec(later.registry, later.codec).compress(wav, 16000)
    assert later.codec.decompress(data)[0].shape == (1, len(wav))
    later.registry.rollback(later.codec.model_id, reason="complaints")
    assert service().step().state == "known"
    assert not service().registry.active(later.codec.model_id).provenance.parent


def test_a_refused_candidate_is_kept_with_its_verdict_and_not_used(service, monkeypatch):
    monkeypatch.setattr(acceptance, "_no_gain", lambda *_: "no gain")
    now = service()
    found = now.step()
    assert (found.state, found.outcome.revision.status) == ("refused", "refused")
    assert found.outcome.revision.provenance.verdict["reason"] == "no gain"
    assert now.registry.active(now.codec.model_id).codebook_id == now.codec.codebook_id


def test_a_dry_run_writes_nothing(service, tmp_path):
    before = (tmp_path / "books").exists()
    now = service(plan={"dry_run": True})
    events = len(now.registry.log())
    assert now.step().state == "tried"
    assert not before
    assert len(now.registry.log()) == events


def test_killed_at_every_step_it_goes_on_and_publishes_once(service, tmp_path, tiny_folder, hall):
    """Services of another process were killed after one step that reaches the disk, after two, and so on."""
    np.save(tmp_path / "clean.npy", [clip.wav for clip in service().clean.clips])
    stores = tmp_path / "stores"
    script = Path(__file__).with_name("killed_services.py")
    found = subprocess.run(
        [sys.executable, script, tiny_folder, hall, tmp_path / "clean.npy", stores],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    statuses = json.loads(found.stdout)
    assert statuses == [-signal.SIGKILL] * (len(statuses) - 1) + [0]
    assert len(statuses) > 4
    published = set()
    for number in range(len(statuses)):
        again = service(store=stores / str(number))
        assert again.step().state in ("published", "known")
        events = [event.kind for event in again.registry.log()]
        assert events == ["baseline", "publish", "activate"]
        assert not [finding for finding in again.registry.verify() if finding.level == "error"]
        active = again.registry.active(again.codec.model_id)
        assert active.status == "published"
        published.add(active.codebook_id)
    assert len(published) == 1  # equal sound and seed give equal codebooks, whoever ends the work


def test_a_full_disk_is_told_and_what_was_active_stays(service, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    one = service()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RegistryError, match="No space left"):
            one.step()
    assert [event.kind for event in one.registry.log()] == ["baseline"]
    assert one.registry.active(one.codec.model_id).codebook_id == one.codec.codebook_id
    assert not list(one.registry.path.rglob("*.part"))
    assert service().step().state == "published"


@pytest.mark.parametrize("damage", ["revision", "log"])
def test_a_damaged_store_is_named_and_nothing_is_activated(service, hall, damage):
    one = service()
    one.step()
    wav = np.concatenate([soundfile.read(hall / "0.wav", dtype="float32")[0][::-1]])
    soundfile.write(hall / "0.wav", wav, 16000)  # sound that was not tried yet
    os.utime(hall / "0.wav", (1000, 1000))
    active = one.registry.active(one.codec.model_id)
    files = {"revision": one.registry.files.find(active.codebook_id), "log": one.registry.path / "log.jsonl"}
    data = bytearray(files[damage].read_bytes())
    data[len(data) // 2] ^= 1
    files[damage].write_bytes(data)
    before = files["log"].read_bytes()
    with pytest.raises(RegistryError, match=files[damage].name[:12]):
        service(own=False).step()
    assert files["log"].read_bytes() == before


def test_silence_alone_is_too_little_sound(service, hall):
    for file in hall.iterdir():
        soundfile.write(file, np.zeros(25 * 16000), 16000)
        os.utime(file, (1000, 1000))
    found = service().step()
    assert (found.state, found.text) == ("waiting", "0 s of sound, 96 s are needed")


def test_waiting_for_enough_sound_and_files_that_are_still_written(service, hall):
    for number in range(3):
        os.utime(hall / f"{number}.wav", (1e12, 1e12))
    found = service().step()
    assert found.state == "waiting"
    assert "25 s of sound, 96 s are needed" in found.text


def test_a_clock_that_went_back_does_not_stop_it(service):
    first = service()
    first.step()
    first.clock = lambda: 1500.0
    assert first.step().state == "known"


def test_two_at_once_and_a_store_of_another_model(service, make_sound):
    one = service()
    with exclusive(one.registry), pytest.raises(RegistryError, match="another refresh"):
        one.step()
    one.codec.model_id = "ab" * 32
    with pytest.raises(RegistryError, match="a store of tiny, not of this model"):
        one.step()


def test_too_little_sound_names_what_is_needed(service, make_sound):
    one = service(plan={})
    few = make_sound(13, seconds=1.2, changed=True)
    with pytest.raises(InputError, match=r"s of usable sound to fit, 20 s are needed"):
        propose(one.registry, one.codec, few, one.clean, one.plan)
    with pytest.raises(InputError, match="0 pieces, at least 12"):
        propose(one.registry, one.codec, SoundClips((), {"a.wav": "silent"}), one.clean, one.plan)


def test_the_monitor_hears_the_machine(codec, make_sound):
    clean, changed = make_sound(6, seed=1), make_sound(6, changed=True, seed=2)
    assert ErrorMonitor(1.04)(codec, changed, clean).alert
    same = ErrorMonitor(1.5)(codec, make_sound(6, seed=3), clean)
    assert not same.alert
    assert "times that of clean speech" in same.reading
