import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audiocodec.errors import MissingPackageError
from audiocodec.process import STOP_SIGNALS
from audiocodec.work import Backend, Cluster, Here, Pool, WorkerLost, spread

DEADLINE_SECONDS = 60.0
"""For what hangs; nothing takes nearly as long."""
PARENT = """
import sys
from tests_of_work import leave_a_note
from audiocodec.process import stoppable
from audiocodec.work import Pool
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


def add_to_first(numbers, number):
    return numbers[0] + number


def end_with_status(numbers):
    os._exit(3)


def wait_until(condition):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def calls(*arguments):
    """What `spread` takes tasks from: their numbers and arguments."""
    waiting = enumerate(arguments)
    return lambda: next(waiting, None)


def test_a_process_that_dies_costs_its_task_alone():
    with Pool(2) as pool:
        found = dict(spread(pool, double, calls(*((number,) for number in range(6)))))
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


def test_this_process_takes_one_task_at_a_time_and_asks_again_for_what_comes_back():
    waiting, found = [3, 4, 5], []
    with Backend().workers(3, 17) as workers:
        assert isinstance(workers, Here)
        for tag, result in spread(
            workers, divmod, lambda: (waiting[0], (waiting.pop(0),)) if waiting else None
        ):
            found.append((tag, result, len(waiting)))
            if tag == 5:
                waiting.append(6)
    assert found == [(3, (5, 2), 2), (4, (4, 1), 1), (5, (3, 2), 0), (6, (2, 5), 0)]


def test_no_more_processes_than_tasks():
    assert Backend("local", 8).workers(3).capacity == 3


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r"audiocodec\[ray\]"), Cluster():
        pass


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_results_of_a_cluster_come_with_their_tags():
    pytest.importorskip("ray")
    with Cluster(None, 2, [10]) as cluster:
        assert cluster.capacity == 4
        for number in range(3):
            cluster.submit(number, add_to_first, number)
        cluster.submit("dies", end_with_status)
        found = dict(cluster.next() for _ in range(4))
        assert not len(cluster)
    assert isinstance(found.pop("dies"), WorkerLost)
    assert found == {0: 10, 1: 11, 2: 12}


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
