from __future__ import annotations

import torch

from audiocodec.nn.lstm import SkipLSTM
from audiocodec.nn.streaming import StreamState


def test_streams(check_streaming):
    check_streaming(SkipLSTM(6, 3), torch.randn(2, 6, 14))


def test_is_causal(check_causality):
    check_causality(SkipLSTM(6), torch.randn(1, 6, 6))


def test_adds_an_ordinary_lstm_to_its_input():
    layer, x = SkipLSTM(6), torch.randn(2, 6, 5)
    expected, _ = layer.lstm(x.transpose(1, 2))
    torch.testing.assert_close(layer(x), x + expected.transpose(1, 2))


def test_state_is_one_tensor_of_hidden_and_cell_rows():
    layer, state, x = SkipLSTM(6, 2), StreamState(), torch.randn(3, 6, 5)
    layer(x, state)
    _, (hidden, cell) = layer.lstm(x.transpose(1, 2))
    torch.testing.assert_close(state[layer], torch.cat([hidden, cell]).transpose(0, 1))
