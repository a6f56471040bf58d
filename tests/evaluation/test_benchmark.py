import json
import os
import signal
import subprocess
import sys
import time

import pytest
import soundfile

from audiocodec.errors import BitrateError, InputError
from audiocodec.evaluation.benchmark import plan, with_own_names
from audiocodec.evaluation.coders import ModelCoder
from audiocodec.evaluation.conditions import Condition, Grid, expand
from audiocodec.evaluation.peers import Peer, PeerOptions, open_peer
from audiocodec.evaluation.recordings import as_recordings, open_sources, read_recordings
from audiocodec.evaluation.rows import ROWS_NAME
from audiocodec.work import Backend

CONDITIONS = [Condition("clean"), *expand("white", Grid({}, ({"kind": "colored_noise", "snr_db": 5.0},)), {})]


@pytest.fixture
def benchmark(setup_with, double, speech_folder, tmp_path):
    """Two files, two conditions, one codec that logs what it is asked, two bitrates."""

    def make(*coders, conditions=CONDITIONS, bitrates=(1000.0, 2000.0), **more):
        setup = setup_with(*(coders or (double(log=str(tmp_path / "log")),)), **more)
        return plan(setup, read_recordings(speech_folder), conditions, bitrates)

    return make


@pytest.fixture
def calls(tmp_path):
    """How often the codec was asked since the last time."""
    seen = [0]

    def since():
        path = tmp_path / "log"
        count = len(path.read_text().splitlines()) if path.exists() else 0
        seen[0], new = count, count - seen[0]
        return new

    return since


def test_rows_come_in_order_whatever_is_done_first(benchmark, speech_folder, voice):
    rows = benchmark().run(Backend())
    keys = [(row["file"], row["condition"], row["nominal_bitrate"]) for row in rows]
    assert keys == [
        (file, condition, bitrate)
        for file in ("alice/a.wav", "bob/b.wav")
        for condition in ("clean", "white")
        for bitrate in (1000.0, 2000.0)
    ]


def test_a_second_run_does_only_what_is_new(benchmark, calls, tmp_path):
    shown = []
    rows = benchmark().run(Backend(), tmp_path, shown.append)
    assert (calls(), shown[0], shown[-1]) == (8, 0, 8)
    assert benchmark().run(Backend(), tmp_path, shown.append) == rows
    assert (calls(), shown[-1]) == (0, 8)
    more = benchmark(bitrates=(1000.0, 3000.0)).run(Backend(), tmp_path)
    assert calls() == 4
    assert [row for row in more if row["nominal_bitrate"] == 1000.0] == rows[::2]


def touch(path):
    path.write_bytes(path.read_bytes() + b"\0")


@pytest.mark.parametrize(
    ("change", "new"),
    [
        (lambda make, speech: make(metrics=("mel_distance",)), 8),
        (lambda make, speech: make(limit_seconds=0.5), 8),
        (lambda make, speech: make(has_clean=False), 8),
        (lambda make, speech: touch(speech / "alice" / "a.wav") or make(), 4),
        (
            lambda make, speech: make(
                conditions=[
                    CONDITIONS[0],
                    *expand("white", Grid({}, ({"kind": "colored_noise", "snr_db": 6.0},)), {}),
                ]
            ),
            4,
        ),
    ],
    ids=["metrics", "limit", "clean", "file", "condition"],
)
def test_rows_of_another_configuration_are_not_taken(benchmark, calls, tmp_path, speech_folder, change, new):
    benchmark().run(Backend(), tmp_path)
    calls()
    change(benchmark, speech_folder).run(Backend(), tmp_path)
    assert calls() == new


def test_rows_that_failed_are_done_again(benchmark, double, tmp_path):
    moody = tmp_path / "moody"
    moody.touch()
    coder = double("copy", "fail", str(moody))
    rows = benchmark(coder).run(Backend(), tmp_path)
    assert sum("error" in row for row in rows) == 1
    rows = benchmark(coder).run(Backend(), tmp_path)
    assert not any("error" in row for row in rows)


RUN = """
import sys
from pathlib import Path
from evaluation_doubles import Double
from audiocodec.effects import Sources
from audiocodec.work import Backend
from audiocodec.evaluation.conditions import Condition
from audiocodec.evaluation.benchmark import plan
from audiocodec.evaluation.recordings import read_recordings
from audiocodec.evaluation.tasks import Setup
from audiocodec.metrics import METRICS

if __name__ == "__main__":
    folder, speech, log = sys.argv[1:]
    setup = Setup((Double("slow", "slow", log=log),), (METRICS["si_sdr"],), Sources())
    rates = tuple(float(rate) for rate in range(5))
    conditions = [Condition(name, group=name) for name in "abcd"]
    plan(setup, read_recordings(Path(speech)), conditions, rates).run(Backend("local", 1), Path(folder))
"""


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_from_its_rows(double, speech_folder, tmp_path):
    script, folder, log = tmp_path / "run.py", tmp_path / "out", tmp_path / "log"
    script.write_text(RUN)
    folder.mkdir()
    command = [sys.executable, str(script), str(folder), str(speech_folder), str(log)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "modules")}
    first = subprocess.Popen(command, env=environment)
    while not (folder / ROWS_NAME).exists() or (folder / ROWS_NAME).read_bytes().count(b"\n") < 5:
        assert first.poll() is None
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    worker = int(log.read_text().split()[0])
    done = {json.loads(line)["key"]: line for line in (folder / ROWS_NAME).read_text().splitlines()}
    assert 5 <= len(done) < 40
    subprocess.run(command, env=environment, check=True, timeout=120)
    lines = (folder / ROWS_NAME).read_text().splitlines()
    assert len({json.loads(line)["key"] for line in lines}) == len(lines) == 40
    assert lines[: len(done)] == list(done.values())
    again = [line for line in log.read_text().splitlines() if int(line.split()[0]) != worker]
    assert len(again) == 40 - len(done)  # nothing that was there is done again
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)  # the worker of the killed run is gone as well


class Fine(Peer):
    name = "fine"

    def _run(self, wav, length, bitrate):
        raise NotImplementedError


def test_two_models_of_one_name_are_told_apart(codec):
    able = with_own_names([ModelCoder(codec), ModelCoder(codec)])
    assert able[0].name == "tiny"
    assert able[1].name.startswith("tiny (")


def test_another_codec_is_given_once(double):
    with pytest.raises(InputError, match="copy is given twice"):
        with_own_names([double(), double()])


def test_a_model_keeps_to_its_ladder(codec, setup_with, speech_folder):
    recordings = as_recordings(sorted(speech_folder.rglob("*.wav")))
    setup = setup_with(ModelCoder(codec))
    with pytest.raises(BitrateError, match="tiny: bitrate 7 bit/s is not offered"):
        plan(setup, recordings, [Condition("clean")], [7.0])
    assert plan(setup, recordings, [Condition("clean")]).units[0].work == ((0, 1500.0),)


def test_what_makes_no_run(setup_with, double, speech_folder):
    recordings = as_recordings([speech_folder / "alice" / "a.wav"])
    with pytest.raises(InputError, match="no recordings to evaluate"):
        plan(setup_with(double()), [], [Condition("clean")], [1.0])
    with pytest.raises(InputError, match=r"a\.wav is listed twice"):
        plan(setup_with(double()), recordings * 2, [Condition("clean")], [1.0])
    with pytest.raises(InputError, match="no codec to evaluate"):
        plan(setup_with(), recordings, [Condition("clean")], [1.0])


def test_a_file_that_is_gone_still_has_a_row(setup_with, double, tmp_path):
    benchmark = plan(setup_with(double()), as_recordings([tmp_path / "x.wav"]), [Condition("clean")], [1.0])
    assert len(benchmark) == 1


def keys(setup, speech_folder, condition):
    recordings = as_recordings(sorted(speech_folder.rglob("*.wav")))
    return set(plan(setup, recordings, [condition], [1000.0]).keys.values())


def rewrite(path):
    """The same size, other samples."""
    wav, rate = soundfile.read(path)
    size = path.stat().st_size
    soundfile.write(path, 0.5 * wav, rate)
    assert path.stat().st_size == size


def test_rows_with_noise_written_anew_are_not_taken(setup_with, double, speech_folder, noise_folder):
    sources = open_sources(None, folders=[("noise", noise_folder)])
    noisy = expand("hum", Grid({}, ({"kind": "noise", "types": ["hum"], "snr_db": 5.0},)), {})[0]
    setup = setup_with(double(), sources=sources)
    before = [keys(setup, speech_folder, condition) for condition in (Condition("clean"), noisy)]
    rewrite(noise_folder / "hum" / "1.wav")
    after = [keys(setup, speech_folder, condition) for condition in (Condition("clean"), noisy)]
    assert before[0] == after[0]
    assert not before[1] & after[1]


def test_rows_of_a_command_written_anew_are_not_taken(setup_with, speech_folder, tmp_path):
    script = tmp_path / "codec.py"
    script.write_text("pass")
    peer = open_peer(f"mine='{sys.executable}' '{script}' {{in}} {{out}}")
    before = keys(setup_with(peer), speech_folder, Condition("clean"))
    assert keys(setup_with(peer), speech_folder, Condition("clean")) == before
    script.write_text("exit")
    assert not keys(setup_with(peer), speech_folder, Condition("clean")) & before


def test_rows_of_weights_written_anew_are_not_taken(setup_with, speech_folder, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"1234")
    peer = Fine(PeerOptions({"fine": tmp_path}))
    before = keys(setup_with(peer), speech_folder, Condition("clean"))
    (tmp_path / "model.safetensors").write_bytes(b"4321")
    assert not keys(setup_with(peer), speech_folder, Condition("clean")) & before
