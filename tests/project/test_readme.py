"""The Python of the README runs as it stands, one block after the other, beside a file `speech.wav`."""

import re
from pathlib import Path

import soundfile

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text()


def test_python_blocks_run(tmp_path, monkeypatch):
    wav, rate = soundfile.read(REPOSITORY / "tests" / "data" / "ls_2033_001.flac", stop=32000)
    soundfile.write(tmp_path / "speech.wav", wav, rate)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    names = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"README block {number}", "exec"), names)
    assert names["decoded"].shape == (1, 32000)
    assert names["sample_rate"] == rate


def test_commands_exist():
    commands = re.findall(r"^\| `(\w+)` \| `audiocodec (\w+)", README, re.MULTILINE)
    assert commands
    from audiocodec.cli.main import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    assert {name for row in commands for name in row} <= known


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z]+)\b", README)) <= targets
