"""What a command prints: results on stdout, for people or as JSON lines; errors and progress on stderr.

All text for people goes through `printable`, as names of files and what is in them may hold anything.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import typer

from audiocodec.errors import INTERNAL, InputError, explain
from audiocodec.printing import printable

CLOSED_PIPE = 141
"""Exit status when the reader of stdout is gone: 128 + SIGPIPE, as shells report for other Unix tools."""
WIDE = 200
"""Width of a table that is not printed to a terminal, so that nothing is cut off."""


@dataclass(frozen=True)
class Failure:
    """Why a file failed: name of the exception, and one line of text without the name of the file."""

    kind: str
    problem: str


def failure(error: Exception, file: Path | str) -> Failure:
    """An exception as one line of `explain`; an internal error asks to be reported."""
    problem = explain(error)
    if problem.startswith(INTERNAL):
        problem += "; please report it"
    return Failure(type(error).__name__, problem.removeprefix(f"{file}: "))


def tell(line: str) -> None:
    """Print a line on stderr."""
    typer.echo(printable(line), err=True)


class Output:
    """Prints results as they come and counts failures, which decide the exit status."""

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        """With `quiet`, only errors and JSON are printed."""
        self.as_json, self.quiet = as_json, quiet
        self.failed = 0

    def result(self, record: Mapping[str, Any], line: str = "") -> None:
        """Print one result: `record` as JSON, or `line` for people."""
        if self.as_json:
            typer.echo(_json(record))
        elif line:
            self.say(line)

    def say(self, line: str) -> None:
        """Print a line for people."""
        if not (self.as_json or self.quiet):
            typer.echo(printable(line))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Print a table for people; numbers are aligned to the right."""
        if self.as_json or self.quiet or not rows:
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for number, column in enumerate(columns):
            right = all(isinstance(row[number], int | float) or row[number] is None for row in rows)
            table.add_column(Text(printable(column)), justify="right" if right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(_cell(value)) for value in row))
        console = Console(width=None if sys.stdout.isatty() else WIDE)
        try:
            console.print(table)
        except SystemExit:  # what rich makes of a closed pipe, with a status of its own
            raise SystemExit(CLOSED_PIPE) from None

    def error(self, file: Path | str, failed: Failure) -> None:
        """Print why a file failed; with JSON it is a result as well."""
        self.failed += 1
        tell(f"error: {file}: {failed.problem}")
        if self.as_json:
            typer.echo(_json({"file": str(file), "error": failed.problem, "kind": failed.kind}))

    def warn(self, file: Path | str, text: str) -> None:
        """Print a warning about a file that succeeded."""
        tell(f"warning: {file}: {text}")

    @contextmanager
    def progress(self, title: str, total: float) -> Generator[Callable[[float], None]]:
        """Show a bar on stderr if it is a terminal; the function it yields takes the number of files done."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda done: None
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(title, total=total)
            yield lambda done: bar.update(task, completed=done)

    def finish(self) -> None:
        """End the command, with exit status 1 when something failed."""
        if self.failed:
            raise typer.Exit(1)


def send(file: BinaryIO) -> None:
    """Copy a file to stdout; when its reader is gone, end with CLOSED_PIPE.

    Raises:
        InputError: stdout cannot be written, for example because a disk is full.
    """
    try:
        shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise SystemExit(CLOSED_PIPE) from None
    except OSError as error:
        raise InputError(
            f"stdout cannot be written ({error.strerror}); free some space where it goes"
        ) from error


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else printable(str(value))


def _json(record: Mapping[str, Any]) -> str:
    """One line of ASCII without controls: JSON leaves DEL as it is."""
    return json.dumps(record, allow_nan=False).replace("\x7f", "\\u007f")
