from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from audiocodec.corpus.manifest import Recording
from audiocodec.errors import ConfigError
from audiocodec.training.data.config import DataConfig
from audiocodec.training.data.sampler import MAX_GAIN, MAX_PEAK, SegmentSampler, set_level


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
    batches = [sampler().batch(np.random.default_rng((7, step))).numpy() for step in (3, 3, 4)]
    assert batches[0].shape == (8, 1, 1000)
    assert np.array_equal(batches[0], batches[1])
    assert not np.array_equal(batches[0], batches[2])


def test_examples_say_where_the_segments_come_from():
    drawn = sampler().draw(np.random.default_rng(1))
    assert np.array_equal(drawn.wav, sampler().batch(np.random.default_rng(1)))
    assert len(drawn.examples) == 8
    for wav, example in zip(drawn.wav[:, 0].numpy(), drawn.examples, strict=True):
        assert wav[0] == np.float32(example.index + example.start / 1e6)
        assert (example.path, example.speaker) == (f"{example.index}.wav", f"s{example.index}")
        assert example.source == "abbc"[example.index]


@pytest.mark.parametrize("weights", [{}, {"b": 4.0}, {"a": 0.0}, {"a": 0.5, "c": 10.0}], ids=str)
def test_sources_are_drawn_by_hours_and_weight(weights):
    draws = 20_000
    wavs = sampler(8, source_weights=weights).batch(np.random.default_rng(0), draws)[:, 0].numpy()
    found = np.bincount(np.floor(wavs[:, 0]).astype(int), minlength=4) / draws
    wanted = np.array([40000, 10000, 0, 500]) * [weights.get(source, 1.0) for source in "abbc"]
    wanted = wanted / wanted.sum()
    for share, expected in zip(found, wanted, strict=True):
        assert abs(share - expected) <= 5 * sqrt(
            expected * (1 - expected) / draws
        )  # five standard deviations


def test_starts_reach_every_place():
    wavs = sampler(39990, source_weights={"b": 0.0, "c": 0.0}).batch(np.random.default_rng(0), 300)
    starts = (wavs[:, 0, 0].numpy() * 1e6).round().astype(int)
    assert set(starts) == set(range(11))


def test_short_recordings_are_followed_by_silence():
    wavs = sampler(1000, source_weights={"a": 0.0, "b": 0.0}).batch(np.random.default_rng(0), 2)[:, 0].numpy()
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
    wavs = SegmentSampler(Noise(), config, 500).batch(np.random.default_rng(1), 1000)[:, 0].numpy()
    levels = np.array([rms_db(wav) for wav in wavs])
    changed = levels > -45
    assert abs(changed.mean() - 0.7) < 5 * sqrt(0.7 * 0.3 / 1000)
    assert -40.3 < levels[changed].min() < -39.5  # 1e-5 is added to the level that is measured
    assert -30.5 < levels[changed].max() < -29.9
