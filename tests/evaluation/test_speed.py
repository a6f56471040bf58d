import math
import os
import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from audiocodec.errors import InputError, PeerError
from audiocodec.evaluation.coders import Decoded
from audiocodec.evaluation.peers import PeerOptions, open_peer
from audiocodec.evaluation.speed import measure, measure_apart, speech_like
from audiocodec.metrics import f0_error, pesq_wb

WAV = speech_like(2.0, 16000)


@dataclass
class Scripted:
    """Takes the seconds it was told to take, one pair a run."""

    seconds: list = field(default_factory=list)
    name: str = "scripted"

    def code(self, wav, sample_rate, bitrate):
        return Decoded(wav, 0, round(bitrate * len(wav) / sample_rate), *self.seconds.pop(0))


def test_the_first_run_does_not_count_and_the_best_does():
    coder = Scripted([(9.0, 9.0), (0.5, 0.4), (0.2, 0.5), (0.3, 0.1)])
    speed = measure(coder, WAV, 16000, 3000.0, repeats=3)
    assert speed.encode_speed == pytest.approx(2.0 / 0.2)
    assert speed.decode_speed == pytest.approx(2.0 / 0.1)
    assert speed.speed == pytest.approx(2.0 / 0.4)  # of one run, not the best of each
    assert speed.payload_bitrate == 3000
    assert 20 < speed.peak_mb < 50_000


def test_only_both_ways_together():
    speed = measure(Scripted([(0.5, math.nan)] * 3), WAV, 16000, 3000.0, repeats=2)
    assert (speed.encode_speed, speed.decode_speed, speed.speed) == (None, None, 4.0)


def test_memory_of_a_program_is_not_known():
    coder = open_peer("copy=cp {in} {out}", PeerOptions(timeout_seconds=30))
    assert measure(coder, WAV, 16000, 3000.0, repeats=1).peak_mb is None


@pytest.mark.parametrize(("wav", "repeats"), [(WAV[:0], 1), (WAV[None], 1), (WAV, 0)])
def test_nothing_to_measure(wav, repeats):
    with pytest.raises(InputError, match="give some sound"):
        measure(Scripted(), wav, 16000, 3000.0, repeats)


def test_a_process_of_its_own():
    pytest.importorskip("av")
    threads = os.environ.get("OMP_NUM_THREADS")
    speed = measure_apart(open_peer("opus"), WAV, 16000, 9000.0, repeats=1)
    assert speed.encode_speed > 1
    assert 20 < speed.peak_mb < 200  # torch alone takes more: a peer without it is not charged for it
    assert os.environ.get("OMP_NUM_THREADS") == threads


def test_errors_come_back():
    coder = open_peer("bad=false {in} {out}", PeerOptions(timeout_seconds=30))
    with pytest.raises(PeerError, match="false ended with status 1"):
        measure_apart(coder, WAV, 16000, 3000.0)


class Dies:
    """Ends the process, or stops it for long, as soon as it arrives there."""

    def __init__(self, call, argument):
        self.call, self.argument = call, argument

    def __reduce__(self):
        return self.call, (self.argument,)


def test_a_process_that_dies_or_hangs():
    with pytest.raises(PeerError, match=r"its process ended early \(exit code 3\)"):
        measure_apart(Dies(os._exit, 3), WAV, 16000, 3000.0)
    with pytest.raises(PeerError, match=r"took longer than 0\.5 s"):
        measure_apart(Dies(time.sleep, 60), WAV, 16000, 3000.0, timeout_seconds=0.5)


def test_sound_like_speech():
    np.testing.assert_array_equal(WAV, speech_like(2.0, 16000))
    assert 0.02 < WAV.std() < 0.3
    assert np.abs(WAV).max() < 1
    assert pesq_wb(WAV, WAV, 16000) > 4.5  # PESQ finds speech in it
    assert f0_error(WAV, WAV, 16000) == 0  # and pyin a voice
