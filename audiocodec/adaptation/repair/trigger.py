"""When a refresh is due: the error of the latents in a window against that of clean speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from audiocodec.adaptation.repair.refit import thin
from audiocodec.adaptation.repair.service import Drift
from audiocodec.adaptation.repair.stack import Stack
from audiocodec.coding import encode_latents

if TYPE_CHECKING:
    from torch import Tensor

    from audiocodec.adaptation.repair.sound import Clip, Sound
    from audiocodec.codec import Codec

FRAMES = 4000
"""Of each sound that are coded to measure: 80 s at 50 Hz, drawn from all."""


@dataclass(frozen=True)
class ErrorMonitor:
    """Alerts when the relative error of a window is more than `threshold` times that of clean speech.

    The simplest of the measures of drift, and one that a refresh can lower: what it alerts on it can repair.

    Attributes:
        threshold: ratio of errors.
        bitrate: at which both are coded; None: the highest.
        seed: of the frames that are drawn.
    """

    threshold: float = 1.15
    bitrate: float | None = None
    seed: int = 0

    def __call__(self, codec: Codec, window: Sound, clean: Sound) -> Drift:
        """Measure both."""
        stack = Stack.of(codec.model.quantizer)
        depth = codec.model.num_quantizers_for(self.bitrate)
        heard, usual = (stack.error(self._rows(codec, sound.clips), depth) for sound in (window, clean))
        ratio = heard / max(usual, 1e-12)
        return Drift(ratio > self.threshold, f"error {heard:.3f}, {ratio:.2f} times that of clean speech")

    def _rows(self, codec: Codec, clips: Sequence[Clip]) -> Tensor:
        rng = torch.Generator().manual_seed(self.seed)
        share = max(1, -(-FRAMES // max(len(clips), 1)))
        rows = [
            thin(encode_latents(codec.model, clip.wav, clip.sample_rate)[0].t(), share, rng).cpu()
            for clip in clips
        ]
        return torch.cat(rows)
