import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from audiocodec.adaptation.drift import find_baseline, load_baseline, save_baseline
from audiocodec.errors import InputError


def test_what_is_read_is_nearly_what_was_written(baseline, tmp_path):
    path = tmp_path / "b.safetensors"
    save_baseline(path, baseline)
    again = load_baseline(path)
    assert again.name == "clean"
    assert again.facts == dict(baseline.facts)
    assert again.null.lengths == baseline.null.lengths
    assert again.statistics.relative_errors == pytest.approx(baseline.statistics.relative_errors, rel=1e-6)
    for mine, theirs in zip(again.statistics.codes, baseline.statistics.codes, strict=True):
        assert np.array_equal(mine.counts, theirs.counts)
    for name, drawn in baseline.null.samples.items():
        assert again.null.samples[name] == pytest.approx(drawn, rel=1e-3, abs=1e-3)


def test_beside_the_model(baseline, tiny_folder, tmp_path):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    with pytest.raises(InputError, match=r"has no baseline\.safetensors; make one"):
        find_baseline(folder)
    save_baseline(folder / "baseline.safetensors", baseline)
    assert find_baseline(folder).model_id == baseline.model_id
    assert find_baseline(folder / "model.safetensors").model_id == baseline.model_id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays["null.js"].fill(np.nan), "null distribution of js"),
        (lambda arrays: arrays.update({"null.w2": arrays["null.w2"][:, :7]}), "null distribution"),
        (lambda arrays: arrays.update({"null.what": arrays["null.w2"]}), "what"),
        (lambda arrays: [arrays.pop(name) for name in list(arrays) if name.startswith("null.")], "no null"),
    ],
)
def test_damage_is_named(baseline, tmp_path, change, message):
    path = tmp_path / "b.safetensors"
    save_baseline(path, baseline)
    data = path.read_bytes()
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    arrays = load_file(path)
    change(arrays)
    save_file(arrays, path, metadata)
    with pytest.raises(InputError, match=message):
        load_baseline(path)


def test_the_shipped_baseline_is_of_the_shipped_model():
    from audiocodec import pretrained

    for name, entry in pretrained.models().items():
        if "baseline.safetensors" in entry.files:
            baseline = find_baseline(name)
            assert (baseline.model_id, baseline.codebook_id) == (entry.model_id, entry.codebook_id)
            assert baseline.null.windows >= 200
            file = pretrained.data_folder() / entry.folder / "baseline.safetensors"
            assert file.stat().st_size < 2_000_000
