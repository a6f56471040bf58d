"""Can a machine still read what was said: the word error rate of a speech recognizer of your choice."""

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
"""Reads speech [L] of a sample rate in Hz; must be importable by name to be used in several processes."""

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
    spoken, read = clean(reference_text), clean(estimate_text)
    if not spoken:
        raise MetricError("nobody says a word in the reference, so no word can be wrong")
    return float(jiwer.wer(spoken, read))


def word_error_metric(transcribe: Transcribe) -> Metric:
    """Make a score of what `transcribe` reads in the estimate, against what it reads in the reference."""
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
        """Read speech [L] of any rate.

        Raises:
            MetricError: the folder holds no model.
            MissingPackageError: faster-whisper is not installed.
        """
        heard, _ = at_rate((wav, wav), sample_rate, 16000)  # pyright: ignore[reportArgumentType]
        segments, _ = _whisper(self.folder).transcribe(
            heard.astype(np.float32), language=self.language, beam_size=5, temperature=0.0
        )
        return " ".join(segment.text.strip() for segment in segments)


def _score(transcribe: Transcribe, reference: Wav, estimate: Wav, sample_rate: int) -> float:
    target, heard = check_pair(reference, estimate, sample_rate)
    said = _read(transcribe, target.astype(np.float32).tobytes(), sample_rate)
    return word_error_rate(said, transcribe(heard.astype(np.float32), sample_rate))


def _without_recognizer(reference: Any, estimate: Wav, sample_rate: int) -> float:
    raise MetricError("the word error rate needs a recognizer: make it with word_error_metric")


WORD_ERROR_RATE = Metric(
    "word_error_rate", _without_recognizer, "", "lower", modules=("jiwer",), install="jiwer"
)
"""What tables know of the score, whoever recognizes."""


@lru_cache(maxsize=8)  # one reference is scored at every bitrate
def _read(transcribe: Transcribe, samples: bytes, sample_rate: int) -> str:
    return transcribe(np.frombuffer(samples, np.float32), sample_rate)


@lru_cache(maxsize=1)
def _whisper(folder: Path) -> Any:
    module = require("faster_whisper", "a transcript by Whisper", INSTALL_WHISPER)
    if not (folder / "model.bin").is_file():
        raise MetricError(f"{folder}: has no model.bin; name a folder with a Whisper model of CTranslate2")
    return module.WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)
