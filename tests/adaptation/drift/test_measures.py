from dataclasses import replace

import numpy as np
import pytest

from audiocodec.adaptation.drift import MEASURES, compare
from audiocodec.adaptation.statistics import collect
from audiocodec.errors import InputError


@pytest.fixture(scope="module")
def clean(codec, voice):
    return collect(codec, [(voice(8.0, seed=seed), 16000) for seed in range(3)], rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def noisy(codec, voice):
    rng = np.random.default_rng(1)
    wavs = [voice(8.0, seed=seed) for seed in range(3, 6)]
    return collect(
        codec,
        [((wav + 0.05 * rng.standard_normal(wav.shape)).astype(np.float32), 16000) for wav in wavs],
        rng=rng,
    )


def test_nothing_has_moved_from_itself(clean):
    measures = compare(clean, clean)
    assert set(measures.values) == set(MEASURES)
    ones = {"usage", "perplexity", "error", "relative_error", "error_share"}
    for name, value in measures.table().items():
        assert value == pytest.approx(float(name in ones), abs=0.02), name  # kl is smoothed
    assert len(measures.values["js"]) == len(measures.values["error"]) == 8


def test_noise_moves_everything_that_should(clean, noisy):
    table = compare(clean, noisy).table()
    assert table["relative_error"] > 1.5
    assert table["w2"] > 0.1
    assert table["js"] > 0.05
    assert table["level_db"] != 0
    plain = noisy.stages[-1].error.mean / clean.stages[-1].error.mean
    assert table["error"] == pytest.approx(plain)
    assert table["entropy"] == pytest.approx(
        np.mean(
            [after.entropy - before.entropy for before, after in zip(clean.codes, noisy.codes, strict=True)]
        )
    )


def test_a_lower_bitrate_is_compared_stage_by_stage(codec, voice, clean):
    window = collect(codec, [(voice(4.0), 16000)], codec.bitrates[2], rng=np.random.default_rng(0))
    measures = compare(clean, window)
    assert len(measures.values["js"]) == len(measures.values["relative_error"]) == 3


def test_codes_of_other_codebooks_are_not_compared(clean, noisy):
    measures = compare(clean, replace(noisy, codebook_id="other"))
    assert "js" not in measures.values
    assert measures.overall("relative_error") > 1.5
    blank = replace(
        noisy,
        codebook_id="other",
        stages=tuple(replace(s, latents=type(s.latents).empty(48)) for s in noisy.stages),
    )
    with pytest.raises(InputError, match="nothing to compare"):
        compare(clean, blank)


def test_other_models_are_refused(clean, noisy):
    with pytest.raises(InputError, match="make a baseline with this model"):
        compare(clean, replace(noisy, model_id="another"))
    with pytest.raises(InputError, match="other sizes"):
        compare(clean.prefix(2), noisy)
    with pytest.raises(InputError, match="window has 0 frames"):
        compare(clean, replace(noisy, frames=0))
