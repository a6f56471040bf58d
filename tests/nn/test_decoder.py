from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from audiocodec.nn.conv import fold_weight_norm
from audiocodec.nn.decoder import Decoder
from audiocodec.nn.encoder import ENCODEC, SOUNDSTREAM, SEANetConfig

SMALL = SEANetConfig(channels=4, dim=6, strides=(2, 3), residual_layers=2, lstm_layers=1)
VARIANTS = [
    pytest.param(SMALL, id="encodec"),
    pytest.param(replace(SOUNDSTREAM, channels=4, dim=6, strides=(2, 3)), id="soundstream"),
    pytest.param(replace(SMALL, activation="snake"), id="snake"),
]


@pytest.mark.parametrize("config", VARIANTS)
def test_streams(check_streaming, config):
    check_streaming(Decoder(config), torch.randn(2, 6, 14))


@pytest.mark.parametrize("config", VARIANTS)
def test_is_causal_to_the_frame(check_causality, config):
    check_causality(Decoder(config), torch.randn(1, 6, 5), hop_out=6)


@pytest.mark.parametrize("config", [ENCODEC, SOUNDSTREAM], ids=["encodec", "soundstream"])
def test_presets_stream_at_full_size(run_stream, config):
    decoder, latents = Decoder(config), torch.randn(1, config.dim, 5)
    with torch.no_grad():
        whole = decoder(latents)
        assert whole.shape == (1, 1, 5 * 320)
        torch.testing.assert_close(run_stream(decoder, latents, (1, 3)), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("config", VARIANTS)
def test_gradient_reaches_every_parameter(config):
    decoder = Decoder(config)
    decoder(torch.randn(2, 6, 5)).square().sum().backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_runs_the_strides_backwards():
    assert [block.upsample.stride for block in Decoder(SMALL).blocks] == [(3,), (2,)]


@torch.no_grad()
@pytest.mark.usefixtures("fresh_compiler")
def test_compiles_as_one_graph():
    decoder, latents = Decoder(SMALL), torch.randn(1, 6, 5)
    fold_weight_norm(decoder)
    compiled = torch.compile(decoder, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(latents), decoder(latents))
