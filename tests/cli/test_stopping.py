"""Commands as processes of their own: signals, closed pipes and full disks."""

import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import cycle
from pathlib import Path

import pytest
import soundfile

from audiocodec.checkpoint import load_model

DEADLINE_SECONDS = 120.0
"""For what hangs; nothing takes nearly as long."""
COMMAND = [sys.executable, "-m", "audiocodec"]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("hear_signals"),
    pytest.mark.skipif(sys.platform != "linux", reason="signals, /dev/full and /proc of Linux"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory, voice):
    """`sounds`: four files that take some time each; `talk.wav` is short."""
    place = tmp_path_factory.mktemp("stopping")
    (place / "sounds").mkdir()
    for seed in range(4):
        soundfile.write(place / "sounds" / f"{seed}.wav", voice(200.0, seed=seed).T, 16000)
    soundfile.write(place / "talk.wav", voice(1.3).T, 16000)
    return place


@pytest.fixture(scope="module")
def streams(place, tiny_folder):
    """The same sounds as .nac files."""
    model = ["--model", str(tiny_folder)]
    subprocess.run([*COMMAND, "encode", "talk.wav", "-q", *model], cwd=place, check=True, timeout=600)
    subprocess.run([*COMMAND, "encode", "sounds", "-o", "streams", "-q", *model, "--jobs", "2"], cwd=place,
                   check=True, timeout=600)  # fmt: skip
    return place / "streams"


def left_behind(place):
    return [path for path in place.rglob("*") if path.name.endswith(".part") or "audiocodec-" in path.name]


def children(process):
    found = [path.parent.name for path in Path("/proc").glob("[0-9]*/stat") if _parent(path) == process.pid]
    return [int(name) for name in found]


def _parent(stat):
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def wait_until(condition, process=None):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert process is None or process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)  # a file of minutes is read in some hundredths of a second


def holds(process, names):
    """Whether a process or one it started has a file or socket open whose name holds one of `names`."""
    for number in (process.pid, *children(process)):
        for link in Path(f"/proc/{number}/fd").glob("*"):
            try:
                if any(name in os.readlink(link) for name in names):
                    return True
            except OSError:
                continue
    return False


def stop(place, arguments, number, ready, names=()):
    """Start a command, send a signal once `ready()`, or it has a file of `names` open, or has started others.

    Gives the status and what stands on stderr.
    """
    (place / "temporary").mkdir(exist_ok=True)
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "TMPDIR": str(place / "temporary")},
    )  # fmt: skip
    wait_until(ready or (lambda: holds(process, names) if names else bool(children(process))), process)
    workers = children(process)
    process.send_signal(number)
    errors = process.communicate(timeout=DEADLINE_SECONDS)[1]
    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    return process.returncode, errors


@pytest.mark.parametrize(("number", "jobs"), list(zip(SIGNALS, (2, 1, 2), strict=True)))
def test_encode_and_decode_stop(place, streams, tiny_folder, number, jobs):
    options = ["--jobs", jobs, "--model", tiny_folder]
    for command in (["encode", "sounds", "-o", "out"], ["decode", "streams", "-o", "out"]):
        found = stop(place, [*command, "--force", *options], number, lambda: left_behind(place))
        assert found == (128 + number, ""), command
        assert left_behind(place) == []


def test_workers_end_with_a_parent_that_is_killed(place, tiny_folder):
    command = ["encode", "sounds", "-o", "out", "--force", "--jobs", 2, "--model", tiny_folder]
    assert stop(place, command, signal.SIGKILL, lambda: left_behind(place))[0] == -signal.SIGKILL
    wait_until(lambda: not left_behind(place))


def test_prepare_and_evaluate_stop(place, tiny_folder, tmp_path):
    number = signal.SIGINT
    prepare = ["prepare", "sounds", "-o", tmp_path / "list.jsonl", "--jobs", 2]
    status, errors = stop(place, prepare, number, lambda: any(tmp_path.iterdir()))
    assert (status, errors) == (128 + number, "")
    folder = tmp_path / "results"
    evaluate = ["evaluate", "--data", "sounds", "--split", "all", "-o", folder, "--conditions", "clean",
                "--metrics", "stoi", "--jobs", 2, "--model", tiny_folder]  # fmt: skip
    status, errors = stop(place, evaluate, number, lambda: folder.exists() and any(folder.iterdir()))
    assert status == 128 + number
    assert "Traceback" not in errors, errors
    assert left_behind(tmp_path) == left_behind(place) == []


WORKING = {
    "tokens": ["tokens", "sounds", "-o", "out", "--force"],
    "tokens-jobs": ["tokens", "sounds", "-o", "out", "--force", "--jobs", "2"],
    "roundtrip": ["roundtrip", "sounds", "-o", "out", "--force", "--bitrate", "all"],
    "roundtrip-jobs": ["roundtrip", "sounds", "-o", "out", "--force", "--bitrate", "all", "--jobs", "2"],
    "baseline": ["baseline", "sounds", "-o", "new.safetensors", "--force"],
    "monitor": ["monitor", "sounds", "--baseline", "sounds.safetensors", "--log", "monitor.jsonl"],
    "refresh": ["refresh", "sounds", "--store", "books", "--clean", "sounds"],
    "adapt": ["adapt", "--watch", "sounds", "--store", "books", "--clean", "sounds"],
    "bench": ["bench", "sounds/0.wav", "--seconds", "200"],
    "info": ["info", "streams"],
}


@pytest.fixture(scope="module")
def baseline(place, tiny_folder):
    """What `monitor` compares with."""
    command = [
        "baseline",
        "sounds/0.wav",
        "sounds/1.wav",
        "-o",
        "sounds.safetensors",
        "--windows",
        "50",
        "-q",
    ]
    subprocess.run([*COMMAND, *command, "--model", str(tiny_folder)], cwd=place, check=True, timeout=600)


@pytest.mark.parametrize(("name", "number"), list(zip(WORKING, cycle(SIGNALS), strict=False)))
def test_other_commands_stop(place, streams, baseline, tiny_folder, name, number):
    """While they have the sound open; nothing half-written stays, and nobody sees a traceback."""
    model = [] if name == "info" else ["--model", tiny_folder]
    names = {"info": ["/streams/"], "bench": []}.get(name, ["/sounds/"])
    found = stop(place, [*WORKING[name], *model], number, None, names)
    assert found == (128 + number, "")
    assert left_behind(place) == []
    assert not (place / "new.safetensors").exists()


def test_a_server_stops(place):
    (place / "monitor.jsonl").touch()
    serve = ["dashboard", "monitor.jsonl", "--port", "0"]
    assert stop(place, serve, signal.SIGTERM, None, ["socket:"]) == (128 + signal.SIGTERM, "")


def test_train_stops_with_checkpoint_and_model(place, tmp_path):
    """Before the first validation, and without what it would score."""
    (place / "talk").mkdir(exist_ok=True)
    shutil.copy(place / "talk.wav", place / "talk")
    run, log = tmp_path / "run", tmp_path / "run" / "log.jsonl"
    net = "model.net={kind: spectral, dim: 16, encoder_channels: 32, encoder_blocks: 1, decoder_blocks: 1}"
    small = [net, "model.quantizer.num_quantizers=2", "prefix_choices=[]", "data.segment_seconds=0.5"]
    train = ["train", "tiny", *small, "data.manifest=talk", "start=random", "log_every=1", "steps=1000000",
             "validate_seconds=0", "-o", run, "-q"]  # fmt: skip
    status, errors = stop(place, train, signal.SIGHUP, lambda: log.exists() and log.read_text())
    assert status == 128 + signal.SIGHUP
    assert errors.strip() == "ending after this step, with checkpoint and model; once more ends at once"
    assert left_behind(tmp_path) == []
    (checkpoint,) = run.glob("checkpoint-*")
    assert load_model(run / "model")[2]["steps"] == str(int(checkpoint.stem[11:]))


def test_a_closed_pipe_ends_quietly(place, streams, tiny_folder):
    """141 is what shells show of other Unix tools; nothing asks to report an error."""
    model = ["--model", str(tiny_folder)]
    for arguments in (["decode", "talk.nac", "-o", "-", *model], ["models"], ["info", "talk.nac", "--json"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([*COMMAND, *arguments], cwd=place, stdout=writer, stderr=subprocess.PIPE,
                              timeout=DEADLINE_SECONDS)  # fmt: skip
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, b""), arguments


def test_a_full_disk_is_said_in_plain_words(place, streams, tiny_folder):
    model = ["--model", str(tiny_folder)]
    for arguments in (["encode", "talk.wav", "-o", "-", *model], ["models"], ["--help"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([*COMMAND, *arguments], cwd=place, stdout=full, stderr=subprocess.PIPE,
                                  text=True, timeout=DEADLINE_SECONDS)  # fmt: skip
        assert done.returncode == 1, arguments
        assert "No space left on device" in done.stderr
        assert "free some space" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_without_a_temporary_folder_files_are_done_and_pipes_say_why(place, streams, tiny_folder):
    command = [*COMMAND, "encode", "talk.wav", "--force", "--model", str(tiny_folder)]
    code = (
        "import sys, tempfile, errno; from audiocodec.cli.main import main\n"
        "def full(*_, **__): raise OSError(errno.ENOSPC, 'No space left on device', '/tmp/x')\n"
        "tempfile.TemporaryDirectory = full; main()"
    )
    command = [sys.executable, "-c", code, *command[3:]]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run([*command, "-o", "-"], cwd=place, capture_output=True, text=True,
                          timeout=DEADLINE_SECONDS)  # fmt: skip
    assert done.returncode == 1
    assert "TMPDIR" in done.stderr
    assert "report" not in done.stderr
