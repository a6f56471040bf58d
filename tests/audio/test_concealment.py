import numpy as np
import pytest

from audiocodec.audio.concealment import FADE_SECONDS, RISE_SECONDS, Concealer

RATE = 16000


def tone(start, length, frequency=140.0):
    """A voice-like tone [1, L] with harmonics."""
    time = np.arange(start, start + length) / RATE
    wav = sum(np.sin(2 * np.pi * k * frequency * time) / k for k in range(1, 6))
    return (0.2 * wav).astype(np.float32)[None]


def test_good_sound_passes_untouched():
    concealer = Concealer(RATE, 1)
    for start in range(0, 3200, 320):
        np.testing.assert_array_equal(concealer.good(tone(start, 320)), tone(start, 320))


def test_a_short_loss_goes_on_as_the_sound_would_have():
    concealer = Concealer(RATE, 1)
    concealer.good(tone(0, 3200))
    filled = concealer.lost(320)
    missing = tone(3200, 320)
    assert np.corrcoef(filled[0], missing[0])[0, 1] > 0.97
    level = np.abs(filled).max() / np.abs(missing).max()
    assert 0.8 < level < 1.05


@pytest.mark.parametrize("pieces", [[3200], [320] * 10, [1, 3199], [1600, 1600]])
def test_the_filling_fades_the_same_in_any_pieces(pieces):
    whole, parts = Concealer(RATE, 1), Concealer(RATE, 1)
    for concealer in (whole, parts):
        concealer.good(tone(0, 3200))
    expected = whole.lost(3200)
    np.testing.assert_array_equal(np.concatenate([parts.lost(n) for n in pieces], axis=1), expected)
    assert not expected[:, round(FADE_SECONDS * RATE) :].any()
    loudness = [np.abs(expected[0, i : i + 400]).max() for i in range(0, 1600, 400)]
    assert loudness == sorted(loudness, reverse=True)


def test_no_click_at_either_end():
    concealer = Concealer(RATE, 1)
    before = concealer.good(tone(0, 3333))
    joined = np.concatenate([before, concealer.lost(320), concealer.good(tone(3653, 3000))], axis=1)
    assert np.abs(np.diff(joined)).max() < 1.2 * np.abs(np.diff(tone(0, 3000))).max()
    after = 3653 + round(RISE_SECONDS * RATE)
    np.testing.assert_array_equal(joined[:, after:], tone(after, joined.shape[1] - after))


def test_silence_stays_silence():
    concealer = Concealer(RATE, 2)
    assert not concealer.lost(500).any()
    concealer.good(np.zeros((2, 1000), np.float32))
    assert not concealer.lost(500).any()


def test_channels_are_continued_each_for_itself():
    both = np.concatenate([tone(0, 3200), tone(0, 3200, 97.0)])
    together = Concealer(RATE, 2)
    together.good(both)
    filled = together.lost(320)
    for channel in range(2):
        alone = Concealer(RATE, 1)
        alone.good(both[channel : channel + 1])
        np.testing.assert_array_equal(alone.lost(320)[0], filled[channel])


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_blocks_shorter_than_what_is_remembered(rate):
    concealer = Concealer(rate, 1)
    for _ in range(3):
        assert concealer.good(np.full((1, 7), 0.1, np.float32)).shape == (1, 7)
        assert concealer.lost(5).shape == (1, 5)
