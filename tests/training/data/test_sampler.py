from dataclasses import dataclass, field, replace
from itertools import product
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

from audiocodec.corpus.manifest import Recording
from audiocodec.errors import ConfigError
from audiocodec.training.data.config import DataConfig
from audiocodec.training.data.sampler import (
    MAX_GAIN,
    MAX_PEAK,
    ResidentSampler,
    SegmentSampler,
    holds_corpus,
    set_level,
    set_levels,
    step_rng,
)
from audiocodec.training.starting import open_run_data


@dataclass
class Ramps:
    """A store whose sample i of recording r is r + i / 1e6, so that a segment says where it comes from."""

    lengths: np.ndarray = field(default_factory=lambda: np.array([40000, 10000, 0, 500]))
    sources: tuple = ("a", "b", "b", "c")

    @property
    def recordings(self):
        return [
            Recording(f"{i}.wav", Path(f"{i}.wav"), split="train", source=s, speaker=f"s{i}")
            for i, s in enumerate(self.sources)
        ]

    def segment(self, index, start, length):
        wav = np.zeros(length, np.float32)
        stop = min(int(self.lengths[index]), start + length)
        wav[: stop - start] = index + np.arange(start, stop) / 1e6
        return wav


def sampler(length=1000, **options):
    return SegmentSampler(Ramps(), DataConfig(level_probability=0.0, **options), length)


def test_a_seed_gives_one_batch_and_other_seeds_others():
    batches = [sampler().draw(np.random.default_rng((7, step))).wav.numpy() for step in (3, 3, 4)]
    assert batches[0].shape == (8, 1, 1000)
    assert np.array_equal(batches[0], batches[1])
    assert not np.array_equal(batches[0], batches[2])


def test_examples_say_where_the_segments_come_from():
    drawn = sampler().draw(np.random.default_rng(1))
    assert np.array_equal(drawn.wav, sampler().draw(np.random.default_rng(1)).wav)
    assert len(drawn.examples) == 8
    for wav, example in zip(drawn.wav[:, 0].numpy(), drawn.examples, strict=True):
        assert wav[0] == np.float32(example.index + example.start / 1e6)
        assert (example.path, example.speaker) == (f"{example.index}.wav", f"s{example.index}")
        assert example.source == "abbc"[example.index]


@pytest.mark.parametrize("weights", [{}, {"b": 4.0}, {"a": 0.0}, {"a": 0.5, "c": 10.0}], ids=str)
def test_sources_are_drawn_by_hours_and_weight(weights):
    draws = 20_000
    wavs = (
        sampler(8, source_weights=weights).draw(np.random.default_rng(0), batch_size=draws).wav[:, 0].numpy()
    )
    found = np.bincount(np.floor(wavs[:, 0]).astype(int), minlength=4) / draws
    wanted = np.array([40000, 10000, 0, 500]) * [weights.get(source, 1.0) for source in "abbc"]
    wanted = wanted / wanted.sum()
    for share, expected in zip(found, wanted, strict=True):
        assert abs(share - expected) <= 5 * sqrt(
            expected * (1 - expected) / draws
        )  # five standard deviations


def test_starts_reach_every_place():
    wavs = (
        sampler(39990, source_weights={"b": 0.0, "c": 0.0}).draw(np.random.default_rng(0), batch_size=300).wav
    )
    starts = (wavs[:, 0, 0].numpy() * 1e6).round().astype(int)
    assert set(starts) == set(range(11))


def test_short_recordings_are_followed_by_silence():
    wavs = (
        sampler(1000, source_weights={"a": 0.0, "b": 0.0})
        .draw(np.random.default_rng(0), batch_size=2)
        .wav[:, 0]
        .numpy()
    )
    assert (wavs[:, :500] > 2.9).all()
    assert not wavs[:, 500:].any()


def test_an_unknown_source_names_the_nearest():
    with pytest.raises(ConfigError, match=r"'librispech'; did you mean 'librispeech'"):
        SegmentSampler(
            Ramps(sources=("librispeech", "vctk", "vctk", "x")),
            DataConfig(source_weights={"librispech": 2.0}),
            10,
        )


def test_a_weight_of_another_corpus_is_said_and_counts_nothing(caplog):
    weighted, plain = (
        sampler(source_weights={"librispeech": 2.0, "b": 3.0}),
        sampler(source_weights={"b": 3.0}),
    )
    np.testing.assert_array_equal(weighted.probabilities, plain.probabilities)
    assert [record.getMessage() for record in caplog.records] == [
        "data.source_weights: no recording is of source librispeech"
    ]


def test_all_sources_weighted_away():
    with pytest.raises(ConfigError, match="0 for every source"):
        sampler(source_weights={"a": 0.0, "b": 0.0, "c": 0.0})


def rms_db(wav):
    return 10 * np.log10(np.mean(np.square(wav.astype(np.float64))))


@pytest.mark.parametrize("level", [-45.0, -35.0, -15.0])
def test_levels_are_hit(voice, level):
    assert rms_db(set_level(voice(1.0)[0] * 0.3, level)) == pytest.approx(level, abs=0.05)


def test_levels_neither_clip_nor_raise_silence(voice):
    loud = set_level(voice(1.0)[0], -3.0)
    assert np.abs(loud).max() == pytest.approx(MAX_PEAK, abs=1e-3)
    quiet = np.full(1000, 1e-6, np.float32)
    assert set_level(quiet, -15.0).max() == pytest.approx(1e-6 * MAX_GAIN)
    assert not set_level(np.zeros(1000, np.float32), -15.0).any()


def test_a_share_of_examples_is_levelled_within_the_range():
    class Noise(Ramps):
        def segment(self, index, start, length):
            return np.random.default_rng(start).uniform(-0.003, 0.003, length).astype(np.float32)

    config = DataConfig(level_db=(-40.0, -30.0), level_probability=0.7)
    wavs = (
        SegmentSampler(Noise(), config, 500).draw(np.random.default_rng(1), batch_size=1000).wav[:, 0].numpy()
    )
    levels = np.array([rms_db(wav) for wav in wavs])
    changed = levels > -45
    assert abs(changed.mean() - 0.7) < 5 * sqrt(0.7 * 0.3 / 1000)
    assert -40.3 < levels[changed].min() < -39.5  # 1e-5 is added to the level that is measured
    assert -30.5 < levels[changed].max() < -29.9


CPU = torch.device("cpu")


@pytest.fixture(name="samplers")
def _samplers(recipe, tmp_path):
    """From the file, and from the device; some segments are longer than some recordings."""
    data = replace(recipe.data, source_weights={"b": 3.0}, segment_seconds=2.9, level_probability=0.5)
    recipe = replace(recipe, data=data)
    held = replace(recipe, data=replace(data, on_device="always"))
    return [open_run_data(one, tmp_path).sampler for one in (recipe, held)]


def test_batches_are_those_of_the_file(samplers):
    assert [type(sampler) for sampler in samplers] == [SegmentSampler, ResidentSampler]
    for seed in range(5):
        plain, held = (sampler.draw(np.random.default_rng(seed)) for sampler in samplers)
        assert held.examples == plain.examples
        torch.testing.assert_close(held.wav, plain.wav, rtol=1e-5, atol=1e-7)


def test_a_segment_never_reaches_into_the_next_recording(samplers):
    sampler = samplers[1]
    sampler.segment_length = int(sampler.store.lengths.max()) + 100
    sampler._steps = torch.arange(sampler.segment_length)
    sampler.config = replace(sampler.config, level_probability=0.0)
    drawn = sampler.draw(np.random.default_rng(0), batch_size=20)
    for wav, example in zip(drawn.wav[:, 0], drawn.examples, strict=True):
        length = int(sampler.store.lengths[example.index])
        assert wav[: length - example.start].any()
        assert not wav[length - example.start :].any()


def test_levels(voice):
    wavs = np.stack([voice(1.0, seed=1)[0], 1e-4 * voice(1.0, seed=2)[0], np.zeros(16000)]).astype(np.float32)
    for level_db in (-35.0, -20.0, -3.0):
        found = set_levels(torch.from_numpy(wavs), torch.full((3,), level_db))
        for row, wav in enumerate(wavs):
            np.testing.assert_allclose(found[row], set_level(wav, level_db), rtol=1e-4, atol=1e-7)
    assert torch.equal(
        set_levels(torch.from_numpy(wavs), torch.full((3,), torch.nan)), torch.from_numpy(wavs)
    )


def test_the_cpu_holds_samples_only_when_it_must(samplers):
    store = samplers[0].store
    assert not holds_corpus("auto", store, CPU)
    assert not holds_corpus("never", store, CPU)
    assert holds_corpus("always", store, CPU)


def test_effects_of_the_cpu(samplers):
    with pytest.raises(
        ConfigError, match=r"only the CPU applies: babble, tandem; name environments of noise"
    ):
        holds_corpus("always", samplers[0].store, CPU, ["babble", "tandem"])


@pytest.mark.parametrize("free", [4_000_000, 100])
def test_a_gpu_holds_what_fits(samplers, free, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    device = torch.device("cuda")
    assert holds_corpus("auto", samplers[0].store, device) == (free > 1000)
    assert not holds_corpus("auto", samplers[0].store, device, ["babble"])


def test_shards_are_never_held(recipe, tmp_path):
    (tmp_path / "a.tar").write_bytes(b"")
    recipe = replace(recipe, data=DataConfig(manifest=str(tmp_path / "a.tar"), on_device="always"))
    with pytest.raises(ConfigError, match="names shards, which are read while training"):
        open_run_data(recipe, tmp_path)


def test_every_rank_and_step_has_its_own_randomness():
    drawn = {
        tuple(step_rng(seed, step, rank).integers(2**62, size=4))
        for seed, step, rank in product(range(3), range(20), range(4))
    }
    assert len(drawn) == 3 * 20 * 4


def test_rank_0_draws_what_a_run_on_one_device_draws():
    assert step_rng(5, 7).random() == np.random.default_rng((5, 7)).random()
    assert step_rng(5, 7, rank=0).random() == step_rng(5, 7).random()
