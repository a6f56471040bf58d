import numpy as np
import pytest

from audiocodec.audio.levels import rms_db
from audiocodec.effects import Sources, build_effect


@pytest.mark.parametrize("gain_db", [-30, 10])
def test_gain(speech, gain_db):
    effect = build_effect({"kind": "gain", "gain_db": gain_db})
    drawn = effect.draw(np.random.default_rng(0), len(speech), 16000, Sources())
    out = effect.apply(speech, 16000, drawn, Sources())
    assert rms_db(out) - rms_db(speech) == pytest.approx(gain_db, abs=1e-4)
    np.testing.assert_array_equal(effect.reference(speech, 16000, drawn, Sources()), out)


@pytest.mark.parametrize("shape", ["hard", "soft"])
def test_limit(speech, shape):
    effect = build_effect({"kind": "clipping", "below_peak_db": 12, "shapes": [shape]})
    drawn = effect.draw(np.random.default_rng(0), len(speech), 16000, Sources())
    out = effect.apply(speech, 16000, drawn, Sources())
    limit = np.abs(speech).max() * 10 ** (-12 / 20)
    assert np.abs(out).max() <= limit * 1.00001
    small = np.abs(speech) < limit / 20
    np.testing.assert_allclose(out[small], speech[small], rtol=2e-3)
    if shape == "hard":
        np.testing.assert_array_equal(out[np.abs(speech) < limit], speech[np.abs(speech) < limit])
