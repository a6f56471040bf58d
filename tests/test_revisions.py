from dataclasses import replace

import numpy as np
import pytest
import torch

from audiocodec.checkpoint import identify_codebooks
from audiocodec.codec import load
from audiocodec.errors import InputError, RegistryError
from audiocodec.model import ModelConfig, QuantizerConfig, build_model
from audiocodec.nn.seanet import SEANetConfig
from audiocodec.nn.spectral import SpectralConfig
from audiocodec.revisions import ADAPTER_PREFIX, KEPT, Revisions, adapter_parameters, with_adapter


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


SPECTRAL = SpectralConfig(dim=8, encoder_channels=8, encoder_blocks=1, decoder_channels=12, decoder_blocks=2)
SEANET = SEANetConfig(dim=8, channels=4, strides=(4, 2), lstm_layers=0)


@pytest.fixture(params=[SPECTRAL, SEANET, replace(SEANET, lstm_layers=1)], ids=["spectral", "seanet", "lstm"])
def decoder(request):
    torch.manual_seed(0)
    quantizer = QuantizerConfig(num_quantizers=2, codebook_size=16)
    return build_model(ModelConfig(net=request.param, quantizer=quantizer)).decoder.eval()


def values(decoder):
    return {name: parameter.detach().clone() for name, parameter in adapter_parameters(decoder).items()}


@torch.no_grad()
def test_only_gains_and_offsets_differ(decoder):
    latents = torch.randn(1, 8, 20)
    before, own = decoder(latents), values(decoder)
    torch.testing.assert_close(with_adapter(decoder, own)(latents), before, rtol=0, atol=0)
    adapted = with_adapter(decoder, {name: 1.1 * value + 0.01 for name, value in own.items()})
    assert not torch.allclose(adapted(latents), before, atol=1e-3)
    torch.testing.assert_close(decoder(latents), before, rtol=0, atol=0)
    for (name, mine), (_, theirs) in zip(decoder.named_parameters(), adapted.named_parameters(), strict=True):
        assert (mine is theirs) == (f"{ADAPTER_PREFIX}{name}" not in own), name  # large weights are held once
    assert sum(value.numel() for value in own.values()) < 0.5 * sum(p.numel() for p in decoder.parameters())


def test_what_does_not_fit_is_refused(decoder):
    own = values(decoder)
    name = next(iter(own))
    for wrong, message in (
        ({}, "does not fit this decoder"),
        ({**own, f"{ADAPTER_PREFIX}other": own[name]}, "does not fit this decoder: decoder.other and 0 more"),
        ({**own, name: own[name][:-1]}, f"{name} of the adapter is"),
        ({**own, name: own[name] * torch.nan}, "finite"),
    ):
        with pytest.raises(InputError, match=message):
            with_adapter(decoder, wrong)
