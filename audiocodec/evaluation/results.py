"""A finished run on disk: the table of rows, a summary, a description of the run, and reports."""

from __future__ import annotations

import json
import platform
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiocodec.errors import InputError
from audiocodec.evaluation.coders import ModelCoder
from audiocodec.evaluation.report import html, markdown
from audiocodec.evaluation.report.examples import examples
from audiocodec.evaluation.rows import ROWS_NAME, write_rows
from audiocodec.evaluation.summary import summarize
from audiocodec.process import available_cpus
from audiocodec.storage import plain, replacing

if TYPE_CHECKING:
    import pandas as pd

    from audiocodec.evaluation.benchmark import Benchmark
    from audiocodec.evaluation.rows import Row

FILES = ("rows.parquet", "rows.csv", "summary.json", "report.html", "report.md")
PACKAGES = ("audiocodec", "torch", "numpy", "scipy", "soundfile", "soxr", "librosa", "pesq", "pystoi")


def check_folder(folder: Path, *, resume: bool = False, force: bool = False) -> list[str]:
    """Names of the results that are there.

    Raises:
        InputError: there are some, and neither `resume` nor `force` is set.
    """
    there = [name for name in (*FILES, ROWS_NAME) if (folder / name).exists()]
    if there and not (resume or force):
        raise InputError(
            f"{folder}: has results already ({there[0]}); --resume goes on with them, --force replaces them"
        )
    return there


def prepare_folder(folder: Path, *, resume: bool = False, force: bool = False) -> None:
    """Make the folder of a run; `force` removes the results of an earlier one, `resume` keeps its rows.

    Raises:
        InputError: as `check_folder`; or the folder cannot be made.
    """
    there = check_folder(folder, resume=resume, force=force)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in there if force else ():
            (folder / name).unlink()
    except OSError as error:
        raise InputError(f"{folder}: cannot be used ({error.strerror}); choose another with -o") from error


def describe_run(benchmark: Benchmark, rows: Sequence[Row]) -> dict[str, Any]:
    """What was run on what, and what failed, as plain values."""
    setup, units = benchmark.setup, benchmark.units
    seconds = {row["file"]: row["seconds"] for row in rows if "seconds" in row}
    missing = Counter(column for row in rows for column in row.get("errors", {}))
    return {
        "command": ["audiocodec", *sys.argv[1:]],
        "files": len({unit.recording.name for unit in units}),
        "speakers": len({unit.recording.speaker or unit.recording.name for unit in units}),
        "languages": sorted({unit.recording.language for unit in units} - {""}),
        "seconds": sum(seconds.values()),
        "codecs": [
            {
                "name": coder.name,
                **coder.identity,
                "imitates": list(coder.imitates) if isinstance(coder, ModelCoder) else [],
                "bitrates": [rate for which, rate in units[0].work if which == number],
            }
            for number, coder in enumerate(setup.coders)
        ],
        "conditions": [
            {"name": one.name, "kind": one.kind, "group": one.group, "snr_db": one.snr_db}
            for one in dict.fromkeys(unit.condition for unit in units)
        ],
        "metrics": [metric.name for metric in setup.metrics],
        "has_clean": setup.has_clean,
        "skipped": benchmark.skipped,
        "rows": len(rows),
        "failed_rows": sum("error" in row for row in rows),
        "missing": dict(sorted(missing.items())),
        "environment": environment(),
    }


def environment() -> dict[str, Any]:
    """Machine and versions, on which scores and speeds depend."""
    versions: dict[str, str] = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": available_cpus(),
        "packages": versions,
    }


def tally(frame: pd.DataFrame, by_condition: bool = True) -> list[tuple[Any, ...]]:
    """Means for the terminal: by codec, bitrate and, with `by_condition`, condition."""
    names = ["codec", "nominal_bitrate", "condition"]
    scores = ["payload_bitrate", "pesq_wb_input", "pesq_wb_clean", "stoi_input", "stoi_clean"]
    means: Any = frame.groupby(names if by_condition else names[:2], sort=False)[scores].mean()
    return [
        (codec, round(bitrate), condition[0] if condition else "all", *_rounded(cells))
        for (codec, bitrate, *condition), cells in zip(means.index, means.to_numpy(), strict=True)
    ]


def _rounded(cells: Any) -> list[Any]:
    bitrate, *scores = (None if cell != cell else float(cell) for cell in cells)
    return [None if bitrate is None else round(bitrate), *scores]


def write_results(
    folder: Path, frame: pd.DataFrame, about: dict[str, Any], formats: Sequence[str], benchmark: Benchmark
) -> None:
    """Write rows.parquet, rows.csv, summary.json, and reports; none is left half-written."""
    write_rows(frame, folder)
    summary = plain(summarize(frame))
    run = plain({"run": about, **summary})
    _write_text(folder / "summary.json", json.dumps(run, indent=1, allow_nan=False))
    if "html" in formats:
        sounds = examples(frame, benchmark.setup, benchmark.units)
        _write_text(folder / "report.html", html.render(summary, about, sounds))
    if "md" in formats:
        _write_text(folder / "report.md", markdown.render(summary, about))


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
