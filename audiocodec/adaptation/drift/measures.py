"""What has changed between a baseline and a window, stage by stage, and the distances that measure it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from torch import Tensor

from audiocodec.adaptation.statistics import CodeUse, Moments, Reservoir, Statistics
from audiocodec.errors import InputError

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


CODE_MEASURES = ("usage", "perplexity", "entropy", "kl", "js", "psi", "bigram_js", "repeats")
ERROR_MEASURES = ("error", "relative_error", "error_share")
LATENT_MEASURES = ("w2", "sliced_w2", "mean_shift", "level_db")
MEASURES: Mapping[str, str] = {
    "usage": "share of the entries in use, over the baseline's",
    "perplexity": "effective number of entries in use, over the baseline's",
    "entropy": "change in bits per code",
    "kl": "bits per code that a coder built for the baseline pays too much",
    "js": "Jensen-Shannon divergence of the use of entries, bits",
    "psi": "population stability index of the use of entries",
    "bigram_js": "Jensen-Shannon divergence of pairs of consecutive codes (hashed), bits",
    "repeats": "change of the share of frames that repeat the code before",
    "error": "squared quantization error, over the baseline's",
    "relative_error": "the same as shares of the variance of the latents",
    "error_share": "share of its input that a stage leaves, over the baseline's",
    "w2": "Gaussian 2-Wasserstein distance of the latents, in their standard deviations",
    "sliced_w2": "sliced 2-Wasserstein distance of the latents, in their standard deviations",
    "mean_shift": "distance of the means of the latents, in their standard deviations",
    "level_db": "change of the variance of the latents, dB",
}
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measures:
    """Drift of one window.

    Attributes:
        values: by name, one number a row of codes (`CODE_MEASURES`), a stage (`ERROR_MEASURES`) or one in all
            (`LATENT_MEASURES`). What could not be computed is missing.
        frames: size of the window.
    """

    values: Mapping[str, Values]
    frames: int

    def overall(self, name: str) -> float:
        """One number: the mean over the rows of codes, the last stage of errors."""
        return float(overall(name, self.values[name]))

    def table(self) -> dict[str, float]:
        """All overall numbers."""
        return {name: self.overall(name) for name in self.values}


def overall(name: str, values: Values) -> Values:
    """One number for each of the values [..., stages] of a measure, as in `Measures.overall`."""
    return values[..., -1] if name in ERROR_MEASURES else values.mean(axis=-1)


def compare(baseline: Statistics, window: Statistics) -> Measures:
    """Measure how far a window is from the baseline, at the window's number of quantizers.

    Codes are compared if the same codebooks chose them, latents if both have them.

    Raises:
        InputError: the models differ, or there is nothing or too little to compare.
    """
    check_comparable(baseline, window)
    values: dict[str, Values] = {}
    if baseline.codebook_id == window.codebook_id:
        pairs = list(zip(baseline.codes, window.codes, strict=False))
        parts = np.array([_compare_codes(before, after) for before, after in pairs])
        values |= dict(zip(CODE_MEASURES, parts.T, strict=True))
    if not (baseline.codes_only or window.codes_only):
        values |= _compare_errors(baseline, window)
        values |= {name: np.array([value]) for name, value in _compare_latents(baseline, window).items()}
    if not values:
        raise InputError(
            "nothing to compare: the codes come from other codebooks than the baseline's, and there are no"
            " latents; make a baseline with these codebooks, or monitor audio instead of .nac files"
        )
    return Measures(values, window.frames)


def check_comparable(baseline: Statistics, window: Statistics) -> None:
    """Refuse statistics of another model, and those of less than two frames.

    Raises:
        InputError: says what differs.
    """
    if baseline.model_id != window.model_id:
        raise InputError(
            f"the baseline was made with model {baseline.model_id[:32] or '?'}, the audio was coded with"
            f" model {window.model_id[:32] or '?'}; make a baseline with this model"
        )
    num_quantizers = window.num_quantizers
    if baseline.codebook_sizes[:num_quantizers] != window.codebook_sizes:
        raise InputError(
            f"the baseline has {baseline.num_quantizers} quantizers, the window has {num_quantizers}, and"
            " their codebooks have other sizes; make a baseline with this model"
        )
    for what, statistics in (("baseline", baseline), ("window", window)):
        if statistics.frames < 2:
            raise InputError(f"the {what} has {statistics.frames} frames; give at least a second of audio")


def _compare_codes(before: CodeUse, after: CodeUse) -> tuple[float, ...]:
    """In the order of CODE_MEASURES."""
    return (
        after.usage / max(before.usage, 1e-9),
        after.perplexity / before.perplexity,
        after.entropy - before.entropy,
        kullback_leibler(before.counts, after.counts),
        jensen_shannon(before.counts, after.counts),
        population_stability(before.counts, after.counts),
        jensen_shannon(before.bigrams, after.bigrams) if after.pairs and before.pairs else 0.0,
        after.repeat_rate - before.repeat_rate,
    )


def _compare_errors(baseline: Statistics, window: Statistics) -> dict[str, Values]:
    count = len(window.stages)
    columns = {
        "error": ([stage.error.mean for stage in side.stages[:count]] for side in (window, baseline)),
        "relative_error": (side.relative_errors[:count] for side in (window, baseline)),
        "error_share": (side.error_shares[:count] for side in (window, baseline)),
    }
    return {name: _ratio(*(np.array(part) for part in pair)) for name, pair in columns.items()}


def _compare_latents(baseline: Statistics, window: Statistics) -> dict[str, float]:
    before, after = baseline.latents, window.latents
    shift = float(np.linalg.norm(after.mean - before.mean)) / max(before.variance, 1e-30) ** 0.5
    values = {
        "w2": gaussian_w2(before, after),
        "mean_shift": shift,
        "level_db": 10 * float(np.log10(max(after.variance, 1e-30) / max(before.variance, 1e-30))),
    }
    if len(baseline.reservoir.vectors) and len(window.reservoir.vectors):
        values["sliced_w2"] = sliced_w2(baseline.reservoir, window.reservoir)
    return values


def _ratio(after: Values, before: Values) -> Values:
    return after / np.maximum(before, 1e-30)
