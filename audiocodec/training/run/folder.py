"""What a run leaves in its folder, and who may start there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from audiocodec.errors import InputError

CONFIG_NAME = "config.yaml"
LOG_NAME = "log.jsonl"
REPORT_NAME = "report.html"
MODEL_NAME, BEST_NAME = "model", "model-best"
TENSORBOARD_NAME = "tensorboard"
CHECKPOINT = re.compile(r"checkpoint-(\d{9,})\.safetensors")
OURS = re.compile(
    rf"{CHECKPOINT.pattern}|\.checkpoint-\d+\.safetensors\.[0-9a-f]+\.part|bad-batch-\d+(-rank\d+)?\.npy|{CONFIG_NAME}|config-\d{{9,}}\.yaml|{LOG_NAME}|{REPORT_NAME}|{MODEL_NAME}|{BEST_NAME}|{TENSORBOARD_NAME}"
)


def make_folder(folder: Path) -> None:
    """Make a run folder where there is none.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from error


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a run folder, oldest first; files that were never finished have other names."""
    found = {path: CHECKPOINT.fullmatch(path.name) for path in folder.glob("checkpoint-*")}
    return sorted((path for path, match in found.items() if match), key=lambda path: int(path.stem[11:]))


def check_free(folder: Path, *, resume: bool, force: bool) -> None:
    """Make sure that a run may start in `folder`: there is none yet, or it goes on, or it may be replaced.

    Raises:
        InputError: there is a run and neither `resume` nor `force` is wanted, or something else lies there.
    """
    names = {path.name for path in _traces(folder)}
    if not names or (resume and checkpoints(folder)):
        return
    if not {CONFIG_NAME, LOG_NAME} <= names:
        raise InputError(f"{folder}: has {', '.join(sorted(names))} but no run; choose another folder")
    if not (resume or force):
        raise InputError(
            f"{folder}: holds a run already; continue it with --resume, replace it with --force,"
            " or choose another folder with --output"
        )


def clear(folder: Path) -> None:
    """Delete what a run leaves (checkpoints, log, model); not its cache of decoded samples."""
    for path in _traces(folder):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _traces(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if OURS.fullmatch(path.name)]
