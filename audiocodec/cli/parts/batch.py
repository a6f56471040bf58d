"""Many files in, one file out for each: which they are, where each result goes, and doing them all.

A file that fails is named and never stops the others.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import typer

from audiocodec import audio
from audiocodec.audio.files import as_file, list_audio, no_audio, unreadable
from audiocodec.cli.parts.output import Failure, Output, failure, send
from audiocodec.errors import AudioCodecError, InputError
from audiocodec.storage import already_there, make_output_folder, real
from audiocodec.work import Backend, WorkerLost, spread

T = TypeVar("T")

Work = Callable[[Any, Callable[[float], None]], T]
"""Does one task; calls the second argument with the share that is done. Must be importable by name."""

PIPE = Path("-")


@dataclass(frozen=True)
class Item:
    """One file to process: input, output, and the problem if it cannot be processed."""

    source: Path
    target: Path
    problem: InputError | None = None


class Input(NamedTuple):
    """One file that an input names, its path below the input folder, and the problem if it cannot be read."""

    source: Path
    below: Path
    problem: InputError | None = None


def expand(inputs: Sequence[Path], suffixes: Collection[str]) -> list[Input]:
    """Each file that `inputs` name, once, with its path below the input folder.

    Two names of one file are two files. Sound files in a folder that cannot be read have a problem.
    """
    files: dict[Path, Input] = {}
    for given in inputs:
        if not given.is_dir():
            files.setdefault(_whole(given), Input(given, Path(given.name), missing(given)))
            continue
        inside, skipped = list_audio(given, suffixes=suffixes)
        if not inside:
            files.setdefault(_whole(given), Input(given, Path(given.name), no_audio(given, suffixes)))
        for file in inside:
            files.setdefault(_whole(file), Input(file, file.relative_to(given)))
        for file in skipped:
            files.setdefault(_whole(file), Input(file, file.relative_to(given), unreadable(file)))
    return list(files.values())


def missing(given: Path) -> InputError | None:
    """The problem if there is no such file."""
    if given == PIPE or os.path.exists(given):
        return None
    return InputError(f"{given}: no such file; check the name")


def _whole(path: Path) -> Path:
    """An absolute path; links are kept."""
    return Path(os.path.abspath(path))


def plan(
    inputs: Sequence[Path], out: str | None, suffix: str, suffixes: Collection[str], force: bool = True
) -> list[Item]:
    """Pair every input with its output: beside the input, `out` itself, or the same path below `out`.

    Inputs that differ in their suffix only keep it: a.wav and a.flac give a.wav.nac and a.flac.nac. Outputs
    that exist are a problem unless `force`.
    """
    files = expand(inputs, suffixes)
    if out == "-" and len(files) != 1:
        raise typer.BadParameter(f"{len(files)} files cannot go into one pipe; name a folder with -o")
    many = len(files) > 1 or any(given.is_dir() for given in inputs)
    folder = out is not None and out != "-" and (many or Path(out).is_dir() or out.endswith(("/", os.sep)))
    if out is not None and not folder and Path(out).suffix.lower() in {*suffixes} - {suffix}:
        raise typer.BadParameter(
            f"-o {out}: that is the ending of an input; name the output {Path(out).with_suffix(suffix)}"
        )
    targets = [_target(source, below, out, folder, suffix) for source, below, _ in files]
    wanted: dict[Path, set[str]] = {}
    for (_, below, _), target in zip(files, targets, strict=True):
        wanted.setdefault(_whole(target), set()).add(below.name)
    items: list[Item] = []
    taken: dict[Path, Path] = {real(source): source for source, _, _ in files if source != PIPE}
    for (source, below, problem), target in zip(files, targets, strict=True):
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


def fit_for_cluster(item: Item, force: bool) -> Item:
    """The same item with absolute paths, with a problem if the output exists, unless `force`.

    Workers then always replace outputs: one that repeats a file of a dead worker may find its output.
    """
    if PIPE in (item.source, item.target):
        raise typer.BadParameter("a pipe cannot be read on a cluster; name files, and a folder with -o")
    problem = item.problem
    if problem is None and item.target.exists() and not force:
        problem = already_there(item.target)
    return Item(real(item.source), real(item.target), problem)


def whole_path(name: str | None) -> str | None:
    """The name of a pretrained model, or the absolute path of another one."""
    return str(Path(name).resolve()) if name is not None and Path(name).exists() else name


@contextmanager
def open_source(path: Path, strict: bool = False) -> Generator[Path]:
    """A real file to read in place of a pipe; with `strict`, sound that is cut off is refused.

    Raises:
        InputError: the sound ends before the length in its header.
    """
    with as_file(path) as source:
        if strict and (problem := audio.info(source).problem):
            raise InputError(f"{path}: {problem}; get a whole copy, or leave out --strict")
        yield source


@contextmanager
def open_item(item: Item, suffix: str, strict: bool = False) -> Generator[tuple[Path, Path]]:
    """Real files to read and write in place of pipes; output for a pipe is sent there at the end.

    `suffix` is that of the file that stands for an output pipe. `strict` is that of `open_source`.
    """
    with ExitStack() as stack:
        source, target = stack.enter_context(open_source(item.source, strict)), item.target
        if target == PIPE:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="audiocodec-"))
            target = Path(folder) / f"stdout{suffix}"
        else:
            make_output_folder(target.parent)
        try:
            yield source, target
        except AudioCodecError as error:
            text = str(error).replace(str(source), str(item.source)).replace(str(target), str(item.target))
            error.args = (text,)
            raise
        if item.target == PIPE:
            with target.open("rb") as file:
                send(file)


class _Warnings(logging.Handler):
    """Keeps what is logged about sound files, without their names."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it once, however often a file is read."""
        text = record.args[-1] if isinstance(record.args, tuple) and record.args else record.getMessage()
        self.texts[str(text)] = None


def _with_warnings(
    work: Work[dict[str, Any]], task: Any, progress: Callable[[float], None]
) -> dict[str, Any]:
    """Do `work`; what is logged about sound files is added to its warnings, as logs name temporary copies."""
    logger, warnings = logging.getLogger("audiocodec.audio"), _Warnings()
    logger.addHandler(warnings)
    propagate, logger.propagate = logger.propagate, False
    try:
        result = work(task, progress)
    finally:
        logger.removeHandler(warnings)
        logger.propagate = propagate
    return {**result, "warnings": [*warnings.texts, *result.get("warnings", ())]}


def convert(
    work: Work[dict[str, Any]],
    load: Callable[[], Callable[[Item], Any]],
    items: Sequence[Item],
    backend: Backend,
    output: Output,
    line: Callable[[dict[str, Any]], str],
) -> None:
    """Do `work` for every item, print a line or JSON object for each, and set the exit status.

    `load` is called if there is anything to do; it loads the model and returns a function that makes the task
    of an item.
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
    with closing(run(partial(_with_warnings, work), tasks, names, backend, output, "files")) as results:
        for number, result in results:
            if isinstance(result, Failure):
                output.error(names[number], result)
                continue
            for text in result["warnings"]:
                output.warn(names[number], text)
            output.result(result, line(result))
    output.finish()


def run(
    work: Work[T], tasks: Sequence[Any], names: Sequence[Any], backend: Backend, output: Output, title: str
) -> Generator[tuple[int, T | Failure]]:
    """Do all tasks; gives (number of the task, result or failure) as they end. `names` are for messages.

    One job or one task needs no process of its own. Close the generator when leaving it early
    (`contextlib.closing`), so that its processes end at once.
    """
    if backend.kind == "local" and (backend.jobs == 1 or len(tasks) < 2):
        backend = Backend("here")
    with output.progress(title, len(tasks)) as show, backend.workers(len(tasks)) as workers:
        calls = enumerate((work, *task) for task in zip(tasks, names, strict=True))
        if backend.kind == "here":  # no other process can show how much of a task is done
            calls = ((number, (*call, partial(_show_share, show, number))) for number, call in calls)
        for done, (number, result) in enumerate(spread(workers, _try, lambda: next(calls, None)), 1):
            yield number, _lost(result) if isinstance(result, WorkerLost) else result
            show(done)


def _show_share(show: Callable[[float], None], done: int, share: float) -> None:
    show(done + share)


def _lost(lost: WorkerLost) -> Failure:
    """What became of a task whose process died, perhaps for lack of memory."""
    if lost.exit_code is None:
        return Failure("WorkerLost", f"its worker died ({lost.reason})")
    return Failure("WorkerLost", f"its process ended early ({lost.reason}); try fewer --jobs")


def _try(work: Work[T], task: Any, name: Any, progress: Callable[[float], None] | None = None) -> T | Failure:
    try:
        return work(task, progress or (lambda share: None))
    except Exception as error:
        return failure(error, name)


def check_there(paths: Iterable[Path]) -> None:
    """Check that files and folders exist.

    Raises:
        InputError: one is not.
    """
    for path in paths:
        problem = missing(path)
        if problem is not None:
            raise problem


def check_new(path: Path, force: bool) -> None:
    """Check that a file may be written.

    Raises:
        InputError: it is there already, and `force` is not given.
    """
    if path.exists() and not force:
        raise already_there(path)


def end_if_none(inputs: Sequence[tuple[Path, InputError | None]], output: Output) -> None:
    """End the command and print the reasons, if none of the inputs can be used."""
    problems = [(source, problem) for source, problem in inputs if problem is not None]
    if len(problems) == len(inputs):
        for source, problem in problems:
            output.error(source, failure(problem, source))
        output.finish()
