"""Writes the manifest of a corpus: measures every file, holds out whole speakers, lists unusable files."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from audiocodec.audio import AUDIO_SUFFIXES, find_audio, stamp
from audiocodec.corpus.layouts import Layout, find_corpus, layout_of, path_pattern
from audiocodec.corpus.manifest import Recording
from audiocodec.corpus.measuring import Measured, measure
from audiocodec.corpus.overview import find_problems, summarize
from audiocodec.corpus.splits import TEST_SHARE, VALID_SHARE, check_shares, complete_splits, speakers_across
from audiocodec.errors import InputError, explain
from audiocodec.process import available_cpus
from audiocodec.storage import Journal, already_there, make_folder, new_file, real
from audiocodec.work import Backend, WorkerLost, spread

CHUNK = 16
"""Number of files in a task of a process."""
DIGITS = {"seconds": 4, "level_db": 2, "peak_db": 2, "clipped": 6, "silence": 4}
MEASURED = {field.name for field in fields(Measured)} | {"bytes"}
"""Names of the measurements of a file; journals of another version have other names."""
ORDER = (
    "path", "split", "kind", "source", "speaker", "language", "seconds", "sample_rate", "channels",
    "level_db", "peak_db", "clipped", "silence", "bytes",
)  # fmt: skip
"""Fields of a line of the manifest."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Unusable:
    """A file that is left out.

    Attributes:
        path: the file.
        kind: name of the exception.
        problem: one line, without the name of the file.
    """

    path: Path
    kind: str
    problem: str


@dataclass(frozen=True)
class Prepared:
    """Result of `prepare`.

    Attributes:
        manifest: the file that was written.
        recordings: those of the manifest.
        unusable: files that were left out.
        unusable_list: a JSONL file that lists them; None if there are none.
        scanned_before: number of files that an interrupted scan had measured.
        summary: files, hours, speakers, sample rates and levels (see `summarize`).
        warnings: likely problems, in sentences.
    """

    manifest: Path
    recordings: list[Recording]
    unusable: list[Unusable]
    unusable_list: Path | None
    scanned_before: int
    summary: dict[str, Any]
    warnings: list[str]


def prepare(
    folders: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    manifest: str | os.PathLike[str],
    *,
    pattern: str | None = None,
    corpus: str | None = None,
    source: str = "",
    language: str = "",
    kind: str = "speech",
    valid: float = VALID_SHARE,
    test: float = TEST_SHARE,
    min_seconds: float = 0.3,
    jobs: int | None = None,
    overwrite: bool = False,
    progress: Callable[[float], None] = lambda share: None,
    on_unusable: Callable[[Unusable], None] = lambda unusable: None,
) -> Prepared:
    """Measure the sound files in `folders` and write a JSONL manifest, with splits that no speaker crosses.

    Files that cannot be used are listed in `NAME.bad.jsonl`. An interrupted scan can be continued.

    Args:
        folders: one folder or several.
        manifest: the file to write.
        pattern: how to read paths: a template such as `{speaker}/*.wav` (see `path_pattern`).
        corpus: name of the corpus in `recipes/corpora` that the folders hold; it has a pattern of its own.
        source: name of the corpus if paths do not give it; empty for the name of the folder.
        language: of the speech, if paths do not give it.
        kind: speech, noise, music or rir, if paths do not give it.
        valid: share of the speakers held out for validation.
        test: share of the speakers held out for tests.
        min_seconds: shorter files are left out.
        jobs: number of processes; None for one per core.
        overwrite: whether to replace a manifest that exists.
        progress: called with the share of files that are done.
        on_unusable: called with each file that is left out.

    Raises:
        InputError: a folder or an option is wrong, no file can be used, or the manifest cannot be written.
    """
    out = Path(manifest)
    _check_target(out, overwrite)
    check_shares(valid, test)
    layout = _layout(pattern, corpus, source, language, kind)
    files = find_files([folders] if isinstance(folders, str | os.PathLike) else folders, layout)
    scan = _Scan(out)
    known, scanned_before, unusable = scan.measure(files, jobs, progress)
    unusable |= _too_short(known, min_seconds)
    left_out = [unusable[one.path] for one in files if one.path in unusable]
    listing = _name_unusable(left_out, out, on_unusable)
    usable = [replace(one, seconds=known[one.path]["seconds"]) for one in files if one.path not in unusable]
    if not usable:
        scan.forget()
        raise InputError(f"none of {len(files)} files can be used; the reasons are in {listing}")
    recordings = complete_splits(usable, valid, test)
    rows = [manifest_row(one, known[one.path]) for one in recordings]
    write_rows(out, rows, overwrite)
    scan.forget()
    problems = find_problems(rows, speakers_across(recordings))
    return Prepared(out, recordings, left_out, listing, scanned_before, summarize(rows), problems)


def _check_target(manifest: Path, overwrite: bool) -> None:
    check_name(manifest)
    if manifest.exists() and not overwrite:
        raise already_there(manifest)
    try:
        make_folder(manifest.parent)
    except OSError as error:
        raise InputError(
            f"{manifest.parent}: cannot be made ({error.strerror}); choose another place"
        ) from error


def _layout(pattern: str | None, corpus: str | None, source: str, language: str, kind: str) -> Layout:
    if corpus is None:
        return Layout(path_pattern(pattern) if pattern else None, {}, source, language, kind)
    if pattern is not None:
        raise InputError("a corpus brings its own pattern; give a corpus or a pattern")
    return layout_of(find_corpus(corpus))


def _too_short(results: Mapping[Path, Row], min_seconds: float) -> dict[Path, Unusable]:
    return {
        path: Unusable(path, "InputError", f"lasts {measured['seconds']:.3f} s, less than {min_seconds:g} s")
        for path, measured in results.items()
        if measured["seconds"] < min_seconds
    }


def check_name(manifest: Path) -> None:
    """Check that the name of a manifest is not that of another format.

    Raises:
        InputError: it is; the message gives a name that is possible.
    """
    if manifest.suffix.lower() in {".csv", *AUDIO_SUFFIXES}:
        other = manifest.with_suffix(".jsonl")
        raise InputError(f"{manifest}: a manifest is written as JSONL; name it {other}")


def find_files(folders: Sequence[str | os.PathLike[str]], layout: Layout) -> list[Recording]:
    """List every sound file of the corpus once.

    Raises:
        InputError: a folder is missing, or none of its files belongs to the corpus.
    """
    recordings: dict[Path, Recording] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; name folders of recordings")
        files, pattern = find_audio([folder]), layout.pattern
        if pattern is not None and not any(pattern.fields(file.relative_to(folder)) for file in files):
            raise InputError(
                f"{folder}: the pattern {pattern.text!r} fits none of {len(files)} files, such as"
                f" {files[0].relative_to(folder)}; it is matched to the end of such paths"
            )
        for file in files:
            recording = layout.recording(folder, file)
            if recording is not None:
                source = recording.source or real(folder).name
                recordings.setdefault(real(file), replace(recording, path=file.absolute(), source=source))
    return list(recordings.values())


class _Scan:
    """Measures files and keeps the results in a journal beside the manifest, until that is written.

    A result counts as long as size and time of change of its file are what they were before it was read.
    """

    def __init__(self, manifest: Path) -> None:
        self.path = manifest.with_name(f".{manifest.name}.journal")
        self.journal = Journal(self.path, _parse_entry)
        self._stamps: dict[Path, list[int]] = {}

    def known(self, files: Sequence[Recording]) -> dict[Path, Row]:
        """Results of an earlier scan, of files that have not changed since."""
        results = {entry["file"]: entry for entry in self.journal.entries}
        self._stamps = {one.path: [*stamp(one.path)] for one in files}
        return {
            path: results[str(path)]["result"]
            for path, now in self._stamps.items()
            if any(now) and results.get(str(path), {}).get("stamp") == now
        }

    def measure(
        self, files: Sequence[Recording], jobs: int | None, progress: Callable[[float], None]
    ) -> tuple[dict[Path, Row], int, dict[Path, Unusable]]:
        """Measure files; gives results, how many of them were known before, and what cannot be used."""
        results = self.known(files)
        before = len(results)
        paths = [one.path for one in files if one.path not in results]
        tasks = [paths[i : i + CHUNK] for i in range(0, len(paths), CHUNK)]
        unusable: dict[Path, Unusable] = {}
        for done, (number, measured) in enumerate(_run(tasks, jobs or available_cpus()), 1):
            if isinstance(measured, WorkerLost):  # the process took all files of its task with it
                text = f"its process ended early ({measured.reason}); try fewer --jobs"
                measured = [Unusable(path, "WorkerLost", text) for path in tasks[number]]
            for path, result in zip(tasks[number], measured, strict=True):
                if isinstance(result, Unusable):
                    unusable[path] = result
                else:
                    results[path] = result
                    self.journal.append({"file": str(path), "stamp": self._stamps[path], "result": result})
            progress(done / len(tasks))
        return results, before, unusable

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)


def _run(
    tasks: Sequence[Sequence[Path]], jobs: int
) -> Iterator[tuple[int, list[Row | Unusable] | WorkerLost]]:
    here = jobs == 1 or len(tasks) < 2
    with Backend("here" if here else "local", jobs).workers(len(tasks)) as workers:
        numbered = iter([(number, (task,)) for number, task in enumerate(tasks)])
        yield from spread(workers, measure_files, lambda: next(numbered, None))


def measure_files(paths: Sequence[Path]) -> list[Row | Unusable]:
    """What is measured of each file, or why it cannot be."""
    results: list[Row | Unusable] = []
    for path in paths:
        try:
            results.append(measure_file(path))
        except Exception as error:
            results.append(Unusable(path, type(error).__name__, explain(error).removeprefix(f"{path}: ")))
    return results


def measure_file(path: Path) -> Row:
    """Measure a file, with its size in bytes.

    Raises:
        InputError: it cannot be read, or is silent.
    """
    measured = asdict(measure(path))
    rounded = {name: round(value, DIGITS.get(name, 0)) for name, value in measured.items()}
    return {**rounded, "bytes": path.stat().st_size}


def manifest_row(recording: Recording, measured: Mapping[str, Any]) -> Row:
    """A line of a manifest: what is known of a recording, and what was measured."""
    named = {name: getattr(recording, name) for name in ("split", "kind", "source", "speaker", "language")}
    return {**measured, **named, "path": str(recording.path)}


def write_rows(manifest: Path, rows: Sequence[Row], overwrite: bool) -> None:
    """Write a JSONL manifest; paths of files below its folder become relative to it.

    Raises:
        InputError: it exists and is not to be overwritten, or cannot be written.
    """
    with new_file(manifest, overwrite) as part, part.open("w", encoding="utf-8") as file:
        for row in rows:
            ordered = {name: row[name] for name in ORDER if row.get(name) not in (None, "")}
            file.write(json.dumps({**ordered, "path": relative(Path(row["path"]), manifest)}) + "\n")


def relative(path: Path, manifest: Path) -> str:
    """The path as a manifest has it: relative when it is below the folder of the manifest, else absolute."""
    folder = manifest.absolute().parent
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _name_unusable(
    unusable: Sequence[Unusable], manifest: Path, on_unusable: Callable[[Unusable], None]
) -> Path | None:
    listing = manifest.with_name(f"{manifest.stem}.bad.jsonl")
    for one in unusable:
        on_unusable(one)
    if not unusable:
        listing.unlink(missing_ok=True)
        return None
    with new_file(listing, overwrite=True) as part, part.open("w", encoding="utf-8") as file:
        for one in unusable:
            row = {"path": relative(one.path, manifest), "problem": one.problem, "kind": one.kind}
            file.write(json.dumps(row) + "\n")
    return listing


def _parse_entry(entry: Any) -> Row:
    name, result = entry["file"], entry["result"]
    if not isinstance(name, str) or set(result) != MEASURED:
        raise ValueError("written by another version")
    if not all(type(value) in (int, float) and math.isfinite(value) for value in result.values()):
        raise ValueError("a result is no number")
    return {"file": name, "stamp": entry.get("stamp"), "result": result}
