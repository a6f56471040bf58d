"""`audiocodec prepare`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from audiocodec.audio import AUDIO_SUFFIXES, find_audio
from audiocodec.cli.parts import options
from audiocodec.cli.parts.batch import make_folder
from audiocodec.cli.parts.early import check_new
from audiocodec.cli.parts.jobs import run
from audiocodec.cli.parts.output import Failure, Output, failure
from audiocodec.errors import InputError
from audiocodec.process import available_cpus
from audiocodec.storage import real
from audiocodec.training.data.corpora import Layout, find_corpus, layout_of
from audiocodec.training.data.patterns import path_pattern
from audiocodec.training.data.scanning.journal import Journal
from audiocodec.training.data.scanning.rows import Found, relative, scan, with_splits, write_rows
from audiocodec.training.data.scanning.summary import summarize, warnings
from audiocodec.training.data.splits import hashed_shares
from audiocodec.work import Backend

CPUS = available_cpus()
CHUNK = 16
"""Files that a process takes at once."""

Folders = Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of recordings.")]
Manifest = Annotated[
    Path, typer.Option("-o", "--output", metavar="FILE", help="The JSONL manifest to write.")
]
Pattern = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="What paths say: a template such as '{speaker}/*/*.flac', also with {source}, {language},"
        " {split} and {kind}; or a regular expression with (?P<speaker>...).",
    ),
]
Corpus = Annotated[
    str | None, typer.Option(metavar="NAME", help="The folders hold this corpus of recipes/corpora.")
]
Share = Annotated[float, typer.Option(metavar="SHARE", help="Of the speakers, held out for this split.")]
Seconds = Annotated[float, typer.Option(min=0, metavar="S", help="Leave out what is shorter.")]
Text = Annotated[str, typer.Option(metavar="NAME", help="For recordings whose path does not say it.")]


def prepare(
    folders: Folders,
    out: Manifest,
    speaker_pattern: Pattern = None,
    corpus: Corpus = None,
    source: Text = "",
    language: Text = "",
    kind: Text = "speech",
    valid: Share = 0.05,
    test: Share = 0.05,
    min_seconds: Seconds = 0.3,
    jobs: options.Jobs = CPUS,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Scan a corpus into a manifest: lengths, rates, levels, and splits that no speaker crosses.

    Files that cannot be used are named with the reason, and listed in FILE.bad.jsonl. A scan that was
    interrupted goes on where it was.

    Example: audiocodec prepare recordings -o recordings.jsonl --speaker-pattern '{speaker}/*.wav'
    """
    output = Output(json, quiet)
    hashed_shares(valid, test)
    layout = Layout(path_pattern(speaker_pattern) if speaker_pattern else None, {}, source, language, kind)
    if corpus is not None:
        if speaker_pattern is not None:
            raise typer.BadParameter("--corpus brings its own pattern; give one of the two")
        layout = layout_of(find_corpus(corpus))
    if out.suffix.lower() in {".csv", *AUDIO_SUFFIXES}:
        raise typer.BadParameter(
            f"-o {out}: a manifest is written as JSONL; name it {out.with_suffix('.jsonl')}"
        )
    check_new(out, force)
    make_folder(out.parent)
    files = find_files(folders, layout)
    rows, bad = scan_all(files, min_seconds, Journal(out), jobs, output)
    bad_path = out.with_name(f"{out.stem}.bad.jsonl")
    _write_bad(bad_path, bad, out)
    if not rows:
        Journal(out).done()
        raise InputError(f"none of {len(files)} files can be used; the reasons are in {bad_path}")
    rows = with_splits(rows, valid, test)
    write_rows(out, rows, force)
    Journal(out).done()
    _show(output, rows, out, bad_path if bad else None, len(bad))
    output.finish()


def find_files(folders: Sequence[Path], layout: Layout) -> list[Found]:
    """Every sound file of the corpus, once.

    Raises:
        InputError: a folder is missing, or none of its files belongs to the corpus.
    """
    found: dict[Path, Found] = {}
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; name folders of recordings")
        files = find_audio([folder])
        here = [(file, layout.fields(file.relative_to(folder))) for file in files]
        if layout.pattern is not None and not any(
            layout.pattern.fields(f.relative_to(folder)) for f in files
        ):
            raise InputError(
                f"{folder}: the pattern {layout.pattern.text!r} fits none of {len(files)} files, such as"
                f" {files[0].relative_to(folder)}; it is matched to the end of such paths"
            )
        for file, fields in here:
            if fields is not None:
                named = {**fields, "source": fields["source"] or real(folder).name}
                found.setdefault(real(file), Found(file.absolute(), named))
    return list(found.values())


def scan_all(
    files: Sequence[Found], min_seconds: float, journal: Journal, jobs: int, output: Output
) -> tuple[list[dict[str, Any]], list[tuple[Path, Failure]]]:
    """Measure what the journal does not know; gives rows and failures, in the order of the files."""
    known = {found.path: result for found in files if (result := journal.find(found.path)) is not None}
    if known:
        output.say(f"{len(known)} of {len(files)} files were scanned before")
    todo = [found.path for found in files if found.path not in known]
    tasks = [todo[i : i + CHUNK] for i in range(0, len(todo), CHUNK)]
    failed: dict[Path, Failure] = {}
    scans = run(scan_some, tasks, [task[0] for task in tasks], Backend("local", jobs), output, "files")
    with journal, closing(scans) as scanned:
        for number, results in scanned:
            task = tasks[number]
            # A process that died took all of its files with it.
            each = [results] * len(task) if isinstance(results, Failure) else results
            for path, result in zip(task, each, strict=True):
                if isinstance(result, Failure):
                    failed[path] = result
                else:
                    known[path] = result
                    journal.note(path, result)
    for path, result in known.items():
        if result["seconds"] < min_seconds:
            text = f"lasts {result['seconds']:.3f} s, less than {min_seconds:g} s"
            failed[path] = Failure("InputError", text)
    bad = [(found.path, failed[found.path]) for found in files if found.path in failed]
    for path, reason in bad:
        output.error(path, reason)
    good = [found for found in files if found.path not in failed]
    return [{**known[found.path], **found.fields, "path": str(found.path)} for found in good], bad


def scan_some(paths: Sequence[Path], progress: Callable[[float], None]) -> list[dict[str, Any] | Failure]:
    """What is measured of some files, or why it cannot be."""
    results: list[dict[str, Any] | Failure] = []
    for number, path in enumerate(paths, 1):
        try:
            results.append(scan(path))
        except Exception as error:
            results.append(failure(error, path))
        progress(number / len(paths))
    return results


def _write_bad(path: Path, bad: Sequence[tuple[Path, Failure]], manifest: Path) -> None:
    import json

    from audiocodec.storage import new_file

    if not bad:
        path.unlink(missing_ok=True)
        return
    with new_file(path, overwrite=True) as part, part.open("w", encoding="utf-8") as file:
        for name, failed in bad:
            row = {"path": relative(name, manifest), "problem": failed.problem, "kind": failed.kind}
            file.write(json.dumps(row) + "\n")


def _show(output: Output, rows: list[dict[str, Any]], out: Path, bad: Path | None, failed: int) -> None:
    found = summarize(rows)
    odd = warnings(rows)
    named = {"manifest": str(out), "bad": None if bad is None else str(bad), "failed": failed}
    output.result({"summary": True, **named, **found, "warnings": odd})
    columns = ("split", "kind", "source", "files", "hours", "speakers", "Hz", "level dB")
    lines = [
        (
            *(part[name] for name in ("split", "kind", "source", "files", "hours", "speakers")),
            ", ".join(part["sample_rates"]),
            part["level_db"],
        )
        for part in found["parts"]
    ]
    output.table(
        columns, [*lines, ("all", "", "", found["files"], found["hours"], found["speakers"], "", None)]
    )
    for text in odd:
        output.warn(out, text)
    listed = f"; {failed} left out, listed in {bad}" if bad else ""
    output.say(f"{out}: {found['files']} recordings, {found['hours']:.2f} h{listed}")
