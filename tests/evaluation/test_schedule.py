import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from audiocodec.errors import InputError
from audiocodec.evaluation.schedule import GIVE_UP_AFTER, Schedule
from audiocodec.evaluation.tasks import score_unit
from audiocodec.work import Backend


@pytest.fixture
def make(setup_with, double, units):
    """A schedule of both units for a codec, and the rows it records by file and bitrate."""

    def schedule(*doubles, **more):
        rows = {}

        def record(unit, found):
            assert len(unit.work) == len(found)
            for row in found:
                key = (row["file"], row["codec"], row["nominal_bitrate"])
                assert key not in rows
                rows[key] = row

        setup = setup_with(*(doubles or (double(),)))
        return Schedule(setup, units(codecs=len(setup.coders), **more), record), rows

    return schedule


def finish(schedule):
    schedule.run(Backend("here"))


def test_every_row_comes_once(make):
    schedule, rows = make()
    finish(schedule)
    assert len(rows) == 4
    assert not any("error" in row for row in rows.values())


def test_a_unit_whose_worker_died_is_done_again(make):
    schedule, rows = make()
    schedule.crashed(schedule.take(), "it died")
    assert len(schedule) == 3  # two rows, one by one, and the other unit
    finish(schedule)
    assert len(rows) == 4
    assert not any("error" in row for row in rows.values())


@pytest.mark.parametrize("timed_out", [False, True])
def test_a_row_that_kills_is_found_and_the_others_are_scored(make, timed_out):
    schedule, rows = make()
    deaths = Counter()
    while (job := schedule.take()) is not None:
        if job.unit.recording.speaker == "bob" and 2000.0 in [rate for _, rate in job.unit.work]:
            deaths[job.unit.work] += 1
            schedule.crashed(job, "it died", timed_out)
        else:
            schedule.finished(job, score_unit(schedule.setup, job.unit))
    assert len(rows) == 4
    assert [key for key, row in rows.items() if "error" in row] == [("bob/b.wav", "copy", 2000.0)]
    assert rows["bob/b.wav", "copy", 2000.0]["error"] == "it died"
    assert sum(deaths.values()) == (
        2 if timed_out else 3
    )  # in company, then alone; what hangs costs its limit each time


def test_a_codec_that_always_fails_is_left_alone(make, double):
    rates = tuple(float(rate) for rate in range(GIVE_UP_AFTER))
    schedule, rows = make(double("bad", "fail"), double("good"), bitrates=rates)
    job = schedule.take()
    schedule.finished(job, score_unit(schedule.setup, job.unit))
    job = schedule.take()
    assert {number for number, _ in job.unit.work} == {1}
    reasons = {row["error"] for key, row in rows.items() if key[:2] == ("bob/b.wav", "bad")}
    assert reasons == {"given up: it failed 10 times in a row, last: it does not want to"}


def test_a_success_starts_the_count_anew(make, double):
    schedule, _ = make(bitrates=tuple(float(rate) for rate in range(GIVE_UP_AFTER)))
    job = schedule.take()
    found = score_unit(schedule.setup, job.unit)
    found[:-1] = [{**row, "error": "x", "stage": "codec"} for row in found[:-1]]
    schedule.finished(job, found)
    assert len(schedule.take().unit.work) == GIVE_UP_AFTER


def test_files_that_cannot_be_read_are_no_fault_of_the_codec(make, speech_folder):
    (speech_folder / "alice" / "a.wav").write_bytes(b"no sound")
    schedule, rows = make(bitrates=tuple(float(rate) for rate in range(2 * GIVE_UP_AFTER)))
    finish(schedule)
    assert sum("error" in row for row in rows.values()) == 2 * GIVE_UP_AFTER


@pytest.fixture
def collected():
    """Rows by codec, file and bitrate, each once, and what to record them with."""
    rows = {}

    def record(unit, found):
        for row in found:
            key = (row["codec"], row["file"], row["nominal_bitrate"])
            assert key not in rows
            rows[key] = row

    return rows, record


@pytest.mark.slow
def test_workers_that_die_or_hang_cost_their_row_alone(setup_with, double, units, collected, tmp_path):
    rows, record = collected
    once = tmp_path / "once"
    once.touch()
    coders = (
        double("good"),
        double("dies", "die"),
        double("unlucky", "die", str(once)),
        double("hangs", "hang"),
    )
    setup = setup_with(*coders, timeout_seconds=0.5)
    todo = units(codecs=4, bitrates=(1000.0,))[:1]
    Schedule(setup, todo, record).run(Backend("local", 2))
    errors = {codec: row.get("error") for (codec, _, _), row in rows.items()}
    assert errors == {
        "good": None,
        "dies": "its process died (exit code 7)",
        "unlucky": None,
        "hangs": "it took too long and was ended",
    }
    assert rows["good", "alice/a.wav", 1000.0]["si_sdr"] > 0
    assert not once.exists()


def test_a_worker_that_was_killed_loses_no_row(setup_with, double, units, collected, tmp_path):
    rows, record = collected
    log = tmp_path / "log"

    def kill_first():
        while not log.exists() or not log.read_text().endswith("\n"):
            time.sleep(0.01)
        os.kill(int(log.read_text().split()[0]), signal.SIGKILL)

    killer = threading.Thread(target=kill_first)
    killer.start()
    bitrates = tuple(float(rate) for rate in range(5))
    setup = setup_with(double("slow", "slow", log=str(log)))
    Schedule(setup, units(bitrates=bitrates), record).run(Backend("local", 2))
    killer.join()
    assert len(rows) == 10
    assert not any("error" in row for row in rows.values())
    assert (
        len({line.split()[0] for line in log.read_text().splitlines()}) == 3
    )  # two, and one in place of one


def test_workers_that_cannot_start_are_an_error(setup_with, double, units, collected, tmp_path):
    setup = setup_with(double())
    Path(tmp_path / "modules" / "evaluation_doubles.py").write_text("raise OSError('no such thing')")
    with pytest.raises(InputError, match="a worker process could not start: OSError: no such thing"):
        Schedule(setup, units(), collected[1]).run(Backend("local", 1))


@pytest.fixture
def importable(tmp_path, monkeypatch, double):
    """The doubles, for Ray's workers too."""
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    return double


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_worker_of_a_cluster_that_is_killed_loses_no_row_and_doubles_none(
    setup_with, importable, units, tmp_path
):
    log, rows = tmp_path / "log", []

    def kill_one():
        while not log.exists() or log.read_text().count("\n") < 3:
            time.sleep(0.01)
        os.kill(int(log.read_text().split()[0]), signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    bitrates = tuple(float(rate) for rate in range(10))
    todo = units(bitrates=bitrates) * 3
    setup = setup_with(importable("slow", "slow", log=str(log)))
    Schedule(setup, todo, lambda unit, found: rows.extend(found)).run(Backend("ray", 2))
    killer.join()
    keys = [(row["file"], row["nominal_bitrate"]) for row in rows]
    assert len(keys) == 60
    assert {keys.count(key) for key in keys} == {3}
    assert not any("error" in row for row in rows)
    lines = log.read_text().splitlines()
    assert len(lines) > 60  # what the one that was killed had begun is done again,
    assert len({line.split()[0] for line in lines}) > 1  # by another


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_row_that_kills_workers_of_a_cluster_is_found(setup_with, importable, units):
    rows = []
    setup = setup_with(importable("good"), importable("dies", "die"))
    todo = units(codecs=2, bitrates=(1000.0,))[:1]
    Schedule(setup, todo, lambda unit, found: rows.extend(found)).run(Backend("ray", 2))
    errors = {row["codec"]: row.get("error", "") for row in rows}
    assert errors["good"] == ""
    assert "its worker died or took too long" in errors["dies"]
