"""`audiocodec adapt`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiocodec.cli.parts import options
from audiocodec.cli.parts.batch import check_there
from audiocodec.cli.parts.codecs import check_named, open_store
from audiocodec.cli.parts.output import Output, failure
from audiocodec.cli.refresh import (
    Adapter,
    Bitrate,
    Clean,
    DryRun,
    Environment,
    Fraction,
    Method,
    Stages,
    Tolerance,
    plan_of,
    report,
)
from audiocodec.errors import AudioCodecError, InputError
from audiocodec.process import compute_in_one_thread

if TYPE_CHECKING:
    from audiocodec.adaptation.refresh.service import Service

WatchedFolder = Annotated[
    Path, typer.Option(metavar="DIR", help="Folder where recordings arrive; files in it are only read.")
]
Once = Annotated[bool, typer.Option("--once", help="Scan the folder once, then end.")]
CoolDown = Annotated[
    float, typer.Option(min=0, metavar="SECONDS", help="Shortest time between two refreshes.")
]
Window = Annotated[
    float, typer.Option(min=60, metavar="SECONDS", help="Seconds of the newest recordings that are examined.")
]
Every = Annotated[
    float, typer.Option(min=0.1, metavar="SECONDS", help="Seconds between scans of the folder.")
]
Threshold = Annotated[
    float,
    typer.Option(
        min=1,
        metavar="RATIO",
        help="Refresh when the quantization error exceeds that of clean speech by this ratio.",
    ),
]


def adapt(
    watch: WatchedFolder,
    store: options.MadeStore,
    once: Once = False,
    dry_run: DryRun = False,
    cool_down: CoolDown = 3600.0,
    window: Window = 600.0,
    every: Every = 10.0,
    threshold: Threshold = 1.15,
    stages: Stages = None,
    fraction: Fraction = 0.25,
    method: Method = "kmeans",
    adapter: Adapter = False,
    environment: Environment = None,
    clean: Clean = None,
    model: options.Model = None,
    bitrate: Bitrate = None,
    clean_tolerance: Tolerance = 0.02,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Watch a folder; when its sound drifts, refresh the codebooks, compare, and activate what is better.

    The command keeps its state in the log of the store only: it may be killed at any moment and started
    again. With --once the exit status is 1 when something went wrong; a refused candidate is no failure.

    Example: audiocodec adapt --watch incoming --store books --cool-down 3600
    """
    from audiocodec.adaptation.refresh.service import ErrorMonitor, Service
    from audiocodec.adaptation.refresh.sound import clean_speech
    from audiocodec.codec import load

    output = Output(json, quiet)
    fitting = {"method": method, "fraction": fraction, "adapter": adapter, "seed": seed}
    plan = plan_of(fitting, stages, bitrate, clean_tolerance, environment, "drift", False, dry_run)
    registry = open_store(store, new=True)
    check_named(model, bitrate)
    check_there([clean] if clean else [])
    if once and not watch.is_dir():
        raise InputError(f"{watch}: no such folder; name the one where recordings arrive")
    compute_in_one_thread()
    codec = load(model, device, registry)
    if not dry_run:
        registry.baseline(codec.model_id, codec.model.quantizer.codebooks(), model=codec.name)
    speech, latents = clean_speech(codec.model_id, codec.sample_rate, model, clean)
    service = Service(
        registry, codec, watch, speech, ErrorMonitor(threshold, bitrate), plan, window, cool_down, latents
    )
    _run(service, output, once, every)


def _run(service: Service, output: Output, once: bool, every: float) -> None:
    """Scan until stopped. After an error it goes on, as the cause may be gone at the next scan."""
    last_state, warned = "", set[tuple[str, str]]()
    while True:
        try:
            with output.progress("refresh", 1.0) as show:
                scan = service.step(show)
        except AudioCodecError as error:
            if once:
                raise
            output.error(service.folder, failure(error, service.folder))
        else:
            line = f"{scan.state}: {scan.text}"
            if scan.outcome is not None:
                report(output, scan.outcome)
            elif once or scan.state != last_state:
                output.result({"state": scan.state, "text": scan.text}, line)
            last_state = scan.state
        for name, why in service.skipped.items():
            if (name, why) not in warned:
                warned.add((name, why))
                output.warn(name, f"{why}; left out")
        if once:
            return
        time.sleep(every)
