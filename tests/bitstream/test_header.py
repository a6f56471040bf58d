import unicodedata
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audiocodec.bitstream import Extension, Header
from audiocodec.bitstream.fields import varint
from audiocodec.bitstream.header import FORMAT_VERSION, MAX_BODY_BYTES, pack_header, printable, unpack_header
from audiocodec.errors import BitstreamError, InputError, UnsupportedVersion

Make = Callable[..., Header]


def reseal(data: bytes) -> bytes:
    """Give changed header bytes a good size and checksum, as a hostile writer would."""
    body = data[7:-4]
    data = data[:5] + len(body).to_bytes(2, "little") + body
    return data + zlib.crc32(data).to_bytes(4, "little")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"length": 0},
        {"length": 1 << 48, "sample_rate": 192_000, "channels": 8, "delay": 320},
        {"codebook_sizes": (1024,) * 32},
        {"codebook_sizes": (2, 5, 5, (1 << 32) - 1)},
        {"codebook_sizes": (7,) * 256, "packet_frames": 4096, "hop_length": 1},
        {"model_name": "", "extensions": (Extension(2), Extension(4, b"x" * 1024))},
        {"model_name": "Sprache-äöü"},
        {"model_name": "any script: \u8a71 \u0600\u05d0 \U0001fae0"},
    ],
)
def test_header_comes_back(make_header: Make, changes: dict[str, Any]) -> None:
    header = make_header(**changes)
    assert unpack_header(pack_header(header)) == header


def test_header_is_small(make_header: Make) -> None:
    header = make_header(codebook_sizes=(1024,) * 16, model_name="speech-16k", length=3600 * 16000)
    assert len(pack_header(header)) <= 75


def test_largest_header_fits_the_cap(make_header: Make) -> None:
    sizes = tuple((1 << 32) - 1 - i % 2 for i in range(256))
    extensions = tuple(Extension(65534 - 2 * i, bytes(1024)) for i in reversed(range(16)))
    header = make_header(codebook_sizes=sizes, model_name="n" * 64, extensions=extensions, length=1 << 48)
    assert len(pack_header(header)) < MAX_BODY_BYTES
    assert unpack_header(pack_header(header)) == header


def test_full_digest_is_shortened(make_header: Make) -> None:
    assert make_header(model_id="ab" * 32).model_id == "ab" * 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_id": "12"}, "model_id must be a SHA-256"),
        ({"codebook_id": "G" * 32}, "codebook_id must be"),
        ({"sample_rate": 0}, "sample_rate is 0"),
        ({"sample_rate": 16000.0}, "sample_rate is 16000.0"),
        ({"channels": 256}, "channels is 256, allowed are whole numbers from 1 to 255"),
        ({"length": -1}, "length is -1"),
        ({"length": (1 << 48) + 1}, "length"),
        ({"model_sample_rate": -5}, "model_sample_rate"),
        ({"hop_length": 0}, "hop_length"),
        ({"delay": -1}, "delay"),
        ({"codebook_sizes": ()}, "num_quantizers is 0"),
        ({"codebook_sizes": (2,) * 257}, "num_quantizers is 257"),
        ({"codebook_sizes": (1024, 0)}, r"codebook_sizes\[1\] is 0"),
        ({"codebook_sizes": (1,)}, r"codebook_sizes\[0\] is 1, allowed are whole numbers from 2"),
        ({"codebook_sizes": (1 << 32,)}, r"codebook_sizes\[0\]"),
        ({"packet_frames": 0}, "packet_frames"),
        (
            {"packet_frames": 1 << 16, "codebook_sizes": (2,) * 17, "hop_length": 1},
            "number of codes in a packet",
        ),
        ({"packet_frames": 1 << 16, "hop_length": 1 << 20}, "number of samples in a packet"),
        ({"coder": 9}, "coder 9 is unknown"),
        ({"model_name": "x" * 65}, "at most 64 bytes"),
        ({"model_name": "a\x1b[2J"}, "printable"),
        ({"model_name": "\ud800"}, "printable"),
        ({"model_name": "a\u202eb"}, "printable"),
        ({"model_name": "a\u3000b"}, "printable"),
        ({"extensions": (Extension(2),) * 17}, "number of extensions is 17"),
        ({"extensions": (Extension(2), Extension(2, b"x"))}, r"kinds \[2, 2\]; give each kind once"),
        ({"extensions": (Extension(4), Extension(2))}, r"kinds \[4, 2\]; .* in rising order"),
    ],
)
def test_header_refuses(make_header: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_header(**changes)


@pytest.mark.parametrize(("kind", "data"), [(-1, b""), (65536, b""), (2, b"x" * 1025)])
def test_extension_refuses(kind: int, data: bytes) -> None:
    with pytest.raises(InputError, match="extension"):
        Extension(kind, data)


def test_unknown_critical_extension_is_refused(make_header: Make) -> None:
    with pytest.raises(UnsupportedVersion, match="extension 65535"):
        unpack_header(pack_header(make_header(extensions=(Extension(65535),))))


def test_a_header_has_one_spelling(make_header: Make) -> None:
    """The checksum of every record starts from the header, which a stream spells again from its fields."""
    data = pack_header(
        make_header(codebook_sizes=(1024, 1024, 1024, 6), extensions=(Extension(2), Extension(4)))
    )
    rows, extensions = b"\x04\x03\x80\x08\x01\x06", b"\x02\x00\x04\x00"
    assert rows in data
    assert data.endswith(extensions, 0, -4)
    for split in (b"\x04\x01\x80\x08\x02\x80\x08\x01\x06", b"\x04" + 3 * b"\x01\x80\x08" + b"\x01\x06"):
        with pytest.raises(BitstreamError, match="one allowed form"):
            unpack_header(reseal(data.replace(rows, split)))
    for wrong in (b"\x04\x00\x02\x00", b"\x02\x00\x02\x00", b"\x02\x00\x02\x01x"):
        with pytest.raises(BitstreamError, match="give each kind once, in rising order"):
            unpack_header(reseal(data[: -4 - len(extensions)] + wrong + b"crc."))


def test_what_python_prints_is_printable() -> None:
    """Every name that a writer took before the list was fixed, and whatever later versions of Unicode add."""
    text = "".join(map(chr, range(0x110000)))
    kept = printable(text)
    assert set(filter(str.isprintable, text)) <= set(kept)
    controls = [code for code in text if unicodedata.category(code) in ("Cc", "Cs", "Co", "Zl", "Zp", "Zs")]
    assert set(kept).isdisjoint(set(controls) - {" "})
    assert set(kept).isdisjoint("\u200b\u200e\u202a\u202e\u2066\u2069\ufeff\U000e0041")


def test_newer_version_is_named(make_header: Make) -> None:
    data = bytearray(pack_header(make_header()))
    data[4] = FORMAT_VERSION + 1
    with pytest.raises(UnsupportedVersion, match="format version 2, known here is 1"):
        unpack_header(reseal(bytes(data)))


def test_unknown_coder_is_refused(make_header: Make) -> None:
    data = pack_header(make_header())
    name = b"\x04tiny"
    tail = b"\x00\x02\x01\x80\x08\x01\x06" + name  # coder 0, two rows of 1024 and 6 entries
    assert data.endswith(tail, 0, -4)
    with pytest.raises(UnsupportedVersion, match="entropy coder 5"):
        unpack_header(reseal(data.replace(tail, b"\x05" + tail[1:])))


@pytest.mark.parametrize("count", [0, 257, 1 << 40, (1 << 63) - 1])
def test_hostile_row_counts_are_refused(make_header: Make, count: int) -> None:
    data = pack_header(make_header())
    rows = b"\x02\x01\x80\x08\x01\x06\x04tiny"
    for hostile in (varint(count) + rows[1:], b"\x02" + varint(count) + rows[2:]):
        with pytest.raises(BitstreamError, match=r"allowed|not valid"):
            unpack_header(reseal(data.replace(rows, hostile)))


def test_every_resealed_change_is_read_or_refused(make_header: Make) -> None:
    """With a good checksum, fields are still checked: never another exception than ours."""
    data = pack_header(make_header(extensions=(Extension(2, b"abc"),)))
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(3000):
        changed = bytearray(data)
        for _ in range(int(rng.integers(1, 4))):
            changed[int(rng.integers(7, len(data) - 4))] = int(rng.integers(256))
        cut = int(rng.integers(7, len(data) - 4)) if rng.random() < 0.2 else len(data) - 4
        try:
            header = unpack_header(reseal(bytes(changed[:cut]) + b"crc."))
        except BitstreamError:
            refused += 1
        else:
            assert pack_header(header) == reseal(bytes(changed[:cut]) + b"crc.")
    assert refused > 300


def test_packet_seconds_take_the_delay_off(make_header: Make) -> None:
    header = make_header(delay=320, length=8000)
    assert header.packet_seconds(0) == (0.0, pytest.approx(0.18))
    assert header.packet_seconds(2) == (pytest.approx(0.38), pytest.approx(0.5))
    assert replace(header, length=None).packet_seconds(2)[1] == pytest.approx(0.58)


def test_derived_numbers(make_header: Make) -> None:
    header = make_header(channels=2, codebook_sizes=(1024, 5))
    assert header.packet_shape == (2, 2, 10)
    assert header.frame_rate == 50.0
    assert header.nominal_bitrate == 2 * 13 * 50.0
