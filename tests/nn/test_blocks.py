from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from audiocodec.errors import ConfigError
from audiocodec.nn.blocks import DecoderBlock, EncoderBlock, ResidualUnit, SEANetConfig, Snake

SMALL = SEANetConfig(channels=4, dim=6, strides=(2, 3), residual_layers=2, lstm_layers=1)
VARIANTS = [
    pytest.param(SMALL, id="encodec"),
    pytest.param(replace(SMALL, activation="snake", norm="none", conv_shortcut=False), id="snake, plain"),
    pytest.param(
        replace(SMALL, residual_layers=3, dilation_base=3, residual_kernel_size=7, compress=1), id="wide"
    ),
]


@pytest.mark.parametrize("config", VARIANTS)
def test_blocks_stream(check_streaming, config):
    check_streaming(ResidualUnit(4, 3, config), torch.randn(2, 4, 14))
    check_streaming(EncoderBlock(4, 3, config), torch.randn(2, 4, 14 * 3), hop=3)
    check_streaming(DecoderBlock(4, 3, config), torch.randn(2, 8, 14))


@pytest.mark.parametrize("config", VARIANTS)
def test_blocks_are_causal(check_causality, config):
    check_causality(EncoderBlock(4, 2, config), torch.randn(1, 4, 8), hop_in=2)
    check_causality(DecoderBlock(4, 2, config), torch.randn(1, 8, 4), hop_out=2)


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


def test_units_of_a_block_see_further_and_further():
    soundstream = replace(SMALL, residual_layers=3, dilation_base=3)
    for block in EncoderBlock(4, 2, soundstream), DecoderBlock(4, 2, soundstream):
        assert [unit.dilated.dilation for unit in block.units] == [(1,), (3,), (9,)]
