import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from audiocodec.errors import MetricError, MissingPackageError
from audiocodec.metrics import WhisperTranscriber, word_error_metric, word_error_rate
from audiocodec.metrics.words import _whisper

RATE = 16000
LOUD = np.random.default_rng(0).standard_normal(RATE)


def transcribe(wav, sample_rate):
    """Hears one thing when it is loud, another when it is quiet."""
    assert sample_rate == RATE
    return "one two three four" if wav.std() > 0.5 else "One, TWO three -- five!"


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [
        ("one two three four", 0.0),
        ("  One, two; THREE four!", 0.0),
        ("one two four", 0.25),
        ("one two three five", 0.25),
        ("one two and three four", 0.25),
        ("", 1.0),
        ("a b c d e f g h", 2.0),
    ],
)
def test_known_rates(estimate, expected):
    pytest.importorskip("jiwer")
    assert word_error_rate("one two three four", estimate) == pytest.approx(expected)


def test_a_reference_without_words():
    pytest.importorskip("jiwer")
    with pytest.raises(MetricError, match="finds no words"):
        word_error_rate(" ... ", "hello")


def test_a_recognizer_makes_a_score_like_others():
    pytest.importorskip("jiwer")
    metric = pickle.loads(pickle.dumps(word_error_metric(transcribe)))
    assert metric(LOUD, LOUD, RATE) == 0
    assert metric(LOUD, 0.1 * LOUD, RATE) == 0.25
    with pytest.raises(MetricError, match="samples"):
        metric(LOUD, LOUD[:-1], RATE)


def test_package_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(MissingPackageError, match="pip install jiwer"):
        word_error_rate("a", "a")


def test_whisper_reads_from_a_folder_only(monkeypatch, tmp_path):
    heard = []

    class WhisperModel:
        def __init__(self, folder, device, compute_type, local_files_only):
            assert local_files_only
            assert folder == str(tmp_path)

        def transcribe(self, wav, language, **options):
            heard.append((len(wav), language))
            return iter([SimpleNamespace(text=" Hello "), SimpleNamespace(text="there.")]), None

    monkeypatch.setitem(sys.modules, "faster_whisper", SimpleNamespace(WhisperModel=WhisperModel))
    _whisper.cache_clear()
    reader = WhisperTranscriber(tmp_path, "en")
    with pytest.raises(MetricError, match=r"no model\.bin"):
        reader(LOUD.astype(np.float32), RATE)
    (tmp_path / "model.bin").touch()
    assert reader(LOUD.astype(np.float32), 2 * RATE) == "Hello there."
    assert heard == [(RATE // 2, "en")]
    _whisper.cache_clear()
