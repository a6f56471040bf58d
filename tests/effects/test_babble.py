import numpy as np
import pytest

from audiocodec.audio.levels import active_level, rms_db
from audiocodec.effects import Sources, build_effect
from audiocodec.effects.sources import find_sources
from audiocodec.errors import InputError

RATE = 16000


@pytest.mark.parametrize("talkers", [1, 2, 6, 20])
def test_talkers(speech, sources, talkers):
    effect = build_effect({"kind": "babble", "snr_db": 3, "talkers": [talkers]})
    rng = np.random.default_rng(0)
    for _ in range(5):
        drawn = effect.draw(rng, len(speech), RATE, sources, "s2")
        speakers = [name.split("/")[1] for name, _ in drawn["talkers"]]
        assert len(speakers) == talkers
        assert "s2" not in speakers
        counts = [speakers.count(speaker) for speaker in ("s0", "s1", "s3")]
        assert max(counts) - min(counts) <= 1  # all others before anyone twice
    added = effect.apply(speech, RATE, drawn, sources) - speech
    assert active_level(speech, RATE).level_db - rms_db(added) == pytest.approx(3, abs=0.05)


def test_talkers_are_equally_loud(sources, speech):
    effect = build_effect({"kind": "babble", "snr_db": 0, "talkers": [3]})
    drawn = effect.draw(np.random.default_rng(0), len(speech), RATE, sources)
    added = (effect.apply(speech, RATE, drawn, sources) - speech).astype(np.float64)
    parts = [sources.excerpt("speech", name, RATE, start, len(speech)) for name, start in drawn["talkers"]]
    shares = np.linalg.lstsq(np.stack(parts, 1).astype(np.float64), added, rcond=None)[0]
    levels = [rms_db(share * part) for share, part in zip(shares, parts, strict=True)]
    assert np.ptp(levels) < 0.05


def test_nobody_else(sound_folder, speech):
    one = [clip for clip in find_sources(sound_folder / "speech", "speech") if clip.speaker == "s1"]
    effect = build_effect({"kind": "babble", "talkers": [2]})
    rng = np.random.default_rng(0)
    assert len(effect.draw(rng, 1000, RATE, Sources(one))["talkers"]) == 2
    with pytest.raises(InputError, match="anybody but s1"):
        effect.draw(rng, 1000, RATE, Sources(one), "s1")
