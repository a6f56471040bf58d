"""Distances between two sets of counts, two Gaussians and two sets of vectors."""

from __future__ import annotations

from functools import cache
from typing import Any, cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from torch import Tensor

from audiocodec.adaptation.statistics import Moments, Reservoir

SMOOTHING = 0.5
"""Added to every count of what is divided by, so that an entry that was never seen is no infinity
(Krichevsky and Trofimov 1981, https://doi.org/10.1109/TIT.1981.1056331)."""
PSI_GROUPS = 20
PROJECTIONS = 64
QUANTILES = 128
Counts = NDArray[np.int64]
# A baseline is compared with many windows.
_ROOTS: WeakKeyDictionary[Moments, Tensor] = WeakKeyDictionary()
_QUANTILES: WeakKeyDictionary[Reservoir, tuple[NDArray[np.float64], float]] = WeakKeyDictionary()


def kullback_leibler(baseline: Counts, window: Counts) -> float:
    """Bits a code that a coder built for the baseline pays too much: KL(window || baseline).

    Counts are [K]. By chance alone it is about (K' - 1) / (2 n ln 2) for n codes over K' entries in use.
    """
    expected = (baseline + SMOOTHING) / (baseline + SMOOTHING).sum()
    return float(rel_entr(_shares(window), expected).sum() / np.log(2))


def jensen_shannon(baseline: Counts, window: Counts) -> float:
    """Jensen-Shannon divergence of two sets of counts [K], bits: 0 for equal shares, 1 for disjoint ones."""
    distance = float(jensenshannon(_shares(baseline), _shares(window), base=2))
    return 0.0 if np.isnan(distance) else distance**2  # nan: rounding below zero


def population_stability(baseline: Counts, window: Counts, groups: int = PSI_GROUPS) -> float:
    """Population stability index over groups of entries of about equal use in the baseline.

    Entries are sorted by their use in the baseline and cut into groups, rare ones together, as the index is
    made for some ten groups (below 0.1 is stable, above 0.25 is not), not for a thousand.
    """
    order = np.argsort(baseline, kind="stable")
    reached = np.cumsum(baseline[order]) / max(int(baseline.sum()), 1)
    group = np.minimum((reached * groups * (1 - 1e-12)).astype(np.int64), groups - 1)
    before = np.bincount(group, baseline[order], minlength=groups)
    after = np.bincount(group, window[order], minlength=groups)
    used = before > 0
    before, after = before[used] + SMOOTHING, after[used] + SMOOTHING
    p, q = before / before.sum(), after / after.sum()
    return float(((q - p) * np.log(q / p)).sum())


def gaussian_w2(baseline: Moments, window: Moments) -> float:
    """2-Wasserstein distance of the Gaussians with these moments, over the baseline's standard deviation.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2), Dowson and Landau 1982,
    https://doi.org/10.1016/0047-259X(82)90077-X; the root of that over the root of tr S1.
    """
    root = _ROOTS.get(baseline)
    if root is None:
        root = _ROOTS[baseline] = symmetric_root(torch.from_numpy(baseline.covariance))
    # By torch, which keeps to the threads it is given: those of numpy's library wait for each other.
    middle = root @ torch.from_numpy(window.covariance) @ root
    cross = float(torch.linalg.eigvalsh(middle).clamp(min=0).sqrt().sum())
    squared = float(((baseline.mean - window.mean) ** 2).sum())
    squared += baseline.variance + window.variance - 2 * cross
    return float(np.sqrt(max(squared, 0.0) / max(baseline.variance, 1e-30)))


def symmetric_root(matrix: Tensor) -> Tensor:
    """Square root of a symmetric matrix [D, D] without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.mT


@cache
def projections(dim: int, count: int = PROJECTIONS) -> NDArray[np.float32]:
    """Directions [D, count] of length 1, the same for ever."""
    drawn = np.random.default_rng(0).standard_normal((dim, count))
    return (drawn / np.linalg.norm(drawn, axis=0)).astype(np.float32)


def sliced_w2(baseline: Reservoir, window: Reservoir) -> float:
    """Sliced 2-Wasserstein distance of two samples of vectors, over the baseline's standard deviation.

    The mean over 64 fixed directions of the squared distance of quantile functions, Bonneel et al. 2015,
    https://doi.org/10.1007/s10851-014-0506-3; unlike `gaussian_w2` it sees the shape of a distribution.
    """
    one, spread = projected_quantiles(baseline)
    other, _ = projected_quantiles(window)
    return float(np.sqrt(((one - other) ** 2).mean() / max(spread, 1e-30)))


def projected_quantiles(sample: Reservoir) -> tuple[NDArray[np.float64], float]:
    """Quantiles [QUANTILES, PROJECTIONS] of a sample along fixed directions, and their mean variance.

    Found once for each reservoir, which never changes.
    """
    kept = _QUANTILES.get(sample)
    if kept is None:
        projected = np.sort(sample.vectors @ projections(sample.vectors.shape[1]), axis=0)
        places = (np.arange(QUANTILES) + 0.5) / QUANTILES * len(projected) - 0.5
        low = np.clip(np.floor(places).astype(np.int64), 0, len(projected) - 1)
        high, share = np.minimum(low + 1, len(projected) - 1), np.clip(places - low, 0, 1)[:, None]
        quantiles = (1 - share) * projected[low].astype(np.float64) + share * projected[high]
        kept = _QUANTILES[sample] = (quantiles, float(projected.var(axis=0).mean()))
    return kept


def _shares(counts: Counts) -> NDArray[np.float64]:
    return cast("Any", counts) / max(int(counts.sum()), 1)
