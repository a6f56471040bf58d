"""What the monitor found, over time: a page to look at, and metrics for Prometheus."""

from audiocodec.adaptation.dashboard.metrics import WatchCollector, serve_metrics
from audiocodec.adaptation.dashboard.page import build_page, write_page
from audiocodec.adaptation.dashboard.timeline import Mark, Timeline, Window, read_timeline

__all__ = [
    "Mark",
    "Timeline",
    "WatchCollector",
    "Window",
    "build_page",
    "read_timeline",
    "serve_metrics",
    "write_page",
]
