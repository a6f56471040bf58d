import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audiocodec.work import (
    STOP_SIGNALS,
    THREAD_VARIABLES,
    Pool,
    WorkerLost,
    available_cpus,
    one_thread,
    spread,
    stoppable,
)

DEADLINE_SECONDS = 60.0
"""For what hangs; nothing takes nearly as long."""
PARENT = """
import sys
from tests_of_work import leave_a_note
from audiocodec.work import Pool, stoppable
if __name__ == "__main__":
    with stoppable(), Pool(2) as pool:
        for name in ("a", "b"):
            pool.submit(name, leave_a_note, name)
        pool.next()
"""
ENDING = """
import multiprocessing, sys
from tests_of_work import be_stopped_at_the_end
from audiocodec.work import _serve
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,))
    process.start()
    theirs.close()
    for message in ((), (be_stopped_at_the_end, ())):
        ours.send(message)
        ours.recv()
    ours.close()
    process.join()
    sys.exit(process.exitcode)
"""
TASK = """
import os, signal, time
from multiprocessing.util import Finalize
from pathlib import Path
def be_stopped_at_the_end():
    Finalize(None, os.kill, (os.getpid(), signal.SIGTERM), exitpriority=1)
def leave_a_note(name):
    note = Path(f"{name}.part")
    note.write_text(str(os.getpid()))
    try:
        while True:
            time.sleep(0.01)
    finally:
        note.unlink()
"""


def double(number):
    if number == 3:
        os._exit(7)
    return 2 * number


def wait_until(condition):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_process_that_dies_costs_its_task_alone():
    with Pool(2) as pool:
        found = dict(spread(pool, double, [(number,) for number in range(6)]))
    lost = found.pop(3)
    assert isinstance(lost, WorkerLost)
    assert (lost.reason, lost.exit_code) == ("exit code 7", 7)
    assert found == {0: 0, 1: 2, 2: 4, 4: 8, 5: 10}


def test_what_is_shared_goes_before_the_arguments_and_time_can_run_out():
    with Pool(1, 2, 3) as pool:
        pool.submit("power", pow, 5)
        assert pool.next() == ("power", 3)  # 2 ** 3 % 5
        pool.submit("power", pow, 5)
        pool.next()
    with Pool(1) as pool:
        pool.submit("long", time.sleep, 60)
        with pytest.raises(TimeoutError):
            pool.next(0.1)


@pytest.mark.usefixtures("hear_signals")
@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("number", [*STOP_SIGNALS, signal.SIGKILL], ids=lambda number: number.name)
def test_processes_end_in_order_with_their_parent(tmp_path, number):
    """Also when the parent is killed by -9: what they were writing goes, and they end."""
    (tmp_path / "tests_of_work.py").write_text(TASK)
    (tmp_path / "parent.py").write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    parent = subprocess.Popen([sys.executable, "parent.py"], cwd=tmp_path, env=environment)
    notes = [tmp_path / "a.part", tmp_path / "b.part"]
    wait_until(lambda: all(note.exists() and note.read_text() for note in notes))
    workers = [int(note.read_text()) for note in notes]
    parent.send_signal(number)
    status = parent.wait(DEADLINE_SECONDS)
    assert status == (-number if number == signal.SIGKILL else 128 + number)
    wait_until(lambda: not any(Path(f"/proc/{worker}/stat").exists() for worker in workers))
    assert not any(note.exists() for note in notes)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_a_process_that_is_ending_is_not_stopped_once_more(tmp_path):
    """All are told to stop when a pool ends, also one with nothing more to do: nobody sees a traceback."""
    (tmp_path / "tests_of_work.py").write_text(TASK)
    (tmp_path / "parent.py").write_text(ENDING)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    done = subprocess.run([sys.executable, "parent.py"], cwd=tmp_path, env=environment, capture_output=True,
                          text=True, timeout=DEADLINE_SECONDS)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_signals_raise_and_are_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught, stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_workers_have_one_thread_and_the_caller_as_before(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with one_thread():
        assert {os.environ[name] for name in THREAD_VARIABLES} == {"1"}
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ
    assert available_cpus() >= 1
