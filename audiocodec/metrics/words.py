"""Word error rate: whether a speech recognizer of your choice still recognizes the words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError, require
from audiocodec.metrics.base import Metric, Wav, at_rate, check_pair

Transcribe = Callable[[NDArray[np.float32], int], str]
"""Recognizes speech [L] of a sample rate in Hz; must be importable by name for use in several processes."""

INSTALL_JIWER = "jiwer"
INSTALL_WHISPER = "faster-whisper"


def word_error_rate(reference_text: str, estimate_text: str) -> float:
    """Words replaced, left out or added, for a word of the reference; 0 is best, more than 1 is possible.

    Case, punctuation and repeated spaces do not count.

    Raises:
        MetricError: the reference has no words.
        MissingPackageError: jiwer is not installed.
    """
    jiwer = require("jiwer", "the word error rate", INSTALL_JIWER)
    clean = jiwer.Compose(
        [jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveMultipleSpaces(), jiwer.Strip()]
    )
    expected, recognized = clean(reference_text), clean(estimate_text)
    if not expected:
        raise MetricError("the recognizer finds no words in the reference; score another file")
    return float(jiwer.wer(expected, recognized))


def word_error_metric(transcribe: Transcribe) -> Metric:
    """Make a score that compares what `transcribe` recognizes in the estimate and in the reference."""
    setting = getattr(transcribe, "__qualname__", repr(transcribe))
    return replace(WORD_ERROR_RATE, compute=partial(_score, transcribe), setting=f" by {setting}")


@dataclass(frozen=True)
class WhisperTranscriber:
    """A Whisper model in a folder on this disk (model.bin, config.json, ... of CTranslate2), run on the CPU.

    Attributes:
        folder: of the model; nothing is fetched from elsewhere.
        language: such as "en"; None: the model guesses, which costs time and may go wrong in noise.
    """

    folder: Path
    language: str | None = None

    def __call__(self, wav: NDArray[np.float32], sample_rate: int) -> str:
        """Recognize speech [L] of any rate.

        Raises:
            MetricError: the folder holds no model.
            MissingPackageError: faster-whisper is not installed.
        """
        resampled, _ = at_rate((wav, wav), sample_rate, 16000)  # pyright: ignore[reportArgumentType]
        segments, _ = _whisper(self.folder).transcribe(
            resampled.astype(np.float32), language=self.language, beam_size=5, temperature=0.0
        )
        return " ".join(segment.text.strip() for segment in segments)


def _score(transcribe: Transcribe, reference: Wav, estimate: Wav, sample_rate: int) -> float:
    target, decoded = check_pair(reference, estimate, sample_rate)
    expected = _transcribe(transcribe, target.astype(np.float32).tobytes(), sample_rate)
    return word_error_rate(expected, transcribe(decoded.astype(np.float32), sample_rate))


def _without_recognizer(reference: Any, estimate: Wav, sample_rate: int) -> float:
    raise MetricError("the word error rate needs a recognizer: make it with word_error_metric")


WORD_ERROR_RATE = Metric(
    "word_error_rate", _without_recognizer, "", "lower", modules=("jiwer",), install="jiwer"
)
"""Name, unit and direction of the score, whichever recognizer is used."""


@lru_cache(maxsize=8)  # one reference is scored at every bitrate
def _transcribe(transcribe: Transcribe, samples: bytes, sample_rate: int) -> str:
    return transcribe(np.frombuffer(samples, np.float32), sample_rate)


@lru_cache(maxsize=1)
def _whisper(folder: Path) -> Any:
    module = require("faster_whisper", "a transcript by Whisper", INSTALL_WHISPER)
    if not (folder / "model.bin").is_file():
        raise MetricError(f"{folder}: has no model.bin; name a folder with a Whisper model of CTranslate2")
    return module.WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)
