import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
def test_demo_writes_sounds_files_and_one_picture(tmp_path, tiny_folder):
    ladder = "600,1200"  # two steps of the tiny model
    command = [sys.executable, str(REPOSITORY / "tools" / "demo.py"), "--model", str(tiny_folder)]
    done = subprocess.run(
        [*command, "--bitrates", ladder, "--output", str(tmp_path / "out")],
        capture_output=True, text=True, cwd=tmp_path, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "PESQ-WB" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "ls_2033_001-1200.nac", "ls_2033_001-1200.wav", "ls_2033_001-600.nac", "ls_2033_001-600.wav",
        "ls_2033_001-original.wav", "spectrograms.png",
    ]  # fmt: skip
    lengths = {soundfile.info(path).frames for path in (tmp_path / "out").glob("*.wav")}
    assert lengths == {71360}
    assert (tmp_path / "out" / "spectrograms.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
