"""What audio looks like to a codec: latents and codes of each stage, in sums of bounded size."""

from audiocodec.adaptation.statistics.code_use import CodeUse
from audiocodec.adaptation.statistics.collecting import collect, collect_files, recordings
from audiocodec.adaptation.statistics.collector import StatisticsCollector
from audiocodec.adaptation.statistics.error import ErrorStatistics
from audiocodec.adaptation.statistics.moments import Moments
from audiocodec.adaptation.statistics.record import StageStatistics, Statistics
from audiocodec.adaptation.statistics.reservoir import Reservoir
from audiocodec.adaptation.statistics.statistics_file import load_statistics, save_statistics

__all__ = [
    "CodeUse",
    "ErrorStatistics",
    "Moments",
    "Reservoir",
    "StageStatistics",
    "Statistics",
    "StatisticsCollector",
    "collect",
    "collect_files",
    "load_statistics",
    "recordings",
    "save_statistics",
]
