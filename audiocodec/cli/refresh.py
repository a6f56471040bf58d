"""`audiocodec refresh`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiocodec.audio import find_audio
from audiocodec.cli.parts import options
from audiocodec.cli.parts.batch import check_there
from audiocodec.cli.parts.codecs import check_named, open_store
from audiocodec.cli.parts.output import Failure, Output
from audiocodec.errors import InputError
from audiocodec.process import compute_in_one_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audiocodec.adaptation.refresh.proposal import Outcome, Plan

DIGITS = 12
PESQ_RANGE = 5.0
"""No loss is larger."""
SCORE_COLUMNS = ("sound", "score", "clips", "before", "after", "mean change", "95 % interval", "p-value")

Inputs = Annotated[
    list[Path],
    typer.Argument(metavar="DIR|FILE", help="Recordings of the environment, at best ten minutes or more."),
]
Stages = Annotated[
    str | None,
    typer.Option(metavar="FIRST-LAST", help="Stages to fit, such as 1-4, counted from 1; default: all."),
]
Fraction = Annotated[
    float,
    typer.Option(metavar="SHARE", help="Share of the entries of each stage that may move, above 0 to 1."),
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
    bool,
    typer.Option(
        "--adapter", help="Also fit gains and offsets of the decoder; adds 0.14 MB to the revision."
    ),
]
Activate = Annotated[
    bool, typer.Option("--activate", help="If accepted, encode with these codebooks from now on.")
]
Environment = Annotated[
    str | None, typer.Option(metavar="NAME", help="Name of the environment, kept with the revision.")
]
Clean = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of clean speech that must not get worse; default: LibriSpeech in the package.",
    ),
]
Bitrate = Annotated[
    float | None,
    typer.Option(
        metavar="BIT/S", help="Bitrate at which old and new codebooks are compared; default: the highest."
    ),
]
Tolerance = Annotated[
    float, typer.Option(metavar="PESQ", help="Largest mean loss of PESQ that is accepted for clean speech.")
]
EnvironmentOnly = Annotated[
    bool,
    typer.Option(
        "--environment-only",
        help="Accept any loss for clean speech. For codebooks that `encode --codebook auto` chooses; not"
        " allowed with --activate.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Fit and compare, but write nothing.")]


def refresh(
    inputs: Inputs,
    store: options.MadeStore,
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
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dry_run: DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Fit codebooks to an environment, judge them on held-out sound, and keep them in a store.

    Nothing in use changes until a revision is activated. A candidate is refused if its gain in the
    environment is not statistically significant, or if clean speech loses too much. The store keeps it,
    marked as refused; the exit status is then 1.

    Example: audiocodec refresh hall/ --store books --environment hall --activate
    """
    from audiocodec.adaptation.refresh.proposal import propose
    from audiocodec.adaptation.refresh.sound import clean_speech, read_sound
    from audiocodec.codec import load

    output = Output(json, quiet)
    if environment_only and activate:
        raise InputError(
            "codebooks for one environment only are chosen by encode --codebook auto; leave out --activate"
        )
    tolerance = PESQ_RANGE if environment_only else clean_tolerance
    fitting = {"method": method, "fraction": fraction, "adapter": adapter, "seed": seed}
    reason = reason_of(method, adapter)
    plan = plan_of(fitting, stages, bitrate, tolerance, environment, reason, activate, dry_run)
    registry = open_store(store, new=True)
    check_named(model, bitrate)
    check_there([*inputs, *([clean] if clean else [])])
    compute_in_one_thread()
    codec = load(model, device, registry)
    codec.model.num_quantizers_for(bitrate)
    with output.progress("refresh", 1.0) as show:
        sound = read_sound(find_audio(inputs), codec.sample_rate)
        for name, why in sound.skipped.items():
            output.error(name, Failure("InputError", why))
        speech, latents = clean_speech(codec.model_id, codec.sample_rate, model, clean)
        outcome = propose(registry, codec, sound, speech, plan, clean_latents=latents, progress=show)
    report(output, outcome)
    if not outcome.verdict.accepted:
        raise typer.Exit(1)
    output.finish()


def reason_of(method: str, adapter: bool) -> str:
    """The reason that a store keeps with a refresh by hand."""
    if adapter and method == "none":
        return "adapter only"
    return f"refresh by {method}, with adapter" if adapter else f"refresh by {method}"


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
    """Print the verdict and its scores."""
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
    output.table(SCORE_COLUMNS, score_rows(verdict.as_json()))
    word = "accepted" if verdict.accepted else "refused"
    kept = "nothing was written" if revision is None else f"codebook {revision.codebook_id[:DIGITS]}"
    active = ", now active" if revision is not None and revision.active else ""
    output.say(f"{word}: {verdict.reason}; {kept}{active}")


def score_rows(verdict: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Rows under `SCORE_COLUMNS` of a verdict as JSON; a store may hold other forms, which are left out."""
    rows: list[tuple[Any, ...]] = []
    for side in ("environment", "clean"):
        table = verdict.get(side)
        for score, one in table.items() if isinstance(table, dict) else ():
            if isinstance(one, dict):
                rows.append((side, score, *_score_cells(one)))
    return rows


def _score_cells(one: dict[str, Any]) -> tuple[Any, ...]:
    names = ("pairs", "before", "after", "change", "low", "high", "p_value")
    numbers = {name: one[name] for name in names if isinstance(one.get(name), int | float)}
    change = f"{numbers['change']:+.4f}" if "change" in numbers else None
    low, high = numbers.get("low"), numbers.get("high")
    interval = None if low is None or high is None else f"{low:+.4f} to {high:+.4f}"
    pairs, before, after = (numbers.get(name) for name in names[:3])
    return pairs, before, after, change, interval, numbers.get("p_value")


def _stages(given: str | None) -> tuple[int, int] | None:
    if given is None:
        return None
    numbers = re.fullmatch(r"(\d+)(?:-(\d+))?", given.strip())
    if numbers is None:
        raise typer.BadParameter(f"--stages {given!r}: give one number or two, such as 1-4")
    first = int(numbers[1])
    return first, int(numbers[2] or first)
