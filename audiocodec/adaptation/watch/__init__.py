"""Watching what a codec is given: windows, states, a log, known environments, pages and metrics of it."""

from audiocodec.adaptation.watch.alarm import STATES, Scorer, StateMachine
from audiocodec.adaptation.watch.environments import (
    EnvironmentBook,
    Recognition,
    choose_baseline,
    recognize_file,
)
from audiocodec.adaptation.watch.log import MonitorLog, read_log
from audiocodec.adaptation.watch.monitor import Monitor, MonitorOptions, WindowReport
from audiocodec.adaptation.watch.stream import MonitoredStream, monitor_file, monitor_files

__all__ = [
    "STATES",
    "EnvironmentBook",
    "Monitor",
    "MonitorLog",
    "MonitorOptions",
    "MonitoredStream",
    "Recognition",
    "Scorer",
    "StateMachine",
    "WindowReport",
    "choose_baseline",
    "monitor_file",
    "monitor_files",
    "read_log",
    "recognize_file",
]
