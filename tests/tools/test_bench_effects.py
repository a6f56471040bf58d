import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
def test_it_prints_costs_and_what_is_missing(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).standard_normal(16000) * 0.1, 16000)
    (tmp_path / "m.csv").write_text("path,kind\na.wav,noise\n")
    command = [sys.executable, str(REPOSITORY / "tools" / "bench_effects.py"), str(tmp_path / "m.csv")]
    done = subprocess.run([*command, "--examples", "2"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split() for line in reversed(done.stdout.splitlines()) if line.split()}
    assert 0 < float(rows["noise"][-1]) < 1000
    assert "no recording of kind rir" in " ".join(rows["room"])
