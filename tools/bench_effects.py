"""Measure what effects and environments cost: milliseconds of processor time for an example, median of many.

Usage: python tools/bench_effects.py MANIFEST... [--seconds 2] [--rate 16000] [--examples 40]

MANIFEST lists noise, music, speech and rir recordings, of which those of the split train are used. An effect
or environment that cannot be made from them is shown with its reason.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from audiocodec import audio
from audiocodec.effects import EFFECTS, Environment, Sources, build_effect, read_environments
from audiocodec.errors import AudioCodecError

REPOSITORY = Path(__file__).parents[1]
SPEECH = REPOSITORY / "tests" / "data" / "ls_2033_001.flac"
VARIANTS = [
    *({"kind": kind} for kind in EFFECTS if kind not in ("babble", "tandem")),
    *({"kind": "babble", "talkers": [talkers]} for talkers in (2, 6, 20)),
    {"kind": "packet_loss", "fill": "conceal"},
    *({"kind": "tandem", "codecs": [codec]} for codec in ("mp3", "opus", "aac", "amr_nb", "gsm", "mulaw")),
]


def median_ms(work: Callable[[], object], examples: int) -> float:
    """Median processor time of `work` in milliseconds, the first run left out."""
    times: list[float] = []
    for _ in range(examples + 1):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return 1000 * float(np.median(times[1:]))


def main() -> None:
    """Read the arguments, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifests", nargs="+", type=Path, metavar="MANIFEST")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rate", type=int, default=16000)
    parser.add_argument("--examples", type=int, default=40)
    args = parser.parse_args()
    sources = Sources.open(args.manifests)
    sources.preload(args.rate)
    wav, rate = audio.read(SPEECH)
    wav = audio.resample(wav[:1], rate, args.rate)[0]
    wav = np.resize(wav, round(args.seconds * args.rate))
    environments = [
        Environment(" ".join(str(value) for value in spec.values()), effects=(build_effect(spec),))
        for spec in VARIANTS
    ]
    for name in ("noisy", "denoise"):
        for environment in read_environments(REPOSITORY / "recipes" / "environments" / f"{name}.yaml"):
            environments.append(replace(environment, name=f"{name}/{environment.name}"))
    table = Table("effect or environment", "target", "draw ms", "apply ms", box=None)
    for environment in environments:
        table.add_row(environment.name, environment.target, *costs(environment, sources, wav, args))
    Console(width=110).print(table)


def costs(
    environment: Environment, sources: Sources, wav: np.ndarray, args: argparse.Namespace
) -> tuple[str, str]:
    """To draw and to apply, or why it cannot be made."""
    rng = np.random.default_rng(0)

    def draw() -> dict[str, object]:
        return environment.draw(rng, len(wav), args.rate, sources)

    try:
        drawing = median_ms(draw, args.examples)
        both = median_ms(lambda: environment.apply(wav, args.rate, draw(), sources), args.examples)
    except AudioCodecError as error:
        return "-", str(error)
    return f"{drawing:.2f}", f"{max(0.0, both - drawing):.2f}"


if __name__ == "__main__":
    main()
