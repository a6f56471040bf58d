"""The `audiocodec` command."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from audiocodec.cli.adapt import adapt
from audiocodec.cli.baseline import baseline
from audiocodec.cli.bench import bench
from audiocodec.cli.codebooks import CODEBOOK_COMMANDS
from audiocodec.cli.dashboard import dashboard
from audiocodec.cli.decode import decode
from audiocodec.cli.encode import encode
from audiocodec.cli.evaluate import evaluate
from audiocodec.cli.export import export
from audiocodec.cli.info import info
from audiocodec.cli.models import models
from audiocodec.cli.monitor import monitor
from audiocodec.cli.parts.output import CLOSED_PIPE, failure, tell
from audiocodec.cli.prepare import prepare
from audiocodec.cli.refresh import refresh
from audiocodec.cli.roundtrip import roundtrip
from audiocodec.cli.tokens import tokens
from audiocodec.cli.train import train
from audiocodec.errors import AudioCodecError
from audiocodec.printing import print_logs_plainly, printable
from audiocodec.process import STOP_SIGNALS, stoppable


class Group(TyperGroup):
    """The commands; messages about wrong arguments repeat the arguments, so they are made printable."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As before, with errors that can be printed."""
        with _printable_usage():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """As before, with errors that can be printed."""
        with _printable_usage():
            return super().invoke(ctx)


@contextmanager
def _printable_usage() -> Generator[None]:
    try:
        yield
    except Exception as error:
        usage: Any = error
        if hasattr(error, "format_message"):  # wrong usage; Typer does not export the class
            usage.message = printable(usage.message or "")
        raise


app = typer.Typer(
    name="audiocodec",
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("audiocodec"))
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compress audio with a neural codec; train, evaluate, monitor and adapt its models."""


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The same command; our errors and those of the system become one line and exit status 1.

    When the reader of its output is gone, it ends quietly with CLOSED_PIPE.
    """

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except BrokenPipeError:
            raise SystemExit(CLOSED_PIPE) from None
        except (AudioCodecError, OSError) as error:
            tell(f"error: {failure(error, '').problem}")
            raise typer.Exit(1) from error

    return run


for one in (
    encode,
    decode,
    roundtrip,
    tokens,
    info,
    models,
    prepare,
    train,
    export,
    evaluate,
    bench,
    refresh,
    adapt,
    baseline,
    monitor,
    dashboard,
):
    app.command()(guarded(one))

codebooks = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
for name, one in CODEBOOK_COMMANDS.items():
    codebooks.command(name)(guarded(one))
app.add_typer(codebooks, name="codebooks", help="Manage the revisions of codebooks in a store.")


def main() -> None:
    """Run the command line; Ctrl-C, SIGTERM and SIGHUP end it in order, with status 128 + number."""
    print_logs_plainly()
    try:
        with stoppable():
            _run()
    except SystemExit as stopped:
        if isinstance(stopped.code, int) and stopped.code - 128 in STOP_SIGNALS:
            _leave(stopped.code)
        raise


def _leave(status: int) -> None:
    """End without the cleanup of torch, which takes a second more; open files are closed."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    os._exit(status)


def _run() -> None:
    try:
        app()
    except BrokenPipeError:
        raise SystemExit(CLOSED_PIPE) from None
    except OSError as error:
        tell(f"error: {failure(error, '').problem}")
        raise SystemExit(1) from None
    finally:
        _let_go_of_stdout()


def _let_go_of_stdout() -> None:
    """Drop output that cannot be written, or the interpreter would try again at exit and print a message."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
