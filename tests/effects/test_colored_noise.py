import numpy as np
import pytest
from scipy.signal import welch

from audiocodec.audio.levels import active_level, rms_db
from audiocodec.effects import Sources, build_effect
from audiocodec.effects.colored_noise import colored_noise


@pytest.mark.parametrize(("color", "db_per_octave"), [("white", 0.0), ("pink", -3.01), ("brown", -6.02)])
@pytest.mark.parametrize("rate", [8000, 48000])
def test_slope(color, db_per_octave, rate):
    frequencies, power = welch(colored_noise(color, 1, 20 * rate, rate), rate, nperseg=4096)
    used = (frequencies > 100) & (frequencies < rate / 2.2)
    slope = np.polyfit(np.log2(frequencies[used]), 10 * np.log10(power[used]), 1)[0]
    assert slope == pytest.approx(db_per_octave, abs=0.1)


def test_snr_and_seed(speech):
    effect = build_effect({"kind": "colored_noise", "snr_db": 10, "colors": ["pink"]})
    drawn = effect.draw(np.random.default_rng(0), len(speech), 16000, Sources())
    added = effect.apply(speech, 16000, drawn, Sources()) - speech
    assert active_level(speech, 16000).level_db - rms_db(added) == pytest.approx(10, abs=0.01)
    other = effect.apply(speech, 16000, drawn | {"seed": drawn["seed"] + 1}, Sources()) - speech
    assert abs(np.corrcoef(added, other)[0, 1]) < 0.2
