from pathlib import Path

import pytest
import typer

from audiocodec.cli.parts import jobs as jobs_module
from audiocodec.cli.parts.engine import fit_for_cluster, whole_path
from audiocodec.cli.parts.jobs import Ray, run
from audiocodec.cli.parts.output import Failure, Output
from audiocodec.cli.parts.paths import PIPE, Item
from audiocodec.work import WAITING_FOR_EACH, WorkerLost, spread


class Here:
    """Stands for a cluster of two workers: does the newest task first, and loses every third."""

    slots = 2
    most = 0

    def __init__(self, address, jobs):
        Here.asked = (address, jobs)
        self.waiting = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def __len__(self):
        return len(self.waiting)

    def submit(self, tag, function, *arguments):
        self.waiting.append((tag, function, arguments))
        Here.most = max(Here.most, len(self))

    def next(self):
        tag, function, arguments = self.waiting.pop()
        return tag, WorkerLost("it was killed") if tag % 3 == 2 else function(*arguments)


@pytest.fixture(autouse=True)
def cluster(monkeypatch):
    monkeypatch.setattr(jobs_module, "Cluster", Here)
    Here.most = 0


def test_every_call_ends_once_and_few_wait_at_a_time():
    found = list(spread(Here("head:1", 3), pow, [(number, 2) for number in range(20)]))
    assert Here.most == 2 * WAITING_FOR_EACH
    assert sorted(tag for tag, _ in found) == list(range(20))
    assert all(result == tag**2 for tag, result in found if tag % 3 != 2)


def test_outputs_that_exist_are_refused_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.nac").touch()
    item = Item(Path("a.wav"), Path("a.nac"))
    assert "exists already" in str(fit_for_cluster(item, force=False).problem)
    assert fit_for_cluster(item, force=True) == Item(tmp_path / "a.wav", tmp_path / "a.nac")
    assert fit_for_cluster(Item(Path("b.wav"), Path("b.nac")), force=False).problem is None
    with pytest.raises(typer.BadParameter, match="a pipe cannot be read on a cluster"):
        fit_for_cluster(Item(PIPE, Path("x.nac")), force=False)


def test_models_by_name_keep_it_and_paths_are_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert [whole_path(name) for name in (None, "speech-16k", "mine")] == [
        None, "speech-16k", str(tmp_path / "mine")
    ]  # fmt: skip


def double(task, progress):
    progress(1.0)
    if task == 3:
        raise ValueError("three")
    return 2 * task


def test_files_that_fail_or_lose_their_worker_do_not_stop_the_others():
    names = [f"f{number}" for number in range(5)]
    found = dict(run(double, range(5), names, 2, Output(quiet=True), "files", Ray("head:1")))
    assert Here.asked == ("head:1", 2)
    assert [found[number] for number in (0, 1, 4)] == [0, 2, 8]
    assert found[2] == Failure("WorkerLost", "its worker died (it was killed)")
    assert "three" in found[3].problem
