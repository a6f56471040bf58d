import os
from pathlib import Path

import pytest
import typer

from audiocodec.cli.parts.batch import PIPE, Item, fit_for_cluster, plan, run, whole_path
from audiocodec.cli.parts.output import Failure, Output
from audiocodec.errors import InputError
from audiocodec.work import Backend, Here, WorkerLost


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one/a.wav", "one/sub/b.wav", "two/a.wav", "c.wav", "dots.in.name.wav"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def pairs(inputs, out):
    items = plan([Path(name) for name in inputs], out, ".nac", {".wav"})
    return [(str(item.source), str(item.target)) for item in items if item.problem is None]


@pytest.mark.parametrize(
    ("inputs", "out", "expected"),
    [
        (["c.wav"], None, [("c.wav", "c.nac")]),
        (["c.wav"], "x.bin", [("c.wav", "x.bin")]),
        (["c.wav"], "new/", [("c.wav", "new/c.nac")]),
        (["c.wav"], "two", [("c.wav", "two/c.nac")]),
        (["c.wav"], "-", [("c.wav", "-")]),
        (["-"], None, [("-", "-")]),
        (["-"], "x.nac", [("-", "x.nac")]),
        (["-"], "new/", [("-", "new/stdin.nac")]),
        (["one"], None, [("one/a.wav", "one/a.nac"), ("one/sub/b.wav", "one/sub/b.nac")]),
        (["one"], "new", [("one/a.wav", "new/a.nac"), ("one/sub/b.wav", "new/sub/b.nac")]),
        (["one/a.wav", "c.wav"], "new", [("one/a.wav", "new/a.nac"), ("c.wav", "new/c.nac")]),
        (["dots.in.name.wav"], None, [("dots.in.name.wav", "dots.in.name.nac")]),
    ],
)
def test_pairs(tree, inputs, out, expected):
    assert pairs(inputs, out) == expected


def test_two_folders_with_equal_names_collide(tree):
    items = plan([Path("one"), Path("two")], "new", ".nac", {".wav"})
    assert [str(item.source) for item in items if item.problem] == ["two/a.wav"]
    assert "belongs to one/a.wav" in str(items[2].problem)


def test_an_output_that_is_another_input(tree):
    items = plan([Path("c.wav"), Path("one/a.wav")], None, ".wav", {".wav"})
    assert all("is the input itself" in str(item.problem) for item in items)


def test_the_same_input_twice_is_done_once(tree):
    assert pairs(["c.wav", "./c.wav"], None) == [("c.wav", "c.nac")]
    assert len(pairs(["one", "one/a.wav"], "new")) == 2


def test_many_into_a_pipe(tree):
    with pytest.raises(typer.BadParameter, match="2 files cannot go into one pipe"):
        plan([Path("one")], "-", ".nac", {".wav"})
    assert plan([PIPE], "-", ".nac", {".wav"})[0].target == PIPE


def test_a_link_is_a_file_of_its_own(tree):
    Path("one/a link.wav").symlink_to("a.wav")
    assert pairs(["one"], "new")[:2] == [("one/a link.wav", "new/a link.nac"), ("one/a.wav", "new/a.nac")]


def test_inputs_that_differ_in_their_ending_keep_it(tree):
    Path("one/a.flac").touch()
    for suffixes in ({".wav", ".flac"},):
        items = plan([Path("one")], "new", ".nac", suffixes)
        assert [str(item.target) for item in items] == ["new/a.flac.nac", "new/a.wav.nac", "new/sub/b.nac"]
        items = plan([Path("one/a.wav"), Path("one/a.flac")], None, ".nac", suffixes)
        assert [str(item.target) for item in items] == ["one/a.wav.nac", "one/a.flac.nac"]
        assert not any(item.problem for item in items)


def test_an_output_with_the_ending_of_an_input(tree):
    with pytest.raises(typer.BadParameter, match=r"-o x/b\.wav: .* name the output x/b\.nac"):
        plan([Path("c.wav")], "x/b.wav", ".nac", {".wav"})


def test_sound_that_cannot_be_read_and_links_to_nothing_are_named(tree):
    Path("one/song.M4A").touch()
    Path("one/cover.jpg").touch()
    Path("one/gone.wav").symlink_to("nowhere.wav")
    problems = {
        item.source.name: str(item.problem)
        for item in plan([Path("one")], "new", ".nac", {".wav"})
        if item.problem
    }
    assert problems.keys() == {"song.M4A", "gone.wav"}
    assert "the kind .M4A cannot be read" in problems["song.M4A"]
    assert "a link to nothing" in problems["gone.wav"]


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
