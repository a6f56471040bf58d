"""Stores whose writers are killed, full, late, or two at once."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from audiocodec.adaptation.registry import Registry
from audiocodec.checkpoint import identify_codebooks
from audiocodec.errors import RegistryError

STEPS = ("file written", "file named", "before event", "event written")

# Imports once and forks for each writer: torch takes seconds to import.
NURSERY = """
import json, os, resource, signal, sys
import torch
from audiocodec.adaptation.registry import Registry, round_changes
from audiocodec.errors import RegistryError

torch.set_num_threads(1)

def write(path, model_id, seed, count, step, room, out):
    def stop(name):
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    if room:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    registry = Registry(path, on_step=stop, actor=f"writer {seed}")
    rng = torch.Generator().manual_seed(seed)
    for number in range(count):
        parent = registry.active(model_id).codebook_id
        old = registry.get(parent)
        new = {name: c + 0.1 * torch.randn(c.shape, generator=rng) for name, c in old.items()}
        new = round_changes(old, new)
        revision = registry.publish(model_id, new, parent, reason=str(number))
        registry.activate(revision.codebook_id)
        os.write(out, revision.codebook_id.encode() + b"\\n")

for line in sys.stdin:
    order = json.loads(line)
    if "wait" in order:
        print(os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]), flush=True)
        continue
    out = os.open(order.pop("out"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    pid = os.fork()
    if not pid:
        status = 0
        try:
            write(**order, out=out)
        except RegistryError as error:
            os.write(out, str(error).encode())
            status = 1
        os._exit(status)
    os.close(out)
    print(pid, flush=True)
"""


class Writer:
    """A process that publishes and activates, over and over."""

    def __init__(self, nursery, pid, out):
        self.nursery, self.pid, self.out = nursery, pid, out

    def done(self):
        """Identities it has said are active, or its error."""
        return self.out.read_text().splitlines()

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def wait(self):
        return ask(self.nursery, {"wait": self.pid})


def ask(nursery, order):
    nursery.stdin.write(json.dumps(order) + "\n")
    nursery.stdin.flush()
    return int(nursery.stdout.readline())


@pytest.fixture(scope="module")
def nursery():
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        yield process
        process.kill()


@pytest.fixture
def writer(nursery, store, model_id, tmp_path):
    """Starts writers on the store."""

    def start(seed, count=1, step="-", room=0):
        out = tmp_path / f"writer{seed}.txt"
        order = {"path": str(store.path), "model_id": model_id, "seed": seed, "count": count, "step": step}
        return Writer(nursery, ask(nursery, {**order, "room": room, "out": str(out)}), out)

    return start


def assert_sound(store, model_id):
    """Whatever happened, all that is active or listed can be read, and nothing is an error."""
    findings = store.verify()
    assert [finding for finding in findings if finding.level == "error"] == []
    active = store.active(model_id)
    assert identify_codebooks(store.get(active.codebook_id)) == active.codebook_id
    return findings


def test_kill_9_at_every_step(store, model_id, writer, changed, codebooks):
    counts = []
    for seed, step in enumerate(STEPS):
        events = len(store.log())
        assert writer(seed, 1, step).wait() == -signal.SIGKILL
        assert_sound(store, model_id)
        counts.append(len(store.log()) - events)
    assert counts == [0, 0, 0, 1]
    problems = [finding.problem for finding in store.verify()]
    assert [problem for problem in problems if "was being added" in problem] == problems[:2]
    assert "left by a writer that was stopped" in problems[2]
    assert len(problems) == 3
    # The lock went with its holder, and the next writer goes on.
    parent = store.active(model_id).codebook_id
    revision = Registry(store.path, wait_seconds=5).publish(model_id, changed(codebooks), parent, reason="")
    assert store.activate(revision.codebook_id).active


FIRST_WRITER = """
import os, signal, sys
import torch
from audiocodec.adaptation.registry import Registry

for number, step in enumerate(sys.argv[2:]):
    if not os.fork():
        def stop(name):
            if name == step:
                os.kill(os.getpid(), signal.SIGKILL)

        Registry(f"{sys.argv[1]}{number}", on_step=stop).baseline("ab" * 32, {"codebook": torch.ones(4, 2)})
        os._exit(0)
    os.wait()
"""


def test_kill_9_of_the_first_writer(tmp_path):
    subprocess.run([sys.executable, "-c", FIRST_WRITER, tmp_path / "store", *STEPS], check=True)
    for number, step in enumerate(STEPS):
        store = Registry(tmp_path / f"store{number}", wait_seconds=5)
        assert [finding for finding in store.verify() if finding.level == "error"] == [], step
        events, files = store.log(), len(store.files.listing())
        assert (len(events), files) == {"file written": (0, 0), "event written": (1, 1)}.get(step, (0, 1))
        active = store.baseline("ab" * 32, {"codebook": torch.ones(4, 2)})
        assert store.active("ab" * 32) == active
        assert len(store.log()) == 1
        assert [path.name for path in store.path.glob("log*")] == ["log.jsonl"]


def test_kill_9_at_any_moment(store, model_id, writer):
    rng = random.Random(0)
    acknowledged = []
    for seed in range(8):
        process = writer(seed, 1000)
        while not process.done():  # at least one is done
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.1))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        acknowledged += process.done()
        assert_sound(store, model_id)
    trail = [event.codebook_id for event in store.log() if event.kind == "activate"]
    # What was said to be done is done, and in that order.
    assert [identity for identity in trail if identity in acknowledged] == acknowledged
    assert len(trail) <= len(acknowledged) + 8


def test_two_processes_at_once(store, model_id, writer):
    processes = [writer(seed, 12) for seed in (1, 2)]
    while sum(len(process.done()) for process in processes) < 24:
        assert_sound(store, model_id)  # a reader at the same time
    assert [process.wait() for process in processes] == [0, 0]
    assert store.verify() == []
    kinds = [(event.actor, event.kind) for event in store.log()]
    for seed in (1, 2):
        assert kinds.count((f"writer {seed}", "publish")) == 12
    assert len(store.revisions(model_id)) == 25


def test_a_writer_that_waits_too_long_says_so(store, published, model_id):
    revision = published(1)
    with store.locked(), pytest.raises(RegistryError, match="another process has been writing"):
        Registry(store.path, wait_seconds=0.05).activate(revision.codebook_id)
    assert Registry(store.path, wait_seconds=0.05).activate(revision.codebook_id).active


def test_a_disk_that_fills_in_the_middle_of_a_write(store, model_id, writer):
    """The system itself cuts the write short: only so much fits in a file."""
    log = store.path / "log.jsonl"
    with store.locked():  # the log is larger than the revision, so it is the first to find no room
        store.log_event("export", model_id, store.active(model_id).codebook_id, {"text": "x" * 50_000})
    before, parent = log.read_bytes(), store.active(model_id).codebook_id
    process = writer(0, 1, room=len(before) + 150)
    assert process.wait() == 1
    assert process.done()[0].startswith(str(log))
    assert "cannot be written (File too large); free some space" in process.done()[0]
    assert log.read_bytes() == before
    assert store.active(model_id).codebook_id == parent
    assert store.files.leftovers() == []
    assert_sound(store, model_id)


def test_a_clock_that_goes_back_keeps_the_order(store, published, model_id):
    first, second = published(1), published(2)
    store.activate(first.codebook_id)
    late = Registry(store.path, clock=lambda: 1_000_000_000.0)
    late.activate(second.codebook_id)
    assert store.active(model_id).codebook_id == second.codebook_id
    assert [f.problem[:32] for f in store.verify()] == ["event 4: the clock went back fro"]
    assert late.rollback(model_id).codebook_id == first.codebook_id


def test_a_torn_line_does_not_block(store, published, model_id):
    revision = published(1)
    with (store.path / "log.jsonl").open("ab") as file:
        file.write(b'{"sequence":2,"time":"20')
    assert [f.level for f in store.verify()] == ["note"]
    assert "unfinished line" in store.verify()[0].problem
    assert store.activate(revision.codebook_id).active
    assert "removed 24 bytes" in store.verify()[0].problem
    assert len(store.log()) == 3
