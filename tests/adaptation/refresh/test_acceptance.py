import numpy as np
import pytest
from scipy.stats import bootstrap

from audiocodec.adaptation.refresh.acceptance import (
    BYTES,
    ERROR,
    MEL,
    PESQ,
    SCORES,
    STOI,
    Acceptance,
    Scored,
    compare,
    decide,
    judge,
    score,
    with_codebooks,
)
from audiocodec.adaptation.refresh.sound import SoundClips
from audiocodec.errors import InputError

START = {PESQ: 2.0, STOI: 0.8, MEL: 0.5, ERROR: 0.2, BYTES: 3000.0}


def scored(count=20, noise=0.01, seed=0, names="clip", **means):
    rng = np.random.default_rng(seed)
    values = {
        name: START[name] + means.get(name, 0.0) + noise * rng.standard_normal(count) for name in SCORES
    }
    return Scored(tuple(f"{names}{k}" for k in range(count)), values, (0.5,), (100.0,))


def verdict(gain=0.1, error=-0.02, clean=0.0, tolerance=0.02, **after):
    sides = scored(), scored(seed=1, **{PESQ: gain, ERROR: error}, **after)
    return decide(
        *sides, scored(seed=2), scored(seed=2, **{PESQ: clean}), Acceptance(clean_tolerance=tolerance), 3000
    )


def test_a_certain_gain_without_loss_of_clean_speech_is_accepted():
    found = verdict()
    assert found.accepted
    assert found.criterion == PESQ
    assert found.environment[PESQ].change == pytest.approx(0.1, abs=0.01)
    assert "pesq_wb +0.1" in found.reason


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ({"gain": 0.0005}, "no certain gain"),
        ({"gain": -0.1}, "no certain gain"),
        ({"error": 0.05}, "quantization error of the environment grows"),
        ({"clean": -0.03}, "clean speech loses 0.030 PESQ, tolerated are 0.02"),
    ],
)
def test_each_reason_to_refuse(case, reason):
    found = verdict(**case)
    assert not found.accepted
    assert reason in found.reason


def test_the_tolerance_is_an_edge():
    assert verdict(clean=-0.0199).accepted
    assert not verdict(clean=-0.0201).accepted
    assert verdict(clean=-0.3, tolerance=0.5).accepted


def test_without_speech_the_mel_distance_decides():
    before, after = scored(), scored(seed=1, **{MEL: -0.1, ERROR: -0.02})
    before.values[PESQ][3:] = np.nan
    clean = scored(seed=2)
    found = decide(before, after, clean, clean, Acceptance(), 3000)
    assert found.accepted
    assert found.criterion == MEL
    worse = scored(seed=1, **{MEL: 0.1, ERROR: -0.02})
    assert not decide(before, worse, clean, clean, Acceptance(), 3000).accepted


def test_the_interval_is_that_of_scipy_and_pairs_are_kept_together():
    rng = np.random.default_rng(0)
    hard = rng.standard_normal(40)  # pieces differ much more than codebooks do
    before, after = hard, hard + 0.05 + 0.1 * rng.standard_normal(40)
    found = compare(before, after, Acceptance())
    expected = bootstrap((after - before,), np.mean, method="percentile", rng=np.random.default_rng(1))
    ends = expected.confidence_interval
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), abs=0.004)
    assert found.p_value < 0.02
    assert compare(before, before, Acceptance()).p_value == 1.0


def test_an_interval_holds_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    held = 0
    for seed in range(200):
        change = 0.3 + rng.standard_normal(25)
        found = compare(np.zeros(25), change, Acceptance(seed=seed))
        held += found.low <= 0.3 <= found.high
    assert 0.87 < held / 200 < 0.98


def test_pieces_that_cannot_be_scored_are_left_out_and_too_few_decide_nothing():
    values = np.array([1.0, np.nan, 2.0])
    found = compare(values, values + 1, Acceptance())
    assert (found.pairs, found.change, found.low) == (2, 1.0, None)
    assert compare(np.array([np.nan]), np.array([1.0]), Acceptance()).change is None
    few = scored(4), scored(4, seed=1, **{PESQ: 1.0, ERROR: -0.1})
    clean = scored(seed=2)
    assert "too few" in decide(*few, clean, clean, Acceptance(), 3000).reason


def test_scores_of_different_pieces_are_not_compared():
    with pytest.raises(InputError, match="different pieces"):
        decide(scored(), scored(names="other"), scored(), scored(), Acceptance(), 3000)


def test_options_are_checked():
    with pytest.raises(InputError, match="clean_tolerance"):
        Acceptance(clean_tolerance=-1)


def test_scores_of_a_codec_and_of_the_same_with_spoilt_codebooks(codec, make_sound):
    sound = make_sound(5, seconds=1.5)
    own = codec.model.quantizer.codebooks()
    spoilt = with_codebooks(codec, {name: 0 * codebook for name, codebook in own.items()})
    good, bad = (score(c, sound.clips, None) for c in (codec, spoilt))
    assert (good.values[ERROR] < 0.6).all()
    assert bad.values[ERROR] == pytest.approx(bad.values[ERROR][0], rel=1)
    assert (bad.values[ERROR] > 1 - 1e-4).all()  # nothing comes back: all of the variance, and the mean
    assert (good.values[MEL] < bad.values[MEL]).all()
    data = codec.compress(sound.clips[0].wav, 16000)
    assert good.values[BYTES][0] == len(data)
    assert max(bad.perplexity) < max(good.perplexity)
    assert all((own[n] == c).all() for n, c in codec.model.quantizer.codebooks().items())


def test_judging_with_the_codebooks_in_use_finds_no_gain(codec, make_sound):
    sound = make_sound(5, seconds=1.5)
    found = judge(codec, codec, sound, sound, Acceptance())
    assert not found.accepted
    assert found.environment[ERROR].change == 0
    assert found.usage[0] == found.usage[1] > 0
    with pytest.raises(InputError, match="4 pieces of clean speech"):
        judge(codec, codec, sound, SoundClips(sound.clips[:4], {}), Acceptance())
