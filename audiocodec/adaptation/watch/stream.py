"""Watching what is encoded: live streams, whose packets stay the same, sound files and `.nac` files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from audiocodec import audio
from audiocodec.adaptation.statistics.recordings import audible_seconds
from audiocodec.audio.files import as_file
from audiocodec.audio.samples import as_channels
from audiocodec.bitstream import open_container
from audiocodec.errors import InputError
from audiocodec.files import BLOCK_LENGTH
from audiocodec.streaming import StreamEncoder

if TYPE_CHECKING:
    from audiocodec.adaptation.watch.log import MonitorLog
    from audiocodec.adaptation.watch.monitor import Monitor, WindowReport
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
        self._unmeasured: list[Samples] = []

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
        self._unmeasured.append(samples)
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
        # What could be audible since the last packet belongs to all packets that came of it.
        audible = (
            audible_seconds(np.concatenate(self._unmeasured, axis=1), self._rate) if self._unmeasured else 0.0
        )
        audible, self._unmeasured = audible / sum(codes.shape[2] for _, codes in waiting), []
        for latents, codes in waiting:
            self.reports += self.monitor.update(latents, codes, audible * codes.shape[2])


NAC_SUFFIX = ".nac"


def monitor_files(
    codec: Codec,
    monitor: Monitor,
    files: Sequence[Path],
    bitrate: float | None = None,
    *,
    on_error: Callable[[Path, Exception], None],
    log: MonitorLog | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Iterator[WindowReport]:
    """Reports of all windows of sound files or `.nac` files, each also added to `log`.

    A file that cannot be read is given to `on_error` with its exception, and the next ones are monitored.

    Raises:
        InputError: the log cannot be written.
    """

    def reports() -> Iterator[WindowReport]:
        for number, source in enumerate(files, 1):
            try:
                with as_file(source) as file:
                    yield from monitor_file(codec, monitor, file, bitrate)
            except Exception as error:
                on_error(source, error)
            progress(number / len(files))
        yield from monitor.flush()

    for report in reports():
        if log is not None:
            log.add("window", report.as_json())
        yield report


def monitor_file(
    codec: Codec, monitor: Monitor, path: str | os.PathLike[str], bitrate: float | None = None
) -> Iterator[WindowReport]:
    """Reports of the windows that become full with a sound file or a `.nac` file; memory is bounded.

    Of a `.nac` file the codes alone are judged, without decoding; it must have been made with the monitor's
    model, codebooks and bitrate.

    Raises:
        InputError: the file cannot be read, or is not such a one.
        BitstreamError: it is damaged.
    """
    path = Path(path)
    monitor.new_recording(str(path))
    if path.suffix.lower() == NAC_SUFFIX:
        yield from _monitor_codes(codec, monitor, path, bitrate)
        return
    info = audio.info(path)
    stream = MonitoredStream(codec, monitor, info.sample_rate, info.channels, bitrate, last=False)
    for block in audio.blocks(path, BLOCK_LENGTH):
        stream.push(block)
        yield from stream.take_reports()
    stream.flush()
    yield from stream.take_reports()


def _monitor_codes(
    codec: Codec, monitor: Monitor, path: Path, bitrate: float | None
) -> Iterator[WindowReport]:
    num_quantizers = codec.model.num_quantizers_for(bitrate)
    with open_container(path) as reader:
        header = reader.header
        if not codec.model_id.startswith(header.model_id):
            raise InputError(
                f"{path}: made with model {header.model_name!r} ({header.model_id}), not {codec.name}"
            )
        if not codec.codebook_id.startswith(header.codebook_id):
            raise InputError(
                f"{path}: made with codebooks {header.codebook_id}, the monitor is for"
                f" {codec.codebook_id[:32]}; choose them with --codebook"
            )
        if header.num_quantizers < num_quantizers:
            raise InputError(
                f"{path}: has {header.num_quantizers} quantizers, {num_quantizers} are monitored; choose"
                f" --bitrate {codec.model.bitrates[header.num_quantizers - 1]:.0f}"
            )
        for _, codes in reader.packets():
            if codes.shape[1] < num_quantizers:  # a packet of a variable bitrate
                continue
            yield from monitor.update(None, torch.from_numpy(codes[:, :num_quantizers]))
