from dataclasses import replace

import numpy as np
import pytest
import soundfile

from audiocodec.errors import ConfigError, InputError
from audiocodec.training.data.opening import open_data, pick_clips
from audiocodec.training.data.store import SampleStore


def test_opens_train_and_valid(recipe, tmp_path, recordings):
    told = []
    data = open_data(replace(recipe, validate_seconds=2.0), tmp_path / "run", told.append)
    assert told[-1] == 1.0
    assert data.sampler.segment_length == 8000
    assert sorted(set(data.sampler.store.sources)) == ["a", "b"]
    held_out, _ = soundfile.read(recordings / "valid" / "a" / "4.wav", dtype="float32")
    (clip,) = data.clips
    np.testing.assert_allclose(clip, held_out, atol=2 / 32767)


def test_the_cache_is_in_the_run_folder_unless_named(recipe, tmp_path):
    open_data(replace(recipe, data=replace(recipe.data, cache="")), tmp_path / "run")
    assert list((tmp_path / "run" / "cache").glob("*.samples.npy"))


def test_segments_are_whole_frames(recipe, tmp_path):
    data = replace(recipe.data, segment_seconds=0.333)
    assert open_data(replace(recipe, data=data), tmp_path).sampler.segment_length == 17 * 320


def test_a_split_without_recordings(recipe, tmp_path):
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,split,kind\na.wav,test,speech\nb.wav,train,music\n")
    with pytest.raises(InputError, match=r"split train \(splits found: test\).*kind"):
        open_data(replace(recipe, data=replace(recipe.data, manifest=str(manifest))), tmp_path)


def test_no_valid_split_is_needed_without_validation(recipe, tmp_path, recordings):
    data = replace(recipe.data, manifest=str(recordings / "train" / "a" / "m.csv"))
    (recordings / "train" / "a" / "m.csv").write_text("path\n0.wav\n")
    try:
        assert open_data(replace(recipe, data=data), tmp_path).clips == []
        with pytest.raises(InputError, match=r"split valid.*validate_seconds=0"):
            open_data(replace(recipe, data=data, validate_seconds=1.0), tmp_path)
    finally:
        (recordings / "train" / "a" / "m.csv").unlink()


def test_a_segment_shorter_than_the_delay(recipe, tmp_path):
    with pytest.raises(ConfigError, match="320 samples"):
        open_data(replace(recipe, data=replace(recipe.data, segment_seconds=0.02)), tmp_path)


def test_clips_are_spread_and_skip_what_could_not_be_read(tmp_path, recordings):
    from audiocodec.training.data.manifest import Recording

    paths = [recordings / "gone.wav", *sorted((recordings / "train").rglob("*.wav"))]
    store = SampleStore([Recording(path, "valid", "speech", "") for path in paths], 16000, tmp_path)
    clips = pick_clips(store, seconds=3.0, clip_seconds=1.0)
    assert [len(clip) for clip in clips] == [16000] * 3
    assert [np.array_equal(clips[n], store.segment(i, 0, 16000)) for n, i in enumerate((1, 3, 4))] == [
        True
    ] * 3
    assert len(pick_clips(store, seconds=1000.0, clip_seconds=9.0)) == 4
