import errno
import json

import pytest
import typer

from audiocodec.cli.parts.output import Failure, Output, failure
from audiocodec.errors import BitstreamError


def test_a_failure_is_one_line_without_the_name():
    assert failure(BitstreamError("a.nac: cut\n  off"), "a.nac") == Failure("BitstreamError", "cut off")
    assert (
        failure(MemoryError(), "a.nac").problem
        == "internal error: MemoryError: MemoryError; please report it"
    )


def test_status(capsys):
    output = Output()
    output.finish()
    output.error("a", Failure("X", "why"))
    with pytest.raises(typer.Exit) as caught:
        output.finish()
    assert caught.value.exit_code == 1
    assert capsys.readouterr() == ("", "error: a: why\n")


def test_json_is_all_there_is_on_stdout(capsys):
    output = Output(as_json=True)
    output.say("hello")
    output.table(("a",), [(1,)])
    output.result({"a": 1.5}, "for people")
    output.error("b", Failure("X", "why"))
    out, err = capsys.readouterr()
    assert [json.loads(line) for line in out.splitlines()] == [
        {"a": 1.5},
        {"file": "b", "error": "why", "kind": "X"},
    ]
    assert err == "error: b: why\n"


def test_numbers_that_are_none_never_reach_json():
    with pytest.raises(ValueError, match="JSON"):
        Output(as_json=True).result({"a": float("nan")})


def test_names_that_are_no_text(capsys):
    name = b"caf\xe9.wav".decode(errors="surrogateescape")
    Output().error(name, Failure("X", "why"))
    Output().table(("file",), [(name,)])
    Output(as_json=True).result({"file": name})
    out, err = capsys.readouterr()
    assert "caf" in out
    assert "caf" in err
    assert json.loads(out.splitlines()[-1])["file"] == name


def test_markup_in_names_is_printed_as_it_is(capsys):
    Output().table(("file",), [("[red]a[/red].wav",)])
    assert "[red]a[/red].wav" in capsys.readouterr().out


def test_no_progress_bar_unless_stderr_is_a_terminal(capsys):
    with Output().progress("files", 3) as show:
        show(1.5)
    assert capsys.readouterr() == ("", "")


def test_errors_of_the_system_are_in_its_words_and_no_bugs():
    full = OSError(errno.ENOSPC, "No space left on device", "/tmp/x")
    assert failure(full, "a.wav").problem == (
        "/tmp/x: No space left on device; free some space, or set TMPDIR to a folder that has some"
    )
    assert (
        failure(PermissionError(errno.EACCES, "Permission denied", "b"), "").problem == "b: Permission denied"
    )
