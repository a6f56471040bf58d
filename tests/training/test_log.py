"""Lines of the log, curves, sounds and pictures."""

import json
import sys

import numpy as np
import pytest
import torch

from audiocodec.errors import InputError, MissingPackageError
from audiocodec.training import log
from audiocodec.training.log import Means, RunLog, spectrogram, to_floats
from audiocodec.training.validation import Validation


def lines(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_lines_and_curves(tmp_path):
    with RunLog(tmp_path) as run_log:
        run_log.write("train", 5, {"mel": 1 / 3, "odd": float("nan")})
        run_log.write("valid", 5, {"pesq_wb/6": 2.0})
    assert lines(tmp_path) == [
        {"group": "train", "step": 5, "mel": 0.333333, "odd": None},
        {"group": "valid", "step": 5, "pesq_wb/6": 2.0},
    ]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, pytest.approx(e.value)) for e in events.Scalars("train/mel")] == [(5, 1 / 3)]


def test_resuming_drops_what_will_be_written_again(tmp_path):
    with RunLog(tmp_path) as run_log:
        for step in (10, 20, 30):
            run_log.write("train", step, {"mel": float(step)})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"group": "train", "st')  # killed while writing
    with RunLog(tmp_path, 20) as run_log:
        run_log.write("train", 30, {"mel": 31.0})
    assert [(line["step"], line["mel"]) for line in lines(tmp_path)] == [(10, 10.0), (20, 20.0), (30, 31.0)]


def test_means_count_a_scalar_where_it_is():
    means = Means()
    means.add({"mel": 1.0, "usage/3": 0.5}, 0.25)
    means.add({"mel": 3.0}, 0.25)
    assert (means.steps, means.seconds) == (2, 0.5)
    assert means.take() == {"mel": 2.0, "usage/3": 0.5}
    assert (means.steps, means.seconds, means.take()) == (0, 0.0, {})


def test_to_floats():
    scalars = {"a": torch.tensor(1.5), "b": torch.tensor(2, dtype=torch.int64)}
    assert to_floats(scalars) == {"a": 1.5, "b": 2.0}


def test_tensorboard_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setattr(log, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"pip install 'audiocodec\[train\]'"):
        RunLog(tmp_path)


def test_sounds_pictures_and_use_of_codes(tmp_path):
    time = np.arange(8000, dtype=np.float32) / 16000
    found = Validation(
        counts=[np.array([5, 0, 3]), np.zeros(3, np.int64)],
        sounds={"plain-0/input": np.sin(2 * np.pi * 1000 * time), "plain-0/4": np.zeros(100, np.float32)},
    )
    with RunLog(tmp_path) as run_log:
        run_log.show(7, found, 16000)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert set(tags["audio"]) == {"plain-0/input", "plain-0/4"}
    assert set(tags["images"]) == {"spectrogram/plain-0/input", "spectrogram/plain-0/4"}
    assert tags["histograms"] == ["chosen/0"]


def test_a_tone_is_a_line_at_its_height():
    picture = spectrogram(np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32))
    bins = picture.shape[0]
    assert bins == 257
    assert (bins - 1 - picture.argmax(axis=0) == 32).all()  # 1000 Hz of 16000 in 512 samples, from below
    assert picture.max() == 255


def test_a_full_disk_is_said(tmp_path):
    with RunLog(tmp_path) as run_log:
        usual = run_log.file

        class Full:
            name = "log.jsonl"

            def write(self, text):
                raise OSError(28, "No space left on device")

        run_log.file = Full()
        with pytest.raises(InputError, match=r"No space left.*--resume"):
            run_log.write("train", 1, {"mel": 1.0})
        run_log.file = usual
