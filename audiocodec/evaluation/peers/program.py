"""Running the program of another codec: in a folder of its own, for a limited time, and without a shell."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from audiocodec import audio
from audiocodec.errors import AudioCodecError, InputError, PeerError, PeerUnavailable
from audiocodec.evaluation.peers.base import Samples

_TAIL = 500
_MOST_OUTPUT = 1 << 20
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Ran:
    """What a program printed (the start of it) and the processor seconds it took."""

    stdout: str
    seconds: float


def require_programs(name: str, programs: Sequence[str], package: str) -> None:
    """Check that programs are on the path.

    Raises:
        PeerUnavailable: one is not; says what Debian calls its package.
    """
    for program in programs:
        if shutil.which(program) is None:
            raise PeerUnavailable(
                f"{name} needs the program {program}: apt-get install {package}, or the like of your system"
            )


def split_command(name: str, command: str) -> list[str]:
    """Words of a command that will run in another folder: its program and files by their whole paths.

    Raises:
        InputError: it is empty, or its quotes are unbalanced.
        PeerUnavailable: there is no such program.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"{name}: {command!r} cannot be read: {error}") from error
    if not words:
        raise InputError(f"{name}: the command is empty")
    program = shutil.which(words[0])
    if program is None:
        raise PeerUnavailable(f"{name} needs the program {words[0]}, which is not on the path")
    files = [str(Path(word).absolute()) if Path(word).is_file() else word for word in words[1:]]
    return [str(Path(program).absolute()), *files]


def run_program(name: str, command: Sequence[str], folder: Path, timeout_seconds: float) -> Ran:
    """Run a command in `folder`, with one thread where it listens; everything it started ends with it.

    Raises:
        PeerError: it cannot be started, fails, or takes too long; has the end of what it wrote to stderr.
    """
    outputs = [folder / "stdout.txt", folder / "stderr.txt"]
    before = _child_seconds()
    with outputs[0].open("wb") as stdout, outputs[1].open("wb") as stderr:
        try:
            process = subprocess.Popen(
                list(command),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**os.environ, **_ONE_THREAD},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise PeerError(f"{name}: {command[0]} cannot be started: {error}") from error
        try:
            status = process.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise PeerError(f"{name}: {command[0]} did not end within {timeout_seconds:g} s") from error
        finally:
            _end(process)
    seconds = _child_seconds() - before
    if status:
        tail = outputs[1].read_bytes()[-_TAIL:].decode(errors="replace").strip() or "it said nothing"
        raise PeerError(f"{name}: {command[0]} ended with status {status}: {tail}")
    with outputs[0].open("rb") as stdout:
        return Ran(stdout.read(_MOST_OUTPUT).decode(errors="replace"), seconds)


def write_wav(path: Path, wav: Samples, sample_rate: int) -> None:
    """Write [L] samples as 16-bit WAV, clipped to [-1, 1]."""
    audio.write(path, wav[None].clip(-1, 1), sample_rate)


def read_bytes(name: str, path: Path) -> bytes:
    """Read a file that a program wrote.

    Raises:
        PeerError: there is none.
    """
    if not path.is_file():
        raise PeerError(f"{name} ended well but wrote no output")
    return path.read_bytes()


def read_wav(name: str, path: Path, sample_rate: int, most: int) -> Samples:
    """Read what a program decoded, as [L] at `sample_rate`; channels are averaged.

    Raises:
        PeerError: there is no file, it is no sound, or it is longer than `most` samples.
    """
    if not path.is_file():
        raise PeerError(f"{name} ended well but wrote no output")
    try:
        found = audio.info(path)
        if found.length * sample_rate > most * found.sample_rate:
            raise PeerError(f"{name} returned {found.seconds:.1f} s, far more than it was given")
        wav, rate = audio.read(path)
    except (AudioCodecError, soundfile.SoundFileError) as error:
        if isinstance(error, PeerError):
            raise
        raise PeerError(f"{name} wrote what cannot be used: {error}") from error
    mono = wav.mean(axis=0, keepdims=True, dtype=np.float32)
    return audio.resample(mono, rate, sample_rate)[0]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop a program and what it has started, if anything is left."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait()


def _child_seconds() -> float:
    """Processor seconds of all ended child processes; the clock where the system does not count them."""
    if sys.platform == "win32":
        return time.perf_counter()
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
