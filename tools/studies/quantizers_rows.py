"""What the studies of quantizers share: rows of finished runs, and statistics of sequences of codes.

Used by quantizers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.metrics import entropy, perplexity, usage
from audiocodec.storage import Journal

Row = dict[str, Any]
Indices = NDArray[np.int64]

STRENGTHS = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0)
"""Tried for the bigram model: how many frames the unigram distribution counts as in every context."""


def read_rows(path: Path) -> list[Row]:
    """The last row of each finished run."""
    return list({(row["study"], row["run"]): row for row in Journal(path, dict).entries}.values())


def run_missing(path: Path, study: str, names: Sequence[str], run: Callable[[str], Row]) -> None:
    """Run what has no row in `path` yet, and append a row as each run ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(path, dict)
    done = {row["run"] for row in journal.entries if row["study"] == study}
    for name in names:
        if name in done:
            continue
        print(f"{study} {name}", flush=True)
        row = {"study": study, "run": name, **run(name)}
        journal.append(row)
        print("  " + ", ".join(f"{k} {v:.4g}" for k, v in row.items() if isinstance(v, float)), flush=True)


def code_statistics(fit: Sequence[Indices], held_out: Sequence[Indices], codebook_size: int) -> Row:
    """Use of one row of codes on the clips [T] of `held_out`; entropies are in bits.

    `given_previous` is the cost on `held_out` if the previous code is known, with counts from `fit`:
    no less than the entropy of a code given the previous one, however few frames there are. `given_nothing`
    is the same without the previous code. Counting pairs in `held_out` itself would give far too little: most
    pairs of 1,024 codes occur once.
    """
    indices = np.concatenate(held_out)
    nothing, previous = coding_costs(fit, held_out, codebook_size)
    return {
        "usage": usage(indices, codebook_size),
        "usage_fit": usage(np.concatenate(fit), codebook_size),
        "perplexity": perplexity(indices, codebook_size),
        "entropy": entropy(indices, codebook_size),
        "given_nothing": nothing,
        "given_previous": previous,
    }


def coding_costs(
    fit: Sequence[Indices], held_out: Sequence[Indices], codebook_size: int
) -> tuple[float, float]:
    """Bits per code on `held_out` of a unigram and of a bigram model with counts from `fit`.

    p(c | b) = (n(b, c) + s p(c)) / (n(b) + s), p(c) = (n(c) + 1/2) / (n + K/2); s is what suits the last
    quarter of `fit` best when the counts are from the rest.
    """
    cut = max(1, 3 * len(fit) // 4)
    costs = [_bits(fit[:cut], fit[cut:] or fit, codebook_size, s)[1] for s in STRENGTHS]
    return _bits(fit, held_out, codebook_size, STRENGTHS[int(np.argmin(costs))])


def _bits(
    fit: Sequence[Indices], held_out: Sequence[Indices], size: int, strength: float
) -> tuple[float, float]:
    counts = np.bincount(np.concatenate(fit), minlength=size)
    shares = (counts + 0.5) / (counts.sum() + 0.5 * size)
    before, after = _pairs(fit)
    pairs, pair_counts = np.unique(before * size + after, return_counts=True)
    contexts = np.bincount(before, minlength=size)
    before, after = _pairs(held_out)
    wanted = before * size + after
    found = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    seen = np.where(pairs[found] == wanted, pair_counts[found], 0)
    bigram = (seen + strength * shares[after]) / (contexts[before] + strength)
    return float(-np.log2(shares[after]).mean()), float(-np.log2(bigram).mean())


def _pairs(clips: Sequence[Indices]) -> tuple[Indices, Indices]:
    return np.concatenate([clip[:-1] for clip in clips]), np.concatenate([clip[1:] for clip in clips])
