import subprocess
import sys

import pytest

import audiocodec


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
