import numpy as np
import pesq
import pytest
import soxr

from audiocodec.errors import MetricError
from audiocodec.metrics import pesq_nb, pesq_wb

RATE = 16000


@pytest.mark.parametrize(("metric", "mode"), [(pesq_wb, "wb"), (pesq_nb, "nb")])
def test_equal_to_the_library(metric, mode, speech):
    assert metric(*speech, RATE) == pytest.approx(pesq.pesq(RATE, *speech, mode), abs=1e-6)


def test_narrow_band_at_its_own_rate(speech):
    slow = [soxr.resample(wav, RATE, 8000) for wav in speech]
    assert pesq_nb(*slow, 8000) == pytest.approx(pesq.pesq(8000, *slow, "nb"), abs=1e-6)


def test_other_rates_are_resampled(speech):
    fast = [soxr.resample(wav, RATE, 48000, "VHQ") for wav in speech]
    assert pesq_wb(*fast, 48000) == pytest.approx(pesq_wb(*speech, RATE), abs=0.05)


def test_long_audio_is_the_mean_of_its_pieces_and_never_crashes(speech):
    # 200 bursts of sound: the reference code stops the process when given them at once.
    rng = np.random.default_rng(0)
    clean, noisy = (np.concatenate([wav[: 16 * 4000]] * 8) for wav in speech)  # 32 s
    halves = [pesq_wb(clean[part], noisy[part], RATE) for part in (slice(None, 256000), slice(256000, None))]
    assert pesq_wb(clean, noisy, RATE) == pytest.approx(np.mean(halves), abs=1e-6)
    bursts = np.tile(np.r_[rng.standard_normal(3400), np.zeros(3400)], 200) * 0.1
    assert 1 < pesq_wb(bursts, bursts + 1e-3 * rng.standard_normal(len(bursts)), RATE) < 4.65


def test_pieces_without_speech_do_not_count(speech):
    clean, noisy = speech
    silence = np.zeros(20 * RATE - len(clean))
    long = [np.r_[wav, silence, np.zeros(20 * RATE)] for wav in (clean, noisy)]
    first = [wav[: 20 * RATE] for wav in long]
    assert pesq_wb(*long, RATE) == pytest.approx(pesq_wb(*first, RATE), abs=1e-6)


def test_no_speech_at_all():
    rng = np.random.default_rng(0)
    ticks = np.concatenate([np.r_[rng.standard_normal(1000), np.zeros(3400)] for _ in range(10)])
    with pytest.raises(MetricError, match="no speech"):
        pesq_wb(ticks, ticks, RATE)
