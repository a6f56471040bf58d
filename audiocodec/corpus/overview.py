"""Summary of a corpus (hours, speakers, sample rates) and of its likely problems."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from audiocodec.corpus.manifest import SPLITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEVEL_EDGES = (-60.0, -50.0, -40.0, -30.0, -20.0, -10.0)
QUIET_DB = -45.0
CLIPPED_SHARE = 1e-3
MOSTLY_SILENT = 0.8


def summarize(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Hours, files and speakers for each split, kind and source, rates, and a histogram of levels."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["split"], row["kind"], row["source"]].append(row)
    order = sorted(groups, key=lambda key: (SPLITS.index(key[0]) if key[0] in SPLITS else 9, *key))
    return {
        "files": len(rows),
        "hours": _hours(rows),
        "speakers": _speakers(rows),
        "parts": [{"split": s, "kind": k, "source": c, **_part(groups[s, k, c])} for s, k, c in order],
        "levels": _histogram([row["level_db"] for row in rows]),
    }


def find_problems(rows: Sequence[Mapping[str, Any]], crossing: Mapping[str, Sequence[str]]) -> list[str]:
    """Likely problems of the recordings and their splits, in sentences.

    `crossing` are speakers in several splits, as `speakers_across` gives them.
    """
    problems: list[str] = []
    for text, odd in (
        (
            f"clipped: more than {100 * CLIPPED_SHARE:g} % of the samples are in runs at full scale",
            [row for row in rows if row["clipped"] > CLIPPED_SHARE],
        ),
        (f"quiet: speech below {QUIET_DB:g} dB", [row for row in rows if row["level_db"] < QUIET_DB]),
        (
            f"mostly silent: more than {100 * MOSTLY_SILENT:g} % of the time",
            [row for row in rows if row["silence"] > MOSTLY_SILENT],
        ),
    ):
        if odd:
            problems.append(f"{len(odd)} of {len(rows)} files are {text}, such as {odd[0]['path']}")
    unknown = sum(row["kind"] == "speech" and not row["speaker"] for row in rows)
    if unknown:
        problems.append(
            f"no speaker is known for {unknown} files, so they were split by file: one speaker may be in"
            " train and valid, and scores too good; give --speaker-pattern"
        )
    if crossing:
        named = ", ".join(f"{name} ({'+'.join(splits)})" for name, splits in list(crossing.items())[:5])
        problems.append(f"{len(crossing)} speakers are in several splits, as the folders say: {named}")
    present = {row["split"] for row in rows}
    problems += [f"split {split} is empty" for split in ("train", "valid") if split not in present]
    return problems


def _part(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rates = Counter(int(row["sample_rate"]) for row in rows)
    levels = np.array([row["level_db"] for row in rows])
    return {
        "files": len(rows),
        "hours": _hours(rows),
        "speakers": _speakers(rows),
        "sample_rates": {str(rate): count for rate, count in sorted(rates.items())},
        "level_db": round(float(np.median(levels)), 1),
    }


def _hours(rows: Sequence[Mapping[str, Any]]) -> float:
    return round(sum(row["seconds"] for row in rows) / 3600, 4)


def _speakers(rows: Sequence[Mapping[str, Any]]) -> int:
    return len({(row["source"], row["speaker"]) for row in rows if row["speaker"]})


def _histogram(levels: Sequence[float]) -> list[dict[str, Any]]:
    counts = np.bincount(np.searchsorted(LEVEL_EDGES, levels, side="right"), minlength=len(LEVEL_EDGES) + 1)
    names = [
        f"below {LEVEL_EDGES[0]:g}",
        *(f"{low:g} to {high:g}" for low, high in pairwise(LEVEL_EDGES)),
        f"from {LEVEL_EDGES[-1]:g}",
    ]
    return [{"level_db": name, "files": int(count)} for name, count in zip(names, counts, strict=True)]
