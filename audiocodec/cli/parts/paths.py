"""From the inputs and `-o` of a command to pairs of files."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from audiocodec.audio.files import find_audio
from audiocodec.errors import InputError

PIPE = Path("-")


@dataclass(frozen=True)
class Item:
    """One file to do: where it comes from, where it goes, and why that cannot be if it cannot."""

    source: Path
    target: Path
    problem: InputError | None = None


def expand(inputs: Sequence[Path], suffixes: Collection[str]) -> list[tuple[Path, Path, InputError | None]]:
    """Every file meant by `inputs`, once, with its path below the folder it was found in."""
    found: dict[Path, tuple[Path, Path, InputError | None]] = {}
    for given in inputs:
        if not given.is_dir():
            found.setdefault(given.resolve(), (given, Path(given.name), missing(given)))
            continue
        try:
            inside = find_audio([given], suffixes=suffixes)
        except InputError as error:
            found.setdefault(given.resolve(), (given, Path(given.name), error))
            continue
        for file in inside:
            found.setdefault(file.resolve(), (file, file.relative_to(given), None))
    return list(found.values())


def missing(given: Path) -> InputError | None:
    """Why there is nothing to read under this name, if there is not."""
    if given == PIPE or os.path.exists(given):
        return None
    return InputError(f"{given}: no such file; check the name")


def plan(
    inputs: Sequence[Path], out: str | None, suffix: str, suffixes: Collection[str], force: bool = True
) -> list[Item]:
    """Pair every input with its output: beside it, `out` itself, or the same tree below `out`.

    Outputs that exist are a problem unless `force`.
    """
    found = expand(inputs, suffixes)
    if out == "-" and len(found) != 1:
        raise typer.BadParameter(f"{len(found)} files cannot go into one pipe; name a folder with -o")
    many = len(found) > 1 or any(given.is_dir() for given in inputs)
    folder = out is not None and out != "-" and (many or Path(out).is_dir() or out.endswith(("/", os.sep)))
    items: list[Item] = []
    taken: dict[Path, Path] = {source.resolve(): source for source, _, _ in found if source != PIPE}
    for source, below, problem in found:
        if out is None:
            target = PIPE if source == PIPE else source.with_suffix(suffix)
        elif folder:
            target = Path(out) / (Path("stdin") if source == PIPE else below).with_suffix(suffix)
        else:
            target = Path(out)
        if problem is None and target != PIPE:
            other = taken.setdefault(target.resolve(), source)
            if target.resolve() == source.resolve():
                problem = InputError(f"the output {target} is the input itself; choose another with -o")
            elif other != source:
                problem = InputError(f"the output {target} belongs to {other}; use -o with another folder")
            elif not force and os.path.isfile(target):
                text = f"{target}: exists already and is not overwritten unless asked (--force)"
                problem = InputError(text)
        items.append(Item(source, target, problem))
    return items
