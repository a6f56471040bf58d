"""`audiocodec refresh`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiocodec.cli.parts import options
from audiocodec.cli.parts.early import check_named, check_there
from audiocodec.cli.parts.jobs import codec_for
from audiocodec.cli.parts.output import Failure, Output
from audiocodec.cli.parts.stores import open_store
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audiocodec.adaptation.refresh.acceptance import Comparison
    from audiocodec.adaptation.refresh.proposal import Outcome, Plan

DIGITS = 12
PESQ_RANGE = 5.0
"""No loss is larger."""
COLUMNS = ("sound", "score", "pieces", "before", "after", "change", "95 % interval", "p")

Inputs = Annotated[
    list[Path],
    typer.Argument(metavar="DIR|FILE", help="Recordings of the environment: ten minutes are good."),
]
Store = Annotated[
    Path,
    typer.Option(metavar="DIR", envvar="AUDIOCODEC_STORE", help="Where revisions are kept; made if new."),
]
Stages = Annotated[
    str | None, typer.Option(metavar="FIRST-LAST", help="Stages to fit, counted from 1; default: all.")
]
Fraction = Annotated[
    float,
    typer.Option(
        metavar="SHARE", help="Of the entries of a stage that may move; 1 fits them all to the sound."
    ),
]
Method = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="How entries move. kmeans: to the centers of the new latents; gradient: as kmeans, then to lower"
        " the error of the decoded sound; online: in small steps, file by file; none: they do not move (for"
        " --adapter alone).",
    ),
]
Adapter = Annotated[
    bool, typer.Option("--adapter", help="The decoder's gains and offsets follow, too: 0.14 MB more to send.")
]
Activate = Annotated[bool, typer.Option("--activate", help="Encode with them from now on, if accepted.")]
Environment = Annotated[str | None, typer.Option(metavar="NAME", help="Label of the environment.")]
Clean = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Clean speech that must not lose; default: LibriSpeech of the package."),
]
Bitrate = Annotated[
    float | None, typer.Option(metavar="BIT/S", help="At which both are judged; default: the highest.")
]
Tolerance = Annotated[float, typer.Option(metavar="PESQ", help="That clean speech may lose in the mean.")]
EnvironmentOnly = Annotated[
    bool,
    typer.Option(
        "--environment-only", help="Clean speech may lose: for encode --codebook auto, not for --activate."
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Of everything that is drawn.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Fit and judge, but write nothing.")]


def refresh(
    inputs: Inputs,
    store: Store,
    stages: Stages = None,
    fraction: Fraction = 0.25,
    method: Method = "kmeans",
    adapter: Adapter = False,
    activate: Activate = False,
    environment: Environment = None,
    clean: Clean = None,
    model: options.Model = None,
    bitrate: Bitrate = None,
    clean_tolerance: Tolerance = 0.02,
    environment_only: EnvironmentOnly = False,
    seed: Seed = 0,
    device: options.Device = "auto",
    dry_run: DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Fit codebooks to an environment, judge them on sound held out, and keep them in a store.

    Nothing in use changes until a revision is activated. A candidate that gains nothing certain in the
    environment, or costs clean speech too much, is kept as refused; the exit status is then 1.

    Example: audiocodec refresh hall/ --store books --environment hall --activate
    """
    from audiocodec.adaptation.refresh.proposal import propose
    from audiocodec.adaptation.refresh.sound import clean_reservoir, clean_speech, find_recordings, read_sound
    from audiocodec.adaptation.registry import is_store

    output = Output(json, quiet)
    if environment_only and activate:
        raise InputError(
            "codebooks for one environment only are chosen by encode --codebook auto; leave out --activate"
        )
    tolerance = PESQ_RANGE if environment_only else clean_tolerance
    fitting = {"method": method, "fraction": fraction, "adapter": adapter, "seed": seed}
    reason = f"refresh by {method}" + " with an adapter" * adapter
    plan = plan_of(fitting, stages, bitrate, tolerance, environment, reason, activate, dry_run)
    registry = open_store(store, new=True)
    check_named(model, bitrate)
    check_there([*inputs, *([clean] if clean else [])])
    codec = codec_for(model, device, None, store if is_store(store) else None)
    if not is_store(store) and not dry_run:
        registry.baseline(codec.model_id, codec.model.quantizer.codebooks(), model=codec.name)
        codec = codec_for(model, device, None, store)
    codec.model.num_quantizers_for(bitrate)
    with output.progress("refresh", 1.0) as show:
        sound = read_sound(find_recordings(inputs), codec.sample_rate)
        for name, why in sound.skipped.items():
            output.error(name, Failure("InputError", why))
        speech = clean_speech(codec.sample_rate, None if clean is None else [clean])
        known = None if clean is not None else clean_reservoir(model, codec.model_id)
        outcome = propose(registry, codec, sound, speech, plan, clean_latents=known, progress=show)
    report(output, outcome)
    if not outcome.verdict.accepted:
        raise typer.Exit(1)
    output.finish()


def plan_of(
    fitting: Mapping[str, Any],
    stages: str | None,
    bitrate: float | None,
    clean_tolerance: float,
    environment: str | None,
    reason: str,
    activate: bool,
    dry_run: bool,
) -> Plan:
    """What the options of a command ask for; `fitting` are fields of `RefreshOptions`.

    Raises:
        InputError: a value is out of range.
    """
    from audiocodec.adaptation.refresh.acceptance import Acceptance
    from audiocodec.adaptation.refresh.candidate import RefreshOptions
    from audiocodec.adaptation.refresh.proposal import Plan

    acceptance = Acceptance(bitrate, clean_tolerance, seed=fitting["seed"])
    options = RefreshOptions(**fitting, stages=_stages(stages))
    return Plan(options, acceptance, environment, reason, activate, dry_run)


def report(output: Output, outcome: Outcome) -> None:
    """Print what came of it."""
    verdict, revision = outcome.verdict, outcome.revision
    record = {
        "accepted": verdict.accepted,
        "reason": verdict.reason,
        "codebook": None if revision is None else revision.codebook_id,
        "active": revision is not None and revision.active,
        "bytes": None if revision is None else revision.file.get("bytes"),
        "fingerprint": outcome.fingerprint,
        "fit": outcome.facts,
        "verdict": verdict.as_json(),
    }
    output.result(record)
    sides = {"environment": verdict.environment, "clean": verdict.clean}
    rows = [_row(side, name, found) for side, table in sides.items() for name, found in table.items()]
    output.table(COLUMNS, rows)
    word = "accepted" if verdict.accepted else "refused"
    kept = "nothing written" if revision is None else f"codebook {revision.codebook_id[:DIGITS]}"
    active = ", now active" if revision is not None and revision.active else ""
    output.say(f"{word}: {verdict.reason}; {kept}{active}")


def _row(side: str, name: str, found: Comparison) -> tuple[Any, ...]:
    interval = None if found.low is None else f"{found.low:+.4f} to {found.high:+.4f}"
    change = None if found.change is None else f"{found.change:+.4f}"
    return (side, name, found.pairs, found.before, found.after, change, interval, found.p_value)


def _stages(given: str | None) -> tuple[int, int] | None:
    if given is None:
        return None
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", given.strip())
    if found is None:
        raise typer.BadParameter(f"--stages {given!r}: give one number or two, such as 1-4")
    first = int(found[1])
    return first, int(found[2] or first)
