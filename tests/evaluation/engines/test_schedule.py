from collections import Counter

import pytest

from audiocodec.evaluation.engines.schedule import GIVE_UP_AFTER, Schedule
from audiocodec.evaluation.tasks import score_unit


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
    while (job := schedule.take()) is not None:
        schedule.finished(job, score_unit(schedule.setup, job.unit))


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
