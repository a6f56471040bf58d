"""The header as bytes; FORMAT.md, "Header"."""

from __future__ import annotations

import zlib
from itertools import groupby

from audiocodec.bitstream.bits import Cursor, varint
from audiocodec.bitstream.entropy import CODERS
from audiocodec.bitstream.frame import CRC_BYTES
from audiocodec.bitstream.header import (
    ID_BYTES,
    MAX_EXTENSION_BYTES,
    MAX_NAME_BYTES,
    MAX_NUM_QUANTIZERS,
    Extension,
    Header,
    check_range,
)
from audiocodec.errors import BitstreamError, ChecksumMismatch, InputError, NotAContainer, UnsupportedVersion

MAGIC = b"NAC1"
FORMAT_VERSION = 1
PREFIX_BYTES = len(MAGIC) + 1 + 2  # magic, version, size of the body
MAX_BODY_BYTES = 20_000  # more than the limits of the fields can add up to

KNOWN_EXTENSIONS: frozenset[int] = frozenset()
"""Extension kinds this version understands; FORMAT.md keeps the list of numbers given out."""


def pack_header(header: Header) -> bytes:
    """Spell a header as it stands at the start of a file, checksum included."""
    body = _body(header)
    assert len(body) <= MAX_BODY_BYTES
    data = MAGIC + bytes([FORMAT_VERSION]) + len(body).to_bytes(2, "little") + body
    return data + zlib.crc32(data).to_bytes(CRC_BYTES, "little")


def header_size(prefix: bytes) -> int:
    """Bytes of the whole header, by its first PREFIX_BYTES bytes; NotAContainer without the magic."""
    if not prefix.startswith(MAGIC):
        raise NotAContainer(f"not a .nac file: it starts with {prefix[: len(MAGIC)]!r}, not {MAGIC!r}")
    size = int.from_bytes(prefix[len(MAGIC) + 1 : PREFIX_BYTES], "little")
    if size > MAX_BODY_BYTES:
        raise BitstreamError(
            f"the header claims {size} bytes, at most {MAX_BODY_BYTES} are allowed: it is damaged"
        )
    return PREFIX_BYTES + size + CRC_BYTES


def unpack_header(data: bytes) -> Header:
    """Read a header from exactly its bytes; a BitstreamError says what is wrong with it.

    A header has one spelling, so that the checksum that all records start from follows from its fields too.

    The place of the checksum is the same in every version, so damage is told apart from a newer file.
    """
    if zlib.crc32(data[:-CRC_BYTES]) != int.from_bytes(data[-CRC_BYTES:], "little"):
        raise ChecksumMismatch(
            "the header is damaged (its checksum does not match), so nothing can be decoded"
        )
    version = data[len(MAGIC)]
    if version != FORMAT_VERSION:
        raise UnsupportedVersion(
            f"format version {version}, known here is {FORMAT_VERSION}: install a newer audiocodec"
        )
    try:
        header = _parse_body(Cursor(data[PREFIX_BYTES:-CRC_BYTES], "the header"))
    except InputError as error:
        raise BitstreamError(f"the header is not valid: {error}") from error
    if pack_header(header) != data:
        raise BitstreamError(
            "the header is not in its one allowed spelling (neighboring codebooks of equal size are counted"
            " together): it was not written by this package"
        )
    return header


def _body(header: Header) -> bytes:
    sizes = b"".join(varint(len(list(run))) + varint(size) for size, run in groupby(header.codebook_sizes))
    name = header.model_name.encode("utf-8", "surrogatepass")
    fields = [
        bytes.fromhex(header.model_id),
        bytes.fromhex(header.codebook_id),
        varint(header.sample_rate),
        varint(header.channels),
        varint(0 if header.length is None else header.length + 1),
        varint(header.model_sample_rate),
        varint(header.hop_length),
        varint(header.delay),
        varint(header.packet_frames),
        varint(header.coder),
        varint(header.num_quantizers) + sizes,
        varint(len(name)) + name,
    ]
    for extension in header.extensions:
        fields += [varint(extension.kind), varint(len(extension.data)), extension.data]
    return b"".join(fields)


def _parse_body(cursor: Cursor) -> Header:
    model_id, codebook_id = cursor.take(ID_BYTES).hex(), cursor.take(ID_BYTES).hex()
    sample_rate, channels, length = cursor.varint(), cursor.varint(), cursor.varint()
    model_sample_rate, hop_length, delay = cursor.varint(), cursor.varint(), cursor.varint()
    packet_frames, coder = cursor.varint(), cursor.varint()
    if coder not in CODERS:
        raise UnsupportedVersion(
            f"entropy coder {coder} is unknown, there are {sorted(CODERS)}: install a newer audiocodec"
        )
    return Header(
        model_id=model_id,
        codebook_id=codebook_id,
        sample_rate=sample_rate,
        channels=channels,
        length=length - 1 if length else None,
        model_sample_rate=model_sample_rate,
        hop_length=hop_length,
        delay=delay,
        packet_frames=packet_frames,
        coder=coder,
        codebook_sizes=_parse_sizes(cursor),
        model_name=_parse_name(cursor),
        extensions=_parse_extensions(cursor),
    )


def _parse_sizes(cursor: Cursor) -> tuple[int, ...]:
    num_quantizers = cursor.varint()
    check_range("num_quantizers", num_quantizers, 1, MAX_NUM_QUANTIZERS)
    sizes: list[int] = []
    while len(sizes) < num_quantizers:
        run, size = cursor.varint(), cursor.varint()
        check_range("run of equal codebook sizes", run, 1, num_quantizers - len(sizes))
        sizes += [size] * run
    return tuple(sizes)


def _parse_name(cursor: Cursor) -> str:
    size = cursor.varint()
    check_range("size of the model name", size, 0, MAX_NAME_BYTES)
    try:
        return cursor.take(size).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BitstreamError("the header's model name is not UTF-8") from error


def _parse_extensions(cursor: Cursor) -> tuple[Extension, ...]:
    extensions: list[Extension] = []
    while cursor.remaining:
        kind, size = cursor.varint(), cursor.varint()
        check_range("extension size", size, 0, MAX_EXTENSION_BYTES)
        extension = Extension(kind, cursor.take(size))
        if extension.critical and kind not in KNOWN_EXTENSIONS:
            raise UnsupportedVersion(
                f"the file needs extension {kind}, unknown here: install a newer audiocodec"
            )
        extensions.append(extension)
    return tuple(extensions)
