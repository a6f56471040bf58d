"""From the inputs and `-o` of a command to pairs of files."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from audiocodec.audio.files import list_audio, no_audio, unreadable
from audiocodec.errors import InputError
from audiocodec.storage import already_there, real

PIPE = Path("-")


@dataclass(frozen=True)
class Item:
    """One file to do: where it comes from, where it goes, and why that cannot be if it cannot."""

    source: Path
    target: Path
    problem: InputError | None = None


def expand(inputs: Sequence[Path], suffixes: Collection[str]) -> list[tuple[Path, Path, InputError | None]]:
    """Every file meant by `inputs`, once, with its path below the folder it was found in.

    Two names of one file are two files. Sound in a folder that cannot be read has a problem.
    """
    found: dict[Path, tuple[Path, Path, InputError | None]] = {}
    for given in inputs:
        if not given.is_dir():
            found.setdefault(_whole(given), (given, Path(given.name), missing(given)))
            continue
        inside, skipped = list_audio(given, suffixes=suffixes)
        if not inside:
            found.setdefault(_whole(given), (given, Path(given.name), no_audio(given, suffixes)))
        for file in inside:
            found.setdefault(_whole(file), (file, file.relative_to(given), None))
        for file in skipped:
            found.setdefault(_whole(file), (file, file.relative_to(given), unreadable(file)))
    return list(found.values())


def missing(given: Path) -> InputError | None:
    """Why there is nothing to read under this name, if there is not."""
    if given == PIPE or os.path.exists(given):
        return None
    return InputError(f"{given}: no such file; check the name")


def _whole(path: Path) -> Path:
    """A path from the root on, links as they are."""
    return Path(os.path.abspath(path))


def plan(
    inputs: Sequence[Path], out: str | None, suffix: str, suffixes: Collection[str], force: bool = True
) -> list[Item]:
    """Pair every input with its output: beside it, `out` itself, or the same tree below `out`.

    Inputs that differ in their ending alone keep it: of a.wav and a.flac come a.wav.nac and a.flac.nac.
    Outputs that exist are a problem unless `force`.
    """
    found = expand(inputs, suffixes)
    if out == "-" and len(found) != 1:
        raise typer.BadParameter(f"{len(found)} files cannot go into one pipe; name a folder with -o")
    many = len(found) > 1 or any(given.is_dir() for given in inputs)
    folder = out is not None and out != "-" and (many or Path(out).is_dir() or out.endswith(("/", os.sep)))
    if out is not None and not folder and Path(out).suffix.lower() in {*suffixes} - {suffix}:
        raise typer.BadParameter(
            f"-o {out}: that is the ending of an input; name the output {Path(out).with_suffix(suffix)}"
        )
    targets = [_target(source, below, out, folder, suffix) for source, below, _ in found]
    wanted: dict[Path, set[str]] = {}
    for (_, below, _), target in zip(found, targets, strict=True):
        wanted.setdefault(_whole(target), set()).add(below.name)
    items: list[Item] = []
    taken: dict[Path, Path] = {real(source): source for source, _, _ in found if source != PIPE}
    for (source, below, problem), target in zip(found, targets, strict=True):
        if problem is None and target != PIPE:
            if len(wanted[_whole(target)]) > 1:
                target = target.with_name(below.name + suffix)
            other = taken.setdefault(real(target), source)
            if real(target) == real(source):
                problem = InputError(f"the output {target} is the input itself; choose another with -o")
            elif other != source:
                problem = InputError(f"the output {target} belongs to {other}; use -o with another folder")
            elif not force and os.path.isfile(target):
                problem = already_there(target)
        items.append(Item(source, target, problem))
    return items


def _target(source: Path, below: Path, out: str | None, folder: bool, suffix: str) -> Path:
    if out is None:
        return PIPE if source == PIPE else source.with_suffix(suffix)
    if folder:
        return Path(out) / (Path("stdin") if source == PIPE else below).with_suffix(suffix)
    return Path(out)
