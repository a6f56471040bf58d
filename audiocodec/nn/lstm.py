"""Long memory at the frame rate, as EnCodec puts between its convolutions and the latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from audiocodec.nn.streaming import recall

if TYPE_CHECKING:
    from audiocodec.nn.streaming import StreamState


class SkipLSTM(nn.Module):
    """LSTM layers with one skip around them all.

    Défossez et al. 2022, https://arxiv.org/abs/2210.13438, section 3.1.
    """

    def __init__(self, channels: int, num_layers: int = 2) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, num_layers, batch_first=True)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """[B, C, T] -> [B, C, T].

        Raises:
            InputError: `state` is of another stream.
        """
        past = recall(
            state, self, x, 2 * self.lstm.num_layers, self.lstm.hidden_size
        )  # hidden rows, then cell rows
        hidden, cell = past.transpose(0, 1).contiguous().chunk(2)
        y, present = self.lstm(x.transpose(1, 2), (hidden, cell))
        if state is not None:
            state[self] = torch.cat(present).transpose(0, 1)
        return x + y.transpose(1, 2)
