"""Samples held by a device: the same batches as from a file."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from audiocodec.errors import ConfigError
from audiocodec.training.data.config import DataConfig
from audiocodec.training.data.opening import open_data
from audiocodec.training.data.resident import ResidentSampler, holds_corpus, set_levels
from audiocodec.training.data.sampler import SegmentSampler, set_level

CPU = torch.device("cpu")


@pytest.fixture(name="samplers")
def _samplers(recipe, tmp_path):
    """From the file, and from the device; some segments are longer than some recordings."""
    data = replace(recipe.data, source_weights={"b": 3.0}, segment_seconds=2.9, level_probability=0.5)
    recipe = replace(recipe, data=data)
    held = replace(recipe, data=replace(data, on_device="always"))
    return [open_data(one, tmp_path).sampler for one in (recipe, held)]


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
        open_data(recipe, tmp_path)
