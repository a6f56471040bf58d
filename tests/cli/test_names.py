"""Names that file systems take and programs trip over: long ones, bytes that are no text, line ends."""

import os
import sys

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
NAMES = [
    "漢" * 80, "é" * 60 + "\N{GRINNING FACE}", "a" * 251,
    "new\nline", "-dash", " space ", "[bold]x", "100%s{0}",
    "tab\tq'\"$(x)", "\x1b]0;evil\x07", "con", "a.b.c", "rtl\u202efdp", "*", "?", "\\", "~", "#", "\x7f",
]  # fmt: skip


def random_names(count):
    """Any bytes but those of no name; hidden files are left out by commands."""
    rng = np.random.default_rng(0)
    names = (rng.choice(np.setdiff1d(np.arange(1, 256), [47]), rng.integers(1, 200)) for _ in range(count))
    return [os.fsdecode(b"x" + bytes(name.astype(np.uint8).tolist())) for name in names]


@pytest.fixture(params=[pytest.param(8, id="quick"), pytest.param(400, id="many", marks=pytest.mark.slow)])
def folder(request, tmp_path, voice):
    """`sounds` with files of odd names, also of folders; how many there are."""
    soundfile.write(tmp_path / "talk.wav", voice(0.4).T, 16000)
    sound = (tmp_path / "talk.wav").read_bytes()
    names = [*NAMES, *random_names(request.param)]
    names = [os.path.join("sounds", *parts) for parts in [(f"{name}.wav",) for name in names]]
    names += [os.path.join("sounds", os.fsdecode(b"caf\xe9"), "new\nline", "deep.wav")]
    for name in names:
        os.makedirs(tmp_path / os.path.dirname(name), exist_ok=True)
        (tmp_path / name).write_bytes(sound)
    return len(names)


def test_every_command_takes_every_name(run, place, folder, tmp_path, rows):
    def count(name, suffix):
        return len(list((tmp_path / name).rglob(f"*{suffix}")))

    for command, suffix in (
        (["encode", "sounds", "-o", "streams"], ".nac"),
        (["decode", "streams", "-o", "decoded"], ".wav"),
        (["tokens", "sounds", "-o", "codes"], ".npz"),
        (["tokens", "codes", "--back", "-o", "back"], ".wav"),
    ):
        done = run(*command, "--json")
        assert (done.exit_code, done.stderr) == (0, ""), command
        assert count(command[-1], suffix) == folder
        assert {row["output"] for row in rows(done)} == {
            str(path.relative_to(tmp_path)) for path in (tmp_path / command[-1]).rglob(f"*{suffix}")
        }
    assert len(rows(run("info", "streams", "--json"))) == folder
    for command in (
        ["prepare", "sounds", "-o", "list.jsonl"],
        ["evaluate", "--data", "list.jsonl", "--split", "all", "-o", "results", "--conditions", "clean",
         "--metrics", "si_sdr", "--model", "tiny", "--limit", "3"],
        ["train", "tiny.yaml", "-o", "run", "data.manifest=list.jsonl", "steps=1", "data.segment_seconds=0.3",
         "validate_seconds=0"],
    ):  # fmt: skip
        done = run(*command, "-q")
        assert done.exit_code == 0, done.stderr


def test_names_that_no_file_can_have_are_our_own_errors(run, speech, tmp_path):
    long = "x" * 300 + ".wav"
    for command in (
        ["encode", long], ["encode", speech, "-o", long], ["decode", long], ["info", long],
        ["roundtrip", long], ["tokens", long, "-o", "x"], ["prepare", long, "-o", "a.jsonl"],
        ["encode", speech, "--model", long], ["encode", speech, "--store", long],
        ["monitor", speech, "--baseline", long], ["baseline", long, "-o", "b"], ["train", long],
        ["train", "speech-16k", "-o", long], ["evaluate", "--data", long, "-o", "e"],
        ["refresh", long, "--store", "books"], ["codebooks", "list", "--store", long], ["dashboard", long],
        ["export", long, "-o", "m"], ["adapt", "--watch", long, "--store", "books", "--once"],
        ["bench", long],
    ):  # fmt: skip
        done = run(*command)
        assert done.exit_code in (1, 2), command
        assert "internal error" not in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob(".*"))


def test_links_that_go_round_in_a_circle(run, speech, tmp_path):
    for name in ("loop.wav", "loop.nac", "loop.yaml"):
        (tmp_path / name).symlink_to(tmp_path / name)
    for command in (
        ["encode", "loop.wav"], ["encode", speech, "-o", "loop.nac"], ["encode", ".", "-o", "out"],
        ["info", "."], ["decode", "loop.nac"],
        ["train", "./loop.yaml"], ["encode", speech, "--model", "loop.nac"],
        ["prepare", ".", "-o", "loop.nac"], ["baseline", "loop.wav", "-o", "b.safetensors"],
    ):  # fmt: skip
        done = run(*command)
        assert done.exit_code == 1, command
        assert "error: " in done.stderr
    assert (tmp_path / "out" / "talk.nac").exists()
