"""The loop on the tiny model, with a monitor that says what the test wants."""

import itertools
import os
import signal

import numpy as np
import pytest
import soundfile
import torch

from audiocodec.adaptation.registry import Registry
from audiocodec.adaptation.repair.proposal import Plan, exclusive, present_codec, propose
from audiocodec.adaptation.repair.refresh import RefreshOptions
from audiocodec.adaptation.repair.service import Drift, Service
from audiocodec.adaptation.repair.sound import Sound
from audiocodec.adaptation.repair.trigger import ErrorMonitor
from audiocodec.codec import load
from audiocodec.errors import InputError, RegistryError


def alarm(codec, window, clean):
    return Drift(True, "made up")


def calm(codec, window, clean):
    return Drift(False, "all well")


@pytest.fixture
def hall(tmp_path, make_sound):
    """incoming: 100 s of the hall with the machine, arrived a minute ago."""
    folder = tmp_path / "incoming"
    folder.mkdir()
    pieces = [clip.wav for clip in make_sound(20, seconds=5.0, changed=True).clips]
    for number in range(4):
        soundfile.write(folder / f"{number}.wav", np.concatenate(pieces[5 * number :][:5]), 16000)
        os.utime(folder / f"{number}.wav", (1000 + number, 1000 + number))
    return folder


@pytest.fixture
def service(tmp_path, tiny_folder, hall, make_sound):
    """Makes services that share a store, an hour apart."""
    hours = itertools.count(1)

    def make(**changes):
        now = 3600.0 * next(hours) + 2000
        registry = Registry(tmp_path / "books", clock=lambda: now, actor="tester", **changes.pop("store", {}))
        codec = load(tiny_folder, "cpu", registry)
        registry.baseline(codec.model_id, codec.model.quantizer.codebooks(), model="tiny")
        clean = make_sound(14, seconds=1.5, seed=5)
        plan = Plan(RefreshOptions(fraction=0.5), **changes.pop("plan", {}))
        return Service(
            registry, codec, hall, clean, changes.pop("monitor", alarm), plan, clock=lambda: now, **changes
        )

    return make


def accept_everything(monkeypatch):
    monkeypatch.setattr("audiocodec.adaptation.repair.acceptance._no_gain", lambda *_: "")
    monkeypatch.setattr("audiocodec.adaptation.repair.acceptance._clean_loss", lambda *_: "")


def test_the_whole_round(service, monkeypatch, hall):
    """Drift, refresh, publication, activation; then cool-down; then the same sound is not tried again."""
    accept_everything(monkeypatch)
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
    assert found.outcome.verdict.environment["quantization_error"].change < 0
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
    monkeypatch.setattr("audiocodec.adaptation.repair.acceptance._no_gain", lambda *_: "no gain")
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


@pytest.mark.skipif(
    os.environ.get("OMP_NUM_THREADS") != "1",
    reason="a forked child waits for ever for OpenMP threads it does not have: set OMP_NUM_THREADS=1",
)
@pytest.mark.parametrize("moment", range(5))
def test_killed_at_any_step_it_goes_on_and_publishes_once(service, monkeypatch, moment):
    """A child of this process is killed at a step that reaches the disk; another one follows."""
    accept_everything(monkeypatch)
    monkeypatch.setattr("audiocodec.adaptation.repair.acceptance.RESAMPLES", 50)
    service()  # the store is there
    child = os.fork()
    if not child:
        steps = itertools.count()

        def stop(step):
            if next(steps) == moment:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            service(store={"on_step": stop}).step()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    service()  # an hour later
    again = service()
    assert again.step().state in ("published", "known")
    events = [event.kind for event in again.registry.log()]
    assert events == ["baseline", "publish", "activate"]
    assert not [finding for finding in again.registry.verify() if finding.level == "error"]
    assert again.registry.active(again.codec.model_id).status == "published"


def test_waiting_for_enough_sound_and_files_that_are_still_written(service, hall):
    for number in range(3):
        os.utime(hall / f"{number}.wav", (1e12, 1e12))
    found = service().step()
    assert found.state == "waiting"
    assert "25 s of sound, 96 s are needed" in found.text


def test_a_clock_that_went_back_does_not_stop_it(service, monkeypatch):
    accept_everything(monkeypatch)
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
        propose(one.registry, one.codec, Sound((), {"a.wav": "silent"}), one.clean, one.plan)


def test_the_monitor_hears_the_machine(codec, make_sound):
    clean, changed = make_sound(6, seed=1), make_sound(6, changed=True, seed=2)
    assert ErrorMonitor(1.04)(codec, changed, clean).alert
    same = ErrorMonitor(1.5)(codec, make_sound(6, seed=3), clean)
    assert not same.alert
    assert "times that of clean speech" in same.reading
