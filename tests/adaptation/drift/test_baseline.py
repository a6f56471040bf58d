import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from audiocodec.adaptation.drift import find_baseline, load_baseline, make_baseline, save_baseline
from audiocodec.adaptation.drift.baseline import draw_window
from audiocodec.adaptation.statistics import collect
from audiocodec.adaptation.statistics.recordings import Frames
from audiocodec.errors import InputError


def test_what_it_describes(baseline, codec):
    assert (baseline.model_id, baseline.codebook_id) == (codec.model_id, codec.codebook_id)
    assert baseline.null.lengths == (100, 200)
    assert baseline.null.samples["js"].shape == (2, 50, 8)
    assert baseline.null.samples["w2"].shape == (2, 50, 1)
    assert baseline.facts == {"seconds": pytest.approx(48.1, abs=0.2), "files": 6}
    assert baseline.shortest_seconds == 2


def test_longer_windows_differ_less_by_chance(baseline):
    for name in ("js", "w2", "kl"):
        short, long = (np.median(baseline.null.overall_at(name, frames, 8)) for frames in (100, 200))
        assert long < short


def test_clean_windows_are_not_suspicious_and_noisy_ones_are(baseline, codec, voice):
    rng = np.random.default_rng(5)
    p_values = {"clean": [], "noisy": []}
    for seed in range(20, 26):
        wav = voice(4.0, seed=seed)
        noisy = (wav + 0.1 * rng.standard_normal(wav.shape)).astype(np.float32)
        for name, sound in (("clean", wav), ("noisy", noisy)):
            measures = baseline.compare(collect(codec, [(sound, 16000)], rng=rng))
            p_values[name].append(baseline.null.p_value("relative_error", measures))
    assert max(p_values["noisy"]) <= 0.04
    assert np.median(p_values["clean"]) > 0.1


def test_halves_of_one_recording_serve_where_nothing_is_held_out(codec, voice):
    lengths, rng = (1.0, 500.0), np.random.default_rng(0)
    made = make_baseline(codec, [(voice(40.0), 16000)], rng=rng, null_seconds=lengths, null_windows=50)
    assert made.null.lengths == (50,)  # 500 s are more than half of it
    assert made.null.windows == 50


def test_too_little_or_only_silence(codec, voice):
    with pytest.raises(InputError, match=r"s that can be heard; a baseline needs 30 s"):
        make_baseline(codec, [(voice(9.0), 16000)], rng=np.random.default_rng(0))
    silence = np.zeros((1, 40 * 16000), np.float32)
    with pytest.raises(InputError, match="only silence"):
        make_baseline(codec, [(silence, 16000)], rng=np.random.default_rng(0))


def test_a_window_is_of_stretches_as_long_as_can_be():
    import torch

    frames = Frames(torch.zeros(2, 400), torch.arange(400)[None], 0.0)
    rng = np.random.default_rng(0)
    assert [len(part) for part in draw_window(frames, 80, rng)] == [80]
    assert [len(part) for part in draw_window(frames, 250, rng)] == [84, 83, 83]
    (part,) = draw_window(frames, 100, rng)
    steps = np.diff(part.codes[0].numpy()) % 400
    assert (steps == 1).all()


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
