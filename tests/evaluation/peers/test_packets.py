import pytest

from audiocodec.errors import PeerError
from audiocodec.evaluation.peers.packets import amr_wb_packets, lc3_packets, ogg_packets, payload_bits


def test_only_packets_of_the_input_count():
    assert payload_bits([10, 20, 30, 40], 640, 320) == 30
    assert payload_bits([10, 20, 30, 40], 641, 320) == 60
    assert payload_bits([10], 3200, 320) == 10


def amr_frame(kind, size):
    return bytes([kind << 3 | 4]) + bytes(size)


def test_amr_wb_frames_of_changing_types():
    # Sizes of RFC 4867, table 2: 17 bytes and 60 of speech, 5 of comfort noise, none.
    data = b"#!AMR-WB\n" + amr_frame(0, 17) + amr_frame(8, 60) + amr_frame(9, 5) + amr_frame(15, 0)
    assert amr_wb_packets(data) == [132, 477, 40, 0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"RIFF", "no AMR-WB file"),
        (b"#!AMR-WB\n" + amr_frame(0, 16), "cut off"),
        (b"#!AMR-WB\n" + amr_frame(11, 0), "reserved type 11"),
    ],
)
def test_damaged_amr_wb(data, words):
    with pytest.raises(PeerError, match=words):
        amr_wb_packets(data)


def ogg_page(*segments):
    return b"OggS" + bytes(22) + bytes([len(segments), *segments]) + bytes(sum(segments))


def test_ogg_packets_across_segments_and_pages():
    data = ogg_page(80) + ogg_page(20, 255, 0, 255) + ogg_page(255, 7, 30)
    assert ogg_packets(data) == [8 * size for size in (80, 20, 255, 517, 30)]


def test_damaged_ogg():
    with pytest.raises(PeerError, match="damaged Ogg"):
        ogg_packets(ogg_page(80) + b"xxxx")
    with pytest.raises(PeerError, match="damaged Ogg"):
        ogg_packets(b"OggS" + bytes(10))


def test_lc3_frames():
    header = b"\x1c\xcc" + (18).to_bytes(2, "little") + bytes(14)
    assert lc3_packets(header + (20).to_bytes(2, "little") + bytes(20) + b"\x05\x00" + bytes(5)) == [160, 40]
    with pytest.raises(PeerError, match="cut off"):
        lc3_packets(header + (20).to_bytes(2, "little") + bytes(19))
    with pytest.raises(PeerError, match="no LC3 file"):
        lc3_packets(b"RIFF1234")
