from __future__ import annotations

import pytest
import torch
from torch import nn

from audiocodec.errors import InputError
from audiocodec.nn.conv import CausalConv1d, CausalConvTranspose1d
from audiocodec.nn.seanet import SkipLSTM
from audiocodec.nn.streaming import StreamState

LAYERS = {
    "conv": lambda: CausalConv1d(4, 4, 3, dilation=2),
    "transposed": lambda: CausalConvTranspose1d(4, 4, 4, 2),
    "lstm": lambda: SkipLSTM(4, 2),
}


class Chain(nn.Module):
    """One of each layer that remembers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict({name: make() for name, make in LAYERS.items()})

    def forward(self, x, state=None):
        for layer in self.layers.values():
            x = layer(x, state)
        return x


def test_chain_streams(check_streaming):
    check_streaming(Chain(), torch.randn(2, 4, 14))


@torch.no_grad()
def test_two_streams_share_one_model():
    model, signals = Chain(), torch.randn(2, 1, 4, 12)
    states = StreamState(), StreamState()
    parts = [
        [model(x, s) for x, s in zip(chunks, states, strict=True)]
        for chunks in zip(*(x.split(3, -1) for x in signals), strict=True)
    ]
    for number, signal in enumerate(signals):
        chunked = torch.cat([part[number] for part in parts], dim=-1)
        torch.testing.assert_close(chunked, model(signal), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_copy_is_a_snapshot():
    model, state = Chain(), StreamState()
    past, future, other = torch.randn(3, 1, 4, 6)
    model(past, state)
    snapshot = StreamState(state)
    expected = model(future, state)
    model(other, state)
    torch.testing.assert_close(model(future, snapshot), expected, rtol=0, atol=0)


@torch.no_grad()
def test_entries_are_named_by_their_modules():
    model, state = Chain(), StreamState()
    model(torch.randn(2, 4, 6), state)
    named = state.named(model)
    assert set(named) == {f"layers.{name}" for name in LAYERS}
    assert all(torch.equal(named[f"layers.{name}"], state[layer]) for name, layer in model.layers.items())


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        pytest.param(torch.zeros(3, 4, 6), r"holds \(2, .*needs \(3, ", id="batch size"),
        pytest.param(
            torch.zeros(2, 4, 6, dtype=torch.float64), r"torch\.float32 on .*torch\.float64 on", id="dtype"
        ),
        pytest.param(torch.zeros(2, 4, 6, device="meta"), "on cpu .*on meta", id="device"),
    ],
)
def test_state_of_another_stream_is_refused(name, other, complaint):
    layer, state = LAYERS[name](), StreamState()
    layer(torch.zeros(2, 4, 6), state)
    before = dict(state)
    layer.to(other.device, other.dtype)
    with pytest.raises(InputError, match=complaint) as refusal:
        layer(other, state)
    assert "start a new one" in str(refusal.value)
    assert state == before


@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_layers_replace_entries_and_never_write_into_them(name):
    layer, state = LAYERS[name](), StreamState()
    layer(torch.randn(1, 4, 6), state)
    (entry,) = state.values()
    kept = entry.clone()
    layer(torch.randn(1, 4, 6), state)
    assert state[layer] is not entry
    torch.testing.assert_close(entry, kept, rtol=0, atol=0)


@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_state_does_not_grow(name):
    layer, state = LAYERS[name](), StreamState()
    layer(torch.randn(1, 4, 2), state)
    shape = state[layer].shape
    layer(torch.randn(1, 4, 40), state)
    assert state[layer].shape == shape


@torch.no_grad()
@pytest.mark.usefixtures("fresh_compiler")
def test_compiles_as_one_graph():
    model, x = Chain(), torch.randn(1, 4, 8)

    def two_chunks(model, x):
        state = StreamState()
        return torch.cat([model(x[..., :3], state), model(x[..., 3:], state)], dim=-1)

    compiled = torch.compile(two_chunks, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(model, x), model(x), rtol=1e-5, atol=1e-5)
