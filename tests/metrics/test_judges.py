import sys
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

from audiocodec.errors import MetricError, MissingPackageError
from audiocodec.metrics import (
    METRICS,
    distillmos,
    dnsmos,
    dnsmos_bak,
    dnsmos_p808,
    dnsmos_sig,
    speaker_similarity,
)
from audiocodec.metrics.judges import _distillmos_network, _dnsmos_networks, _voice, _voice_encoder

RATE = 16000


@pytest.fixture(autouse=True)
def nothing_remembered():
    yield
    for remembering in (_distillmos_network, _dnsmos_networks, _voice, _voice_encoder):
        remembering.cache_clear()


class Fake:
    """Its score is 1 plus the peak, and it remembers what it heard."""

    heard: ClassVar = []

    def eval(self):
        print("weights loaded")
        return self

    def __call__(self, crops):
        Fake.heard.append(crops)
        return 1 + crops.abs().amax(dim=1, keepdim=True)


@pytest.fixture
def fake(monkeypatch):
    Fake.heard = []
    monkeypatch.setitem(sys.modules, "distillmos", SimpleNamespace(ConvTransformerSQAModel=Fake))
    return Fake


def test_crops_cover_everything_and_count_alike(fake, capsys):
    wav = np.zeros(RATE * 30, np.float32)
    wav[:] = np.linspace(0.1, 0.9, len(wav))
    peaks = [wav[int(at) : int(at) + 122880].max() for at in np.linspace(0, 1, 24) * (len(wav) - 122880)]
    assert METRICS["distillmos"](None, wav, RATE) == pytest.approx(1 + np.mean(peaks))
    assert [len(crops) for crops in fake.heard] == [8, 8, 8]
    assert fake.heard[-1][-1, -1] == pytest.approx(0.9)
    assert capsys.readouterr().out == ""  # nothing between the lines of JSON


def test_short_sound_is_followed_by_silence_and_other_rates_are_resampled(fake, speech):
    distillmos(None, np.repeat(speech[0], 2)[: 4 * RATE], 2 * RATE)
    (crops,) = fake.heard
    assert crops.shape == (1, 122880)
    assert not crops[0, 2 * RATE :].any()


def test_not_a_number_is_no_score_of_distillmos(monkeypatch, fake, speech):
    monkeypatch.setattr(fake, "__call__", lambda self, crops: crops[:, :1] * np.nan)
    with pytest.raises(MetricError, match="came out as nan"):
        distillmos(None, speech[0], RATE)


def test_distillmos_missing(monkeypatch, speech):
    monkeypatch.setitem(sys.modules, "distillmos", None)
    with pytest.raises(MissingPackageError, match="pip install distillmos"):
        distillmos(None, speech[0], RATE)


def test_noise_sounds_worse_to_distillmos_each_time_the_same(speech):
    pytest.importorskip("distillmos")
    state = torch.random.get_rng_state()
    clean, noisy = (distillmos(None, wav, RATE) for wav in speech)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert 1 < noisy < clean - 0.5 < 4.5
    assert distillmos(None, speech[0], RATE) == clean


@pytest.mark.slow
def test_equal_to_the_package(speech):
    package = pytest.importorskip("distillmos")
    long = np.tile(speech[0], 3)
    with torch.no_grad():
        expected = float(package.ConvTransformerSQAModel().eval()(torch.from_numpy(long)[None]))
    assert distillmos(None, long, RATE) == pytest.approx(expected, abs=1e-4)


def test_all_scores_of_one_run_without_a_reference(monkeypatch, speech):
    heard = []

    def run(wav, rate):
        heard.append((wav, rate))
        return {"ovrl_mos": np.float32(3.0), "p808_mos": np.float32(3.5), "sig_mos": 2.5, "bak_mos": 4.0}

    monkeypatch.setitem(sys.modules, "speechmos.dnsmos", SimpleNamespace(run=run))
    loud = np.repeat(speech[1] * 20, 2)
    assert METRICS["dnsmos"](None, loud, 2 * RATE) == 3.0
    assert dnsmos_p808(None, loud, 2 * RATE) == 3.5
    assert dnsmos_sig(None, loud, 2 * RATE) == 2.5
    assert dnsmos_bak(None, loud, 2 * RATE) == 4.0
    [(wav, rate)] = heard  # both networks run once
    assert rate == RATE
    assert len(wav) == len(speech[1])
    assert np.abs(wav).max() == 1  # the library refuses more


def test_not_a_number_is_no_score_of_dnsmos(monkeypatch, speech):
    found = {"ovrl_mos": np.nan, "p808_mos": 3.0}
    monkeypatch.setitem(sys.modules, "speechmos.dnsmos", SimpleNamespace(run=lambda wav, rate: found))
    with pytest.raises(MetricError, match="came out as"):
        dnsmos(None, speech[0], RATE)


def test_dnsmos_missing(monkeypatch, speech):
    monkeypatch.setitem(sys.modules, "speechmos.dnsmos", None)
    with pytest.raises(MissingPackageError, match="pip install speechmos"):
        dnsmos(None, speech[0], RATE)


@pytest.mark.slow
def test_noise_sounds_worse_to_dnsmos(speech):
    pytest.importorskip("speechmos")
    pytest.importorskip("onnxruntime")
    assert dnsmos(None, speech[0], RATE) > dnsmos(None, speech[1], RATE) > 1


def fake_resemblyzer(monkeypatch, preprocess):
    """Its "voice" is a level and a constant, so the cosine is known."""
    encoder = SimpleNamespace(embed_utterance=lambda wav: np.array([wav.std(), 1.0]))
    module = SimpleNamespace(preprocess_wav=preprocess, VoiceEncoder=lambda device, verbose: encoder)
    monkeypatch.setitem(sys.modules, "resemblyzer", module)


def test_cosine_of_the_voices(monkeypatch):
    fake_resemblyzer(monkeypatch, lambda wav, rate: wav)
    noise = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    noise /= noise.std()
    assert speaker_similarity(noise, noise, RATE) == pytest.approx(1)
    expected = (3 + 1) / np.sqrt(2) / np.sqrt(10)  # (1, 1) and (3, 1)
    assert speaker_similarity(noise, 3 * noise, RATE) == pytest.approx(expected, abs=1e-6)


def test_nobody_speaks(monkeypatch, speech):
    fake_resemblyzer(monkeypatch, lambda wav, rate: wav[:0])
    with pytest.raises(MetricError, match="no speech"):
        speaker_similarity(*speech, RATE)


def test_resemblyzer_missing(monkeypatch, speech):
    monkeypatch.setitem(sys.modules, "resemblyzer", None)
    with pytest.raises(MissingPackageError, match="pip install resemblyzer"):
        speaker_similarity(*speech, RATE)


@pytest.mark.slow
def test_the_same_person_in_a_little_noise(speech):
    pytest.importorskip("webrtcvad")
    pytest.importorskip("resemblyzer")
    clean, noisy = speech
    little = clean + 0.1 * (noisy - clean)
    assert speaker_similarity(clean, noisy, RATE) < speaker_similarity(clean, little, RATE) < 1
    assert speaker_similarity(clean, little, RATE) > 0.8
