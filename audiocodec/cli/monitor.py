"""`audiocodec monitor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiocodec.audio.files import AUDIO_SUFFIXES
from audiocodec.cli.parts import options
from audiocodec.cli.parts.batch import end_if_none, expand
from audiocodec.cli.parts.codecs import check_named, choose_codec
from audiocodec.cli.parts.output import Output, failure

if TYPE_CHECKING:
    from audiocodec.adaptation.watch import Monitor, MonitorLog, WindowReport

ALERT_STATUS = 3
BaselineName = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        metavar="NAME|ID|FILE",
        help="Baseline to compare with: a file, the name of an environment in the store, or an identity"
        " of codebooks; default: that of the codebooks in use, or of the model.",
    ),
]
Window = Annotated[
    float, typer.Option(min=1, metavar="SECONDS", help="Length of the windows of audio that are judged.")
]
Rate = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=0.2,
        metavar="SHARE",
        help="Share of windows that may raise an alert though the audio is like the baseline's.",
    ),
]
Measures = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        help="Measures that decide about an alert, such as js,w2; default: relative_error,js,w2.",
    ),
]
Sequential = Annotated[
    Literal["page_hinkley", "adwin", "none"],
    typer.Option(help="Test over many windows, which detects small drift."),
]
Log = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="File to which all reports are added; default: monitor.jsonl in the store."
    ),
]


def monitor(
    inputs: options.Inputs,
    baseline: BaselineName = None,
    store: options.Store = None,
    model: options.Model = None,
    codebook: options.Codebook = None,
    bitrate: options.Bitrate = None,
    window: Window = 30.0,
    false_alarm_rate: Rate = 0.01,
    measures: Measures = None,
    sequential: Sequential = "page_hinkley",
    log: Log = None,
    device: options.Device = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare sound or .nac files with what the codebooks were fitted to; exit status 3 when it has drifted.

    Example: audiocodec monitor recordings/ --window 30
    """
    from audiocodec.adaptation.watch import (
        Monitor,
        MonitorOptions,
        choose_baseline,
        monitor_files,
    )

    output = Output(json, quiet)
    files = expand(inputs, AUDIO_SUFFIXES | {".nac"})
    _check_one_kind([source for source, _, _ in files])
    check_named(model, bitrate, store)
    end_if_none([(source, problem) for source, _, problem in files], output)
    codec = choose_codec(model, device, codebook, store).load()
    settings = MonitorOptions(
        window_seconds=window,
        false_alarm_rate=false_alarm_rate,
        decisive=tuple(part.strip() for part in measures.split(",")) if measures else (),
        sequential=sequential,
    )
    known, environments = choose_baseline(codec, baseline, model, store)
    watch = Monitor(codec, known, bitrate, settings, environments)
    events = _monitor_log(log, store)
    if events is not None:
        events.add("start", {"model": codec.name, "baseline": known.name, "window_seconds": window})

    def fail(source: Path, error: Exception) -> None:
        output.error(source, failure(error, source))

    for source, _, problem in files:
        if problem is not None:
            fail(source, problem)
    readable = [source for source, _, problem in files if problem is None]
    with output.progress("files", 1.0) as show:
        reports = monitor_files(codec, watch, readable, bitrate, on_error=fail, log=events, progress=show)
        for report in reports:
            output.result(report.as_json(), _line(report))
    _finish(watch, output, events)


def _finish(watch: Monitor, output: Output, events: MonitorLog | None) -> None:
    if not output.failed:
        watch.check_enough()
    summary = {
        "summary": True,
        "state": watch.state,
        "windows": watch.windows,
        "alerts": watch.alerts,
        "seconds": watch.seconds,
        "failed": output.failed,
        "baseline": watch.baseline.name,
    }
    if events is not None:
        events.add("end", summary)
    output.result(
        summary,
        f"{watch.state}: {watch.alerts} of {watch.windows} windows in alert, {watch.seconds:.0f} s"
        f" against {watch.baseline.name!r}",
    )
    if watch.alerts:
        raise typer.Exit(ALERT_STATUS)
    output.finish()


def _line(report: WindowReport) -> str:
    start = f"{report.start_seconds:7.1f} s  {report.state:7}"
    if report.silent or report.measures is None:
        return f"{start}  silent, not judged"
    values = [f"{name} {report.measures[name]:.3g}" for name in _shown(report.measures)]
    line = (
        f"{start}  score {report.score:.1f} (alert above {report.alert_threshold:.1f}, {report.decisive})  "
    )
    line += ", ".join(values)
    if report.environment is not None:
        name = report.environment["name"]
        nearest = f"unknown (nearest {report.environment['nearest']})"
        line += f"  environment {name or nearest}"
    return line + ("  sequential test: drift" if report.change else "")


def _shown(measures: Any) -> list[str]:
    return [name for name in ("relative_error", "usage", "perplexity", "js", "w2") if name in measures]


def _monitor_log(log: Path | None, store: Path | None) -> MonitorLog | None:
    from audiocodec.adaptation.watch.log import LOG_NAME, MonitorLog

    if log is None and store is None:
        return None
    return MonitorLog(log if log is not None else (store or Path()) / LOG_NAME)


def _check_one_kind(sources: list[Path]) -> None:
    kinds = {source.suffix.lower() == ".nac" for source in sources}
    if len(kinds) > 1:
        raise typer.BadParameter("sound files and .nac files cannot be monitored together; use two commands")
