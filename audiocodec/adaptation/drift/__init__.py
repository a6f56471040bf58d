"""How far audio has moved from what codebooks were fitted to, and how far it moves by chance."""

from audiocodec.adaptation.drift.baseline import (
    Baseline,
    find_baseline,
    load_baseline,
    make_baseline,
    save_baseline,
)
from audiocodec.adaptation.drift.measures import (
    MEASURES,
    Measures,
    compare,
    gaussian_w2,
    jensen_shannon,
    kullback_leibler,
    population_stability,
    sliced_w2,
)
from audiocodec.adaptation.drift.null import NullDistribution

__all__ = [
    "MEASURES",
    "Baseline",
    "Measures",
    "NullDistribution",
    "compare",
    "find_baseline",
    "gaussian_w2",
    "jensen_shannon",
    "kullback_leibler",
    "load_baseline",
    "make_baseline",
    "population_stability",
    "save_baseline",
    "sliced_w2",
]
