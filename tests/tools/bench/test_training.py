import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

REPOSITORY = Path(__file__).parents[3]
RECIPE = """
name: small
model:
  net: {kind: spectral, dim: 8, encoder_channels: 16, encoder_blocks: 1, decoder_blocks: 1}
  quantizer: {num_quantizers: 2, codebook_size: 16}
data: {manifest: sound, segment_seconds: 0.4, batch_size: 2}
augment: {environments: hiss.yaml, folders: {noise: sound}}
loss:
  weights: {mel: 4, spectrum: 9, loudness: 1}
  window_lengths: [512]
  mel_bins: [40]
  compressed_windows: [512]
adversarial: {discriminators: {light: {window_lengths: [256], channels: 4}}}
prefix_choices: []
"""


@pytest.mark.slow
def test_it_prints_where_the_time_goes_without_and_with_discriminators(tmp_path, voice):
    (tmp_path / "sound" / "train").mkdir(parents=True)
    soundfile.write(tmp_path / "sound" / "train" / "a.wav", voice(3.0).T, 16000)
    (tmp_path / "small.yaml").write_text(RECIPE)
    (tmp_path / "hiss.yaml").write_text("environments: {hiss: {effects: [{kind: noise, snr_db: 5}]}}\n")
    script = str(REPOSITORY / "tools" / "bench" / "training.py")
    options = ["small.yaml", "--model", "random", "--steps", "2", "--against", "light", "seed=3"]
    environment = {"COLUMNS": "120", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script, *options],
        capture_output=True, text=True, timeout=300, cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    plain, against, losses = done.stdout.split("┓")[1:]
    rows = {line.split("│")[1].strip(): line.split("│")[2:-1] for line in plain.splitlines() if "│" in line}
    for part in ("encoder", "quantizer", "decoder", "losses"):
        assert float(rows[part][0]) > 0
        assert float(rows[f"{part}, backward"][0]) > 0
    assert float(rows["augmentation"][0]) > 0
    assert sum(float(cells[1].split()[0]) for cells in rows.values() if "%" in cells[1]) == pytest.approx(
        100, abs=1
    )
    assert "x real time" in rows["without drawing"][1]
    assert "MB" in rows["largest memory so far"][0]
    assert "discriminators" in against
    assert [name for name in ("mel", "spectrum", "loudness") if name not in losses] == []
