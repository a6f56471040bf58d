import numpy as np
import pytest

from audiocodec.errors import BitrateError, InputError, PeerError, SampleRateError
from audiocodec.evaluation.peers.base import check_bitrate, check_input, check_output, to_rate

SOUND = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1


@pytest.mark.parametrize(
    ("wav", "rate", "error", "words"),
    [
        (SOUND[None], 16000, InputError, "one channel"),
        (SOUND[:0], 16000, InputError, "one channel"),
        (np.full(10, np.nan, np.float32), 16000, InputError, "not a finite number"),
        (SOUND, 4000, SampleRateError, "4000 Hz is not supported"),
    ],
)
def test_input_no_codec_can_take(wav, rate, error, words):
    with pytest.raises(error, match=words):
        check_input(wav, rate)


def test_bitrates_are_found_within_a_thousandth():
    ladder = (861.328125, 1722.65625)
    assert check_bitrate("dac", ladder, 861.3) == ladder[0]
    with pytest.raises(BitrateError, match=r"dac has no 900 bit/s; choose from 861\.328, 1722\.66"):
        check_bitrate("dac", ladder, 900)


def test_output_is_cut_or_filled_a_little():
    assert len(check_output("x", SOUND, 15000)) == 15000
    filled = check_output("x", SOUND, 16100)
    assert len(filled) == 16100
    assert not filled[16000:].any()
    np.testing.assert_array_equal(filled[:16000], SOUND)


def test_output_that_is_not_the_audio():
    with pytest.raises(PeerError, match="x returned 16000 samples for 32000"):
        check_output("x", SOUND, 32000)
    broken = SOUND.copy()
    broken[5] = np.inf
    with pytest.raises(PeerError, match="not finite"):
        check_output("x", broken, 16000)


def test_rates():
    assert to_rate(SOUND, 16000, 16000) is SOUND
    assert to_rate(SOUND, 16000, 8000).shape == (8000,)
