import numpy as np
import pytest

from audiocodec.errors import MetricError
from audiocodec.metrics import METRICS
from audiocodec.metrics.pair import at_rate, check_pair

RATE = 16000
SOUND = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
BROKEN = SOUND.copy()
BROKEN[77] = np.nan


WITH_REFERENCE = [name for name, metric in METRICS.items() if metric.needs == "reference"]
OF_SILENCE = {"mel_distance", "multi_resolution_mel_distance"}
OF_SILENT_ESTIMATES = {*OF_SILENCE, "multi_resolution_stft_distance", "log_spectral_distance"}


@pytest.mark.parametrize("name", WITH_REFERENCE)
@pytest.mark.parametrize(
    ("reference", "estimate", "rate", "words"),
    [
        (SOUND, SOUND[:-1], RATE, "16000 and 15999 samples"),
        (SOUND[None], SOUND[None], RATE, "one channel"),
        (BROKEN, SOUND, RATE, "reference has samples that are not finite"),
        (SOUND, BROKEN, RATE, "estimate has samples that are not finite"),
        (SOUND[:0], SOUND[:0], RATE, "too short"),
        (SOUND, SOUND, 500, "500 Hz is not supported"),
    ],
)
def test_every_metric_refuses_what_it_cannot_compare(name, reference, estimate, rate, words):
    with pytest.raises(MetricError, match=words):
        METRICS[name](reference, estimate, rate)


@pytest.mark.parametrize("name", [name for name in WITH_REFERENCE if name not in OF_SILENCE])
def test_silence_has_no_score(name):
    with pytest.raises(MetricError, match="reference is silent"):
        METRICS[name](np.zeros(RATE), SOUND, RATE)


@pytest.mark.parametrize("name", [name for name in METRICS if name not in OF_SILENT_ESTIMATES])
def test_a_silent_estimate_has_no_score(name):
    with pytest.raises(MetricError, match="is silent"):
        METRICS[name](SOUND, np.zeros(RATE), RATE)


@pytest.mark.parametrize(("name", "length"), [("pesq_wb", 4000), ("pesq_nb", 4000), ("stoi", 6000),
                                              ("estoi", 6000), ("mel_distance", 1000),
                                              ("log_spectral_distance", 1000), ("f0_error", 1000),
                                              ("multi_resolution_mel_distance", 2000),
                                              ("multi_resolution_stft_distance", 700),
                                              ("voicing_error", 1000), ("loudness_change", 6000),
                                              ("visqol_speech", 12000), ("visqol_audio", 12000),
                                              ("dnsmos", 15000), ("distillmos", 15000), ("frame_lock", 8000),
                                              ("harmonicity_2_4khz", 1000),
                                              ("speaker_similarity", 15000)])  # fmt: skip
def test_too_short(name, length):
    with pytest.raises(MetricError, match="too short"):
        METRICS[name](SOUND[:length], SOUND[:length], RATE)


def test_signals_come_back_as_float64_at_the_rate_asked_for():
    pair = check_pair(SOUND, SOUND * 2, RATE)
    assert [wav.dtype for wav in pair] == [np.float64, np.float64]
    slower = at_rate(pair, RATE, 8000)
    assert [wav.shape for wav in slower] == [(8000,), (8000,)]
    np.testing.assert_allclose(slower[1], slower[0] * 2, atol=1e-6)
    assert at_rate(pair, RATE, RATE) is pair
