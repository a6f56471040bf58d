"""Compress and decode a speech file at several bitrates; print scores, write sounds and a picture.

Usage: python tools/demo.py [FILE] [--model speech-16k] [--bitrates 1500,3000,6000] [--output demo]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import audiocodec
from audiocodec import audio, metrics
from audiocodec.codec import Codec

SHIPPED = Path(__file__).parents[1] / "tests" / "data" / "ls_2033_001.flac"
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Trial:
    """One bitrate: what came out, and its scores; `bitrate` counts the whole file, header included."""

    asked: float
    wav: Samples
    bitrate: float
    pesq_wb: float
    stoi: float


def try_bitrate(codec: Codec, source: Path, bitrate: float, folder: Path) -> Trial:
    """Encode a file, decode it again, score the first channel."""
    original, sample_rate = audio.read(source)
    blob = codec.compress(original, sample_rate, bitrate=bitrate)
    wav, sample_rate = codec.decompress(blob)
    file = folder / f"{source.stem}-{bitrate:.0f}.nac"
    file.write_bytes(blob)
    audio.write(file.with_suffix(".wav"), wav, sample_rate, overwrite=True)
    return Trial(
        asked=bitrate,
        wav=wav,
        bitrate=8 * len(blob) * sample_rate / original.shape[1],
        pesq_wb=metrics.pesq_wb(original[0], wav[0], sample_rate),
        stoi=metrics.stoi(original[0], wav[0], sample_rate),
    )


def draw(original: Samples, trials: list[Trial], sample_rate: int, path: Path, title: str) -> None:
    """Draw spectrograms of the original and of each trial side by side on one scale."""
    mpl.rcParams.update({"font.size": 11})
    figure = Figure(figsize=(4.2 * (1 + len(trials)), 4.6), layout="constrained")
    axes = figure.subplots(1, 1 + len(trials), sharey=True, squeeze=False)[0]
    panels = [("Original", original[0])] + [
        (f"{t.bitrate / 1000:.2f} kbit/s\nPESQ {t.pesq_wb:.2f}, STOI {t.stoi:.3f}", t.wav[0]) for t in trials
    ]
    loudest = 0.0
    image = None
    for axis, (label, wav) in zip(axes, panels, strict=True):
        levels = spectrogram(wav)
        loudest = loudest or float(levels.max())
        image = axis.imshow(
            levels,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=loudest - 80,
            vmax=loudest,
            extent=(0, len(wav) / sample_rate, 0, sample_rate / 2000),
        )
        axis.set_title(label)
        axis.set_xlabel("Time (s)")
    axes[0].set_ylabel("Frequency (kHz)")
    assert image is not None
    figure.colorbar(image, ax=list(axes), label="Level (dB, full scale = 0)", pad=0.01)
    figure.suptitle(title)
    figure.savefig(path, dpi=110)


def spectrogram(wav: Samples, window: int = 512, hop: int = 128) -> NDArray[np.float64]:
    """Levels in dB [F, T] of Hann-windowed frames."""
    padded = np.pad(wav.astype(np.float64), window // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    taper = np.hanning(window)
    magnitudes = np.abs(np.fft.rfft(frames * taper)).T * (2 / taper.sum())  # a full-scale tone is 0 dB
    return 20 * np.log10(np.maximum(magnitudes, 1e-7))


def print_table(console: Console, trials: list[Trial], seconds: float, title: str) -> None:
    """Print one row a bitrate."""
    table = Table(title=title)
    for heading in ("asked, bit/s", "bytes", "got, bit/s", "PESQ-WB", "STOI"):
        table.add_column(heading, justify="right", no_wrap=True)
    for t in trials:
        size = round(t.bitrate * seconds / 8)
        table.add_row(f"{t.asked:.0f}", f"{size}", f"{t.bitrate:.0f}", f"{t.pesq_wb:.2f}", f"{t.stoi:.3f}")
    console.print(table)


def main() -> None:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(description="Compress and decode a speech file at several bitrates.")
    parser.add_argument("file", nargs="?", type=Path, default=SHIPPED)
    parser.add_argument("--model", default="speech-16k")
    parser.add_argument("--bitrates", default="1500,3000,6000")
    parser.add_argument("--output", type=Path, default=Path("demo"))
    arguments = parser.parse_args()

    console = Console()
    arguments.output.mkdir(parents=True, exist_ok=True)
    original, sample_rate = audio.read(arguments.file)
    seconds = original.shape[1] / sample_rate
    audio.write(
        arguments.output / f"{arguments.file.stem}-original.wav", original, sample_rate, overwrite=True
    )

    codec = audiocodec.load(arguments.model)
    bitrates = [float(text) for text in arguments.bitrates.split(",")]
    trials = [try_bitrate(codec, arguments.file, bitrate, arguments.output) for bitrate in bitrates]
    title = f"{arguments.file.name} ({seconds:.2f} s, {sample_rate} Hz) through {arguments.model}"
    picture = arguments.output / "spectrograms.png"
    draw(original, trials, sample_rate, picture, title)
    print_table(console, trials, seconds, title)
    console.print(f"Listen to {arguments.output}/*.wav and look at {picture}")


if __name__ == "__main__":
    main()
