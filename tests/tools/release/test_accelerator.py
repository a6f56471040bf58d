"""The drill for a machine that is lent, end to end on the CPU, with the samples held as a GPU would."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from audiocodec.codec import load
from tools.release import accelerator

SMALL = [
    "model.net={kind: spectral, dim: 16, encoder_channels: 32, encoder_blocks: 1, decoder_blocks: 1}",
    "model.quantizer.num_quantizers=2",
    "model.quantizer.codebook_size=32",
    "data.segment_seconds=0.5",
    "data.batch_size=2",
    "data.on_device=always",
    "prefix_choices=[1,2]",
    "start=random",
    "log_every=2",
]
MISSING = (
    "librosa",
    "pesq",
    "pystoi",
    "accelerate",
    "pandas",
    "pyroomacoustics",
    "matplotlib",
)
"""What a lent machine may not have; soundfile and soxr are brought."""


@pytest.fixture(name="arrived")
def _arrived(voice, tmp_path):
    """Two folders of recordings, as they are packed, the second still to come."""
    import soundfile

    for number in (1, 2):
        folder = tmp_path / f"data{number}" / "speech"
        folder.mkdir(parents=True)
        rows = []
        for name in ("a", "b"):
            soundfile.write(folder / f"{name}.wav", voice(2.0, seed=number).T, 16000)
            rows.append(
                {"path": f"speech/{name}.wav", "split": "train", "kind": "speech", "source": f"s{number}"}
            )
        with (folder.parent / f"manifest{number}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    shutil.move(tmp_path / "data2", tmp_path / "later")
    return tmp_path


def test_the_drill(arrived, tmp_path, capsys):
    run, parts = tmp_path / "run", tmp_path / "parts"
    first = accelerator.train("tiny", [*SMALL, "steps=4"], run, 1.0, "cpu", arrived)
    assert (first["steps"], first["batches_made_by"]) == (4, "ResidentSampler")
    shutil.move(tmp_path / "later", tmp_path / "data2")
    then = accelerator.train("tiny", [*SMALL, "steps=8"], run, 1.0, "cpu", arrived, parts)
    assert (then["step"], then["steps"]) == (8, 4)
    told = capsys.readouterr().out
    for line in ("a new run", "2 recordings in", "going on from step 4", "4 recordings in", "step 8: "):
        assert line in told
    names = sorted(path.name for path in parts.iterdir())
    assert names == ["SHA256SUMS", "config.yaml", "log.jsonl", "model.safetensors.00"]
    accelerator.join(parts, tmp_path / "model")
    codec = load(tmp_path / "model", device="cpu")
    assert codec.metadata["steps"] == "8"


def test_time_that_is_over_ends_a_run_after_a_step(arrived, tmp_path):
    found = accelerator.train("tiny", [*SMALL, "steps=1000"], tmp_path / "run", 0.0, "cpu", arrived)
    assert found["steps"] in (0, 1)
    assert list((tmp_path / "run").glob("checkpoint-*"))


def test_parts_make_up_the_weights_and_damage_is_seen(arrived, tmp_path, monkeypatch):
    monkeypatch.setattr(accelerator, "PART_BYTES", 20_000)
    run, parts = tmp_path / "run", tmp_path / "parts"
    accelerator.train("tiny", [*SMALL, "steps=1"], run, 1.0, "cpu", arrived, parts)
    pieces = sorted(parts.glob("model.safetensors.*"))
    assert len(pieces) > 2
    assert max(piece.stat().st_size for piece in pieces) <= 20_000
    accelerator.join(parts, tmp_path / "model")
    pieces[1].write_bytes(pieces[1].read_bytes()[:-1] + b"?")
    with pytest.raises(SystemExit, match=r"model\.safetensors\.01: missing, or not as it was sent"):
        accelerator.join(parts, tmp_path / "model")


def test_nothing_has_arrived(tmp_path):
    with pytest.raises(SystemExit, match="unpack the first folder"):
        accelerator.join_manifests(tmp_path)


def test_no_checkpoint(tmp_path):
    with pytest.raises(SystemExit, match="no checkpoint yet"):
        accelerator.export(tmp_path, tmp_path / "parts")


@pytest.mark.slow
def test_training_needs_no_package_of_the_scores(arrived, tmp_path):
    """With `validate_seconds=0`; the packages are made impossible to import, in a process of its own."""
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({MISSING!r}))\n"
        "from tools.release.accelerator import main; main(sys.argv[1:])"
    )
    command = [
        "train",
        "tiny",
        *SMALL,
        "steps=1",
        "-o",
        str(tmp_path / "run"),
        "--minutes",
        "1",
        "log_every=1",
        "--device",
        "cpu",
    ]
    done = subprocess.run(
        [sys.executable, "-c", script, *command, "--data", str(arrived)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    assert '"step": 1' in done.stdout
