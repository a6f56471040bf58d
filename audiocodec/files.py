"""Whole recordings between containers and blocks of samples, in memory that does not grow with their length."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from audiocodec.bitstream import ContainerReader, ContainerWriter
from audiocodec.coding import Codes, PacketDecoder, PacketEncoder, Samples
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from audiocodec.bitstream import Header
    from audiocodec.model import CodecModel

BLOCK_LENGTH = 1 << 16
"""Samples taken at once from a file or a long array."""

Progress = Callable[[float], None]
"""Told the share of the work that is done, from 0 to 1."""
WARM_UP_SECONDS = 2.0
"""Decoded and thrown away before a place in the middle, so that the decoder's memory is filled as if from the start."""
MARGIN_SECONDS = 0.1
"""More than the resampling filter reaches to either side."""

MAX_FILL_PACKETS = 4096
"""A cut-off file is filled with silence up to its length, but no further than this: the length is only a claim."""


def write_blocks(model: CodecModel, header: Header, file: BinaryIO, blocks: Iterable[Samples]) -> int:
    """Encode blocks [C, L] of one recording into a container; gives the number of samples."""
    encoder, writer = PacketEncoder(model, header), ContainerWriter(file, header)
    for block in blocks:
        for codes in encoder.push(block):
            writer.write_packet(codes)
    for codes in encoder.flush():
        writer.write_packet(codes)
    writer.close(encoder.length)
    return encoder.length


def read_blocks(
    model: CodecModel, reader: ContainerReader, start: int = 0, stop: int | None = None, conceal: bool = False
) -> Iterator[Samples]:
    """Decode a container into blocks [C, L], from sample `start` up to `stop` (None: the end) at the original rate.

    With `conceal` damaged packets are filled, and `reader.damage` says afterwards what they were.

    Raises:
        BitstreamError: a packet is damaged; says which seconds are lost. Not with `conceal`.
    """
    header, length = reader.header, reader.length
    if length is not None:
        stop = length if stop is None else min(stop, length)
    plan = segment(header, start)
    left_out = start - plan.drop  # samples at the original rate before the decoder's first one
    decoder = PacketDecoder(model, header, plan.skip, None if stop is None else stop - left_out)
    drop = plan.drop
    for samples in _decoded(decoder, _packets(reader, plan.packet, conceal)):
        yield samples[:, drop:]
        drop -= min(drop, samples.shape[1])
        if decoder.done and stop != length:
            return


def _decoded(decoder: PacketDecoder, packets: Iterable[Codes | None]) -> Iterator[Samples]:
    for codes in packets:
        yield decoder.push(codes)
    yield decoder.flush()


def _packets(reader: ContainerReader, start: int, conceal: bool) -> Iterator[Codes | None]:
    """Codes of packets from `start` on, None where one is lost, those beyond a cut-off end included."""
    if not conceal:
        yield from (codes for _, codes in reader.packets("raise", start))
        return
    end = start
    for number, codes in reader.packets("mark", start):
        end = number + 1
        yield codes
    if reader.length is not None:
        missing = num_packets(reader.header, reader.length) - end
        yield from [None] * min(missing, MAX_FILL_PACKETS)


@dataclass(frozen=True)
class Segment:
    """How to decode a part of a recording that starts in the middle.

    Attributes:
        packet: the first packet to decode.
        skip: samples of the model's output to leave out, its delay included.
        drop: samples at the original rate to leave out after that.
    """

    packet: int
    skip: int
    drop: int


def segment(header: Header, start: int) -> Segment:
    """Plan decoding from sample `start` at the original rate.

    The resampler starts where a sample of the model and one of the recording fall together, so the result lies on
    the same grid as when everything is decoded; the decoder starts WARM_UP_SECONDS earlier.
    """
    common = math.gcd(header.sample_rate, header.model_sample_rate)
    original_unit, model_unit = header.sample_rate // common, header.model_sample_rate // common
    margin = math.ceil(MARGIN_SECONDS * header.model_sample_rate / model_unit)
    units = max(0, start // original_unit - margin)
    position = units * model_unit + header.delay
    packet_length = header.packet_frames * header.hop_length
    warm_up = math.ceil(WARM_UP_SECONDS * header.frame_rate / header.packet_frames)
    packet = max(0, position // packet_length - warm_up)
    return Segment(packet, position - packet * packet_length, start - units * original_unit)


def num_packets(header: Header, length: int) -> int:
    """Packets that a recording of `length` samples at the original rate takes."""
    if not length:
        return 0
    model_length = -(-length * header.model_sample_rate // header.sample_rate)
    frames = -(-(model_length + header.delay) // header.hop_length)
    return -(-frames // header.packet_frames)


def split_blocks(samples: Samples) -> Iterator[Samples]:
    """Blocks of BLOCK_LENGTH samples out of an array [C, L]."""
    for start in range(0, samples.shape[1], BLOCK_LENGTH):
        yield samples[:, start : start + BLOCK_LENGTH]


def watched(blocks: Iterator[Samples], length: int | None, progress: Progress | None) -> Iterator[Samples]:
    """The same blocks; `progress` is told the share of `length` samples that has been used."""
    seen = 0
    for block in blocks:
        yield block
        seen += block.shape[1]
        if progress is not None and length:
            progress(min(1.0, seen / length))


def time_span(
    sample_rate: int, length: int | None, start: float, duration: float | None
) -> tuple[int, int | None]:
    """First sample, and the one after the last, of a part given in seconds.

    Raises:
        InputError: it is empty, or starts after the end.
    """
    first = round(start * sample_rate)
    stop = length if duration is None else first + round(duration * sample_rate)
    if not 0 <= start < float("inf") or not (stop is None or first < stop or (first == stop == 0)):
        raise InputError(
            f"no samples from {start} s on for {duration} s; give a start of 0 or more and a length"
        )
    if length is not None and length <= first and first:
        raise InputError(
            f"starts at {start} s, but the recording has {length / sample_rate:.3f} s; start earlier"
        )
    return first, stop if length is None or stop is None else min(stop, length)
