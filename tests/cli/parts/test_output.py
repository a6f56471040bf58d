import errno
import json
import unicodedata

import pytest
import typer

from audiocodec.cli.parts.output import Failure, Output, failure, tell
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


HOSTILE = "\x1b]0;owned\x07\x1b[2J\rgone\nerror: \x9b31m\x7f\u202egnp.\u2028\u200b"


def controls(text):
    """What is left of control characters, but for ends of lines."""
    return [char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") and char != "\n"]


def test_nothing_that_is_named_reaches_the_terminal_as_it_is(capsys):
    output = Output()
    output.say(f"say {HOSTILE}")
    output.result({}, f"result {HOSTILE}")
    output.table(("file", HOSTILE), [(HOSTILE, 1)])
    output.error(f"{HOSTILE}.wav", failure(BitstreamError(HOSTILE), ""))
    output.warn(HOSTILE, HOSTILE)
    tell(HOSTILE)
    out, err = capsys.readouterr()
    assert controls(out + err) == []
    assert out.count("\n") == 4
    assert err.count("\n") == 3
    assert out.startswith(r"say \x1b]0;owned\x07\x1b[2J\rgone\nerror: \x9b31m\x7f\u202egnp.\u2028\u200b")


def test_ordinary_names_stay_as_they_are(capsys):
    name = "Café 漢字\u3000かな עברית नमस्ते می\u200cشود 👩\u200d🚀.wav"  # a wide space and joiners
    Output().say(name)
    Output().table(("file",), [(name,)])
    assert capsys.readouterr().out.count(name) == 2


def test_json_is_ascii_without_controls(capsys):
    Output(as_json=True).result({HOSTILE: HOSTILE})
    Output(as_json=True).error(HOSTILE, Failure("X", HOSTILE))
    out, err = capsys.readouterr()
    assert out.isascii()
    assert controls(out + err) == []
    first, second = map(json.loads, out.splitlines())
    assert first == {HOSTILE: HOSTILE}
    assert (second["file"], second["error"]) == (HOSTILE, HOSTILE)


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
