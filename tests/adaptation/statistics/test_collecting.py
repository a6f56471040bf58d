import numpy as np
import pytest

from audiocodec import audio
from audiocodec.adaptation.statistics import collect, collect_files
from audiocodec.errors import InputError


@pytest.mark.parametrize("sample_rate", [16000, 24000])
def test_codes_are_those_of_the_file(codec, voice, sample_rate):
    wav = voice(2.3, sample_rate, channels=2)
    encoded = codec.encode(wav, sample_rate)
    found = collect(codec, [(wav, sample_rate)], rng=np.random.default_rng(0))
    assert found.frames == encoded.codes.shape[0] * encoded.codes.shape[2]
    counts = np.bincount(encoded.codes[:, 2].ravel(), minlength=64)
    assert np.array_equal(found.codes[2].counts, counts)
    assert (found.model_id, found.codebook_id) == (codec.model_id, codec.codebook_id)


def test_files_of_a_folder(codec, voice, tmp_path):
    for number in range(2):
        audio.write(tmp_path / f"{number}.wav", voice(1.0, seed=number), 16000)
    shares = []
    found = collect_files(codec, [tmp_path], rng=np.random.default_rng(0), progress=shares.append)
    assert shares == [0.5, 1.0]
    assert found.seconds == pytest.approx(2.0, abs=0.1)


def test_bad_recordings_are_named(codec, tmp_path):
    with pytest.raises(InputError, match="no file ending"):
        collect_files(codec, [tmp_path], rng=np.random.default_rng(0))
