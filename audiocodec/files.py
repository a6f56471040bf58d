"""Decoding whole containers or parts of them to blocks of samples, past damage, in bounded memory."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from audiocodec import audio
from audiocodec.bitstream import ContainerReader, open_container
from audiocodec.coding import Codes, PacketDecoder, Samples, frames_for
from audiocodec.errors import BitstreamError, InputError

if TYPE_CHECKING:
    from audiocodec.bitstream import Header
    from audiocodec.model import CodecModel

MAX_SECONDS = 1e9
BLOCK_LENGTH = 1 << 16
"""Samples taken at once from a file or a long array."""

Progress = Callable[[float], None]
"""Called with the share of the work that is done, from 0 to 1."""
WARM_UP_SECONDS = 2.0
"""Decoded and dropped before a part that starts in the middle, to fill the decoder's memory."""
MARGIN_SECONDS = 0.2
"""Longer than half the resampling filter."""

FILL_SECONDS = 5.0
"""At most as many lost seconds are filled as can be read of a file, but at least this many may be.

A file only claims how long it is: a few bytes may claim years.
"""


@dataclass(frozen=True)
class Decoded:
    """Result of decoding a file.

    Attributes:
        header: of the file.
        length: samples a channel that were written.
        damage: damaged places that were filled.
        clipped: number of samples beyond full scale that were clipped.
        peak: the largest of these; full scale is 1.
        gain: factor applied to all samples.
    """

    header: Header
    length: int
    damage: list[BitstreamError]
    clipped: int = 0
    peak: float = 0.0
    gain: float = 1.0


@dataclass(frozen=True)
class Part:
    """Which part of a file to decode, and how.

    Attributes:
        start: in seconds.
        duration: in seconds; None for all that follows.
        conceal: whether damage is filled.
        conceal_limit: longest loss that is filled, in seconds; None: as long as what can be read, at least
            FILL_SECONDS.
        rescale: whether the level is lowered so that nothing is clipped; the file is decoded twice then.
    """

    start: float = 0.0
    duration: float | None = None
    conceal: bool = False
    conceal_limit: float | None = None
    rescale: bool = False


def read_blocks(
    model: CodecModel,
    reader: ContainerReader,
    start: int = 0,
    stop: int | None = None,
    conceal: bool = False,
    conceal_limit: float | None = None,
) -> Iterator[Samples]:
    """Decode a container into small blocks [C, L], from sample `start` up to `stop` (None: the end).

    Both count at the original rate. With `conceal` damaged packets are filled, and `reader.damage` says
    afterwards what they were; the container is read twice then, before anything is decoded. `conceal_limit`
    is that of `Part`.

    Raises:
        BitstreamError: a packet is damaged; says which seconds are lost. With `conceal`: more are lost than
            may be filled.
        InputError: the limit is no number of seconds.
    """
    header, length = reader.header, reader.length
    if length is not None:
        stop = length if stop is None else min(stop, length)
    plan = segment(header, start)
    left_out = start - plan.drop  # samples at the original rate before the decoder's first one
    rest = None if stop is None else stop - left_out
    decoder = PacketDecoder(model, header, plan.skip, rest, plan.packet)
    drop = plan.drop
    packets: Iterable[Codes | None] = (codes for _, codes in reader.packets("raise", plan.packet))
    if conceal:
        wanted = None if stop is None else _frames(header, stop)
        if stop is not None and stop != length:  # the resampler needs a little of what follows
            margin = math.ceil(MARGIN_SECONDS * header.sample_rate)
            wanted = _frames(header, stop + margin if length is None else min(length, stop + margin))
        _check_lost(reader, plan.packet, wanted, conceal_limit)
        packets = _filled(reader, plan.packet, wanted)
    for samples in _decoded(decoder, packets):
        yield samples[:, drop:]
        drop -= min(drop, samples.shape[1])
        if decoder.done and stop != length:
            return


def decode_file(
    model_for: Callable[[Header], CodecModel],
    part: Part,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    subtype: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Decoded:
    """Decode a container to a sound file with the model that `model_for` finds for its header."""
    with open_container(source) as reader:
        header, written = reader.header, 0
        first, stop = time_span(header.sample_rate, reader.length, part)
        length = None if stop is None else stop - first
        gain = 1 / max(1.0, _peak(model_for, part, source)) if part.rescale else 1.0
        decoded = read_blocks(model_for(header), reader, first, stop, part.conceal, part.conceal_limit)
        blocks = watched(decoded, length, progress)
        with audio.BlockWriter(
            target, header.sample_rate, header.channels, subtype, overwrite, length
        ) as writer:
            for block in blocks:
                writer.write(block if gain == 1 else block * np.float32(gain))
                written += block.shape[1]
        return Decoded(header, written, list(reader.damage), writer.clipped, writer.peak, gain)


def _peak(model_for: Callable[[Header], CodecModel], part: Part, source: str | os.PathLike[str]) -> float:
    """The largest sample of a part."""
    with open_container(source) as reader:
        first, stop = time_span(reader.header.sample_rate, reader.length, part)
        model = model_for(reader.header)
        blocks = read_blocks(model, reader, first, stop, part.conceal, part.conceal_limit)
        return max((float(np.abs(block).max(initial=0.0)) for block in blocks), default=0.0)


def _decoded(decoder: PacketDecoder, packets: Iterable[Codes | None]) -> Iterator[Samples]:
    for codes in packets:
        yield from decoder.blocks(codes)
    yield decoder.flush()


def _gaps(reader: ContainerReader, start: int, frames: int | None) -> Iterator[tuple[int, Codes | None]]:
    """Packets from `start` on that can be read, each as the frames lost before it and its codes.

    Where it is known how many `frames` there must be, the last item has what is lost at the end, and None.
    """
    size, expected = reader.header.packet_frames, start
    for number, codes in reader.packets("skip", start):
        first = number * size if frames is None else min(frames, number * size)
        yield max(0, first - expected * size), codes
        expected = number + 1
    if frames is not None:
        yield max(0, frames - expected * size), None


def _check_lost(reader: ContainerReader, start: int, frames: int | None, limit: float | None) -> None:
    """Refuse files that lost more than may be filled."""
    if limit is not None and not 0 <= limit < math.inf:
        raise InputError(f"the conceal limit is {limit} s; give seconds, 0 or more")
    lost = read = 0
    for gap, codes in _gaps(reader, start, frames):
        lost += gap
        read += 0 if codes is None else codes.shape[2]
        if frames is not None and start * reader.header.packet_frames + lost + read >= frames:
            break  # what comes after a part does not count
    lost_seconds, read_seconds = lost / reader.header.frame_rate, read / reader.header.frame_rate
    most = limit
    if most is None:
        most = max(read_seconds, FILL_SECONDS) if read else 0.0
    if lost_seconds > most:
        first = reader.damage[0] if reader.damage else "the file is too short"
        raise BitstreamError(
            f"{lost_seconds:.2f} s are lost and {read_seconds:.2f} s can be read; {most:.2f} s may be filled."
            f" Raise the limit (--conceal-limit {math.ceil(lost_seconds)}), or decode a part (--start,"
            f" --duration). The first damage: {first}"
        )


def _filled(reader: ContainerReader, start: int, frames: int | None) -> Iterator[Codes | None]:
    """Codes of packets from `start` on, None for each that is lost, those beyond a cut-off end included."""
    for gap, codes in _gaps(reader, start, frames):
        yield from repeat(None, -(-gap // reader.header.packet_frames))
        if codes is not None:
            yield codes


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

    The resampler starts where a sample of the model and one of the recording fall together, so the result is
    on the same grid as when everything is decoded; the decoder starts WARM_UP_SECONDS earlier.
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


def _frames(header: Header, length: int) -> int:
    return frames_for(header, -(-length * header.model_sample_rate // header.sample_rate))


def split_blocks(samples: Samples) -> Iterator[Samples]:
    """Blocks of BLOCK_LENGTH samples out of an array [C, L]."""
    for start in range(0, samples.shape[1], BLOCK_LENGTH):
        yield samples[:, start : start + BLOCK_LENGTH]


def watched(blocks: Iterator[Samples], length: int | None, progress: Progress | None) -> Iterator[Samples]:
    """The same blocks; `progress` is called with the share of `length` samples that was consumed."""
    seen = 0
    for block in blocks:
        yield block
        seen += block.shape[1]
        if progress is not None and length:
            progress(min(1.0, seen / length))


def time_span(sample_rate: int, length: int | None, part: Part) -> tuple[int, int | None]:
    """First sample of a part and the one after its last, None where the end is not known.

    Raises:
        InputError: the part is empty, or starts after the end.
    """
    start, duration = part.start, part.duration
    try:
        usable = 0 <= start < MAX_SECONDS and (duration is None or 0 < duration < MAX_SECONDS)
    except TypeError:  # no numbers
        usable = False
    if not usable:
        raise InputError(
            f"cannot decode {duration} s from {start} s on; the start must be 0 or more, the duration above 0"
        )
    first = round(start * sample_rate)
    if length is not None and 0 < length <= first:
        raise InputError(f"cannot start at {start} s: the recording has {length / sample_rate:.3f} s")
    stop = None if duration is None else first + max(1, round(duration * sample_rate))
    ends = [end for end in (stop, length) if end is not None]
    return first, min(ends) if ends else None
