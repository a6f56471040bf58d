import numpy as np
import pytest

from audiocodec.adaptation.statistics import collect
from audiocodec.errors import InputError


@pytest.fixture(scope="module")
def found(codec, voice):
    return collect(codec, [(voice(6.0), 16000)], rng=np.random.default_rng(0))


def test_a_prefix_is_nearly_what_fewer_quantizers_give(codec, voice, found):
    bitrate = codec.bitrates[3]
    fewer = collect(codec, [(voice(6.0), 16000)], bitrate, rng=np.random.default_rng(0))
    cut = found.prefix(fewer.num_quantizers)
    assert cut.num_quantizers == 4
    assert cut.relative_errors == pytest.approx(fewer.relative_errors, rel=0.1)
    with pytest.raises(InputError, match="20 rows"):
        found.prefix(20)


def test_errors_fall_from_stage_to_stage(found):
    errors = np.array(found.relative_errors)
    assert (np.diff(errors) < 0).all()
    assert errors[0] < 1
    assert np.cumprod(found.error_shares) == pytest.approx(errors)


def test_other_models_are_not_joined(codec, voice, found):
    other = collect(codec, [(voice(2.0), 16000)], codec.bitrates[0], rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="num_quantizers"):
        found + other
    assert (found + found).seconds == pytest.approx(2 * found.seconds)
