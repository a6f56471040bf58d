import pickle
import shutil

import numpy as np
import pytest
import soundfile

from audiocodec.errors import BitrateError, PeerError, PeerUnavailable
from audiocodec.evaluation.peers import PeerOptions
from audiocodec.evaluation.peers.base import correlations
from audiocodec.evaluation.peers.classic import (
    AmrWbPeer,
    Codec2Peer,
    Lc3Peer,
    SpeexPeer,
    _ffmpeg_encodes,
    amr_wb_packets,
    lc3_packets,
    ogg_packets,
)
from audiocodec.metrics import stoi

OPTIONS = PeerOptions(timeout_seconds=30)
LC3_HEADER = b"\x1c\xcc" + (18).to_bytes(2, "little") + bytes(14)
REAL = [
    (Codec2Peer, 3200.0, 64 / 0.02),
    (Codec2Peer, 1300.0, 52 / 0.04),
    (Codec2Peer, 700.0, 28 / 0.04),
    (AmrWbPeer, 6600.0, 132 / 0.02),
    (AmrWbPeer, 23850.0, 477 / 0.02),
    (SpeexPeer, 8000.0, 8000.0),
    (Lc3Peer, 16000.0, 160 / 0.01),
]


def installed(kind):
    try:
        return kind(OPTIONS)
    except PeerUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(("kind", "bitrate", "real"), REAL)
def test_real_programs(kind, bitrate, real, speech):
    coded = installed(kind).code(speech, 16000, bitrate)
    assert coded.payload_bits / 2 == pytest.approx(real, rel=0.03)
    assert not coded.nominal_bits
    assert coded.wav.shape == speech.shape
    assert coded.wav.dtype == np.float32
    assert coded.encode_seconds > 0
    assert coded.decode_seconds > 0
    assert stoi(speech, coded.wav, 16000) > (0.55 if bitrate < 1000 else 0.75)
    if kind is not Codec2Peer:  # cross-check of the delay
        delays, values = correlations(speech, coded.wav, 400)
        assert abs(delays[values.argmax()]) <= 1


def test_other_rates(speech):
    coded = installed(Lc3Peer).code(np.repeat(speech, 3)[:70001], 48000, 16000.0)
    assert coded.wav.shape == (70001,)
    assert coded.payload_bits == 146 * 160  # frames of 10 ms in 23334 samples of 16 kHz


@pytest.fixture
def lc3(program, tmp_path, speech):
    """A made-up LC3 that delays by 300 samples; its output can be replaced."""
    (tmp_path / "coded").write_bytes(LC3_HEADER + ((40).to_bytes(2, "little") + bytes(40)) * 250)
    soundfile.write(tmp_path / "out.wav", np.pad(speech, (300, 8000)), 16000)
    program("elc3", f'cp {tmp_path}/coded "$4"')
    program("dlc3", f'cp {tmp_path}/out.wav "$2"')
    return tmp_path / "out.wav"


def test_delay_is_removed_and_only_packets_of_the_input_count(lc3, speech):
    peer = pickle.loads(pickle.dumps(Lc3Peer(OPTIONS)))
    coded = peer.code(speech, 16000, 32000.0)
    np.testing.assert_allclose(coded.wav, speech, atol=1e-4)
    assert coded.payload_bits == 200 * 320


def test_a_decoder_that_loses_half(lc3, speech):
    soundfile.write(lc3, speech[:16000], 16000)
    with pytest.raises(PeerError, match="lc3 returned 16000 samples for 32000"):
        Lc3Peer(OPTIONS).code(speech, 16000, 32000.0)


def test_a_program_that_crashes(lc3, program, speech):
    program("elc3", "echo bad bitrate >&2; exit 1")
    with pytest.raises(PeerError, match="elc3 ended with status 1: bad bitrate"):
        Lc3Peer(OPTIONS).code(speech, 16000, 32000.0)
    program("elc3", "exit 0")
    with pytest.raises(PeerError, match="wrote no output"):
        Lc3Peer(OPTIONS).code(speech, 16000, 32000.0)


def test_a_program_that_hangs(lc3, program, speech):
    program("dlc3", "sleep 60")
    with pytest.raises(PeerError, match="dlc3 did not end within"):
        Lc3Peer(PeerOptions(timeout_seconds=0.3)).code(speech, 16000, 32000.0)


def test_rates_they_do_not_have(lc3, program, speech):
    with pytest.raises(BitrateError, match="lc3 has no 6000 bit/s"):
        Lc3Peer(OPTIONS).code(speech, 16000, 6000.0)
    for name in ("c2enc", "c2dec", "speexenc", "speexdec"):
        program(name, "exit 0")
    with pytest.raises(BitrateError, match="choose from 700, 1200"):
        Codec2Peer(OPTIONS).code(speech, 16000, 6000.0)
    with pytest.raises(BitrateError, match="speex has no 2000 bit/s"):
        SpeexPeer(OPTIONS).code(speech, 16000, 2000.0)


@pytest.mark.parametrize(
    ("kind", "words"),
    [(Codec2Peer, "install codec2"), (SpeexPeer, "install speex"), (Lc3Peer, "liblc3-tools")],
)
def test_programs_that_are_not_installed(kind, words, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PeerUnavailable, match=words):
        kind(OPTIONS)


def test_an_ffmpeg_without_the_encoder(program):
    program("ffmpeg", "echo ' A..... libopus  Opus'")
    _ffmpeg_encodes.cache_clear()
    with pytest.raises(PeerUnavailable, match="libavcodec-extra"):
        AmrWbPeer(OPTIONS)
    _ffmpeg_encodes.cache_clear()


def test_codec2_frames_of_40_ms_padded_to_bytes(program, tmp_path, speech):
    """1300 bit/s: 52 bits of 40 ms fill 7 bytes; 4 of them are not payload."""
    program("c2enc", 'dd if=/dev/zero of="$3" bs=7 count=62 2>/dev/null')
    program("c2dec", 'cat in.raw in.raw > "$3"')
    coded = Codec2Peer(OPTIONS).code(speech, 16000, 1300.0)
    assert coded.payload_bits == 100 * 26
    assert shutil.which("c2enc").startswith(str(tmp_path))


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
