import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from audiocodec.adaptation.statistics import collect, load_statistics, save_statistics
from audiocodec.errors import InputError


@pytest.fixture(scope="module")
def found(codec, voice):
    return collect(codec, [(voice(6.0), 16000)], rng=np.random.default_rng(0))


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


def test_what_is_read_is_what_was_written(found, tmp_path):
    save_statistics(tmp_path / "a.safetensors", found)
    again = load_statistics(tmp_path / "a.safetensors")
    assert again.relative_errors == found.relative_errors
    assert (again.model_id, again.frames, again.frame_rate) == (
        found.model_id,
        found.frames,
        found.frame_rate,
    )
    assert np.array_equal(again.latents.scatter, found.latents.scatter)
    for mine, theirs in zip(again.stages, found.stages, strict=True):
        assert np.array_equal(mine.codes[0].bigrams, theirs.codes[0].bigrams)
        assert np.array_equal(mine.error.histogram, theirs.error.histogram)
    assert np.array_equal(again.reservoir.vectors, found.reservoir.vectors)
    joined = again + found
    assert joined.frames == 2 * found.frames
    save_statistics(tmp_path / "b.safetensors", again)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_nothing_is_overwritten_unasked(found, tmp_path):
    path = tmp_path / "a.safetensors"
    save_statistics(path, found)
    with pytest.raises(InputError, match="exists already"):
        save_statistics(path, found)
    save_statistics(path, found, overwrite=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("means"), "damaged"),
        (lambda arrays: arrays.update(counts=arrays["counts"][:-1]), "counts has shape"),
        (lambda arrays: arrays["error_sums"].fill(np.nan), "not finite"),
        (lambda arrays: arrays.update(scatters=arrays["scatters"][:, :5]), "scatters has shape"),
    ],
)
def test_damage_is_named(found, tmp_path, change, message):
    path = tmp_path / "a.safetensors"
    save_statistics(path, found)
    arrays = load_file(path)
    metadata = _metadata(path)
    change(arrays)
    save_file(arrays, path, metadata)
    with pytest.raises(InputError, match=message):
        load_statistics(path)


def test_other_files_are_refused(tmp_path, found):
    with pytest.raises(InputError, match="cannot be read"):
        load_statistics(tmp_path / "none.safetensors")
    (tmp_path / "text").write_text("no such thing at all")
    with pytest.raises(InputError, match="not a file of statistics"):
        load_statistics(tmp_path / "text")
    path = tmp_path / "a.safetensors"
    save_statistics(path, found)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        load_statistics(path)
    save_file({"a": np.zeros(3)}, path, {"audiocodec": json.dumps({"kind": "baseline", "version": 1})})
    with pytest.raises(InputError, match="holds 'baseline'"):
        load_statistics(path)


def _metadata(path):
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size])["__metadata__"]
