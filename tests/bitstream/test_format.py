"""The fixed files and the example of FORMAT.md: what was written once decodes for ever."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

import audiocodec.bitstream
from audiocodec.bitstream import ContainerReader, ContainerWriter, Extension, Header
from audiocodec.bitstream import header as limits
from audiocodec.bitstream.header import FORMAT_VERSION, MAX_BODY_BYTES

VECTORS = Path(__file__).parent / "vectors"
FORMAT = Path(audiocodec.bitstream.__file__).with_name("FORMAT.md").read_text(encoding="utf-8")

HEADER = Header(
    model_id="4e54813613b60d11d370965ad526215a",
    codebook_id="94e107c30f66484db9fb98f4b0b76c4a",
    sample_rate=44100,
    channels=2,
    length=None,
    model_sample_rate=16000,
    hop_length=320,
    delay=320,
    codebook_sizes=(1024, 1024, 5),
    packet_frames=4,
    model_name="example-16k",
    extensions=(Extension(65534, b"hi"),),
)


def example() -> bytes:
    """The bytes of the example in FORMAT.md."""
    block = re.search(r"```nac\n(.*?)```", FORMAT, re.DOTALL)
    assert block is not None
    return bytes.fromhex(" ".join(line.split("|")[0] for line in block[1].splitlines()))


def expected_codes() -> list[np.ndarray]:
    return [np.array(codes) for codes in json.loads((VECTORS / "v1.json").read_text())["codes"]]


def test_there_is_a_vector_for_every_version() -> None:
    assert sorted(path.stem for path in VECTORS.glob("*.nac")) == [f"v{n + 1}" for n in range(FORMAT_VERSION)]


@pytest.mark.parametrize("source", ["vector", "example"])
def test_version_1_decodes(source: str) -> None:
    data = (VECTORS / "v1.nac").read_bytes() if source == "vector" else example()
    reader = ContainerReader(io.BytesIO(data))
    assert reader.header == HEADER
    assert (reader.num_packets, reader.length) == (3, 8820)
    for (_, codes), expected in zip(reader.packets(), expected_codes(), strict=True):
        np.testing.assert_array_equal(codes, expected)


def test_version_1_is_written_the_same() -> None:
    """As long as 1 is the newest version, writing the vector again gives its bytes."""
    file = io.BytesIO()
    with ContainerWriter(file, HEADER) as writer:
        for codes in expected_codes():
            writer.write_packet(codes)
        writer.close(8820)
    assert file.getvalue() == (VECTORS / "v1.nac").read_bytes()


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("body of the header", MAX_BODY_BYTES),
        ("channels", limits.MAX_CHANNELS),
        ("length", limits.MAX_LENGTH),
        ("hop_length", limits.MAX_HOP_LENGTH),
        ("delay", limits.MAX_DELAY),
        ("num_quantizers", limits.MAX_NUM_QUANTIZERS),
        ("packet_frames", limits.MAX_PACKET_FRAMES),
        ("C * N * packet_frames", limits.MAX_PACKET_CODES),
        ("C * packet_frames * hop_length", limits.MAX_PACKET_SAMPLES),
        ("sample_rate, model_sample_rate", limits.MAX_SAMPLE_RATE),
        ("name", limits.MAX_NAME_BYTES),
    ],
)
def test_limits_in_the_text_are_those_of_the_code(words: str, value: int) -> None:
    row = re.search(rf"^\| {re.escape(words)} \| ([\d,^]+)", FORMAT.split("## Limits")[1], re.MULTILINE)
    assert row is not None
    base, _, exponent = row[1].replace(",", "").partition("^")
    assert int(base) ** int(exponent or 1) == value
