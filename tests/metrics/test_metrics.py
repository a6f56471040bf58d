import pickle
from importlib.util import find_spec

import numpy as np
import pytest

from audiocodec import metrics
from audiocodec.errors import InputError, MetricError, MissingPackageError
from audiocodec.metrics import IMITATED_BY, METRICS, Metric, choose_metrics, imitated, si_sdr

SOUND = np.random.default_rng(0).standard_normal(16000)


def test_every_score_is_listed_under_its_name():
    for name, metric in METRICS.items():
        assert metric.name == name == metric.compute.__name__
        assert getattr(metrics, name) is metric.compute
        assert metric.installed == all(find_spec(module) is not None for module in metric.modules)
        assert bool(metric.modules) == bool(metric.install)


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


def test_metrics_by_name():
    assert [metric.name for metric in choose_metrics(["stoi", "pesq_wb", "stoi"])] == ["stoi", "pesq_wb"]
    assert {metric.name for metric in choose_metrics(["all"])} >= {"pesq_wb", "frame_lock"}
    with pytest.raises(InputError, match=r"no metric 'pesk'; choose from pesq_wb, .*, or all"):
        choose_metrics(["pesk"])


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("visqol_audio", r"pip install 'visqol-python\[lattice\]'"),
        ("dnsmos", "pip install speechmos onnxruntime requests"),
        ("distillmos", "pip install distillmos"),
        ("speaker_similarity", "pip install resemblyzer webrtcvad-wheels"),
    ],
)
def test_what_is_missing_is_named_as_pip_knows_it(name, package, monkeypatch):
    monkeypatch.setattr("audiocodec.metrics.base.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=rf"{name} needs .*{package}.*'audiocodec\[scores\]'"):
        choose_metrics([name])
    assert name not in [metric.name for metric in choose_metrics(["all"])]


def test_losses_and_the_scores_they_imitate():
    assert {name for names in IMITATED_BY.values() for name in names} <= set(METRICS)
    assert imitated({"intelligibility": 5.0, "loudness": 1.0, "commitment": 0.5, "waveform": 0.0}) == (
        "pesq_wb",
        "pesq_nb",
        "stoi",
        "estoi",
    )
    assert imitated({"feature": 1.0}) == ()
    assert imitated({"mel": 1.0}) == imitated({"logspectrum": 1.0})
