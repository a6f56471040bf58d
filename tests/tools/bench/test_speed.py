import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.slow
def test_it_prints_speed_and_memory(tiny_folder):
    command = [sys.executable, str(REPOSITORY / "tools" / "bench" / "speed.py"), "--model", str(tiny_folder)]
    done = subprocess.run(
        [*command, "--seconds", "2", "--hours", "0.0167"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    words = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in words if row] == [
        "tiny,", "bit/s", "300", "1500", "2400", "command", "encode", "decode", "size",
    ]  # fmt: skip
    assert float(words[6][3]) > 50
