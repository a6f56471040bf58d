import os

import pytest

from audiocodec.cli.parts.jobs import run
from audiocodec.cli.parts.output import Failure, Output
from audiocodec.errors import InputError
from audiocodec.work import Backend, Here, WorkerLost


def work(task, progress):
    """Module level, as another process must find it by name."""
    progress(0.5)
    if task == "bad":
        raise InputError("bad: no good; better")
    if task == "bug":
        raise KeyError("oops")
    if task == "die":
        os._exit(3)
    return f"{task} done"


def outcome(tasks, jobs):
    return dict(run(work, tasks, tasks, Backend("local", jobs), Output(quiet=True), "tests"))


def test_failures_are_results_like_others():
    assert outcome(["a", "bad", "bug", "b"], 1) == {
        0: "a done",
        1: Failure("InputError", "no good; better"),
        2: Failure("KeyError", "internal error: KeyError: 'oops'; please report it"),
        3: "b done",
    }


@pytest.mark.slow
def test_a_process_that_dies_is_a_failure():
    found = outcome(["die", "die"], 2)
    assert all(isinstance(result, Failure) for result in found.values())
    assert "try fewer --jobs" in found[0].problem


def test_an_interrupt_is_not_swallowed():
    def interrupted(task, progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run(interrupted, ["a"], ["a"], Backend(), Output(quiet=True), "tests"))


class Cluster(Here):
    """Stands for a cluster of two workers that loses the third task."""

    capacity = 4

    def next(self):
        tag, result = super().next()
        return tag, WorkerLost("it was killed") if tag == 2 else result


def test_a_task_that_loses_its_worker_does_not_stop_the_others(monkeypatch):
    monkeypatch.setattr("audiocodec.work.Cluster", lambda address, num_cpus: Cluster())
    names = ["a", "bad", "b", "c", "d"]
    found = dict(run(work, names, names, Backend("ray", 2, "head:1"), Output(quiet=True), "files"))
    assert [found[number] for number in (0, 3, 4)] == ["a done", "c done", "d done"]
    assert found[1].problem == "no good; better"
    assert found[2] == Failure("WorkerLost", "its worker died (it was killed)")
