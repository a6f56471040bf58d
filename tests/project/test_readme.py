"""The Python of the README and of two guides runs as it stands, block after block."""

import re
from pathlib import Path

import soundfile

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text()


def test_python_blocks_run(tmp_path, monkeypatch):
    wav, rate = soundfile.read(REPOSITORY / "tests" / "data" / "ls_2033_001.flac", stop=32000)
    for name in ("speech.wav", "talk.wav"):
        soundfile.write(tmp_path / name, wav, rate)
    monkeypatch.chdir(tmp_path)
    names = {}
    for page in ("README.md", "docs/guide/compress.md", "docs/guide/tokens.md"):
        text = (REPOSITORY / page).read_text()
        blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        assert blocks, page
        for number, block in enumerate(blocks):
            exec(compile(block, f"{page} block {number}", "exec"), names)
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
