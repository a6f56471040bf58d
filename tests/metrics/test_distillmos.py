import sys
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

from audiocodec.errors import MetricError, MissingPackageError
from audiocodec.metrics import METRICS, distillmos

RATE = 16000
MODULE = sys.modules["audiocodec.metrics.distillmos"]


@pytest.fixture
def without_memory():
    MODULE._network.cache_clear()
    yield
    MODULE._network.cache_clear()


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
def fake(monkeypatch, without_memory):
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


def test_not_a_number_is_no_score(monkeypatch, fake, speech):
    monkeypatch.setattr(fake, "__call__", lambda self, crops: crops[:, :1] * np.nan)
    with pytest.raises(MetricError, match="came out as nan"):
        distillmos(None, speech[0], RATE)


def test_package_missing(monkeypatch, without_memory, speech):
    monkeypatch.setitem(sys.modules, "distillmos", None)
    with pytest.raises(MissingPackageError, match="pip install distillmos"):
        distillmos(None, speech[0], RATE)


def test_noise_sounds_worse_each_time_the_same(speech, without_memory):
    pytest.importorskip("distillmos")
    state = torch.random.get_rng_state()
    clean, noisy = (distillmos(None, wav, RATE) for wav in speech)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert 1 < noisy < clean - 0.5 < 4.5
    assert distillmos(None, speech[0], RATE) == clean


@pytest.mark.slow
def test_equal_to_the_package(speech, without_memory):
    package = pytest.importorskip("distillmos")
    long = np.tile(speech[0], 3)
    with torch.no_grad():
        expected = float(package.ConvTransformerSQAModel().eval()(torch.from_numpy(long)[None]))
    assert distillmos(None, long, RATE) == pytest.approx(expected, abs=1e-4)
