from dataclasses import replace

import numpy as np
import pytest

from audiocodec.adaptation.drift import make_baseline
from audiocodec.adaptation.statistics import collect
from audiocodec.adaptation.watch import EnvironmentBook
from audiocodec.errors import InputError

NULL = {"null_seconds": (2.0,), "null_windows": 50}


@pytest.fixture(scope="module")
def hall(codec, noisy):
    wavs = [(noisy(8.0, seed=seed), 16000) for seed in range(6)]
    made = make_baseline(codec, wavs, rng=np.random.default_rng(0), name="hall", **NULL)
    return replace(made, statistics=replace(made.statistics, codebook_id="f" * 64))


def test_known_ones_are_named_and_others_are_unknown(codec, voice, noisy, baseline, hall, tmp_path):
    book = EnvironmentBook(codec.model_id, tmp_path / "environments", [baseline])
    book.add(hall)
    again = EnvironmentBook(codec.model_id, tmp_path / "environments", [baseline])
    assert {known.name for known in again.baselines} == {"clean", "hall"}
    rng = np.random.default_rng(0)

    def recognize(wav):
        return again.recognize(collect(codec, [(wav, 16000)], rng=rng))

    clean, noise = recognize(voice(4.0, seed=40)), recognize(noisy(4.0, seed=41))
    assert (clean.name, clean.codebook_id) == ("clean", codec.codebook_id)
    assert (noise.name, noise.codebook_id) == ("hall", "f" * 64)
    loud = recognize(rng.uniform(-0.9, 0.9, (1, 64000)).astype(np.float32))
    assert (loud.name, loud.codebook_id) == (None, None)
    assert loud.nearest in loud.distances


def test_names_are_of_files_and_taken_once(codec, hall, tmp_path):
    book = EnvironmentBook(codec.model_id, tmp_path)
    with pytest.raises(InputError, match="no environment is known"):
        book.recognize(hall.statistics)
    with pytest.raises(InputError, match="up to 64 letters"):
        book.add(replace(hall, name="../hall"))
    book.add(hall)
    with pytest.raises(InputError, match="known already"):
        book.add(hall)
    with pytest.raises(InputError, match="known environments are: hall"):
        book.get("cave")
    with pytest.raises(InputError, match="was made with model"):
        EnvironmentBook("0" * 64).add(hall)
    assert len(EnvironmentBook("0" * 64, tmp_path)) == 0
