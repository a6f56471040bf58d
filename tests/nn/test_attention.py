from __future__ import annotations

import pytest
import torch

from audiocodec.errors import ConfigError
from audiocodec.nn.attention import WindowedAttention, rotate
from audiocodec.nn.streaming import StreamState


def plain_attention(layer: WindowedAttention, x):
    """The same from the definition: one full T x T matrix and absolute positions."""
    query, key, value = (
        t.unflatten(-1, (layer.num_heads, -1)).transpose(1, 2)
        for t in layer.project_in(x.mT).chunk(3, dim=-1)
    )
    scores = rotate(query, 0) @ rotate(key, 0).mT * query.shape[-1] ** -0.5
    lag = torch.arange(x.shape[-1])[:, None] - torch.arange(x.shape[-1])
    scores = scores.masked_fill((lag < 0) | (lag >= layer.window), -torch.inf)
    return layer.project_out((scores.softmax(-1) @ value).transpose(1, 2).flatten(2)).mT


@pytest.mark.parametrize("length", [1, 4, 5, 14, 20])
@pytest.mark.parametrize("window", [1, 2, 5, 30])
def test_equals_the_definition(window, length):
    layer, x = WindowedAttention(8, 2, window).double(), torch.randn(2, 8, length).double()
    torch.testing.assert_close(layer(x), plain_attention(layer, x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("window", [1, 2, 5, 30])
def test_streams(check_streaming, window):
    check_streaming(WindowedAttention(8, 2, window), torch.randn(2, 8, 14))


def test_is_causal(check_causality):
    check_causality(WindowedAttention(8, 2, 3), torch.randn(1, 8, 7))


def test_sees_its_window_and_nothing_older():
    layer, x = WindowedAttention(8, 2, 4), torch.randn(1, 8, 9, requires_grad=True)
    layer(x)[..., 8].square().sum().backward()
    assert (x.grad.abs().sum(1)[0] > 0).tolist() == [False] * 5 + [True] * 4


@torch.no_grad()
def test_a_long_stream_loses_no_precision():
    layer, state, x = WindowedAttention(8, 2, 16), StreamState(), torch.randn(1, 8, 32)
    for _ in range(3):
        layer(torch.randn(1, 8, 40_000), state)  # 40 minutes at 50 frames a second
    layer(x[..., :16], state)
    torch.testing.assert_close(layer(x[..., 16:], state), layer(x)[..., 16:], rtol=1e-5, atol=1e-6)


def test_products_of_rotated_vectors_depend_on_distance_alone():
    query, key = torch.randn(2, 1, 6, dtype=torch.float64)
    near, far = (rotate(query, start + 3) @ rotate(key, start).mT for start in (0, 1000))
    torch.testing.assert_close(near, far, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(near, query @ key.mT)


@pytest.mark.parametrize(("channels", "num_heads", "window"), [(6, 2, 4), (8, 2, 0)])
def test_impossible_sizes_are_refused(channels, num_heads, window):
    with pytest.raises(ConfigError, match="must be"):
        WindowedAttention(channels, num_heads, window)
