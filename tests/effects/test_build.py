import json
from typing import get_args

import numpy as np
import pytest

from audiocodec.config import from_mapping, to_mapping
from audiocodec.effects import EFFECTS, Chain, build_chain, build_effect
from audiocodec.effects.build import AnyEffect
from audiocodec.errors import ConfigError

RATE = 16000


def test_every_effect_has_the_kind_it_is_known_by():
    assert {build_effect({"kind": kind}).kind for kind in EFFECTS} == set(EFFECTS)
    assert set(get_args(AnyEffect)) == set(EFFECTS.values())


@pytest.mark.parametrize("kind", EFFECTS)
def test_it_goes_through_yaml_and_back(kind):
    effect = build_effect({"kind": kind, "probability": 0.25})
    assert from_mapping(EFFECTS[kind], json.loads(json.dumps(to_mapping(effect)))) == effect


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "nois"}, "did you mean 'noise'"),
        ({"kind": "xyz"}, "known kinds: babble, bandlimit"),
        ({}, "no effect of kind None"),
        ({"kind": "noise", "snr": 3}, "effect noise: snr: unknown key.*did you mean 'snr_db'"),
        ({"kind": "noise", "snr_db": [20, 0]}, r"snr_db \(20.0, 0.0\)"),
        ({"kind": "noise", "snr_db": "loud"}, "snr_db"),
        ({"kind": "colored_noise", "colors": ["green"]}, "one of 'white', 'pink', 'brown'"),
        ({"kind": "colored_noise", "colors": []}, "colors is empty"),
        ({"kind": "babble", "talkers": [0]}, "talkers"),
        ({"kind": "babble", "talkers": []}, "talkers"),
        ({"kind": "packet_loss", "loss": 0.7, "burst": 1}, "at most 0.50"),
        ({"kind": "bandlimit", "high_hz": None}, "low_hz and high_hz are both null"),
        ({"kind": "tandem", "codecs": ["mp4"]}, "codecs"),
        ({"kind": "tandem", "codecs": []}, "codecs is empty"),
        ({"kind": "clipping", "shapes": []}, "shapes is empty"),
        ({"kind": "gain", "gain_db": 100}, "within -100 to 40"),
    ],
)
def test_what_is_wrong_is_named(spec, message):
    with pytest.raises(ConfigError, match=message):
        build_effect(spec)


def test_a_chain_is_its_effects_in_order(sources, speech):
    chain = build_chain([{"kind": "gain", "gain_db": 6}, {"kind": "clipping", "below_peak_db": 6}])
    drawn = chain.draw(np.random.default_rng(0), len(speech), RATE, sources)
    out = chain.apply(speech, RATE, drawn, sources)
    louder = speech * np.float32(10 ** (6 / 20))
    limit = np.abs(louder).max() * 10 ** (-6 / 20)
    np.testing.assert_allclose(out, np.clip(louder, -limit, limit), atol=1e-6)
    # A clean target has the gain, which is no distortion, but not the clipping.
    np.testing.assert_allclose(chain.reference(speech, RATE, drawn, sources), louder, rtol=1e-6)


def test_probabilities(sources):
    chain = build_chain([{"kind": "gain", "probability": 0.3}, {"kind": "clipping"}])
    rng = np.random.default_rng(0)
    drawn = [chain.draw(rng, 100, RATE, sources)["effects"] for _ in range(2000)]
    assert np.mean([effects[0] is not None for effects in drawn]) == pytest.approx(0.3, abs=0.04)
    assert all(effects[1]["kind"] == "clipping" for effects in drawn)


def test_a_chain_of_nothing_is_a_copy(sources, speech):
    chain = Chain()
    out = chain.apply(speech, RATE, chain.draw(np.random.default_rng(0), 1, RATE, sources), sources)
    np.testing.assert_array_equal(out, speech)
    assert not np.shares_memory(out, speech)
