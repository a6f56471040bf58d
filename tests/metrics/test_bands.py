import numpy as np
import pytest
import soxr

from audiocodec.errors import MetricError
from audiocodec.metrics import METRICS, frame_lock, frame_lock_by_band
from audiocodec.metrics.bands import _band

RATE = 16000
BANDS = {"level_1_2khz": (1000, 2000), "level_2_4khz": (2000, 4000), "level_4_7khz": (4000, 7000)}
HARMONICITY = ("harmonicity_2_4khz", "harmonicity_4_7khz")


def noise(seconds=3.0, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def pulses(hz=125.0, seconds=1.5):
    train = np.zeros(round(seconds * RATE))
    train[:: round(RATE / hz)] = 1
    return train + 1e-4 * noise(seconds)


def locked(wav, frame_rate=50.0, depth=0.8):
    """The same with an envelope that repeats in every frame."""
    time = np.arange(len(wav)) / RATE
    shape = sum(np.cos(2 * np.pi * k * frame_rate * time + k * k) for k in range(1, 9)) / 4
    return wav * (1 + depth * shape)


@pytest.mark.parametrize("name", BANDS)
@pytest.mark.parametrize("decibels", [-6.0, 0.0, 2.5])
def test_a_change_of_level_is_found_in_its_band_alone(name, decibels, speech):
    low, high = BANDS[name]
    spectrum = np.fft.rfft(speech[0])
    frequencies = np.fft.rfftfreq(len(speech[0]), 1 / RATE)
    spectrum[(frequencies >= low) & (frequencies < high)] *= 10 ** (decibels / 20)
    changed = np.fft.irfft(spectrum, len(speech[0]))
    for other in BANDS:
        expected = decibels if other == name else 0
        assert METRICS[other](speech[0], changed, RATE) == pytest.approx(expected, abs=0.2)


def test_a_band_that_is_not_there_has_no_level(speech):
    slow = [soxr.resample(wav.astype(np.float64), RATE, 8000, "VHQ") for wav in speech]
    assert METRICS["level_1_2khz"](*slow, 8000) == pytest.approx(
        METRICS["level_1_2khz"](*speech, RATE), abs=0.1
    )
    with pytest.raises(MetricError, match="nothing from 4000 to 7000 Hz"):
        METRICS["level_4_7khz"](*slow, 8000)
    low_only = slow[0].repeat(2)  # an estimate may well lack a band
    tone = np.sin(2 * np.pi * 100 * np.arange(len(low_only)) / RATE)
    assert METRICS["level_4_7khz"](noise(len(tone) / RATE), tone * np.hanning(len(tone)), RATE) < -80


@pytest.mark.parametrize("name", HARMONICITY)
def test_pulses_are_harmonic_and_noise_is_not(name):
    train = pulses()
    assert METRICS[name](train, train, RATE) > 0.98
    assert METRICS[name](train, noise(1.5), RATE) < 0.16
    half = train + 0.1 * train.std() * noise(1.5) / noise(1.5).std()
    assert 0.5 < METRICS[name](train, half, RATE) < 0.995


@pytest.mark.parametrize("name", HARMONICITY)
def test_harmonics_of_speech_drown_in_noise(name, speech):
    clean, noisy = speech
    found = [METRICS[name](clean, clean + k * (noisy - clean), RATE) for k in (0.0, 0.3, 1.0)]
    assert 0.2 < found[0] < 0.6
    assert found == sorted(found, reverse=True)
    assert METRICS[name](clean, 0.01 * clean, RATE) == pytest.approx(found[0], abs=1e-3)


@pytest.mark.parametrize("name", HARMONICITY)
def test_without_a_voice_there_are_no_harmonics(name):
    with pytest.raises(MetricError, match="frames are voiced in the reference"):
        METRICS[name](noise(0.2), noise(0.2), RATE)


def test_a_lock_to_frames_is_found_and_speech_has_none(speech):
    clean = np.concatenate([speech[0], speech[0]])
    assert frame_lock(clean, clean, RATE) < 2
    by_band = frame_lock_by_band(clean, locked(clean), RATE)
    assert set(by_band) >= {"1-2 kHz active", "2-4 kHz active", "4-7 kHz active"}
    assert min(value for name, value in by_band.items() if "active" in name) > 4
    assert max(by_band.values()) > 6
    assert frame_lock(clean, locked(clean), RATE) == max(by_band.values())
    mild = frame_lock(clean, locked(clean, depth=0.2), RATE)
    assert 2 < mild < frame_lock(clean, locked(clean), RATE)


def test_a_lock_in_one_band_and_in_pauses():
    reference = noise(4.0)
    reference[len(reference) // 2 :] *= 1e-2  # the second half is a pause
    estimate = reference.copy()
    pause = slice(len(reference) // 2, None)
    high = _band(reference, 4000, 7000).real
    estimate[pause] += locked(high, depth=1.0)[pause] - high[pause]
    found = frame_lock_by_band(reference, estimate, RATE)
    assert found.pop("4-7 kHz quiet") > 6
    assert len(found) == 5
    assert max(found.values()) < 2


@pytest.mark.parametrize("frame_rate", [50.0, 75.0, 25.0])
def test_only_lines_of_the_frame_rate_count(frame_rate):
    reference = noise(8.0)
    estimate = locked(reference, frame_rate)
    assert max(frame_lock_by_band(reference, estimate, RATE, frame_rate).values()) > 8
    assert max(frame_lock_by_band(reference, estimate, RATE, 1.1 * frame_rate).values()) < 3


def test_what_a_lock_cannot_be_told_from():
    with pytest.raises(MetricError, match="too short or too restless"):
        frame_lock(noise(0.5), noise(0.5), RATE)
    for frame_rate in (0.0, 126.0, float("nan")):
        with pytest.raises(MetricError, match="above 0 and up to 125"):
            frame_lock_by_band(noise(), noise(), RATE, frame_rate)


def test_other_rates_are_resampled(speech):
    clean, noisy = (wav.astype(np.float64) for wav in speech)
    fast = [soxr.resample(wav, RATE, 44100, "VHQ") for wav in (clean, noisy)]
    for name in (*BANDS, *HARMONICITY, "frame_lock"):
        assert METRICS[name](*fast, 44100) == pytest.approx(METRICS[name](clean, noisy, RATE), abs=0.05), name
