"""Live streams: blocks of samples to packets of bytes and back; packets may be lost."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from audiocodec.audio.samples import as_channels
from audiocodec.bitstream import ContainerWriter, Header
from audiocodec.bitstream.header import MAGIC, PREFIX_BYTES, header_size, pack_header, unpack_header
from audiocodec.bitstream.records import (
    CRC_BYTES,
    END_KIND,
    TRAILER_BYTES,
    Index,
    Packet,
    read_record,
    unpack_end,
    unpack_packet,
)
from audiocodec.coding import Codes, Listener, PacketDecoder, PacketEncoder, Samples
from audiocodec.errors import BitstreamError, InputError, Truncated

if TYPE_CHECKING:
    from audiocodec.model import CodecModel

MAX_GAP_SECONDS = 60.0
"""A longer gap is taken for another stream."""
MAX_GAP_SAMPLES = 1 << 26
"""The same limit, summed over channels: 60 s of 5 channels at 192 kHz; a small packet may claim 255."""


class StreamEncoder:
    """Blocks of samples in, packets of bytes out; all packets joined are the `.nac` file of the recording.

    The first packet starts with the header, the last one ends with the index. Memory grows by one number a
    packet only.

    Attributes:
        denoise: whether noise is removed from what is pushed from now on; may be set at any time. Models
            without a denoising switch raise InputError.
    """

    def __init__(
        self, model: CodecModel, header: Header, denoise: bool = False, listener: Listener | None = None
    ) -> None:
        """Start a stream as `header` describes it; `listener` is that of `PacketEncoder`."""
        self.header = header
        self._model = model
        self._encoder = PacketEncoder(model, header, denoise, listener)
        self._outbox = io.BytesIO()
        self._writer = ContainerWriter(self._outbox, header)
        self._flushed = False

    @property
    def denoise(self) -> bool:
        """See above."""
        return self._encoder.denoise

    @denoise.setter
    def denoise(self, on: bool) -> None:
        self._encoder.denoise = on

    @property
    def latency_seconds(self) -> float:
        """Time from a sound at the encoder's input to its copy at the decoder's output, without transport.

        Computing adds to it, and so does resampling: up to 0.11 s on each side if the rates differ.
        """
        return (
            self.header.packet_frames * self._model.hop_length + self._model.delay
        ) / self._model.sample_rate

    def push(self, block: Any) -> list[bytes]:
        """Take samples [L] or [C, L], numpy or torch, any number of them; give the packets that are ready.

        Raises:
            InputError: the samples cannot be used, or the stream was flushed.
        """
        if self._flushed:
            raise InputError("the stream has ended; make a new encoder for another recording")
        samples = as_channels(block, self.header.sample_rate, self._encoder.length)
        if samples.shape[0] != self.header.channels:
            raise InputError(f"a block has {samples.shape[0]} channels, the stream {self.header.channels}")
        return [self._pack(codes) for codes in self._encoder.push(samples)]

    def flush(self) -> list[bytes]:
        """End the stream: give the last packets."""
        if self._flushed:
            return []
        self._flushed = True
        packets = [self._pack(codes) for codes in self._encoder.flush()]
        self._writer.close(self._encoder.length)
        end = self._drain()
        return [*packets[:-1], packets[-1] + end] if packets else [end]

    def _pack(self, codes: Codes) -> bytes:
        self._writer.write_packet(codes)
        return self._drain()

    def _drain(self) -> bytes:
        data = self._outbox.getvalue()
        self._outbox.seek(0)
        self._outbox.truncate()
        return data


class StreamDecoder:
    """Packets of bytes in, samples [C, L] out at the original sample rate; lost packets are filled.

    A packet known to be lost is pushed as None. A missing packet is noticed by the number of the next one; a
    packet that comes twice or too late is dropped. The length is exact when the last packet arrived.
    """

    def __init__(self, model_for: Callable[[Header], CodecModel], header: Header | None = None) -> None:
        """`model_for` finds the model a header asks for; `header` when it travels apart from the packets."""
        self._model_for = model_for
        self._decoder: PacketDecoder | None = None
        self._next = 0
        self.header: Header | None = None
        """The header of the stream, as soon as it is known."""
        if header is not None:
            self._start(header)

    def push(self, packet: bytes | None) -> Samples:
        """Take the next packet, or None where it is lost; give the samples [C, L] that are ready.

        Raises:
            InputError: the stream's first packet, which describes it, never came.
            BitstreamError: the packet is damaged, or of another stream; push None in its place.
        """
        if packet is None:
            return self._lose()
        packet = self._read_header(bytes(packet))
        if self._decoder is None:
            raise InputError(
                "the first packet of the stream, which describes it, is missing; send it again, or give"
                " stream_decoder(header) the encoder's header"
            )
        records = list(self._records(packet))  # all are sound before the first is used
        for record in records:
            if isinstance(record, Index):
                self._decoder.length = record.length
        return self._join([self._accept(record) for record in records if isinstance(record, Packet)])

    def flush(self) -> Samples:
        """End the stream: give the samples [C, L] still held."""
        return self._join(()) if self._decoder is None else self._decoder.flush()

    def _start(self, header: Header) -> None:
        self.header = header
        self._seed = int.from_bytes(pack_header(header)[-CRC_BYTES:], "little")
        self._decoder = PacketDecoder(self._model_for(header), header, length=header.length)
        seconds = min(MAX_GAP_SECONDS, MAX_GAP_SAMPLES / (header.channels * header.sample_rate))
        self._max_gap = max(1, int(seconds * header.frame_rate / header.packet_frames))

    def _lose(self) -> Samples:
        if self._decoder is None:
            return self._join(())
        self._next += 1
        return self._decoder.push(None)

    def _read_header(self, packet: bytes) -> bytes:
        """What follows the header, if the packet starts with one."""
        if not packet.startswith(MAGIC):
            return packet
        size = header_size(packet[:PREFIX_BYTES])
        if len(packet) < size:
            raise Truncated("the packet ends in the middle of the stream's header")
        header = unpack_header(packet[:size])
        if self.header is None:
            self._start(header)
        elif header != self.header:
            raise BitstreamError("the packet starts another stream; make a new decoder for it")
        return packet[size:]

    def _records(self, data: bytes) -> Iterator[Packet | Index]:
        def fetch(start: int, count: int) -> bytes:
            return data[start : start + count]

        assert self.header is not None
        position = 0
        while position < len(data):
            record = read_record(fetch, position, self._seed, lambda _: len(data))
            position += record.size
            if record.kind == END_KIND:
                position += TRAILER_BYTES
                yield unpack_end(self.header, record.body)
            else:
                yield unpack_packet(self.header, record)

    def _accept(self, record: Packet) -> Samples:
        assert self._decoder is not None
        assert self.header is not None
        gap = record.number - self._next
        if gap < 0:
            return self._join(())
        if gap > self._max_gap:
            raise BitstreamError(
                f"packet {record.number} came where {self._next} was expected; start a new decoder"
            )
        lost = [self._lose() for _ in range(gap)]
        self._next += 1
        return self._join([*lost, self._decoder.push(record.codes)])

    def _join(self, parts: Sequence[Samples]) -> Samples:
        channels = 1 if self.header is None else self.header.channels
        return np.concatenate([np.zeros((channels, 0), np.float32), *parts], axis=1)
