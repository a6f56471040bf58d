"""Watching a live encoder: the same packets, and reports beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from audiocodec.adaptation.statistics.frames import audible_seconds
from audiocodec.audio.samples import as_channels
from audiocodec.streaming import StreamEncoder

if TYPE_CHECKING:
    from audiocodec.adaptation.watch.monitor import Monitor
    from audiocodec.adaptation.watch.report import WindowReport
    from audiocodec.codec import Codec
    from audiocodec.coding import Samples


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
        self._stream = StreamEncoder(codec.model, header, listener=self._listen)
        self._rate = sample_rate
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
        self._unheard.append(samples)
        self._judge()
        return packets

    def flush(self) -> list[bytes]:
        """End the stream: give the last packets, and judge the last window if it is long enough."""
        packets = self._stream.flush()
        self._judge()
        if self._last:
            self.reports += self.monitor.flush()
        return packets

    def take_reports(self) -> list[WindowReport]:
        """Reports since this was last asked."""
        reports, self.reports = self.reports, []
        return reports

    def _listen(self, latents: Tensor, codes: Tensor) -> None:
        self._waiting.append((latents, codes))

    def _judge(self) -> None:
        """Give what was encoded to the monitor."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        # What could be heard since the last packet belongs to all packets that came of it.
        heard = audible_seconds(np.concatenate(self._unheard, axis=1), self._rate) if self._unheard else 0.0
        heard, self._unheard = heard / sum(codes.shape[2] for _, codes in waiting), []
        for latents, codes in waiting:
            self.reports += self.monitor.update(latents, codes, heard * codes.shape[2])
