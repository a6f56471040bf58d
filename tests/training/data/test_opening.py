import logging
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from audiocodec.errors import ConfigError, InputError
from audiocodec.training.data.opening import pick_clips
from audiocodec.training.data.shard_sampler import ShardSampler
from audiocodec.training.data.store import SampleStore
from audiocodec.training.processes import Processes
from audiocodec.training.starting import open_run_data


def test_opens_train_and_valid(recipe, tmp_path, recordings):
    shares = []
    data = open_run_data(replace(recipe, validate_seconds=2.0), tmp_path / "run", progress=shares.append)
    assert shares[-1] == 1.0
    assert data.sampler.segment_length == 8000
    assert sorted(set(data.sampler.store.sources)) == ["a", "b"]
    held_out, _ = soundfile.read(recordings / "valid" / "a" / "4.wav", dtype="float32")
    (clip,) = data.clips
    np.testing.assert_allclose(clip, held_out, atol=2 / 32767)


def test_the_cache_is_in_the_run_folder_unless_named(recipe, tmp_path):
    open_run_data(replace(recipe, data=replace(recipe.data, cache="")), tmp_path / "run")
    assert list((tmp_path / "run" / "cache").glob("*.samples.npy"))


def test_segments_are_whole_frames(recipe, tmp_path):
    data = replace(recipe.data, segment_seconds=0.333)
    assert open_run_data(replace(recipe, data=data), tmp_path).sampler.segment_length == 17 * 320


def test_a_split_without_recordings(recipe, tmp_path):
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,split,kind\na.wav,test,speech\nb.wav,train,music\n")
    with pytest.raises(InputError, match=r"split train \(splits found: test\).*kind"):
        open_run_data(replace(recipe, data=replace(recipe.data, manifest=str(manifest))), tmp_path)


def test_no_valid_split_is_needed_without_validation(recipe, tmp_path, recordings):
    data = replace(recipe.data, manifest=str(recordings / "train" / "a" / "m.csv"))
    (recordings / "train" / "a" / "m.csv").write_text("path\n0.wav\n")
    try:
        assert open_run_data(replace(recipe, data=data), tmp_path).clips == []
        with pytest.raises(InputError, match=r"split valid.*validate_seconds=0"):
            open_run_data(replace(recipe, data=data, validate_seconds=1.0), tmp_path)
    finally:
        (recordings / "train" / "a" / "m.csv").unlink()


def test_a_segment_shorter_than_the_delay(recipe, tmp_path):
    with pytest.raises(ConfigError, match="320 samples"):
        open_run_data(replace(recipe, data=replace(recipe.data, segment_seconds=0.02)), tmp_path)


def test_clips_are_spread_and_skip_what_could_not_be_read(tmp_path, recordings):
    from audiocodec.corpus.manifest import Recording

    paths = [recordings / "gone.wav", *sorted((recordings / "train").rglob("*.wav"))]
    store = SampleStore([Recording(path.name, path, split="valid") for path in paths], 16000, tmp_path)
    clips = pick_clips(store, seconds=3.0, clip_seconds=1.0)
    assert [len(clip) for clip in clips] == [16000] * 3
    assert [np.array_equal(clips[n], store.segment(i, 0, 16000)) for n, i in enumerate((1, 3, 4))] == [
        True
    ] * 3
    assert len(pick_clips(store, seconds=1000.0, clip_seconds=9.0)) == 4


def write_shard(path, recordings, split):
    """All recordings of a split of the folder, twice, as one shard."""
    with tarfile.open(path, "w") as file:
        for copy in range(2):
            for wav in sorted((recordings / split).rglob("*.wav")):
                info = tarfile.TarInfo(f"{copy}-{wav.stem}.wav")
                info.size = wav.stat().st_size
                with wav.open("rb") as content:
                    file.addfile(info, content)


def test_shards_are_trained_on_and_judged_by(recipe, tmp_path, recordings):
    for name, split in (("train-0", "train"), ("train-1", "train"), ("valid", "valid")):
        write_shard(tmp_path / f"{name}.tar", recordings, split)
    shards = replace(
        recipe.data,
        manifest=f"{tmp_path}/train-{{0..1}}.tar",
        shuffle_segments=8,
        valid_manifest=str(recordings),
    )
    data = open_run_data(replace(recipe, data=shards, validate_seconds=6.0), tmp_path / "run")
    assert isinstance(data.sampler, ShardSampler)
    assert data.sampler.draw(np.random.default_rng(0), 3).wav.shape == (2, 1, 8000)
    held_out, _ = soundfile.read(recordings / "valid" / "a" / "4.wav", dtype="float32")
    (clip,) = data.clips
    np.testing.assert_allclose(clip, held_out, atol=2 / 32767)
    both = replace(shards, valid_manifest=str(tmp_path / "valid.tar"))
    clips = open_run_data(replace(recipe, data=both, validate_seconds=12.0), tmp_path / "run").clips
    assert [np.allclose(clip, held_out, atol=2 / 32767) for clip in clips] == [True, True]


def test_shards_need_held_out_recordings(recipe, tmp_path, recordings):
    write_shard(tmp_path / "train.tar", recordings, "train")
    shards = replace(recipe.data, manifest=str(tmp_path / "train.tar"))
    with pytest.raises(ConfigError, match=r"data\.valid_manifest, or set validate_seconds=0"):
        open_run_data(replace(recipe, data=shards, validate_seconds=1.0), tmp_path / "run")
    assert open_run_data(replace(recipe, data=shards, validate_seconds=0), tmp_path / "run").clips == []


def test_ranks_read_their_own_shards(recipe, tmp_path, recordings):
    write_shard(tmp_path / "train.tar", recordings, "train")
    shards = replace(recipe.data, manifest=str(tmp_path / "train.tar"))
    with pytest.raises(InputError, match="1 shards for 2 ranks"):
        open_run_data(replace(recipe, data=shards), tmp_path / "run", Processes(rank=1, world_size=2))


def test_held_out_recordings_may_be_elsewhere(recipe, tmp_path, recordings):
    """All of a plain folder; of what names splits, the split valid."""
    plain = replace(recipe.data, valid_manifest=str(recordings / "train"))
    assert (
        len(open_run_data(replace(recipe, data=plain, validate_seconds=100.0), tmp_path / "run").clips) == 4
    )
    named = replace(recipe.data, valid_manifest=str(recordings))
    assert (
        len(open_run_data(replace(recipe, data=named, validate_seconds=100.0), tmp_path / "run").clips) == 1
    )


def test_missing_files_are_named_before_anything_is_decoded(recipe, tmp_path, recordings):
    lines = [f"{recordings}/train/a/0.wav,train", "gone.wav,train", "lost.wav,valid", "other.wav,test"]
    (tmp_path / "m.csv").write_text("\n".join(["path,split", *lines]))
    data = replace(recipe.data, manifest=str(tmp_path / "m.csv"))
    with pytest.raises(InputError, match=r"2 of 3 files are missing: .*gone\.wav, .*lost\.wav"):
        open_run_data(replace(recipe, data=data, validate_seconds=1.0), tmp_path / "run")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["missing-recordings.txt"]


def test_short_recordings_are_counted(recipe, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        open_run_data(replace(recipe, data=replace(recipe.data, segment_seconds=3.2)), tmp_path / "run")
    assert "4 of 4 recordings are shorter than a segment of 3.2 s" in caplog.text


def test_a_corpus_in_its_layout(recipe, tmp_path, recordings):
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nhomepage: h\nlicence: l\nhours: 1\nspeakers: 2\nsample_rate: 16000\n"
        'files: "{split}/{speaker}/*.wav"\n'
    )
    data = replace(recipe.data, corpus=str(tmp_path / "mine.yaml"))
    found = open_run_data(replace(recipe, data=data), tmp_path / "run").sampler.draw(np.random.default_rng(0))
    assert {example.source for example in found.examples} == {"mine"}
    assert {example.speaker for example in found.examples} <= {"a", "b"}
