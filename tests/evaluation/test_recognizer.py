import pickle
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from audiocodec.errors import InputError, MetricError, MissingPackageError
from audiocodec.evaluation.benchmark import plan
from audiocodec.evaluation.conditions import Condition
from audiocodec.evaluation.recognizer import recognizer_metric
from audiocodec.evaluation.recordings import read_recordings
from audiocodec.evaluation.rows import to_frame
from audiocodec.evaluation.summary import summarize
from audiocodec.evaluation.tasks import score_unit

LISTENER = """
import sys, soundfile
print("one two three four" if abs(soundfile.read(sys.argv[1])[0]).max() > 0.5 else "ONE, two three!")
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    """A recognizer that misses the last word of quiet speech; its script is named from this folder."""
    pytest.importorskip("jiwer")
    (tmp_path / "listen.py").write_text(LISTENER)
    monkeypatch.chdir(tmp_path)
    return f"'{sys.executable}' listen.py {{in}}"


def test_a_command_reads_what_is_said(command):
    metric = pickle.loads(pickle.dumps(recognizer_metric(command)))
    loud = np.sin(np.arange(1600)).astype(np.float32)
    assert metric(loud, loud, 16000) == 0
    assert metric(loud, 0.1 * loud, 16000) == 0.25
    with pytest.raises(MetricError, match="recognizer"):
        recognizer_metric(f"'{sys.executable}' gone.py {{in}}")(loud, loud, 16000)


def test_word_errors_are_columns_and_belong_to_their_recognizer(command, setup_with, double, speech_folder):
    metric = recognizer_metric(command)
    setup = replace(setup_with(double()), metrics=(metric,))
    work = plan(setup, read_recordings(speech_folder), [Condition("clean")], [1000.0])
    frame = to_frame([row for unit in work.units for row in score_unit(setup, unit)], setup.metrics)
    assert frame["word_error_rate"].tolist() == [0, 0]
    score = summarize(frame, resamples=10)["means"][0]["scores"]["word_error_rate"]
    assert (score["value"], score["n"]) == (0, 2)
    other = replace(setup, metrics=(recognizer_metric(command + " --fast"),))
    again = plan(other, read_recordings(speech_folder), [Condition("clean")], [1000.0])
    assert not set(work.keys.values()) & set(again.keys.values())
    slower = replace(setup, metrics=(recognizer_metric(command, timeout_seconds=7),))
    assert plan(slower, read_recordings(speech_folder), [Condition("clean")], [1000.0]).keys == work.keys


def test_a_recognizer_written_anew_is_another(tmp_path, monkeypatch):
    (tmp_path / "listen.py").write_text(LISTENER)
    command = f"'{sys.executable}' '{tmp_path / 'listen.py'}' {{in}}"
    before = recognizer_metric(command).setting
    assert recognizer_metric(command).setting == before
    (tmp_path / "listen.py").write_text(LISTENER.replace("three", "seven"))
    assert recognizer_metric(command).setting != before
    monkeypatch.setitem(sys.modules, "faster_whisper", SimpleNamespace())
    (tmp_path / "model.bin").write_bytes(b"1234")
    before = recognizer_metric(str(tmp_path)).setting
    (tmp_path / "model.bin").write_bytes(b"4321")
    assert recognizer_metric(str(tmp_path)).setting != before


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("no-such-program {in}", "no-such-program, which is not on the path"),
        ("'echo {in}", "cannot be read"),
        ("whisper-large", "whisper-large: no recognizer; name a folder with a Whisper model"),
    ],
)
def test_what_is_no_recognizer(named, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        recognizer_metric(named)


def test_a_folder_is_a_model_of_whisper(tmp_path, monkeypatch):
    (tmp_path / "model.bin").touch()
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(MissingPackageError, match="faster-whisper"):
        recognizer_metric(str(tmp_path), "de")
    monkeypatch.setitem(sys.modules, "faster_whisper", SimpleNamespace())
    metric = recognizer_metric(str(tmp_path), "de")
    assert str(tmp_path) in metric.setting
    assert "'de'" in metric.setting
