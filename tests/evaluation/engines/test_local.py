import os
import signal
import threading
import time
from pathlib import Path

import pytest

from audiocodec.errors import InputError
from audiocodec.evaluation.engines.local import run_here, run_pool
from audiocodec.evaluation.engines.schedule import Schedule


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


def test_here(setup_with, double, units, collected):
    rows, record = collected
    run_here(Schedule(setup_with(double()), units(), record))
    assert len(rows) == 4


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
    run_pool(Schedule(setup, todo, record), jobs=2)
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
    run_pool(
        Schedule(setup_with(double("slow", "slow", log=str(log))), units(bitrates=bitrates), record), jobs=2
    )
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
        run_pool(Schedule(setup, units(), collected[1]), jobs=1)
