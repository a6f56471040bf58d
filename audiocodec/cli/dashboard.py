"""`audiocodec dashboard`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiocodec.cli.parts import options
from audiocodec.cli.parts.codecs import open_store
from audiocodec.cli.parts.output import Output

if TYPE_CHECKING:
    from audiocodec.adaptation.registry import Registry

Logs = Annotated[
    list[Path] | None,
    typer.Argument(metavar="LOG", help="Logs written by `monitor`; default: monitor.jsonl in the store."),
]
Page = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="HTML page to write.")]
Port = Annotated[
    int | None,
    typer.Option(
        min=0, max=65535, metavar="N", help="Port on which Prometheus reads the metrics; 0 takes a free one."
    ),
]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="Address of the network interface to listen on.")]


def dashboard(
    logs: Logs = None,
    store: options.Store = None,
    page: Page = None,
    port: Port = None,
    host: Host = "127.0.0.1",
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show the log of `monitor`: write an HTML page, or serve metrics to Prometheus until Ctrl-C.

    Example: audiocodec dashboard --store books -o drift.html
    """
    from audiocodec.adaptation.dashboard import read_timeline, write_page
    from audiocodec.adaptation.watch.log import LOG_NAME

    if (page is None) == (port is None):
        raise typer.BadParameter("give either -o, the page to write, or --port, the port for Prometheus")
    if not logs and store is None:
        raise typer.BadParameter("name a log of `monitor`, or the store that has one (--store)")
    output = Output(json, quiet)
    registry = None if store is None else open_store(store)
    logs = list(logs or [(store or Path()) / LOG_NAME])
    if page is None:
        _serve(logs, registry, port or 0, host, output)
        return
    timeline = read_timeline(logs, registry)
    write_page(page, timeline, overwrite=force)
    record = {
        "file": str(page),
        "windows": timeline.total,
        "alerts": timeline.alerts,
        "seconds": timeline.seconds,
        "state": timeline.windows[-1].state,
    }
    output.result(record, f"{page}: {timeline.total} windows, {timeline.alerts} in alert")
    output.finish()


def _serve(logs: list[Path], registry: Registry | None, port: int, host: str, output: Output) -> None:
    from audiocodec.adaptation.dashboard import WatchCollector, serve_metrics

    server, thread = serve_metrics(WatchCollector(logs, registry), port, host)
    address = f"http://{host}:{server.server_port}/metrics"
    output.result({"address": address, "logs": [str(log) for log in logs]}, f"{address}; stop with Ctrl-C")
    try:
        thread.join()
    finally:
        server.shutdown()
