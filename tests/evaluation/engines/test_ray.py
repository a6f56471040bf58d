"""On a cluster of two workers that is started for the tests."""

import os
import signal
import threading
import time

import pytest

pytest.importorskip("ray")

from audiocodec.evaluation.engines.ray import run_ray
from audiocodec.evaluation.engines.schedule import Schedule

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture
def importable(tmp_path, monkeypatch, double):
    """The doubles, for Ray's workers too."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    return double


def test_a_worker_that_is_killed_loses_no_row_and_doubles_none(setup_with, importable, units, tmp_path):
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
    run_ray(Schedule(setup, todo, lambda unit, found: rows.extend(found)), jobs=2)
    killer.join()
    keys = [(row["file"], row["nominal_bitrate"]) for row in rows]
    assert len(keys) == 60
    assert {keys.count(key) for key in keys} == {3}
    assert not any("error" in row for row in rows)
    lines = log.read_text().splitlines()
    assert len(lines) > 60  # what the one that was killed had begun is done again,
    assert len({line.split()[0] for line in lines}) > 1  # by another


def test_a_row_that_kills_is_found(setup_with, importable, units):
    rows = []
    setup = setup_with(importable("good"), importable("dies", "die"))
    todo = units(codecs=2, bitrates=(1000.0,))[:1]
    run_ray(Schedule(setup, todo, lambda unit, found: rows.extend(found)), jobs=2)
    errors = {row["codec"]: row.get("error", "") for row in rows}
    assert errors["good"] == ""
    assert "its worker died or took too long" in errors["dies"]
