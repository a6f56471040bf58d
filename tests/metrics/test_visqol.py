import sys
from types import SimpleNamespace

import numpy as np
import pytest

from audiocodec.errors import MetricError, MissingPackageError
from audiocodec.metrics import visqol_audio, visqol_speech, visqol_speech_polynomial
from audiocodec.metrics.visqol import _api

RATE = 16000


def test_package_missing(monkeypatch, speech):
    monkeypatch.setitem(sys.modules, "visqol", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    _api.cache_clear()
    with pytest.raises(MissingPackageError, match=r"pip install 'visqol-python\[lattice\]'"):
        visqol_speech(*speech, RATE)
    with pytest.raises(MissingPackageError, match="ViSQOL"):
        visqol_audio(*speech, RATE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "mode", "lattice"),
    [(visqol_speech, "speech", True), (visqol_speech_polynomial, "speech", False)],
)
def test_equal_to_the_library(metric, mode, lattice, speech):
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
    monkeypatch.setattr("audiocodec.metrics.visqol._api", lambda mode, lattice: api)
    with pytest.raises(MetricError, match=words):
        visqol_speech(*speech, RATE)
