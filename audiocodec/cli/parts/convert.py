"""One file in, one file out, many times: what `encode` and `decode` have in common."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import typer

from audiocodec.audio.files import as_file
from audiocodec.cli.parts.jobs import Work, run
from audiocodec.cli.parts.output import Failure, Output, failure, send
from audiocodec.cli.parts.paths import PIPE, Item
from audiocodec.errors import AudioCodecError, InputError
from audiocodec.work import Backend


@contextmanager
def files(item: Item, suffix: str) -> Generator[tuple[Path, Path]]:
    """Real files to read and write in place of pipes; what was written for a pipe goes there at the end.

    `suffix` is the ending of the file that stands for an output pipe.
    """
    with ExitStack() as stack:
        source, target = stack.enter_context(as_file(item.source)), item.target
        if target == PIPE:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="audiocodec-"))
            target = Path(folder) / f"stdout{suffix}"
        else:
            make_folder(target.parent)
        try:
            yield source, target
        except AudioCodecError as error:
            text = str(error).replace(str(source), str(item.source)).replace(str(target), str(item.target))
            error.args = (text,)
            raise
        if item.target == PIPE:
            with target.open("rb") as file:
                send(file)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises:
        InputError: that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made ({error.strerror}); choose another place with -o"
        ) from error


class _Ear(logging.Handler):
    """Keeps what readers and writers of sound have to say about a file, without its name."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it once, however often a file is read."""
        text = record.args[-1] if isinstance(record.args, tuple) and record.args else record.getMessage()
        self.heard[str(text)] = None


def hearing(work: Work[dict[str, Any]], task: Any, progress: Callable[[float], None]) -> dict[str, Any]:
    """Do `work`; its warnings get what was logged about sound files, where the names are those of copies."""
    logger, ear = logging.getLogger("audiocodec.audio"), _Ear()
    logger.addHandler(ear)
    passed_on, logger.propagate = logger.propagate, False
    try:
        result = work(task, progress)
    finally:
        logger.removeHandler(ear)
        logger.propagate = passed_on
    return {**result, "warnings": [*ear.heard, *result.get("warnings", ())]}


def convert(
    work: Work[dict[str, Any]],
    load: Callable[[], Callable[[Item], Any]],
    items: Sequence[Item],
    backend: Backend,
    output: Output,
    line: Callable[[dict[str, Any]], str],
) -> None:
    """Do `work` on the task of every item, print a line or JSON object for each, and set the exit status.

    `load` loads what all need, and gives what makes a task of an item; it is called if there is one to do.
    """
    if any(item.target == PIPE for item in items):
        if output.as_json:
            raise typer.BadParameter("--json and the result cannot share the pipe; name a file with -o")
        output.quiet = True
    for item in items:
        if item.problem is not None:
            output.error(item.source, failure(item.problem, item.source))
    todo = [item for item in items if item.problem is None]
    names = [item.source for item in todo]
    tasks = list(map(load(), todo)) if todo else []
    with closing(run(partial(hearing, work), tasks, names, backend, output, "files")) as results:
        for number, result in results:
            if isinstance(result, Failure):
                output.error(names[number], result)
                continue
            for text in result["warnings"]:
                output.warn(names[number], text)
            output.result(result, line(result))
    output.finish()
