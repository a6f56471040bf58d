import json
import subprocess
import sys
import unicodedata

import pytest

import audiocodec
from audiocodec.adaptation.registry import Registry, export_revision


def call(*arguments, **options):
    return subprocess.run([sys.executable, *arguments], capture_output=True, timeout=120, **options)


def test_help_needs_no_torch():
    code = (
        "import sys; sys.argv = ['audiocodec', '--help']\nfrom audiocodec.cli.main import main\ntry: main()\n"
    )
    code += "except SystemExit: pass\nprint('torch' in sys.modules, 'rich.table' in sys.modules)"
    assert call("-c", code, text=True).stdout.splitlines()[-1] == "False False"


def test_python_m_and_the_version():
    assert call("-m", "audiocodec", "--version", text=True).stdout.strip() == audiocodec.__version__


def test_no_arguments_show_the_help(run):
    result = run()
    assert result.exit_code == 2
    assert "encode" in result.stdout + result.stderr


@pytest.mark.parametrize("command", ["encode", "decode", "roundtrip", "info", "models"])
def test_every_command_has_help_with_an_example(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: audiocodec {command}" in result.stdout
    assert "--json" in result.stdout
    assert "--quiet" in result.stdout


@pytest.mark.slow
def test_processes_of_their_own(tiny_folder, speech):
    """The console as a user has it: pipes in binary, exit statuses, nothing on stderr but the error."""
    command = ["-m", "audiocodec", "encode", "--model", str(tiny_folder)]
    piped = call(*command, "-", cwd=speech.parent, input=speech.read_bytes())
    assert (piped.returncode, piped.stderr) == (0, b"")
    some = call(*command, "talk.wav", "missing.wav", cwd=speech.parent)
    assert some.returncode == 1
    assert some.stderr.decode().splitlines() == ["error: missing.wav: no such file; check the name"]
    assert (speech.parent / "talk.nac").read_bytes() == piped.stdout


def test_an_unknown_attribute_of_the_package():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        audiocodec.nonsense  # noqa: B018


def test_lazy_names_are_the_real_ones():
    from audiocodec.codec import load

    assert audiocodec.load is load


HOSTILE = "\x1b]0;owned\x07\x1b[2J\rgone\nerror \x9b31m\u202egnp"


def controls(result):
    """Control characters that a command printed, but for ends of lines."""
    text = result.stdout + result.stderr
    return {char for char in text if unicodedata.category(char) in ("Cc", "Cf") and char != "\n"}


def test_no_name_steers_the_terminal(run, speech, codec, tmp_path):
    """Names of files and of models, and reasons in a store and in what is imported into it."""
    talk, broken, store = f"{HOSTILE}.wav", f"{HOSTILE}2.wav", f"{HOSTILE}-books"
    speech.rename(tmp_path / talk)
    (tmp_path / broken).write_text("no sound")
    registry = Registry(tmp_path / store, actor=HOSTILE)
    own = codec.model.quantizer.codebooks()
    parent = registry.baseline(codec.model_id, own, model=HOSTILE).codebook_id
    new = {name: codebook + 0.1 for name, codebook in own.items()}
    identity = registry.publish(
        codec.model_id, new, parent, reason=HOSTILE, environment=HOSTILE, statistics={HOSTILE: HOSTILE}
    ).codebook_id
    (tmp_path / store / "revisions" / codec.model_id[:32] / HOSTILE).write_text("odd")
    bundle = f"{HOSTILE}.nacbook"
    export_revision(registry, identity, tmp_path / bundle, full=True)
    commands = [
        ("encode", talk, "-o", f"{HOSTILE}.nac"),
        ("encode", talk, broken, "-o", "out"),
        ("encode", f"{HOSTILE}3.wav"),
        ("decode", f"{HOSTILE}.nac", "--model", HOSTILE),
        ("info", f"{HOSTILE}.nac", broken),
        ("roundtrip", talk, "--bitrate", "600"),
        ("tokens", talk, "-o", f"{HOSTILE}.npz"),
        ("prepare", ".", "-o", f"{HOSTILE}.jsonl"),
        ("baseline", broken, "-o", "b"),
        ("encode", f"--{HOSTILE}"),
        (HOSTILE,),
        ("evaluate", "--data", talk, "-o", "scores", "--conditions", HOSTILE),
        ("train", HOSTILE, "-o", "run"),
        ("dashboard", HOSTILE, "-o", "page.html"),
        *[("codebooks", name, "--store", store) for name in ("list", "log", "verify")],
        ("codebooks", "show", identity, "--store", store),
        ("codebooks", "show", HOSTILE, "--store", store),
        ("codebooks", "import", bundle, "--store", f"{HOSTILE}-theirs"),
        ("codebooks", "import", talk, "--store", f"{HOSTILE}-theirs"),
    ]
    for command in commands:
        result = run(*command)
        assert controls(result) == set(), command
        assert "owned" in result.stdout + result.stderr, command
    for line in run("codebooks", "log", "--store", store, "--json").stdout.splitlines():
        assert json.loads(line)["actor"] == HOSTILE
