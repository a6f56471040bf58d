"""Compare the quantization methods on speech: one codec for each, and one codebook for each.

    python tools/studies/quantizers.py codec data.manifest=my.csv    # a codec for each of recipes/quantizers
    python tools/studies/quantizers.py single    # one codebook of 256, 1024, 8192 entries on frozen latents
    python tools/studies/quantizers.py zador     # where entries should lie in 4, 8, 16 dimensions
    python tools/studies/quantizers.py speed     # a step of an 8-stage stack against EMA's, side by side
    python tools/studies/quantizers.py report    # rows -> tables in <out>/tables.md, pictures in docs/images

Learns from the `train` split of the manifest, scores on `valid`, never touches `test`. A finished run is a
row in <out>/rows.jsonl; started again, a study goes on where it was. `--runs a,b` picks some;
`key=value` changes recipes; data.manifest must be given. One thread; on one core all take about an hour.
"""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from quantizers_codec import RECIPES, recipe_names, run_codec
from quantizers_report import write_report
from quantizers_rows import Row, read_rows, run_missing
from quantizers_single import read_latents, run_single, run_zador, single_names, zador_names
from quantizers_speed import run_speed, speed_names

from audiocodec.config import load_config
from audiocodec.training.config import TrainConfig

STUDIES = {"codec": recipe_names, "single": single_names, "zador": zador_names, "speed": speed_names}


def in_own_process(name: str, folder: Path, changes: list[str]) -> Row:
    """Train in a process of its own, as a crash or leak must not touch the other runs."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run_codec, name, folder, changes).result()


def run_study(study: str, names: list[str], folder: Path, changes: list[str]) -> None:
    """Run what is missing of one study."""
    rows = folder / "rows.jsonl"
    if study == "codec":
        run_missing(rows, study, names, lambda name: in_own_process(name, folder, changes))
    elif study == "speed":
        run_missing(rows, study, names, run_speed)
    else:
        config = load_config(TrainConfig, RECIPES / "base.yaml", [f"data.cache={folder / 'cache'}", *changes])
        latents = read_latents(config, folder)
        run = run_single if study == "single" else run_zador
        run_missing(rows, study, names, lambda name: run(name, latents))


def main() -> None:
    """Parse and run one study."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("study", choices=[*STUDIES, "report"])
    parser.add_argument("changes", nargs="*", help="of recipes, such as steps=30")
    parser.add_argument("--runs", default="", help="names, separated by commas; all when left out")
    parser.add_argument("--out", type=Path, default=Path("runs/quantizers"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    arguments = parser.parse_intermixed_args()
    if arguments.study == "report":
        write_report(read_rows(arguments.out / "rows.jsonl"), arguments.out / "tables.md", arguments.images)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    names = arguments.runs.split(",") if arguments.runs else STUDIES[arguments.study]()
    run_study(arguments.study, names, arguments.out, arguments.changes)


if __name__ == "__main__":
    main()
