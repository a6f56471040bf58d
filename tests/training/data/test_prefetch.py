import threading
import time
from itertools import islice

import numpy as np
import pytest

from audiocodec.errors import InputError
from audiocodec.training.data.prefetch import AHEAD, Prefetcher, in_order


def drawn(step):
    """Takes longer for some steps than for others, so that they end out of order."""
    rng = np.random.default_rng((3, step))
    time.sleep(0.004 * rng.random())
    return step, rng.random()


@pytest.mark.parametrize(("depth", "workers"), [(0, 1), (1, 1), (4, 1), (4, 3), (2, 5)])
def test_batches_come_in_the_order_of_steps_and_are_the_same_however_made(depth, workers):
    with Prefetcher(drawn, start_step=5, depth=depth, workers=workers) as batches:
        assert list(islice(batches, 20)) == [drawn(step) for step in range(5, 25)]
        assert batches.step == 25


def test_up_to_depth_batches_are_made_ahead_and_no_more():
    made, gate = [], threading.Semaphore(0)

    def make(step):
        made.append(step)
        gate.release()
        return step

    with Prefetcher(make, depth=3) as batches:
        assert next(batches) == 0
        for _ in range(4):
            assert gate.acquire(timeout=10)
        time.sleep(0.02)
        assert made == [0, 1, 2, 3]


def test_the_batch_is_made_beside_the_step():
    """Not a matter of time: the batch after next is only ever made while nobody asks for it."""
    made = threading.Event()

    def make(step):
        if step == 1:
            made.set()
        return step

    with Prefetcher(make, depth=1) as batches:
        assert next(batches) == 0
        assert made.wait(10)


def broken(step):
    if step == 3:
        raise OSError(f"disk gone at step {step}")
    return step


@pytest.mark.parametrize("depth", [0, 4])
def test_an_error_is_raised_where_the_batch_is_asked_for_and_not_before(depth):
    batches = Prefetcher(broken, depth=depth, workers=1)
    assert list(islice(batches, 3)) == [0, 1, 2]
    with pytest.raises(OSError, match="disk gone at step 3"):
        next(batches)
    with pytest.raises(InputError, match="closed"):
        next(batches)


def test_closing_ends_the_threads():
    before = threading.active_count()
    batches = Prefetcher(drawn, depth=8, workers=4)
    next(batches)
    assert threading.active_count() > before
    batches.close()
    batches.close()
    assert threading.active_count() == before
    with pytest.raises(InputError, match="make a new one"):
        next(batches)


def test_an_interrupt_while_waiting_leaves_no_thread():
    before = threading.active_count()

    def interrupted(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Prefetcher(interrupted, depth=2) as batches:
        next(batches)
    assert threading.active_count() == before


def test_says_how_long_making_and_waiting_took():
    ticks = iter(range(100))
    batches = Prefetcher(lambda step: step, depth=0, clock=lambda: next(ticks))
    list(islice(batches, 3))
    assert (batches.making_seconds, batches.waited_seconds) == (3, 9)


@pytest.mark.parametrize(("depth", "workers"), [(-1, 1), (1, 0)])
def test_numbers_out_of_range(depth, workers):
    with pytest.raises(InputError, match="give 0 or more, and 1 or more"):
        Prefetcher(drawn, depth=depth, workers=workers)


def test_few_tasks_run_ahead():
    started, lock = [], threading.Lock()

    def work(task):
        with lock:
            started.append(task)
        return task * task

    results = in_order(work, range(100), jobs=2)
    assert next(results) == 0
    assert len(started) <= 2 * AHEAD
    assert list(results) == [task * task for task in range(1, 100)]


def test_an_error_of_ours_is_no_bad_file():
    def broken(task):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(in_order(broken, [1, 2], jobs=2))
