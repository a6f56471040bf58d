"""Measure how fast and how large the codec is: one thread, and the peak memory for an hour of speech.

Usage: python tools/bench/speed.py [--model speech-16k] [--seconds 60] [--hours 1] [--audio FILE]

Speed is seconds of sound for a second of processor time, the best of three, without files; processor time
hardly depends on what else the machine does. Memory is the largest resident set of `audiocodec encode` and
`decode` in processes of their own, torch included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from audiocodec import audio
from audiocodec.codec import Codec, load
from audiocodec.process import compute_in_one_thread

SHIPPED = Path(__file__).parents[2] / "tests" / "data" / "ls_2033_001.flac"
REPEATS = 3


def repeated(wav: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """`length` samples [C, length] of `wav` [C, L] over and over."""
    return np.tile(wav, -(-length // wav.shape[1]))[:, :length]


def best_seconds(work: Callable[[], object]) -> float:
    """Least processor time of several runs; the others were disturbed."""
    times: list[float] = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def speeds(codec: Codec, wav: NDArray[np.float32], sample_rate: int, bitrate: float) -> tuple[float, float]:
    """Seconds of computing to encode and to decode `wav` [C, L]."""
    data = codec.compress(wav, sample_rate, bitrate)
    encoding = best_seconds(lambda: codec.compress(wav, sample_rate, bitrate))
    return encoding, best_seconds(lambda: codec.decompress(data))


def run_measured(arguments: list[str]) -> tuple[float, float]:
    """Processor seconds and peak memory in MB of `audiocodec ARGUMENTS`, start of Python included."""
    command = [sys.executable, "-m", "audiocodec", *arguments]
    with subprocess.Popen(command) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes elsewhere
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit


def measure_speed(codec: Codec, wav: NDArray[np.float32], sample_rate: int) -> Table:
    """Speed at the lowest, a middle and the highest bitrate."""
    table = Table("bit/s", "encode x", "decode x", "together x", box=None)
    ladder = codec.bitrates
    seconds = wav.shape[1] / sample_rate
    for bitrate in dict.fromkeys((ladder[0], ladder[len(ladder) // 2], ladder[-1])):
        encoding, decoding = speeds(codec, wav, sample_rate, bitrate)
        cells = (seconds / encoding, seconds / decoding, seconds / (encoding + decoding))
        table.add_row(f"{bitrate:.0f}", *(f"{cell:.1f}" for cell in cells))
    return table


def measure_hour(model: list[str], wav: NDArray[np.float32], sample_rate: int, hours: float) -> Table:
    """Time and memory of the two commands on a long file."""
    table = Table("command", "CPU seconds", "x real time", "peak MB", box=None)
    with tempfile.TemporaryDirectory() as folder:
        long, packed, decoded = (str(Path(folder) / name) for name in ("a.wav", "a.nac", "b.wav"))
        with audio.BlockWriter(long, sample_rate, wav.shape[0]) as writer:
            for _ in range(round(60 * hours)):
                writer.write(repeated(wav, 60 * sample_rate))
        for arguments in (["encode", long, "-o", packed], ["decode", packed, "-o", decoded]):
            seconds, peak = run_measured([*arguments, *model, "-q"])
            table.add_row(arguments[0], f"{seconds:.0f}", f"{3600 * hours / seconds:.0f}", f"{peak:.0f}")
        table.add_row("size of the .nac file", "", "", f"{Path(packed).stat().st_size / 1e6:.2f}")
    return table


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--hours", type=float, default=1.0, help="0 leaves the long file out")
    parser.add_argument("--audio", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    compute_in_one_thread()
    console = Console()
    wav, sample_rate = audio.read(arguments.audio)
    codec = load(arguments.model, device="cpu")
    console.print(f"{codec.name}, {arguments.seconds:g} s of sound, one thread, torch {torch.__version__}")
    console.print(measure_speed(codec, repeated(wav, round(arguments.seconds * sample_rate)), sample_rate))
    if arguments.hours:
        model = [] if arguments.model is None else ["--model", arguments.model]
        console.print(measure_hour(model, wav, sample_rate, arguments.hours))


if __name__ == "__main__":
    main()
