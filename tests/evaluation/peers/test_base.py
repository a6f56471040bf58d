import numpy as np
import pytest

from audiocodec.errors import BitrateError, InputError, PeerError, SampleRateError
from audiocodec.evaluation.peers.base import (
    Coded,
    Peer,
    PeerOptions,
    check_input,
    check_output,
    correlations,
    find_delay,
    payload_bits,
    shift,
    to_rate,
)

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


class Delaying(Peer):
    """Delays by 300 samples at 8 kHz, and counts a bit for every sample."""

    name = "delaying"
    sample_rate = 8000
    max_delay = 400

    def _padding(self, length):
        return 1000

    def _run(self, wav, length, bitrate):
        return Coded(np.pad(2 * wav, (300, 0)), length, 1.0, 2.0)


def test_delay_rate_and_length_are_those_of_the_input():
    wav = np.sin(np.arange(16001) ** 1.3 / 2000).astype(np.float32)
    decoded = Delaying(PeerOptions()).code(wav, 16000, 5.0)
    assert decoded.wav.shape == wav.shape
    np.testing.assert_allclose(decoded.wav[500:-500], 2 * wav[500:-500], atol=0.02)
    assert (decoded.payload_bits, decoded.size) == (8001, 1001)
    assert (decoded.encode_seconds, decoded.decode_seconds) == (1.0, 2.0)


def peer_with(ladder=None, **more):
    peer = Delaying(PeerOptions())
    peer.ladder = ladder
    for name, value in more.items():
        setattr(peer, name, value)
    return peer


def test_bitrates_are_found_within_a_thousandth():
    peer = peer_with((861.328125, 1722.65625))
    assert peer.check_bitrate(861.3) == 861.328125
    with pytest.raises(BitrateError, match=r"delaying has no 900 bit/s; choose from 861\.328, 1722\.66"):
        peer.check_bitrate(900)
    with pytest.raises(BitrateError, match="ask for 500 to 600"):
        peer_with(lowest=500, highest=600).check_bitrate(700)


@pytest.mark.parametrize(
    ("ladder", "more", "asked", "expected"),
    [
        ((700.0, 3200.0, 6000.0, 9200.0, 24000.0), {}, (1500, 6000), (3200.0, 6000.0, 9200.0)),
        ((16000.0, 24000.0), {}, (1500, 6000), (16000.0,)),
        ((16000.0, 24000.0), {"chosen": (24000.0,)}, (1500,), (24000.0,)),
        (None, {}, (1500.0, 3000.0), (1500.0, 3000.0)),
        (None, {"usual": (9000.0,)}, (1500.0,), (9000.0,)),
        (None, {"usual": (9000.0,), "chosen": (7000.0,)}, (1500.0,), (7000.0,)),
    ],
)
def test_bitrates_are_near_those_asked_for(ladder, more, asked, expected):
    assert peer_with(ladder, **more).bitrates_near(asked) == expected


def test_a_peer_without_any_bitrate():
    with pytest.raises(InputError, match="delaying:6000:12000"):
        peer_with().bitrates_near([])


def test_only_packets_of_the_input_count():
    assert payload_bits([10, 20, 30, 40], 640, 320) == 30
    assert payload_bits([10, 20, 30, 40], 641, 320) == 60
    assert payload_bits([10], 3200, 320) == 10


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


def delayed(wav, delay):
    return np.pad(wav, (delay, 0)) if delay >= 0 else wav[-delay:]


@pytest.mark.parametrize("delay", [-80, 0, 1, 95, 399])
def test_a_known_delay_is_found_and_undone(delay):
    late = delayed(SOUND, delay)
    assert find_delay(SOUND, late, 0, 400) == delay
    back = shift(late, delay)
    common = slice(80, 7000)
    np.testing.assert_array_equal(back[common], SOUND[common])


def test_correlations_by_hand():
    a, b = np.array([1.0, 2.0, 0.0], np.float32), np.array([0.0, 1.0, 2.0], np.float32)
    delays, values = correlations(a, b, 1)
    np.testing.assert_array_equal(delays, [-1, 0, 1])
    np.testing.assert_allclose(values, [0.0 * 1 + 0, 2 / 5, 1.0], atol=1e-6)


def test_the_expected_delay_stays_unless_another_is_clearly_better():
    tone = np.sin(2 * np.pi * 200 * np.arange(16000) / 16000).astype(np.float32)  # 80 samples of period
    assert find_delay(tone, delayed(tone, 95), 95, 400) == 95  # 15 and 175 correlate as well
    noise = np.random.default_rng(1).standard_normal(8000).astype(np.float32)
    assert find_delay(SOUND, noise, 95, 400) == 95  # nothing fits
    assert find_delay(SOUND, delayed(SOUND, 300), 95, 400) == 300


def test_silence_has_the_expected_delay():
    assert find_delay(SOUND, np.zeros(8000, np.float32), 95, 400) == 95
