from dataclasses import replace

import pytest
import torch

from audiocodec.errors import InputError
from audiocodec.model import ModelConfig, QuantizerConfig, build_model
from audiocodec.nn.adapter import PREFIX, adapter_parameters, with_adapter
from audiocodec.nn.seanet import SEANetConfig
from audiocodec.nn.spectral import SpectralConfig

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
        assert (mine is theirs) == (f"{PREFIX}{name}" not in own), name  # large weights are held once
    assert sum(value.numel() for value in own.values()) < 0.5 * sum(p.numel() for p in decoder.parameters())


def test_what_does_not_fit_is_refused(decoder):
    own = values(decoder)
    name = next(iter(own))
    for wrong, message in (
        ({}, "does not fit this decoder"),
        ({**own, f"{PREFIX}other": own[name]}, "does not fit this decoder: decoder.other and 0 more"),
        ({**own, name: own[name][:-1]}, f"{name} of the adapter is"),
        ({**own, name: own[name] * torch.nan}, "finite"),
    ):
        with pytest.raises(InputError, match=message):
            with_adapter(decoder, wrong)
