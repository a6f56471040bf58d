"""Speech recognizers as a user names them: the folder of a Whisper model, or a command that prints words."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiocodec.audio import stamp
from audiocodec.errors import InputError, MetricError, PeerError, PeerUnavailable, require
from audiocodec.evaluation.peers.program import run_program, split_command, write_wav
from audiocodec.metrics import Metric, WhisperTranscriber, word_error_metric

_NAME = "the recognizer"


@dataclass(frozen=True)
class CommandTranscriber:
    """A program that prints the words of the 16-bit WAV file `{in}`, run in an empty folder without a shell.

    Attributes:
        words: of the command.
        timeout_seconds: it is ended after so long on one recording.
    """

    words: tuple[str, ...]
    timeout_seconds: float = field(default=120.0, repr=False)

    def __call__(self, wav: NDArray[np.float32], sample_rate: int) -> str:
        """Read speech [L] of any rate.

        Raises:
            MetricError: the program failed or hung.
        """
        with tempfile.TemporaryDirectory(prefix="audiocodec-asr-") as name:
            file = Path(name) / "in.wav"
            write_wav(file, wav, sample_rate)
            command = [word.replace("{in}", str(file)) for word in self.words]
            try:
                return run_program(_NAME, command, Path(name), self.timeout_seconds).stdout
            except PeerError as error:
                raise MetricError(str(error)) from error


def recognizer_metric(named: str, language: str | None = None, timeout_seconds: float = 120.0) -> Metric:
    """The word error rate by a recognizer: a command with `{in}`, or the folder of a Whisper model.

    `language`, such as "en"; without it Whisper guesses. Whisper models are those of CTranslate2.

    Raises:
        InputError: there is no such program or model.
        MissingPackageError: faster-whisper is not installed.
    """
    if "{in}" in named:
        try:
            words = tuple(split_command(_NAME, named))
        except PeerUnavailable as error:
            raise InputError(str(error)) from error
        return _of_files(word_error_metric(CommandTranscriber(words, timeout_seconds)), map(Path, words))
    folder = Path(named).resolve()
    if not (folder / "model.bin").is_file():
        raise InputError(
            f"{named}: no recognizer; name a folder with a Whisper model of CTranslate2 (model.bin),"
            " or a command with {in} that prints the words"
        )
    require("faster_whisper", "the word error rate", "faster-whisper")
    return _of_files(word_error_metric(WhisperTranscriber(folder, language)), sorted(folder.glob("*")))


def _of_files(metric: Metric, files: Iterable[Path]) -> Metric:
    """The same metric, whose `setting` changes with the contents of these files."""
    return replace(metric, setting=f"{metric.setting} {[stamp(file) for file in files]}")
