"""`audiocodec adapt`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiocodec.cli.parts import options
from audiocodec.cli.parts.early import check_named, check_there
from audiocodec.cli.parts.jobs import codec_for
from audiocodec.cli.parts.output import Output, failure
from audiocodec.cli.parts.stores import open_store
from audiocodec.cli.refresh import (
    Adapter,
    Bitrate,
    Clean,
    DryRun,
    Environment,
    Fraction,
    Method,
    Seed,
    Stages,
    Store,
    Tolerance,
    plan_of,
    report,
)
from audiocodec.errors import AudioCodecError, InputError

if TYPE_CHECKING:
    from audiocodec.adaptation.refresh.service import Service

Watch = Annotated[Path, typer.Option(metavar="DIR", help="Where recordings arrive; they are only read.")]
Once = Annotated[bool, typer.Option("--once", help="Look once, then end.")]
CoolDown = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Between two refreshes.")]
Window = Annotated[
    float, typer.Option(min=60, metavar="SECONDS", help="Of the newest sound that is looked at.")
]
Every = Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Between two looks at the folder.")]
Threshold = Annotated[
    float, typer.Option(min=1, metavar="RATIO", help="Of the latents' error to that of clean speech: drift.")
]


def adapt(
    watch: Watch,
    store: Store,
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
    seed: Seed = 0,
    device: options.Device = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Watch a folder; when its sound drifts from what the codebooks code well, refresh, judge, and activate.

    All it knows stands in the log of the store: it may be killed at any moment and started again. With --once
    the exit status is 1 when something went wrong; a refused candidate is no failure.

    Example: audiocodec adapt --watch incoming --store books --cool-down 3600
    """
    from audiocodec.adaptation.refresh.service import ErrorMonitor, Service
    from audiocodec.adaptation.refresh.sound import clean_reservoir, clean_speech
    from audiocodec.adaptation.registry import is_store

    output = Output(json, quiet)
    fitting = {"method": method, "fraction": fraction, "adapter": adapter, "seed": seed}
    plan = plan_of(fitting, stages, bitrate, clean_tolerance, environment, "drift", False, dry_run)
    registry = open_store(store, new=True)
    check_named(model, bitrate)
    check_there([clean] if clean else [])
    if once and not watch.is_dir():
        raise InputError(f"{watch}: no such folder; name the one where recordings arrive")
    if not dry_run:
        own = codec_for(model, device)
        registry.baseline(own.model_id, own.model.quantizer.codebooks(), model=own.name)
    codec = codec_for(model, device, None, store if is_store(store) else None)
    speech = clean_speech(codec.sample_rate, None if clean is None else [clean])
    known = None if clean is not None else clean_reservoir(model, codec.model_id)
    service = Service(
        registry, codec, watch, speech, ErrorMonitor(threshold, bitrate), plan, window, cool_down, known
    )
    _run(service, output, once, every)


def _run(service: Service, output: Output, once: bool, every: float) -> None:
    """Look until stopped. Errors are told and survived, as the next look may find things mended."""
    last, told = "", set[tuple[str, str]]()
    while True:
        try:
            with output.progress("refresh", 1.0) as show:
                found = service.step(show)
        except AudioCodecError as error:
            if once:
                raise
            output.error(service.folder, failure(error, service.folder))
        else:
            line = f"{found.state}: {found.text}"
            if found.outcome is not None:
                report(output, found.outcome)
            elif once or found.state != last:
                output.result({"state": found.state, "text": found.text}, line)
            last = found.state
        for name, why in service.skipped.items():
            if (name, why) not in told:
                told.add((name, why))
                output.warn(name, f"{why}; left out")
        if once:
            return
        time.sleep(every)
