import numpy as np
import pytest
import torch

from audiocodec.checkpoint import identify_codebooks
from audiocodec.codec import load
from audiocodec.errors import RegistryError
from audiocodec.revisions import KEPT, Revisions


class Store:
    """Codebooks in memory."""

    def __init__(self, *codebooks):
        self.codebooks = codebooks

    def get(self, identity):
        for key, codebooks in self.codebooks:
            if key.startswith(identity):
                return codebooks
        raise RegistryError(f"codebook {identity} is not in the store")


def revised(codec, seed=0):
    """Other codebooks for the same model, and their identity."""
    rng = torch.Generator().manual_seed(seed)
    codebooks = {
        name: codebook + 0.1 * torch.randn(codebook.shape, generator=rng)
        for name, codebook in codec.model.quantizer.codebooks().items()
    }
    with torch.no_grad():
        mine = {name: codebook.clone() for name, codebook in codec.model.quantizer.codebooks().items()}
        codec.model.quantizer.load_codebooks(codebooks)
        identity = identify_codebooks(codec.model.quantizer.codebooks())
        codec.model.quantizer.load_codebooks(mine)
    assert identify_codebooks(codec.model.quantizer.codebooks()) == codec.codebook_id
    return identity, codebooks


class CountingStore:
    """Gives the same codebooks under any identity, and counts how often it is asked."""

    def __init__(self, codebooks):
        self.codebooks, self.asked = codebooks, []

    def get(self, codebook_id):
        self.asked.append(codebook_id)
        return self.codebooks


def test_the_own_codebooks_need_no_store(codec):
    revisions = Revisions(codec.model, codec.model_id, codec.codebook_id)
    assert revisions.get(codec.codebook_id) is codec.model
    assert revisions.get(codec.codebook_id[:32]) is codec.model
    with pytest.raises(RegistryError, match="is not available"):
        revisions.get("ab" * 32)


def test_revisions_are_kept_but_not_without_end(codec, monkeypatch):
    store = CountingStore(codec.model.quantizer.codebooks())
    revisions = Revisions(codec.model, codec.model_id, "ff" * 32, store)
    keys = [f"{number:032x}" for number in range(KEPT + 1)]
    monkeypatch.setattr("audiocodec.revisions.identify_codebooks", lambda tensors: store.asked[-1] + "0" * 32)
    first = revisions.get(keys[0])
    assert revisions.get(keys[0]) is first
    assert store.asked == [keys[0]]
    assert first.encoder is codec.model.encoder
    assert first.quantizer is not codec.model.quantizer
    for key in keys[1:]:
        revisions.get(key)
    assert revisions.get(keys[-1]) is revisions.get(keys[-1])
    assert revisions.get(keys[0]) is not first
    assert len(store.asked) == KEPT + 2


def test_other_codebooks_come_from_the_store(codec, tiny_folder, voice):
    identity, codebooks = revised(codec)
    store = Store((codec.codebook_id, codec.model.quantizer.codebooks()), (identity, codebooks))
    joined = load(tiny_folder, "cpu", store)
    new = joined.with_codebook(identity)
    wav = voice(1.2)
    old_data, new_data = joined.compress(wav, 16000), new.compress(wav, 16000)
    assert old_data == codec.compress(wav, 16000)
    assert new.codebook_id == identity
    assert new.model_id == codec.model_id
    # Either codec decodes the files of both.
    for data in (old_data, new_data):
        np.testing.assert_array_equal(joined.decompress(data)[0], new.decompress(data)[0])
    with pytest.raises(RegistryError, match=rf"codebook {identity[:32]} is not available"):
        codec.decompress(new_data)


def test_a_store_that_gives_the_wrong_codebooks_is_noticed(codec, tiny_folder):
    identity, _ = revised(codec)
    _, others = revised(codec, seed=1)
    joined = load(tiny_folder, "cpu", Store((identity, others)))
    with pytest.raises(RegistryError, match="returned other codebooks"):
        joined.with_codebook(identity)
