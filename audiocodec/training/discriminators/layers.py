"""What the discriminators share: a judgment, normalized convolutions, complex spectra as two channels."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from audiocodec.losses.spectra import spectrum

if TYPE_CHECKING:
    from collections.abc import Iterable

M = TypeVar("M", bound=nn.Module)


class Judgment(NamedTuple):
    """What one sub-discriminator says of a batch.

    Attributes:
        score: [B, 1, ...], a number for each stretch it looked at, higher for more real.
        features: outputs of its hidden layers, [B, C, ...] each, for feature matching.
    """

    score: Tensor
    features: list[Tensor]


def weight_norm(module: M) -> M:
    """Split the weight of a convolution into direction and length, as in all the papers."""
    parametrizations.weight_norm(module)
    return module


def convolution(
    channels_in: int,
    channels_out: int,
    kernel_size: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
) -> nn.Conv2d:
    """Weight-normalized convolution over (time, frequency); without stride it keeps an odd kernel's sizes."""
    padding = tuple((k - 1) * d // 2 for k, d in zip(kernel_size, dilation, strict=True))
    return weight_norm(
        nn.Conv2d(channels_in, channels_out, kernel_size, stride, (padding[0], padding[1]), dilation)
    )


class Spectrum(nn.Module):
    """Complex STFT as two channels, real and imaginary; Hann windows, hop of a quarter, unit energy."""

    window: Tensor

    def __init__(self, window_length: int) -> None:
        super().__init__()
        self.window_length = window_length
        window = torch.hann_window(window_length)
        # So scaled, the spectrum of white noise has the power of the noise at any length.
        self.register_buffer("window", window / window.square().sum().sqrt(), persistent=False)

    def forward(self, wav: Tensor) -> Tensor:
        """[B, 1, L] -> [B, 2, T, F]; what is shorter than a window is filled up with zeros."""
        wav = wav[:, 0].float()
        wav = F.pad(wav, (0, max(0, self.window_length - wav.shape[-1])))
        with torch.autocast(wav.device.type, enabled=False):
            return spectrum(wav, self.window, self.window_length // 4)


def run(layers: Iterable[nn.Module], x: Tensor, slope: float) -> list[Tensor]:
    """Outputs of each layer, leaky ReLU after every one."""
    steps = itertools.accumulate(layers, lambda y, layer: F.leaky_relu(layer(y), slope), initial=x)
    return list(steps)[1:]
