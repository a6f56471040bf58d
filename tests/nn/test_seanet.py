from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from audiocodec.errors import ConfigError, InputError
from audiocodec.nn.seanet import (
    DecoderBlock,
    EncoderBlock,
    ResidualUnit,
    SEANetConfig,
    SEANetDecoder,
    SEANetEncoder,
    SkipLSTM,
    Snake,
)
from audiocodec.nn.streaming import StreamState
from audiocodec.training.api import load_recipe

SMALL = SEANetConfig(channels=4, dim=6, strides=(2, 3), residual_layers=2, lstm_layers=1)
VARIANTS = {
    "encodec": SMALL,
    "snake, plain": replace(SMALL, activation="snake", norm="none", conv_shortcut=False),
    "soundstream": replace(
        SMALL, residual_layers=3, dilation_base=3, residual_kernel_size=7, conv_shortcut=False, lstm_layers=0
    ),
    "wide": replace(SMALL, compress=1, residual_kernel_size=7),
}


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def config(request):
    return request.param


@pytest.fixture(params=["encodec-24k", "soundstream-24k"])
def published(request):
    """The nets of a paper, at full size."""
    return load_recipe(request.param).model.net


def parameters(config: SEANetConfig) -> tuple[int, ...]:
    """Parameters of encoder and decoder, counted without allocating them."""
    with torch.device("meta"):
        nets = SEANetEncoder(config), SEANetDecoder(config)
    return tuple(sum(p.numel() for p in net.parameters()) for net in nets)


def test_recipes_have_the_sizes_of_the_papers():
    """EnCodec says 14.85 M, which counts the lengths of the weight norms; SoundStream says 8.4 M.

    SoundStream's D and the width inside residual units are inferred from that: units of full width would
    need more than 9.1 M for any D.
    """
    encodec, soundstream = (load_recipe(name).model.net for name in ("encodec-24k", "soundstream-24k"))
    assert encodec == SEANetConfig()
    assert parameters(encodec) == (7_425_792, 7_426_018)
    assert sum(parameters(replace(encodec, norm="none"))) == 14_846_817
    assert parameters(soundstream) == (3_939_888, 4_463_921)
    assert sum(parameters(replace(soundstream, compress=1, dim=1))) > 9_100_000


def test_blocks_stream(check_streaming, config):
    check_streaming(ResidualUnit(4, 3, config), torch.randn(2, 4, 14))
    check_streaming(EncoderBlock(4, 3, config), torch.randn(2, 4, 14 * 3), hop=3)
    check_streaming(DecoderBlock(4, 3, config), torch.randn(2, 8, 14))


def test_blocks_are_causal(check_causality, config):
    check_causality(EncoderBlock(4, 2, config), torch.randn(1, 4, 8), hop_in=2)
    check_causality(DecoderBlock(4, 2, config), torch.randn(1, 8, 4), hop_out=2)


def test_nets_stream(check_streaming, config):
    check_streaming(SEANetEncoder(config), torch.randn(2, 1, 14 * 6), hop=6)
    check_streaming(SEANetDecoder(config), torch.randn(2, 6, 14))


def test_nets_are_causal_to_the_frame(check_causality, config):
    check_causality(SEANetEncoder(config), torch.randn(1, 1, 5 * 6), hop_in=6)
    check_causality(SEANetDecoder(config), torch.randn(1, 6, 5), hop_out=6)


@torch.no_grad()
def test_published_nets_stream_at_full_size(run_stream, published):
    encoder, decoder = SEANetEncoder(published), SEANetDecoder(published)
    wav = torch.randn(1, 1, 5 * 320)
    latents = encoder(wav)
    assert latents.shape == (1, published.dim, 5)
    torch.testing.assert_close(run_stream(encoder, wav, (1, 3), 320), latents, rtol=1e-5, atol=1e-5)
    decoded = decoder(latents)
    assert decoded.shape == wav.shape
    torch.testing.assert_close(run_stream(decoder, latents, (1, 3)), decoded, rtol=1e-5, atol=1e-5)


def test_gradient_reaches_every_parameter(config):
    for build, shape in ((SEANetEncoder, (2, 1, 30)), (SEANetDecoder, (2, 6, 5))):
        net = build(config)
        net(torch.randn(shape)).square().sum().backward()
        for name, parameter in net.named_parameters():
            assert parameter.grad.abs().sum() > 0, name


def test_frames_that_are_not_whole_are_refused():
    with pytest.raises(InputError, match="no positive multiple of the stride"):
        SEANetEncoder(SMALL)(torch.zeros(1, 1, 13))


@torch.no_grad()
def test_decoder_renders_the_same_for_every_number_of_quantizers():
    decoder, latents = SEANetDecoder(SMALL), torch.randn(2, 6, 5)
    wav = decoder(latents)
    assert torch.equal(decoder(latents, None, 3, 2), torch.cat([wav, wav]))


def test_decoder_runs_the_strides_backwards():
    assert [block.upsample.stride for block in SEANetDecoder(SMALL).blocks] == [(3,), (2,)]


def test_snake_is_its_formula_and_starts_at_rate_one():
    snake, x = Snake(3), torch.randn(2, 3, 5)
    torch.testing.assert_close(snake(x), x + x.sin() ** 2)
    torch.nn.init.constant_(snake.rate, 2.0)
    torch.testing.assert_close(snake(x), x + (2 * x).sin() ** 2 / 2)


def test_identity_shortcut_passes_the_input_unchanged():
    unit, x = ResidualUnit(4, 1, replace(SMALL, conv_shortcut=False, norm="none")), torch.randn(1, 4, 9)
    torch.nn.init.zeros_(unit.pointwise.weight)
    torch.nn.init.zeros_(unit.pointwise.bias)
    torch.testing.assert_close(unit(x), x, rtol=0, atol=0)


def test_units_of_a_block_see_further_and_further():
    soundstream = replace(SMALL, residual_layers=3, dilation_base=3)
    for block in EncoderBlock(4, 2, soundstream), DecoderBlock(4, 2, soundstream):
        assert [unit.dilated.dilation for unit in block.units] == [(1,), (3,), (9,)]


def test_lstm_adds_an_ordinary_lstm_to_its_input(check_streaming, check_causality):
    layer, x = SkipLSTM(6), torch.randn(2, 6, 5)
    expected, _ = layer.lstm(x.transpose(1, 2))
    torch.testing.assert_close(layer(x), x + expected.transpose(1, 2))
    check_causality(layer, torch.randn(1, 6, 6))
    check_streaming(SkipLSTM(6, 3), torch.randn(2, 6, 14))


def test_lstm_state_is_one_tensor_of_hidden_and_cell_rows():
    layer, state, x = SkipLSTM(6, 2), StreamState(), torch.randn(3, 6, 5)
    layer(x, state)
    _, (hidden, cell) = layer.lstm(x.transpose(1, 2))
    torch.testing.assert_close(state[layer], torch.cat([hidden, cell]).transpose(0, 1))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"strides": ()}, "strides"),
        ({"strides": (2, 0)}, "strides"),
        ({"compress": 3}, "multiple of compress 3"),
        ({"activation": "relu"}, "choose one of elu, snake"),
        ({"norm": "batch"}, "choose one of weight, none"),
    ],
)
def test_impossible_sizes_are_refused(change, complaint):
    with pytest.raises(ConfigError, match=complaint):
        replace(SMALL, **change)


def test_hop_length_is_the_product_of_strides():
    assert (SMALL.hop_length, SMALL.delay) == (6, 0)
    assert SEANetConfig().hop_length == 320  # 75 frames a second at 24 kHz
