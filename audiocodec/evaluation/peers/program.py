"""Programs of others: run in an empty folder, for a limited time, without a shell; any can be a codec."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from audiocodec import audio
from audiocodec.errors import AudioCodecError, InputError, PeerError, PeerUnavailable
from audiocodec.evaluation.coders import Decoded
from audiocodec.evaluation.peers.base import (
    Coded,
    Peer,
    PeerOptions,
    Samples,
    check_input,
    check_output,
    find_delay,
    shift,
)
from audiocodec.process import THREAD_VARIABLES

_TAIL = 500
_MOST_OUTPUT = 1 << 20
_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_KNOWN = {"in", "out", "kbps", "bps", "coded"}
_BITS = re.compile(r"^\s*bits\s*[=:\s]\s*(\d+)\b", re.MULTILINE)
_MAX_DELAY_SECONDS = 0.2


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
    """Run a command in `folder`, with one thread if it can; processes it started end with it.

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
                env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")},
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
        tail = outputs[1].read_bytes()[-_TAIL:].decode(errors="replace").strip() or "it printed nothing"
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
        info = audio.info(path)
        if info.length * sample_rate > most * info.sample_rate:
            raise PeerError(f"{name} returned {info.seconds:.1f} s, far more than it was given")
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


class CommandPeer(Peer):
    """A codec given as a command that encodes and decodes one file: "name=program {in} {out} {kbps}".

    `{in}` is a 16-bit WAV file of the input's sample rate and `{out}` the WAV file to write, of any rate;
    `{kbps}` and `{bps}` are the bitrate. The bits are those of a printed line `bits=N`, else the size of the
    file `{coded}` where the command has that, headers and all, else those asked for, marked as nominal.
    A delay of up to 0.2 s is found by correlation and removed. Only the time of both ways together is known:
    it stands as `encode_seconds`, and `decode_seconds` is NaN.
    """

    def __init__(self, name: str, command: str, options: PeerOptions) -> None:
        """Check what can be checked before running it.

        Raises:
            InputError: the command has no {in} or {out}, an unknown placeholder, or unbalanced quotes.
            PeerUnavailable: there is no such program.
        """
        placeholders = set(_PLACEHOLDER.findall(command))
        if not {"in", "out"} <= placeholders or placeholders - _KNOWN:
            raise InputError(
                f"peer {name}: {command!r} needs {{in}} and {{out}}; {{kbps}}, {{bps}} and {{coded}} are free"
            )
        super().__init__(options)
        self.name, self.command = name, command
        self.words = split_command(name, command)

    def files(self) -> list[Path]:
        """Its program, and files that the command names."""
        return [Path(word) for word in self.words]

    def code(self, wav: Samples, sample_rate: int, bitrate: float) -> Decoded:
        """Encode and decode at the rate of the input; see `Peer`."""
        check_input(wav, sample_rate)
        with tempfile.TemporaryDirectory(prefix="audiocodec-peer-") as name:
            folder = Path(name)
            values = {
                "in": str(folder / "in.wav"),
                "out": str(folder / "out.wav"),
                "coded": str(folder / "coded"),
                "kbps": f"{bitrate / 1000:g}",
                "bps": f"{bitrate:.0f}",
            }
            write_wav(folder / "in.wav", wav, sample_rate)
            command = [_PLACEHOLDER.sub(lambda match: values[match[1]], word) for word in self.words]
            ran = run_program(self.name, command, folder, self.options.timeout_seconds)
            most = 2 * len(wav) + sample_rate
            decoded = read_wav(self.name, folder / "out.wav", sample_rate, most)
            bits, nominal = self._bits(ran.stdout, folder, bitrate * len(wav) / sample_rate)
        delay = find_delay(wav, decoded, 0, round(_MAX_DELAY_SECONDS * sample_rate))
        aligned = check_output(self.name, shift(decoded, delay), len(wav))
        return Decoded(aligned, math.ceil(bits / 8), bits, ran.seconds, math.nan, nominal_bits=nominal)

    def _run(self, wav: Samples, length: int, bitrate: float) -> Coded:
        raise NotImplementedError  # `code` does all of it, at any rate

    def _bits(self, stdout: str, folder: Path, asked: float) -> tuple[int, bool]:
        said = _BITS.findall(stdout)
        if said:
            return int(said[-1]), False
        if any("{coded}" in word for word in self.words):
            size = len(read_bytes(self.name, folder / "coded"))
            if not size:
                raise PeerError(f"{self.name} left the coded file empty")
            return 8 * size, False
        return round(asked), True
