"""`audiocodec train` on a tiny recipe: what it prints, when it refuses, how it ends and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from audiocodec.checkpoint import load_model
from audiocodec.cli.parts.train_display import TrainDisplay
from audiocodec.training.checkpoints import checkpoints


def test_a_run_from_start_to_end(place, run):
    result = run("train", "tiny.yaml", "optim.learning_rate=1e-4", "judge_clips=1")
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "step 2/6", "step 4/6", "step 4", "step 6/6", "step 6",
    ]  # fmt: skip
    assert "mel " in lines[0]
    assert "x real time" in lines[0]
    assert lines[0].endswith("left")
    assert "pesq_wb/2" in lines[2]
    assert result.stdout == "step 6 of 6; run folder runs/tiny\n"
    folder = place / "runs" / "tiny"
    assert {path.name for path in folder.iterdir()} == {
        "cache", "checkpoint-000000004.safetensors", "checkpoint-000000006.safetensors", "config.yaml",
        "log.jsonl", "model", "model-best", "tensorboard",
    }  # fmt: skip
    assert "learning_rate: 0.0001" in (folder / "config.yaml").read_text()
    (place / "talk.wav").write_bytes((place / "sound" / "valid" / "a.wav").read_bytes())
    assert run("encode", "talk.wav", "--model", folder / "model").exit_code == 0


def test_an_existing_run_is_not_touched_unasked(place, run):
    assert run("train", "tiny.yaml", "-o", "out", "steps=2", "-q").exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*")}
    result = run("train", "tiny.yaml", "-o", "out", "steps=2")
    assert result.exit_code == 1
    assert "--resume" in result.stderr
    assert "--force" in result.stderr
    assert {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*")} == before
    assert run("train", "tiny.yaml", "-o", "out", "--resume", "--force").exit_code == 2


def test_resume_goes_on_and_force_starts_anew(place, run):
    run("train", "tiny.yaml", "-o", "out", "steps=2")
    result = run("train", "tiny.yaml", "-o", "out", "steps=4", "--resume")
    assert "resuming from step 2" in result.stdout
    log = (place / "out" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [2, 2, 4, 4]
    (place / "out" / "notes.txt").write_text("mine")
    assert run("train", "tiny.yaml", "-o", "out", "steps=2", "--force").exit_code == 0
    log = (place / "out" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [2, 2]
    assert [path.name for path in (place / "out").glob("checkpoint-*")] == [
        "checkpoint-000000002.safetensors"
    ]
    assert (place / "out" / "notes.txt").read_text() == "mine"


def test_resume_without_a_checkpoint_starts_and_says_so(place, run):
    result = run("train", "tiny.yaml", "-o", "out", "steps=1", "--resume", "-q")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "warning: out: has no checkpoint to resume from; a new run starts\n"


def test_resume_shows_what_changed_and_keeps_the_old_file(place, run):
    assert run("train", "tiny.yaml", "-o", "out", "steps=2", "-q").exit_code == 0
    before = (place / "out" / "config.yaml").read_bytes()
    result = run("train", "tiny.yaml", "-o", "out", "steps=4", "log_every=1", "--resume", "-q")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.splitlines() == [
        "warning: out/config.yaml: steps: 2 -> 4", "warning: out/config.yaml: log_every: 2 -> 1"
    ]  # fmt: skip
    assert (place / "out" / "config-000000002.yaml").read_bytes() == before
    assert "steps: 4" in (place / "out" / "config.yaml").read_text()
    result = run("train", "tiny.yaml", "-o", "out", "steps=4", "log_every=1", "--resume", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [path.name for path in (place / "out").glob("config-*")] == ["config-000000002.yaml"]


OTHER = {
    "loss.weights={mel: 1, spectrum: 20, waveform: 1}": (
        "loss.weights.mel: 4.0 -> 1.0", "loss.weights.commitment: 0.5 -> nothing",
        "loss.weights.waveform: nothing -> 1.0",
    ),
    "optim.learning_rate=0.5": ("optim.learning_rate: 0.0005 -> 0.5",),
    "data.batch_size=4": ("data.batch_size: 2 -> 4",),
    "seed=3": ("seed: 0 -> 3",),
}  # fmt: skip


def test_another_experiment_is_refused_unless_forced(place, run):
    run("train", "tiny.yaml", "-o", "out", "steps=2", "-q")
    before = {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*")}
    for override, told in OTHER.items():
        result = run("train", "tiny.yaml", "-o", "out", "steps=2", override, "--resume")
        assert result.exit_code == 1
        assert f"another experiment: {'; '.join(told)}. " in result.stderr
        assert "--force-config" in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*")} == before
    result = run("train", "tiny.yaml", "-o", "out", "steps=2", *OTHER, "--resume", "--force-config", "-q")
    assert result.exit_code == 0
    told = {line.removeprefix("warning: out/config.yaml: ") for line in result.stderr.splitlines()}
    assert told == {one for several in OTHER.values() for one in several}
    assert (place / "out" / "config-000000002.yaml").is_file()


def test_discriminators_join_where_asked_for(place, run):
    run("train", "tiny.yaml", "-o", "out", "steps=2", "-q")
    join = ["steps=3", "adversarial.discriminators.kinds=[light]", "--resume"]
    result = run("train", "tiny.yaml", "-o", "out", *join)
    assert "adversarial.discriminators.kinds: [] -> ['light']" in result.stderr
    assert result.exit_code == 1
    assert run("train", "tiny.yaml", "-o", "out", *join, "--force-config").exit_code == 0


def test_another_number_of_processes_is_another_experiment(place, run):
    run("train", "tiny.yaml", "-o", "out", "steps=2", "-q")
    (path,) = (place / "out").glob("checkpoint-*")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file(load_file(path), path, metadata | {"processes": "2"})
    result = run("train", "tiny.yaml", "-o", "out", "steps=4", "--resume")
    assert result.exit_code == 1
    assert "another experiment: processes: 2 -> 1. " in result.stderr
    result = run("train", "tiny.yaml", "-o", "out", "steps=4", "--resume", "--force-config")
    assert "processes: 2 -> 1" in result.stderr
    assert "resuming from step 2" in result.stdout


def test_force_config_alone_is_wrong(place, run):
    assert run("train", "tiny.yaml", "-o", "out", "--force-config").exit_code == 2
    assert not (place / "out").exists()


def test_json_is_all_there_is_on_stdout(place, run):
    result = run("train", "tiny.yaml", "--json", "steps=4")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line.get("group"), line["step"]) for line in lines] == [
        ("train", 2), ("train", 4), ("valid", 4), (None, 4),
    ]  # fmt: skip
    assert {"total", "mel", "commitment", "audio_seconds_per_second"} <= set(lines[0])
    models = {"model": "runs/tiny/model", "best": "runs/tiny/model-best"}
    assert lines[-1] == {"summary": True, "step": 4, "processes": 1, "skipped": 0, **models}
    assert result.stderr == ""


def test_quiet_says_nothing(place, run):
    result = run("train", "tiny.yaml", "-q", "steps=1")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tiny.yaml", "data.batchsize=3"], ["data.batchsize", "did you mean 'batch_size'"]),
        (["tiny.yaml", "steps"], ["write it as key=value"]),
        (["tiny", "steps=1"], ["data.manifest is not set", "data.manifest=recordings"]),
        (["tinny.yaml"], ["tinny.yaml", "no such recipe", "speech-16k"]),
        (["tiny.yaml", "data.manifest=nowhere.csv"], ["nowhere.csv", "manifest"]),
        (["tiny.yaml", "--device", "tpu9"], ["tpu9"]),
        (["tiny.yaml", "prefix_choices=[5]"], ["prefix_choices has [5]"]),
    ],
    ids=str,
)
def test_mistakes_are_one_line_and_leave_no_run(place, run, arguments, words):
    result = run("train", *arguments)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert [word for word in words if word not in result.stderr] == []
    assert not list(place.rglob("log.jsonl"))


@pytest.mark.usefixtures("hear_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_in_order(place, run, monkeypatch, number, capfd):
    """Checkpoint and model are written after the step, the status tells the signal, and the run goes on."""
    report = TrainDisplay.report

    def report_and_signal(self, step, scalars):
        report(self, step, scalars)
        if step == 2:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    monkeypatch.setattr(TrainDisplay, "report", report_and_signal)
    result = run("train", "tiny.yaml", "-o", "out", "--json")
    assert result.exit_code == 128 + number
    told = json.loads(result.stdout.splitlines()[-1])
    assert told == {
        "summary": True, "step": 2, "processes": 1, "skipped": 0, "model": "out/model", "best": None
    }  # fmt: skip
    assert load_model(place / "out" / "model")[2]["steps"] == "2"
    assert "once more ends at once" in capfd.readouterr().err
    assert [path.name for path in (place / "out").glob("checkpoint-*")] == [
        "checkpoint-000000002.safetensors"
    ]
    assert signal.getsignal(number) is before
    monkeypatch.setattr(TrainDisplay, "report", report)
    result = run("train", "tiny.yaml", "-o", "out", "--resume")
    assert "resuming from step 2" in result.stdout
    assert "step 6 of 6" in result.stdout


def test_help_does_not_import_torch():
    code = (
        "import sys; from audiocodec.cli.main import app; app(['train', '--help'], standalone_mode=False);"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert "audiocodec train speech-16k" in done.stdout


@pytest.mark.slow
def test_a_killed_run_ends_like_one_that_was_not(place):
    """`kill -9` in the middle, twice; the last checkpoint equals that of an undisturbed run bit for bit."""
    arguments = [sys.executable, "-m", "audiocodec", "train", "tiny.yaml", "steps=30", "checkpoint_minutes=0"]

    def start(folder, *more):
        return subprocess.Popen([*arguments, "-q", "-o", folder, *more], cwd=place)

    assert start("whole").wait(300) == 0
    for number in (1, 2):
        process = start("killed", "--resume")
        while max((int(path.stem[11:]) for path in checkpoints(place / "killed")), default=0) < 10 * number:
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
        process.wait(60)
    assert start("killed", "--resume").wait(300) == 0
    whole, killed = (
        load_file(place / name / "checkpoint-000000030.safetensors") for name in ("whole", "killed")
    )
    assert whole.keys() == killed.keys()
    assert [name for name in whole if not torch.equal(whole[name], killed[name])] == []
    logs = [(place / name / "log.jsonl").read_text().splitlines() for name in ("whole", "killed")]
    assert [json.loads(line)["step"] for line in logs[0]] == [json.loads(line)["step"] for line in logs[1]]
