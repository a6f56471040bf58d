"""What has changed between a baseline and a window, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiocodec.adaptation.drift.distances import (
    gaussian_w2,
    jensen_shannon,
    kullback_leibler,
    population_stability,
    sliced_w2,
)
from audiocodec.adaptation.statistics import CodeUse, Statistics
from audiocodec.errors import InputError

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
    """Measure how far a window is from the baseline, at the window's step of the ladder.

    Codes are compared if the same codebooks chose them, latents if both have them.

    Raises:
        InputError: they are of different models, there is nothing to compare, or too little of it.
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
            "nothing to compare: codes of other codebooks than the baseline's, and no latents; make a"
            " baseline with these codebooks, or monitor audio instead of .nac files"
        )
    return Measures(values, window.frames)


def check_comparable(baseline: Statistics, window: Statistics) -> None:
    """Refuse statistics of another model, or of nothing.

    Raises:
        InputError: says what differs.
    """
    if baseline.model_id != window.model_id:
        raise InputError(
            f"the baseline is of model {baseline.model_id[:32] or '?'}, what is compared with it of"
            f" {window.model_id[:32] or '?'}; make a baseline with this model"
        )
    rows = window.num_quantizers
    if baseline.codebook_sizes[:rows] != window.codebook_sizes:
        raise InputError(
            f"the baseline has {baseline.num_quantizers} rows of codes, the window {rows} of other sizes"
        )
    for what, found in (("baseline", baseline), ("window", window)):
        if found.frames < 2:
            raise InputError(f"the {what} has {found.frames} frames; give at least a second of audio")


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
        "error": ([stage.error.mean for stage in found.stages[:count]] for found in (window, baseline)),
        "relative_error": (found.relative_errors[:count] for found in (window, baseline)),
        "error_share": (found.error_shares[:count] for found in (window, baseline)),
    }
    return {name: _ratio(*(np.array(part) for part in pair)) for name, pair in columns.items()}


def _compare_latents(baseline: Statistics, window: Statistics) -> dict[str, float]:
    before, after = baseline.stages[0].latents, window.stages[0].latents
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
