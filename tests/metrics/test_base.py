import numpy as np

from audiocodec.errors import MetricError
from audiocodec.metrics import METRICS
from audiocodec.metrics.base import at_rate, check_pair

RATE = 16000
SOUND = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
BROKEN = SOUND.copy()
BROKEN[77] = np.nan


WITH_REFERENCE = [name for name, metric in METRICS.items() if metric.needs == "reference"]
OF_SILENCE = {"mel_distance", "multi_resolution_mel_distance"}
OF_SILENT_ESTIMATES = {*OF_SILENCE, "multi_resolution_stft_distance", "log_spectral_distance"}


CANNOT_BE_COMPARED = [
    (SOUND, SOUND[:-1], RATE, "16000 and 15999 samples"),
    (SOUND[None], SOUND[None], RATE, "one channel"),
    (BROKEN, SOUND, RATE, "reference has samples that are not finite"),
    (SOUND, BROKEN, RATE, "estimate has samples that are not finite"),
    (SOUND[:0], SOUND[:0], RATE, "too short"),
    (SOUND, SOUND, 500, "500 Hz is not supported"),
]
TOO_SHORT = {
    "pesq_wb": 4000, "pesq_nb": 4000, "stoi": 6000, "estoi": 6000, "mel_distance": 1000,
    "log_spectral_distance": 1000, "f0_error": 1000, "multi_resolution_mel_distance": 2000,
    "multi_resolution_stft_distance": 700, "voicing_error": 1000, "loudness_change": 6000,
    "visqol_speech": 12000, "visqol_audio": 12000, "dnsmos": 15000, "distillmos": 15000, "frame_lock": 8000,
    "harmonicity_2_4khz": 1000, "speaker_similarity": 15000,
}  # fmt: skip


def reason(name, *arguments):
    """Why a metric has no score; empty when it has one."""
    try:
        METRICS[name](*arguments)
    except MetricError as error:
        return str(error)
    return ""


def test_every_metric_refuses_what_it_cannot_compare():
    wrong = [
        (name, words)
        for name in WITH_REFERENCE
        for reference, estimate, rate, words in CANNOT_BE_COMPARED
        if words not in reason(name, reference, estimate, rate)
    ]
    assert wrong == []


def test_silence_has_no_score():
    silent = np.zeros(RATE)
    references = [name for name in WITH_REFERENCE if name not in OF_SILENCE]
    assert [n for n in references if "reference is silent" not in reason(n, silent, SOUND, RATE)] == []
    estimates = [name for name in METRICS if name not in OF_SILENT_ESTIMATES]
    assert [name for name in estimates if "is silent" not in reason(name, SOUND, silent, RATE)] == []


def test_too_short():
    found = {name: reason(name, SOUND[:n], SOUND[:n], RATE) for name, n in TOO_SHORT.items()}
    assert {name: text for name, text in found.items() if "too short" not in text} == {}


def test_signals_come_back_as_float64_at_the_rate_asked_for():
    pair = check_pair(SOUND, SOUND * 2, RATE)
    assert [wav.dtype for wav in pair] == [np.float64, np.float64]
    slower = at_rate(pair, RATE, 8000)
    assert [wav.shape for wav in slower] == [(8000,), (8000,)]
    np.testing.assert_allclose(slower[1], slower[0] * 2, atol=1e-6)
    assert at_rate(pair, RATE, RATE) is pair
