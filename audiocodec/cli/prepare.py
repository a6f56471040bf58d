"""`audiocodec prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiocodec.cli.parts import options
from audiocodec.cli.parts.output import Failure, Output
from audiocodec.corpus import prepare as preparing
from audiocodec.corpus.splits import TEST_SHARE, VALID_SHARE
from audiocodec.errors import INTERNAL, InputError
from audiocodec.process import available_cpus

CPUS = available_cpus()

Folders = Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of recordings.")]
Manifest = Annotated[
    Path, typer.Option("-o", "--output", metavar="FILE", help="The JSONL manifest to write.")
]
Pattern = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="How to read paths: a template such as '{speaker}/*/*.flac', which may also have {source},"
        " {language}, {split} and {kind}; or a regular expression with (?P<speaker>...).",
    ),
]
Corpus = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Published corpus in the folders: librispeech, libritts, musan or vctk."
    ),
]
Valid = Annotated[
    float,
    typer.Option(metavar="SHARE", help="Share of speakers held out for validation; with --test less than 1."),
]
Test = Annotated[float, typer.Option(metavar="SHARE", help="Share of speakers held out for tests.")]
Seconds = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Leave out shorter files.")]
Source = Annotated[
    str, typer.Option(metavar="NAME", help="Name of the corpus, unless paths say it; default: the folder's.")
]
Language = Annotated[str, typer.Option(metavar="NAME", help="Language, unless paths say it.")]
Kind = Annotated[
    str,
    typer.Option(metavar="NAME", help="speech, noise, music or rir (room responses), unless paths say it."),
]


def prepare(
    folders: Folders,
    out: Manifest,
    speaker_pattern: Pattern = None,
    corpus: Corpus = None,
    source: Source = "",
    language: Language = "",
    kind: Kind = "speech",
    valid: Valid = VALID_SHARE,
    test: Test = TEST_SHARE,
    min_seconds: Seconds = 0.3,
    jobs: options.Jobs = CPUS,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Scan a corpus into a manifest: lengths, rates, levels, and splits that no speaker crosses.

    Files that cannot be used are named with the reason and listed in FILE.bad.jsonl. An interrupted scan
    continues when the same command is given again.

    Example: audiocodec prepare recordings -o recordings.jsonl --speaker-pattern '{speaker}/*.wav'
    """
    output = Output(json, quiet)
    if corpus is not None and speaker_pattern is not None:
        raise typer.BadParameter("--corpus brings its own pattern; give one of the two")
    try:
        preparing.check_name(out)
    except InputError as error:
        raise typer.BadParameter(f"-o {error}") from error
    with output.progress("scanning", 1.0) as show:
        result = preparing.prepare(
            folders, out, pattern=speaker_pattern, corpus=corpus, source=source, language=language, kind=kind,
            valid=valid, test=test, min_seconds=min_seconds, jobs=jobs, overwrite=force, progress=show,
            on_unusable=lambda unusable: _name(unusable, output),
        )  # fmt: skip
    _show(result, output)
    output.finish()


def _name(unusable: preparing.Unusable, output: Output) -> None:
    ask = "; please report it" if unusable.problem.startswith(INTERNAL) else ""
    output.error(unusable.path, Failure(unusable.kind, unusable.problem + ask))


def _show(result: preparing.Prepared, output: Output) -> None:
    summary, bad = result.summary, result.unusable_list
    files = {"manifest": str(result.manifest), "bad": None if bad is None else str(bad)}
    output.result(
        {"summary": True, **files, "failed": len(result.unusable), **summary, "warnings": result.warnings}
    )
    if result.scanned_before:
        output.say(f"{result.scanned_before} files were already scanned before an interruption")
    columns = ("split", "kind", "source", "files", "hours", "speakers", "Hz", "level dB")
    lines = [
        (
            *(part[name] for name in ("split", "kind", "source", "files", "hours", "speakers")),
            ", ".join(part["sample_rates"]),
            part["level_db"],
        )
        for part in summary["parts"]
    ]
    total = ("all", "", "", summary["files"], summary["hours"], summary["speakers"], "", None)
    output.table(columns, [*lines, total])
    for text in result.warnings:
        output.warn(result.manifest, text)
    listed = f"; {len(result.unusable)} left out, listed in {bad}" if bad else ""
    output.say(f"{result.manifest}: {summary['files']} recordings, {summary['hours']:.2f} h{listed}")
