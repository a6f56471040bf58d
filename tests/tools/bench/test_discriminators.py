import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.slow
def test_it_prints_a_row_for_each_kind_whole_and_cropped():
    script = str(REPOSITORY / "tools" / "bench" / "discriminators.py")
    sizes = ["--recipe", "tiny", "--kinds", "light", "--batch", "1", "--seconds", "0.4", "--crop", "0.1"]
    done = subprocess.run([sys.executable, script, *sizes], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.strip()]
    assert [row[0] for row in rows] == ["part", "codec", "loudness", "light", "light,"]
    assert rows[1][-1] == "1.00"
    assert rows[3][1] == "288,774"
    assert 0 < float(rows[4][-1]) < float(rows[3][-1])
