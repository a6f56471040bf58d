"""Speed and memory of codecs, each measured alone in a new process with one thread."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiocodec.audio import check_samples
from audiocodec.errors import AudioCodecError, InputError, PeerError
from audiocodec.evaluation.coders import Coder, ModelCoder
from audiocodec.evaluation.peers.classic import ProgramPeer
from audiocodec.evaluation.peers.program import CommandPeer
from audiocodec.process import compute_in_one_thread
from audiocodec.work import Pool, WorkerLost

Wav = NDArray[np.float32]

_SYLLABLES_HZ, _PITCH_HZ = 4.0, 120.0
_CLOCK_STEP_SECONDS = 1e-6


@dataclass(frozen=True)
class Speed:
    """Speed and memory of one codec at one bitrate; speeds are seconds of audio per second of processor time.

    Attributes:
        bitrate: requested bit/s.
        payload_bitrate: bit/s of payload it used.
        encode_speed: None when only both ways together are known.
        decode_speed: likewise.
        speed: both ways together.
        peak_mb: largest resident set of the process in 10^6 bytes, Python and libraries included; None when
            the codec is a program of its own, or the system does not say.
    """

    bitrate: float
    payload_bitrate: float
    encode_speed: float | None
    decode_speed: float | None
    speed: float
    peak_mb: float | None


def speech_like(seconds: float, sample_rate: int, seed: int = 0) -> Wav:
    """Synthetic sound [L] with the pitch, syllables and level of speech."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * np.cumsum(_PITCH_HZ * (1 + 0.2 * np.sin(2 * np.pi * 0.7 * time))) / sample_rate
    voice = sum((np.sin(k * phase) / k for k in range(1, 20)), np.zeros_like(time))
    envelope = np.clip(np.sin(2 * np.pi * _SYLLABLES_HZ * time), 0, None)
    breath = rng.standard_normal(len(time)) * (0.02 + 0.1 * np.roll(envelope, sample_rate // 10))
    return (0.1 * (envelope * voice + breath)).astype(np.float32)


def measure(coder: Coder, wav: Wav, sample_rate: int, bitrate: float, repeats: int = 3) -> Speed:
    """Code wav [L] once to warm up, then measure the best of `repeats` runs, in this process.

    Raises:
        InputError: `wav` is empty or not [L], or `repeats` is below 1; also the errors of the codec.
    """
    check_samples(wav, sample_rate)
    if wav.ndim != 1 or not len(wav) or repeats < 1:
        raise InputError(
            f"samples of shape {wav.shape}, {repeats} runs: give some sound [L] and at least 1 run"
        )
    seconds = len(wav) / sample_rate
    coder.code(wav, sample_rate, bitrate)
    runs = [coder.code(wav, sample_rate, bitrate) for _ in range(repeats)]
    times = np.array([(run.encode_seconds, run.decode_seconds) for run in runs])
    best = np.array([*times.min(axis=0), np.nansum(times, axis=1).min()])
    encode, decode, both = (seconds / np.maximum(best, _CLOCK_STEP_SECONDS)).tolist()
    if np.isnan(times).any():
        encode = decode = None
    in_process = not isinstance(coder, ProgramPeer | CommandPeer)
    peak_mb = _peak_mb() if in_process else None  # that of a program is not reliably known
    return Speed(bitrate, runs[0].payload_bits / seconds, encode, decode, both, peak_mb)


def measure_apart(
    coder: Coder,
    wav: Wav,
    sample_rate: int,
    bitrate: float,
    repeats: int = 3,
    timeout_seconds: float = 600.0,
) -> Speed:
    """As `measure`, in a new process with one thread, so that memory is that of this codec alone.

    Raises:
        AudioCodecError: what the codec raised; PeerError when its process died or took too long.
    """
    pool: Pool[None]
    with Pool(1) as pool:
        pool.submit(None, _answer, coder, wav, sample_rate, bitrate, repeats)
        try:
            _, answer = pool.next(timeout_seconds)
        except TimeoutError as error:
            raise PeerError(f"{bitrate:g} bit/s took longer than {timeout_seconds:g} s") from error
    if isinstance(answer, WorkerLost):
        raise PeerError(f"its process ended early ({answer.reason})")
    if isinstance(answer, Exception):
        raise answer
    return answer


def _answer(
    coder: Coder, wav: Wav, sample_rate: int, bitrate: float, repeats: int
) -> Speed | AudioCodecError:
    """As `measure`; what goes wrong is given back."""
    if isinstance(coder, ModelCoder):  # a peer without torch is not charged for it
        compute_in_one_thread()
    try:
        return measure(coder, wav, sample_rate, bitrate, repeats)
    except AudioCodecError as error:
        return error


def _peak_mb() -> float | None:
    """Largest resident set of this process so far."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count what the parent had as well
        lines = [line.split() for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(lines[0][1]) * 1024 / 1e6 if lines else None
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
