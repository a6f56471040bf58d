"""Classifier two-sample test: can a classifier tell latents of the window from those of the baseline?

Lopez-Paz and Oquab 2017, https://arxiv.org/abs/1610.06545.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from audiocodec.errors import InputError

LEADING_DIMS = 12
"""Squares and products of so many leading principal components: classes may differ in variance only."""
MIN_VECTORS = 100


@dataclass(frozen=True)
class TwoSampleTest:
    """What came out.

    Attributes:
        accuracy: share of held-out vectors whose origin was told rightly; 0.5 by chance.
        p_value: of an accuracy this high by chance, were vectors independent. Neighboring frames are
            not: draw the samples far apart, or read it as a score.
        held_out: vectors that were judged.
    """

    accuracy: float
    p_value: float
    held_out: int


def classifier_test(
    baseline: NDArray[np.floating], window: NDArray[np.floating], rng: np.random.Generator
) -> TwoSampleTest:
    """Train a quadratic logistic classifier on half of the vectors [N, D] and [M, D], judge it on the rest.

    Both sides count alike, whatever their numbers. `rng` divides the vectors.

    Raises:
        InputError: there are fewer than 100 vectors on a side.
    """
    count = min(len(baseline), len(window))
    if count < MIN_VECTORS:
        raise InputError(f"{count} vectors on the smaller side; the classifier test needs {MIN_VECTORS}")
    half = count // 2
    sides = [part[rng.permutation(len(part))[: 2 * half]].astype(np.float64) for part in (baseline, window)]
    train, test = (np.concatenate([side[cut] for side in sides]) for cut in (slice(half), slice(half, None)))
    labels = np.repeat([0, 1], half)
    mean, axes = _principal_axes(train)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
    model.fit(_features((train - mean) @ axes), labels)
    accuracy = float((model.predict(_features((test - mean) @ axes)) == labels).mean())
    p_value = float(norm.sf((accuracy - 0.5) / np.sqrt(0.25 / len(test))))
    return TwoSampleTest(accuracy, p_value, len(test))


def _principal_axes(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean = vectors.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((vectors - mean).T))
    return mean, axes[:, ::-1]


def _features(rotated: NDArray[np.float64]) -> NDArray[np.float64]:
    products = PolynomialFeatures(2, include_bias=False).fit_transform(rotated[:, :LEADING_DIMS])
    return np.concatenate([products, rotated[:, LEADING_DIMS:]], axis=1)
