"""Watching a live encoder: the same packets, and reports beside them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from audiocodec.adaptation.statistics.frames import audible_seconds
from audiocodec.audio.arrays import as_channels
from audiocodec.model import CodecModel
from audiocodec.quantizers.base import Quantizer, QuantizerOutput
from audiocodec.streaming import StreamEncoder

if TYPE_CHECKING:
    from audiocodec.adaptation.watch.monitor import Monitor
    from audiocodec.adaptation.watch.report import WindowReport
    from audiocodec.codec import Codec
    from audiocodec.coding import Samples

Listener = Callable[[Tensor, Tensor], None]


class Tap(Quantizer):
    """A quantizer that tells a listener the latents [B, D, T] and codes [B, N, T] of all it encodes."""

    def __init__(self, inner: Quantizer, listener: Listener) -> None:
        """Stand before `inner`, which does the work."""
        super().__init__()
        self.inner, self._listener = inner, listener
        self.dim, self.codebook_sizes, self.prefixes = inner.dim, inner.codebook_sizes, inner.prefixes

    @property
    def strides(self) -> tuple[int, ...]:
        """Frames that share one code, for each row."""
        return self.inner.strides

    def forward(self, latents: Tensor, num_quantizers: int | Tensor | None = None) -> QuantizerOutput:
        """As `inner` does."""
        return self.inner(latents, num_quantizers)

    def encode(self, latents: Tensor, num_quantizers: int | None = None) -> Tensor:
        """As `inner` does, and tell the listener."""
        codes = self.inner.encode(latents, num_quantizers)
        self._listener(latents, codes)
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """As `inner` does."""
        return self.inner.decode(codes)

    def codebooks(self) -> dict[str, Tensor]:
        """Those of `inner`."""
        return self.inner.codebooks()


def tapped(model: CodecModel, listener: Listener) -> CodecModel:
    """The same model, sharing all weights, whose latents and codes are also given to `listener`."""
    rates = (model.sample_rate, model.hop_length, model.delay)
    return CodecModel(model.encoder, Tap(model.quantizer, listener), model.decoder, *rates).eval()


class MonitoredStream:
    """A `StreamEncoder` whose packets are the same as without, and whose windows are judged as they fill.

    Packets come first: `reports` grows after the packets of a push are made.
    """

    def __init__(
        self,
        codec: Codec,
        monitor: Monitor,
        sample_rate: int,
        channels: int = 1,
        bitrate: float | None = None,
        *,
        packet_frames: int | None = None,
        last: bool = True,
    ) -> None:
        """Encode as `codec.stream_encoder` does; the monitor is for the same codec and bitrate.

        With `last=False` the end of this stream leaves the window open for the next one.
        """
        header = codec.header(sample_rate, channels, bitrate, packet_frames=packet_frames)
        self.monitor, self.reports = monitor, list["WindowReport"]()
        self._last = last
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._stream = StreamEncoder(tapped(codec.model, self._listen), header)
        self._model, self._rate = codec.model, sample_rate
        self._length, self._frames = 0, 0
        self._unheard: list[Samples] = []

    @property
    def header(self) -> Any:
        """What the stream says of itself."""
        return self._stream.header

    def push(self, block: Any) -> list[bytes]:
        """Take samples [L] or [C, L]; give the packets that are ready.

        Raises:
            InputError: the samples cannot be used, or the stream was flushed.
        """
        packets = self._stream.push(block)
        samples = as_channels(block, self._rate)
        self._length += samples.shape[1]
        self._unheard.append(samples)
        self._take(math.inf)
        return packets

    def flush(self) -> list[bytes]:
        """End the stream: give the last packets, and judge the last window if it is long enough."""
        packets = self._stream.flush()
        resampled = math.ceil(self._length * self._model.sample_rate / self._rate)
        # The encoder fills the last packet with silence, which nobody said.
        self._take(math.ceil((resampled + self._model.delay) / self._model.hop_length) - self._frames)
        if self._last:
            self.reports += self.monitor.flush()
        return packets

    def take_reports(self) -> list[WindowReport]:
        """Reports since this was last asked."""
        reports, self.reports = self.reports, []
        return reports

    def _listen(self, latents: Tensor, codes: Tensor) -> None:
        self._waiting.append((latents, codes))

    def _take(self, frames: float) -> None:
        """Give what was encoded to the monitor, at most so many frames."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        # What could be heard since the last packet belongs to all packets that came of it.
        heard = audible_seconds(np.concatenate(self._unheard, axis=1), self._rate) if self._unheard else 0.0
        heard, self._unheard = heard / sum(codes.shape[2] for _, codes in waiting), []
        for latents, codes in waiting:
            count = int(min(frames, codes.shape[2]))
            frames -= count
            self._frames += count
            if count:
                part = latents[..., :count], codes[..., :count]
                self.reports += self.monitor.update(*part, heard * codes.shape[2])
