import pickle
from importlib.util import find_spec

import numpy as np
import pytest

from audiocodec import metrics
from audiocodec.errors import MetricError
from audiocodec.metrics import METRICS, Metric, si_sdr

SOUND = np.random.default_rng(0).standard_normal(16000)


def test_every_score_is_listed_under_its_name():
    for name, metric in METRICS.items():
        assert metric.name == name == metric.compute.__name__
        assert getattr(metrics, name) is metric.compute
        assert metric.installed == (metric.package is None or find_spec(metric.package) is not None)


def test_a_score_can_be_sent_to_another_process():
    for metric in METRICS.values():
        assert pickle.loads(pickle.dumps(metric)) == metric


def test_calls_are_those_of_the_function():
    assert METRICS["si_sdr"](SOUND, SOUND + 1e-2 * SOUND[::-1], 16000) == pytest.approx(
        si_sdr(SOUND, SOUND + 1e-2 * SOUND[::-1], 16000), abs=0
    )


def test_a_missing_reference_is_a_reason():
    with pytest.raises(MetricError, match="si_sdr needs a reference"):
        METRICS["si_sdr"](None, SOUND, 16000)
    alone = Metric("level", lambda _, wav, rate: float(wav.std()) * rate / rate, "", "higher", needs="none")
    assert alone(None, SOUND, 16000) == pytest.approx(1, abs=0.05)


def test_higher_or_lower_is_true(speech):
    """More noise makes each score worse, in the direction the table says."""
    clean, noisy = speech
    louder = clean + 4 * (noisy - clean)
    for name in ("pesq_wb", "stoi", "si_sdr", "mel_distance", "log_spectral_distance"):
        metric = METRICS[name]
        sign = {"higher": 1, "lower": -1}[metric.better]
        assert sign * metric(clean, noisy, 16000) > sign * metric(clean, louder, 16000), name
