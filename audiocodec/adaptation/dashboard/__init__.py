"""What the monitor saw, over time: a page to look at, and metrics for Prometheus."""

from audiocodec.adaptation.dashboard.drift_page import build_page, write_page
from audiocodec.adaptation.dashboard.prometheus import WatchCollector, serve_metrics
from audiocodec.adaptation.dashboard.timeline import read_timeline

__all__ = ["WatchCollector", "build_page", "read_timeline", "serve_metrics", "write_page"]
