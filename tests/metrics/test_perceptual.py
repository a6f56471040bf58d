import sys
from types import SimpleNamespace

import numpy as np
import pesq
import pystoi
import pytest
import soxr

from audiocodec.errors import MetricError, MissingPackageError
from audiocodec.metrics import (
    estoi,
    pesq_nb,
    pesq_wb,
    stoi,
    visqol_audio,
    visqol_speech,
    visqol_speech_polynomial,
)
from audiocodec.metrics.perceptual import _visqol_api

RATE = 16000


@pytest.mark.parametrize(("metric", "mode"), [(pesq_wb, "wb"), (pesq_nb, "nb")])
def test_pesq_is_equal_to_the_library(metric, mode, speech):
    assert metric(*speech, RATE) == pytest.approx(pesq.pesq(RATE, *speech, mode), abs=1e-6)


def test_narrow_band_at_its_own_rate(speech):
    slow = [soxr.resample(wav, RATE, 8000) for wav in speech]
    assert pesq_nb(*slow, 8000) == pytest.approx(pesq.pesq(8000, *slow, "nb"), abs=1e-6)


def test_other_rates_are_resampled_for_pesq(speech):
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


@pytest.mark.parametrize(("metric", "extended"), [(stoi, False), (estoi, True)])
def test_stoi_is_equal_to_the_library(metric, extended, speech):
    expected = pystoi.stoi(*speech, RATE, extended=extended)
    assert metric(*speech, RATE) == pytest.approx(expected, abs=1e-6)
    assert metric(speech[0], speech[0], RATE) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_other_rates_are_resampled_for_stoi(metric, speech):
    fast = [soxr.resample(wav, RATE, 44100, "VHQ") for wav in speech]
    assert metric(*fast, 44100) == pytest.approx(metric(*speech, RATE), abs=0.005)


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_a_short_sound_in_silence_has_no_score(metric):
    wav = np.zeros(2 * RATE)
    wav[:2000] = np.random.default_rng(0).standard_normal(2000)
    with pytest.raises(MetricError, match="not silent"):
        metric(wav, wav, RATE)


def test_visqol_missing(monkeypatch, speech):
    monkeypatch.setitem(sys.modules, "visqol", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    _visqol_api.cache_clear()
    with pytest.raises(MissingPackageError, match=r"pip install 'visqol-python\[lattice\]'"):
        visqol_speech(*speech, RATE)
    with pytest.raises(MissingPackageError, match="ViSQOL"):
        visqol_audio(*speech, RATE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "mode", "lattice"),
    [(visqol_speech, "speech", True), (visqol_speech_polynomial, "speech", False)],
)
def test_visqol_is_equal_to_the_library(metric, mode, lattice, speech):
    visqol = pytest.importorskip("visqol")
    if lattice:
        pytest.importorskip("ai_edge_litert")
    api = visqol.VisqolApi()
    api.create(mode=mode, use_lattice_model=lattice)
    expected = api.measure_from_arrays(*(wav.astype(np.float64) for wav in speech), RATE).moslqo
    assert metric(*speech, RATE) == pytest.approx(expected, abs=1e-6)
    assert metric(speech[0], speech[0], RATE) > expected + 1


@pytest.mark.slow
def test_audio_mode_is_at_48_khz(speech):
    pytest.importorskip("visqol")
    assert (
        1
        < visqol_audio(*speech, RATE)
        < visqol_audio(speech[0], speech[0], RATE)
        == pytest.approx(4.73, abs=0.01)
    )


@pytest.mark.parametrize(
    ("answer", "words"), [(ValueError("no patch"), "no patch"), (np.nan, "came out as nan")]
)
def test_what_visqol_cannot_score_is_a_reason(answer, words, monkeypatch, speech):
    def measure(reference, estimate, rate):
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(moslqo=answer)

    api = SimpleNamespace(measure_from_arrays=measure)
    monkeypatch.setattr("audiocodec.metrics.perceptual._visqol_api", lambda mode, lattice: api)
    with pytest.raises(MetricError, match=words):
        visqol_speech(*speech, RATE)
