import sys
from types import SimpleNamespace

import numpy as np
import pytest

from audiocodec.errors import MetricError, MissingPackageError
from audiocodec.metrics import speaker_similarity
from audiocodec.metrics.speaker import _encoder, _voice

RATE = 16000


@pytest.fixture(autouse=True)
def _nothing_remembered():
    _voice.cache_clear()
    _encoder.cache_clear()


def fake(monkeypatch, preprocess):
    """Its "voice" is a level and a constant, so the cosine is known."""
    encoder = SimpleNamespace(embed_utterance=lambda wav: np.array([wav.std(), 1.0]))
    module = SimpleNamespace(preprocess_wav=preprocess, VoiceEncoder=lambda device, verbose: encoder)
    monkeypatch.setitem(sys.modules, "resemblyzer", module)


def test_cosine_of_the_voices(monkeypatch):
    fake(monkeypatch, lambda wav, rate: wav)
    noise = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    noise /= noise.std()
    assert speaker_similarity(noise, noise, RATE) == pytest.approx(1)
    expected = (3 + 1) / np.sqrt(2) / np.sqrt(10)  # (1, 1) and (3, 1)
    assert speaker_similarity(noise, 3 * noise, RATE) == pytest.approx(expected, abs=1e-6)


def test_nobody_speaks(monkeypatch, speech):
    fake(monkeypatch, lambda wav, rate: wav[:0])
    with pytest.raises(MetricError, match="no speech"):
        speaker_similarity(*speech, RATE)


def test_package_missing(monkeypatch, speech):
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
