import os
import signal
import subprocess
import sys

import pytest

from audiocodec.process import (
    THREAD_VARIABLES,
    StopSignal,
    available_cpus,
    one_thread_for_children,
    stoppable,
)

CODE = """
from audiocodec.process import prepare_for_training
prepare_for_training()
import resource, torch
torch.set_num_threads(2)
tiny = torch.full((1 << 22,), 1e-39)
assert not (tiny * 0.5).any(), "a denormal survived in some thread"
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    torch.zeros(4 << 20)  # 16 MB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="concerns glibc and x86 or Arm on Linux")
def test_denormals_are_zero_in_all_threads_and_memory_is_kept():
    """Without it, 50 blocks of 16 MB cost some 200,000 page faults, or 400 where huge pages are on."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 20_000


@pytest.mark.usefixtures("hear_signals")
def test_the_second_signal_ends_at_once(capfd):
    with StopSignal() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(SystemExit) as caught:
        stop.exit_if_stopped()
    assert caught.value.code == 130
    assert "once more" in capfd.readouterr().err


def test_no_signal():
    with StopSignal() as stop:
        stop.exit_if_stopped()
    assert not stop()


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
    with one_thread_for_children():
        assert {os.environ[name] for name in THREAD_VARIABLES} == {"1"}
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ
    assert available_cpus() >= 1
