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
"""Exit status when nobody reads stdout any more: 128 + SIGPIPE, which shells show of other Unix tools."""
WIDE = 200
"""Columns of a table that is not printed to a terminal, so that nothing is cut off."""


@dataclass(frozen=True)
class Failure:
    """Why a file could not be done: name of the exception and one line of text, without the file's name."""

    kind: str
    problem: str


def failure(error: Exception, file: Path | str) -> Failure:
    """Put an exception into one line, as `explain`; an internal error asks to be reported."""
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
        """`quiet` leaves errors and JSON."""
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
        """Print a table for people; numbers are set to the right."""
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
        """Name a file that could not be done; in JSON it is a result as well."""
        self.failed += 1
        tell(f"error: {file}: {failed.problem}")
        if self.as_json:
            typer.echo(_json({"file": str(file), "error": failed.problem, "kind": failed.kind}))

    def warn(self, file: Path | str, text: str) -> None:
        """Say something about a file that was done."""
        tell(f"warning: {file}: {text}")

    @contextmanager
    def progress(self, title: str, total: float) -> Generator[Callable[[float], None]]:
        """Show a bar on stderr, if that is a terminal; the function given takes the number of files done."""
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
    """Copy a file to stdout; when nobody reads that any more, end with CLOSED_PIPE.

    Raises:
        InputError: it cannot be written, as when it goes to a full disk.
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
