"""What audio looks like to a codec: latents and codes of each stage, in sums of bounded size."""

from audiocodec.adaptation.statistics.accumulators import CodeUse, ErrorStatistics, Moments, Reservoir
from audiocodec.adaptation.statistics.collector import StatisticsCollector
from audiocodec.adaptation.statistics.recordings import collect, recordings
from audiocodec.adaptation.statistics.statistics import (
    StageStatistics,
    Statistics,
    load_statistics,
    save_statistics,
)

__all__ = [
    "CodeUse",
    "ErrorStatistics",
    "Moments",
    "Reservoir",
    "StageStatistics",
    "Statistics",
    "StatisticsCollector",
    "collect",
    "load_statistics",
    "recordings",
    "save_statistics",
]
