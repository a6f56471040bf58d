"""What a refresh can give back at all: errors of latents by stage, against the bound of a Gaussian source.

    python tools/studies/refresh_latents.py CORPUS/manifest.csv --environments telephone --split valid

A quick look without decoding or PESQ, for tuning on the `valid` split. For each environment: the error of the
present codebooks (greedy choice) over the variance, the rate-distortion function of a Gaussian with the same
covariance at the same bits (Cover and Thomas, Elements of Information Theory, theorem 10.3.3; no codebook of
any size codes such a source with less), and for each fraction the error after a refresh over that before,
with that of clean speech. Recordings are those of `refresh.py`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from refresh import ENVIRONMENTS, Corpus
from torch import Tensor

import audiocodec
from audiocodec.adaptation.refresh.refine import encode_clips
from audiocodec.adaptation.refresh.refit import refit
from audiocodec.adaptation.refresh.sound import SoundClips
from audiocodec.adaptation.refresh.stack import Stack
from audiocodec.codec import Codec
from audiocodec.quantizers.codebook import nearest

BISECTIONS = 60


def main() -> None:
    """Print lines of a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--model", default="speech-16k")
    parser.add_argument("--split", choices=["valid", "test"], default="valid")
    parser.add_argument("--environments", default=",".join(ENVIRONMENTS))
    parser.add_argument("--fractions", default="0.1,0.25,1")
    parser.add_argument("--seconds", type=float, default=300.0, help="to fit to, and at most to judge on")
    parser.add_argument("--stages", type=int, default=12)
    given = parser.parse_args()
    torch.set_num_threads(1)
    codec = audiocodec.load(given.model, "cpu")
    corpus = Corpus(given.manifest, given.split)
    clean = [_rows(codec, corpus.sound({"effects": []}, fit, given.seconds, 10_000)) for fit in (True, False)]
    whole = Stack.of(codec.model.quantizer)
    entries = whole.entries[: given.stages]
    sys.stdout.write(
        "| environment | fraction | clean or not | error after 1, 2, ... stages |\n|---|---|---|---|\n"
    )
    for name in given.environments.split(","):
        heard = [
            _rows(codec, corpus.sound(ENVIRONMENTS[name], fit, given.seconds, 10_000))
            for fit in (True, False)
        ]
        own = errors(heard[1], entries)
        own_clean = errors(clean[1], entries)
        _line(name, "-", "over the variance", own)
        bits = [10 * stage for stage in range(1, given.stages + 1)]
        _line(name, "-", "Gaussian bound", [gaussian_distortion(heard[1], rate) for rate in bits])
        for fraction in map(float, given.fractions.split(",")):
            rng = torch.Generator().manual_seed(0)
            fit = refit(whole, heard[0], clean[0], range(given.stages), fraction, rng)
            changed = fit.stack.entries[: given.stages]
            _line(name, f"{fraction:g}", "ratio", _ratios(errors(heard[1], changed), own))
            _line(name, f"{fraction:g}", "ratio, clean", _ratios(errors(clean[1], changed), own_clean))


def errors(rows: Tensor, entries: Sequence[Tensor]) -> list[float]:
    """Squared error after each stage, nearest entries one after another, over the variance of rows [N, D]."""
    variance = (rows - rows.mean(dim=0)).square().sum()
    found: list[float] = []
    for codebook in entries:
        rows = rows - codebook[nearest(rows, codebook)]
        found.append(float(rows.square().sum() / variance))
    return found


def gaussian_distortion(rows: Tensor, bits: float) -> float:
    """Least distortion of a Gaussian with the covariance of rows [N, D] at `bits`, over its variance.

    Reverse water-filling: every dimension is coded down to one level, or not at all.
    """
    values = torch.linalg.eigvalsh(torch.cov(rows.double().t())).clamp(min=1e-12)
    low, high = 1e-12, float(values.max())
    for _ in range(BISECTIONS):
        level = (low * high) ** 0.5
        rate = float(0.5 * torch.log2((values / level).clamp(min=1)).sum())
        low, high = (level, high) if rate > bits else (low, level)
    return float(values.clamp(max=high).sum() / values.sum())


def _rows(codec: Codec, sound: SoundClips) -> Tensor:
    return torch.cat([lesson.latents for lesson in encode_clips(codec.model, sound.clips)])


def _ratios(after: Sequence[float], before: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(after, before, strict=True)]


def _line(name: str, fraction: str, what: str, values: Sequence[float]) -> None:
    numbers = " ".join(f"{value:.3f}" for value in values)
    sys.stdout.write(f"| {name} | {fraction} | {what} | {numbers} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
