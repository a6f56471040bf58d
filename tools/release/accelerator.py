"""Train for a number of minutes on a lent machine, and export the weights in small files.

Usage:
    python tools/release/accelerator.py train RECIPE [key=value ...] -o RUN --minutes 9.5
               [--device cuda] [--data FOLDER] [--parts PARTS]
    python tools/release/accelerator.py export RUN PARTS
    python tools/release/accelerator.py join PARTS MODEL

`train` starts a run or goes on from its newest checkpoint, and ends after so many minutes (counted from its
own start), at the recipe's last step, or at SIGTERM; a checkpoint is written every minute and at the end.
It does not validate. With --data, it learns from the recordings that have arrived in FOLDER so
far: every `FOLDER/data*/manifest*.csv` is joined to `FOLDER/manifest.csv`, and decoded to `FOLDER/cache`.
--parts exports at the end. `export` writes the averaged weights of the newest checkpoint in half precision,
split into files of at most 15 MB, beside `config.yaml`, the log and `SHA256SUMS`. `join` checks them and
makes a model folder of them. docs/studies/accelerator.md says how it was used.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec.process import StopSignal, prepare_for_training

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from audiocodec.training.loop import Trainer

PART_BYTES = 15_000_000
WEIGHTS, SUMS = "model.safetensors", "SHA256SUMS"


def train(
    recipe: str,
    overrides: Sequence[str],
    run: Path,
    minutes: float,
    device: str = "auto",
    data: Path | None = None,
    parts: Path | None = None,
) -> dict[str, float | str]:
    """Train for `minutes`; gives what was done and how fast."""
    until = time.monotonic() + 60 * minutes
    prepare_for_training()
    import torch

    from audiocodec.devices import resolve_device
    from audiocodec.training.api import load_recipe
    from audiocodec.training.loop import Trainer
    from audiocodec.training.processes import Processes
    from audiocodec.training.starting import open_run_data

    given = [] if data is None else [f"data.manifest={join_manifests(data)}", f"data.cache={data / 'cache'}"]
    config = load_recipe(recipe, ["validate_seconds=0", "checkpoint_minutes=1", *given, *overrides])
    processes = Processes(device=resolve_device(device))
    torch.backends.cudnn.benchmark = True  # sizes do not change in a run
    trainer = Trainer(config, run, open_run_data(config, run, processes), processes)
    print(f"going on from step {trainer.step_number}" if trainer.resume() else "a new run", flush=True)
    if not trainer.step_number:
        trainer.start()
    first, began = trainer.step_number, time.monotonic()
    with StopSignal() as stop:
        trainer.fit(report, lambda: stop() or time.monotonic() > until)
    found = summary(trainer, trainer.step_number - first, time.monotonic() - began)
    print(json.dumps(found), flush=True)
    if parts is not None:
        export(run, parts)
    return found


def report(step: int, scalars: Mapping[str, float]) -> None:
    """Print a line of the log."""
    shown = (
        "total",
        "mel",
        "spectrum",
        "loudness",
        "intelligibility",
        "commitment",
        "adversarial",
        "feature",
        "discriminator",
        "adversarial_scale",
        "grad_norm",
    )
    told = "  ".join(f"{name} {scalars[name]:.4g}" for name in shown if name in scalars)
    speed = f"{scalars['audio_seconds_per_second']:.0f}x real time, waiting {scalars['waiting_share']:.0%}"
    print(f"step {step}  {told}  {speed}", flush=True)


def summary(trainer: Trainer, steps: int, seconds: float) -> dict[str, float | str]:
    """What was done in so many steps and seconds, the start and the opening of the data not counted."""
    import torch

    device, config = trainer.device, trainer.config
    batch_seconds = config.accumulate * config.data.batch_size * config.data.segment_seconds
    cuda = device.type == "cuda"
    memory = (
        torch.cuda.max_memory_allocated()
        if cuda
        else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    )
    return {
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "step": trainer.step_number,
        "steps": steps,
        "seconds": round(seconds, 1),
        "steps_per_second": round(steps / seconds, 3),
        "hours_of_audio": round(steps * batch_seconds / 3600, 2),
        "batches_made_by": type(trainer.data.sampler).__name__,
        "memory_gb": round(memory / 1e9, 2),
    }


def join_manifests(folder: Path) -> Path:
    """Write one manifest of all that has arrived in `folder`, with paths relative to it."""
    rows: list[dict[str, str]] = []
    for path in sorted(folder.glob("data*/manifest*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows += [{**row, "path": f"{path.parent.name}/{row['path']}"} for row in csv.DictReader(file)]
    if not rows:
        raise SystemExit(
            f"{folder}: no data*/manifest*.csv in it; unpack the first folder of recordings there"
        )
    joined = folder / "manifest.csv"
    with joined.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} recordings in {joined}", flush=True)
    return joined


def export(run: Path, parts: Path) -> None:
    """Write the averaged weights of the newest checkpoint of `run` to `parts`, in half precision."""
    from audiocodec.training.checkpoints import newest_checkpoint
    from audiocodec.training.exporting import export_checkpoint

    checkpoint = newest_checkpoint(run)
    if checkpoint is None:
        raise SystemExit(f"{run}: no checkpoint yet; train first")
    parts.mkdir(parents=True, exist_ok=True)
    for old in [*parts.glob(f"{WEIGHTS}.*"), parts / SUMS]:
        old.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        _, step = export_checkpoint(checkpoint, Path(folder), half=True)
        shutil.copy(Path(folder) / "config.yaml", parts)
        weights = (Path(folder) / WEIGHTS).read_bytes()
    for number, first in enumerate(range(0, len(weights), PART_BYTES)):
        (parts / f"{WEIGHTS}.{number:02d}").write_bytes(weights[first : first + PART_BYTES])
    log = run / "log.jsonl"
    (parts / log.name).write_bytes(log.read_bytes()[-PART_BYTES:])
    sent = [*sorted(parts.glob(f"{WEIGHTS}.*")), parts / "config.yaml", parts / log.name]
    sums = {path.name: checksum(path.read_bytes()) for path in sent} | {WEIGHTS: checksum(weights)}
    (parts / SUMS).write_text("".join(f"{found}  {name}\n" for name, found in sums.items()), "utf-8")
    print(f"step {step}: {len(weights) / 1e6:.1f} MB in {len(sums) - 3} parts, {parts}", flush=True)


def join(parts: Path, model: Path) -> None:
    """Make the folder `model` of what `export` wrote to `parts`."""
    from audiocodec.checkpoint import load_model

    lines = [line.partition("  ") for line in (parts / SUMS).read_text("utf-8").splitlines()]
    sums = {name: found for found, _, name in lines}
    for name, wanted in sums.items():
        if name != WEIGHTS and (
            not (parts / name).is_file() or checksum((parts / name).read_bytes()) != wanted
        ):
            raise SystemExit(f"{parts / name}: missing, or not as it was sent; fetch it again")
    pieces = sorted(name for name in sums if name.startswith(f"{WEIGHTS}."))
    weights = b"".join((parts / name).read_bytes() for name in pieces)
    if checksum(weights) != sums[WEIGHTS]:
        raise SystemExit(f"{parts}: the parts do not make up {WEIGHTS}; export again")
    model.mkdir(parents=True, exist_ok=True)
    (model / WEIGHTS).write_bytes(weights)
    shutil.copy(parts / "config.yaml", model)
    _, config, metadata = load_model(model)
    print(f"{model}: {metadata['name']}, step {metadata['steps']}, {config.sample_rate} Hz", flush=True)


def checksum(data: bytes) -> str:
    """SHA-256 of `data`, as sha256sum writes it."""
    return hashlib.sha256(data).hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("recipe")
    training.add_argument("-o", "--run", type=Path, required=True)
    training.add_argument("--minutes", type=float, required=True)
    training.add_argument("--device", default="auto")
    training.add_argument("--data", type=Path)
    training.add_argument("--parts", type=Path)
    for name, first, second in (("export", "run", "parts"), ("join", "parts", "model")):
        command = commands.add_parser(name)
        command.add_argument(first, type=Path)
        command.add_argument(second, type=Path)
    found, overrides = parser.parse_known_args(arguments)
    asked = vars(found)
    if asked["command"] == "train" and not any(given.startswith("-") for given in overrides):
        asked["overrides"] = overrides  # wherever they stand
    elif overrides:
        parser.error(f"unknown arguments: {' '.join(overrides)}")
    {"train": train, "export": export, "join": join}[asked.pop("command")](**asked)


if __name__ == "__main__":
    main()
