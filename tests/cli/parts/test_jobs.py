import os

import pytest

from audiocodec.cli.parts.jobs import run
from audiocodec.cli.parts.output import Failure, Output
from audiocodec.errors import InputError


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
    return dict(run(work, tasks, tasks, jobs, Output(quiet=True), "tests"))


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
        list(run(interrupted, ["a"], ["a"], 1, Output(quiet=True), "tests"))
