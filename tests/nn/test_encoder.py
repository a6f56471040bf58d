from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from audiocodec.errors import InputError
from audiocodec.nn.conv import fold_weight_norm
from audiocodec.nn.decoder import Decoder
from audiocodec.nn.encoder import ENCODEC, SOUNDSTREAM, Encoder, SEANetConfig
from audiocodec.nn.streaming import StreamState

SMALL = SEANetConfig(channels=4, dim=6, strides=(2, 3), residual_layers=2, lstm_layers=1)
VARIANTS = [
    pytest.param(SMALL, id="encodec"),
    pytest.param(replace(SOUNDSTREAM, channels=4, dim=6, strides=(2, 3)), id="soundstream"),
    pytest.param(replace(SMALL, activation="snake"), id="snake"),
]


def parameters(config: SEANetConfig) -> tuple[int, int]:
    """Parameters of encoder and decoder, counted without allocating them."""
    with torch.device("meta"):
        nets = Encoder(config), Decoder(config)
    return tuple(sum(p.numel() for p in net.parameters()) for net in nets)


def test_encodec_has_the_published_size():
    # The paper's 14.85 M counts the lengths of the weight norms; folded, 4,993 fewer remain.
    assert parameters(ENCODEC) == (7_425_792, 7_426_018)
    assert sum(parameters(ENCODEC)) == 14_851_810
    assert sum(parameters(replace(ENCODEC, norm="none"))) == 14_846_817


def test_soundstream_has_the_published_size():
    # The paper says 8.4 M; D and the width inside residual units are inferred from that, see the preset.
    assert parameters(SOUNDSTREAM) == (3_939_888, 4_463_921)
    assert sum(parameters(SOUNDSTREAM)) == 8_403_809
    assert sum(parameters(replace(SOUNDSTREAM, compress=1, dim=1))) > 9_100_000


@pytest.mark.parametrize("config", VARIANTS)
def test_streams(check_streaming, config):
    check_streaming(Encoder(config), torch.randn(2, 1, 14 * 6), hop=6)


@pytest.mark.parametrize("config", VARIANTS)
def test_is_causal_to_the_frame(check_causality, config):
    check_causality(Encoder(config), torch.randn(1, 1, 5 * 6), hop_in=6)


@pytest.mark.parametrize("config", [ENCODEC, SOUNDSTREAM], ids=["encodec", "soundstream"])
def test_presets_stream_at_full_size(run_stream, config):
    encoder, wav = Encoder(config), torch.randn(1, 1, 5 * 320)
    with torch.no_grad():
        whole = encoder(wav)
        assert whole.shape == (1, config.dim, 5)
        torch.testing.assert_close(run_stream(encoder, wav, (1, 3), 320), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("config", VARIANTS)
def test_gradient_reaches_every_parameter(config):
    encoder = Encoder(config)
    encoder(torch.randn(2, 1, 30)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_frames_that_are_not_whole_are_refused():
    with pytest.raises(InputError, match="no positive multiple of the stride"):
        Encoder(SMALL)(torch.zeros(1, 1, 13))


@torch.no_grad()
def test_folding_keeps_the_output():
    encoder, wav = Encoder(SMALL), torch.randn(1, 1, 30)
    expected = encoder(wav)
    fold_weight_norm(encoder)
    torch.testing.assert_close(encoder(wav), expected, rtol=0, atol=0)
    plain = Encoder(replace(SMALL, norm="none"))
    plain.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(plain(wav), expected, rtol=0, atol=0)


@torch.no_grad()
@pytest.mark.usefixtures("fresh_compiler")
def test_compiles_as_one_graph():
    encoder, wav = Encoder(SMALL), torch.randn(1, 1, 30)
    fold_weight_norm(encoder)
    compiled = torch.compile(encoder, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(wav), encoder(wav))
    states = StreamState(), StreamState()
    compiled(wav, states[0])
    encoder(wav, states[1])
    torch.testing.assert_close(states[0].named(encoder), states[1].named(encoder))
