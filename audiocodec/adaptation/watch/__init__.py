"""Watching what a codec is given: windows, states, a log, known environments, pages and metrics of it."""

from audiocodec.adaptation.watch.environments import Environment, EnvironmentBook, Recognition
from audiocodec.adaptation.watch.log import WatchLog, read_log
from audiocodec.adaptation.watch.monitor import Monitor, MonitorOptions
from audiocodec.adaptation.watch.report import WindowReport
from audiocodec.adaptation.watch.scoring import Scorer
from audiocodec.adaptation.watch.sources import monitor_file
from audiocodec.adaptation.watch.states import STATES, StateMachine
from audiocodec.adaptation.watch.stream import MonitoredStream

__all__ = [
    "STATES",
    "Environment",
    "EnvironmentBook",
    "Monitor",
    "MonitorOptions",
    "MonitoredStream",
    "Recognition",
    "Scorer",
    "StateMachine",
    "WatchLog",
    "WindowReport",
    "monitor_file",
    "read_log",
]
