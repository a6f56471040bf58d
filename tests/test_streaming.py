import io
import itertools
import zlib

import numpy as np
import pytest
import torch

from audiocodec.bitstream import ContainerReader
from audiocodec.bitstream.header import pack_header
from audiocodec.bitstream.records import Index, pack_end, pack_packet
from audiocodec.errors import BitstreamError, ChecksumMismatch, InputError, Truncated


@pytest.fixture(scope="module", params=["one phase", "random phase"])
def codec(request, codec):
    return codec if request.param == "one phase" else request.getfixturevalue("random_codec")


def stream(codec, wav, block_length, **options):
    """All packets of wav [C, L] pushed in blocks."""
    encoder = codec.stream_encoder(options.pop("sample_rate", 16000), wav.shape[0], **options)
    packets = []
    for start in range(0, wav.shape[1], block_length):
        packets += encoder.push(wav[:, start : start + block_length])
    return [*packets, *encoder.flush()]


def receive(decoder, packets):
    return np.concatenate([*(decoder.push(packet) for packet in packets), decoder.flush()], axis=1)


@pytest.mark.parametrize(
    ("sample_rate", "channels", "length"), [(16000, 1, 17011), (44100, 2, 50001), (8000, 1, 900)]
)
def test_the_same_bytes_for_every_block_size(codec, voice, sample_rate, channels, length):
    wav = voice(2.0, sample_rate, channels)[:, :length]
    whole = codec.compress(wav, sample_rate)
    for block_length in (1, 7, 4096, length):
        part = wav if block_length > 1 else wav[:, :1500]
        expected = whole if block_length > 1 else codec.compress(part, sample_rate)
        packets = stream(codec, part, block_length, sample_rate=sample_rate, length=part.shape[1])
        assert b"".join(packets) == expected, block_length


def test_a_live_stream_is_a_file_of_unknown_length_until_its_end(codec, voice):
    packets = stream(codec, voice(2.2), 800)
    assert len(packets) == 3
    reader = ContainerReader(io.BytesIO(b"".join(packets)))
    assert reader.header.length is None
    assert reader.length == round(2.2 * 16000)
    codes = np.concatenate([codes for _, codes in reader.packets()], axis=2)
    np.testing.assert_array_equal(codes, codec.encode(voice(2.2), 16000).codes)


@pytest.mark.parametrize("packet_frames", [1, 2, 7, None])
@pytest.mark.parametrize(("sample_rate", "channels"), [(16000, 1), (48000, 2)])
def test_what_is_received_has_the_exact_length(codec, voice, sample_rate, channels, packet_frames):
    wav = voice(1.234, sample_rate, channels)
    packets = stream(codec, wav, 1000, sample_rate=sample_rate, packet_frames=packet_frames)
    decoded = receive(codec.stream_decoder(), packets)
    assert decoded.shape == wav.shape
    assert decoded.dtype == np.float32
    if packet_frames is None:
        np.testing.assert_array_equal(decoded, codec.decompress(codec.compress(wav, sample_rate))[0])


def test_packets_come_as_soon_as_the_latency_says(codec, voice):
    encoder = codec.stream_encoder(16000, packet_frames=2)
    assert encoder.latency_seconds == pytest.approx((2 * 320 + 320) / 16000)
    decoder = codec.stream_decoder()
    pushed = received = 0
    for start in range(0, 16000, 160):
        for packet in encoder.push(voice(1.0)[:, start : start + 160]):
            received += decoder.push(packet).shape[1]
        pushed += 160
        # Everything older than the latency is out.
        assert received >= pushed - round(encoder.latency_seconds * 16000)


def test_a_gap_of_many_channels_is_no_gap_to_fill(codec):
    """9 s of 255 channels at 192 kHz would take 1.8 GB for a packet of 80 bytes."""
    header = codec.header(192000, 255, 300.0, packet_frames=1)
    codes, seed = np.zeros((255, 1, 1), np.int64), zlib.crc32(pack_header(header)[:-4])
    decoder = codec.stream_decoder(header)
    assert decoder.push(pack_packet(header, 0, codes, seed)).shape[0] == 255
    with pytest.raises(BitstreamError, match="packet 451 came where 1 was expected"):
        decoder.push(pack_packet(header, 451, codes, seed))
    assert decoder.push(pack_packet(header, 40, codes, seed)).shape[1] > 30 * 3840


def test_lost_packets_are_filled(codec, voice):
    wav = voice(3.3)
    packets = stream(codec, wav, 4096)
    whole = receive(codec.stream_decoder(), packets)
    lossy = receive(codec.stream_decoder(), [packets[0], None, *packets[2:]])
    assert lossy.shape == wav.shape
    np.testing.assert_array_equal(lossy[:, :15680], whole[:, :15680])
    assert not np.array_equal(lossy, whole)


def test_a_packet_that_never_came_is_noticed_by_the_next(codec, voice):
    packets = stream(codec, voice(3.3), 4096)
    told = receive(codec.stream_decoder(), [packets[0], None, *packets[2:]])
    np.testing.assert_array_equal(receive(codec.stream_decoder(), [packets[0], *packets[2:]]), told)


def test_late_and_doubled_packets_are_left_out(codec, voice):
    packets = stream(codec, voice(3.3), 4096)
    whole = receive(codec.stream_decoder(), packets)
    again = [packets[0], packets[1], packets[1], packets[2], packets[0], packets[3]]
    np.testing.assert_array_equal(receive(codec.stream_decoder(), again), whole)


def test_the_header_may_travel_apart(codec, voice):
    encoder = codec.stream_encoder(16000, length=48000)
    packets = [*encoder.push(voice(3.0)), *encoder.flush()]
    decoded = receive(codec.stream_decoder(encoder.header), [None, *packets[1:]])
    assert decoded.shape == (1, 48000)
    assert not decoded[:, :15680].any()


def test_without_the_header_nothing_can_be_decoded(codec, voice):
    packets = stream(codec, voice(2.2), 4096)
    decoder = codec.stream_decoder()
    assert decoder.push(None).shape[1] == 0
    with pytest.raises(InputError, match=r"first packet of the stream, .* is missing"):
        decoder.push(packets[1])
    assert decoder.flush().shape[1] == 0


def test_damage_is_refused_and_may_be_called_lost(codec, voice):
    packets = stream(codec, voice(3.3), 4096)
    decoder = codec.stream_decoder()
    first = decoder.push(packets[0])
    bad = bytearray(packets[1])
    bad[20] ^= 4
    with pytest.raises(ChecksumMismatch):
        decoder.push(bytes(bad))
    with pytest.raises(Truncated):
        decoder.push(packets[1][:-1])
    rest = receive(decoder, [None, *packets[2:]])
    assert first.shape[1] + rest.shape[1] == round(3.3 * 16000)


def test_a_packet_of_another_stream_is_refused(codec, voice):
    decoder = codec.stream_decoder()
    decoder.push(stream(codec, voice(2.2), 4096)[0])
    with pytest.raises(BitstreamError, match="another stream"):
        decoder.push(stream(codec, voice(2.2), 4096, bitrate=300)[0])
    with pytest.raises(ChecksumMismatch):
        decoder.push(stream(codec, voice(2.2), 4096, bitrate=300)[1])


def test_a_header_spelled_in_another_way_is_refused_by_file_and_stream_alike(codec, voice):
    """All checksums are right; two neighboring rows of equal size are counted apart."""
    encoded = codec.encode(voice(0.5), 16000)
    data = pack_header(encoded.header)
    assert b"\x08\x08\x40" in data  # 8 rows, 8 of 64
    body = data[7:-4].replace(b"\x08\x08\x40", b"\x08\x03\x40\x05\x40")
    split = data[:5] + len(body).to_bytes(2, "little") + body
    seed = zlib.crc32(split)
    packet = pack_packet(encoded.header, 0, encoded.codes, seed)
    start = split + seed.to_bytes(4, "little") + packet
    with pytest.raises(BitstreamError, match="one allowed form"):
        codec.decompress(start + pack_end(Index(np.array([len(packet)]), 8000), seed))
    with pytest.raises(BitstreamError, match="one allowed form"):
        codec.stream_decoder().push(start)


def test_a_claim_of_hours_of_loss_is_refused(codec, voice):
    packets = stream(codec, voice(70.0), 1 << 20)
    decoder = codec.stream_decoder()
    decoder.push(packets[0])
    with pytest.raises(BitstreamError, match="packet 69 came where 1 was expected"):
        decoder.push(packets[69])


def test_blocks_may_be_torch_integers_or_flat(codec, voice):
    wav = np.round(voice(1.5) * 32768) / 32768
    expected = b"".join(stream(codec, wav.astype(np.float32), 4096))
    whole = (wav * 32768).astype(np.int16)
    for block in (whole, whole[0], torch.from_numpy(whole), torch.from_numpy(wav), wav.astype(np.float64)):
        encoder = codec.stream_encoder(16000)
        assert b"".join([*encoder.push(block), *encoder.flush()]) == expected


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (np.array([[0.0, np.nan]]), r"not a finite number .* at 0\.063 s"),
        (np.zeros((2, 100)), "2 channels, the stream 1"),
        (np.zeros((1, 1, 100)), "shape"),
        (np.array(["a"]), "type"),
        (np.full((1, 10), 30000.0), "samples reach 30000"),
    ],
)
def test_blocks_that_cannot_be_used(codec, block, message):
    encoder = codec.stream_encoder(16000)
    encoder.push(np.zeros(1000, np.float32))
    with pytest.raises(InputError, match=message):
        encoder.push(block)


def test_nothing_follows_the_end(codec, voice):
    encoder = codec.stream_encoder(16000)
    encoder.push(voice(0.1))
    assert len(encoder.flush()) == 1
    assert encoder.flush() == []
    with pytest.raises(InputError, match="the stream has ended"):
        encoder.push(voice(0.1))


def test_a_stream_without_sound_is_an_empty_file(codec):
    packets = codec.stream_encoder(16000).flush()
    assert receive(codec.stream_decoder(), packets).shape == (1, 0)
    assert codec.decompress(b"".join(packets))[0].shape == (1, 0)


def toggled(codec, wav, changes, block_length, sample_rate=16000, **options):
    """Codes [C, N, T] and packets of a stream whose switch is set at samples of `changes`."""
    encoder = codec.stream_encoder(sample_rate, wav.shape[0], **options)
    cuts = sorted({*range(0, wav.shape[1], block_length), *changes, wav.shape[1]})
    packets = []
    for start, stop in itertools.pairwise(cuts):
        if start in changes:
            encoder.denoise = changes[start]
            assert encoder.denoise == changes[start]
        packets += encoder.push(wav[:, start:stop])
    packets += encoder.flush()
    reader = ContainerReader(io.BytesIO(b"".join(packets)))
    return np.concatenate([codes for _, codes in reader.packets()], axis=2), packets


@pytest.mark.parametrize("packet_frames", [1, 7, None])
def test_denoising_switched_in_the_middle_is_denoising_of_these_frames(denoising, voice, packet_frames):
    """A frame takes what was set at its first sample: sample 5000 is in frame 15, 16 is the first one on."""
    wav, changes = voice(2.2, channels=2), {5000: True, 16000: False, 20480: True}
    on = torch.zeros(111, dtype=torch.bool)
    on[16:50] = on[64:] = True
    padded = torch.zeros(2, 1, 111 * 320)
    padded[:, 0, : wav.shape[1]] = torch.from_numpy(wav)
    with torch.inference_mode():
        expected = denoising.model.encode(padded, denoise=on.expand(2, -1)).numpy()
    plain, _ = toggled(denoising, wav, {}, 4096, packet_frames=packet_frames)
    for block_length in (100, 50000):
        codes, packets = toggled(denoising, wav, changes, block_length, packet_frames=packet_frames)
        # Packets of other sizes round differently: now and then another entry is as near.
        assert (codes == expected).mean() > 0.99
        np.testing.assert_array_equal(codes[..., :16], plain[..., :16])
        assert len(packets) == -(-111 // (packet_frames or 50))
        assert receive(denoising.stream_decoder(), packets).shape == wav.shape
    assert (plain[..., 16:50] != expected[..., 16:50]).mean() > 0.1


def test_switches_follow_the_time_of_the_recording(denoising, voice):
    """Half a second in is frame 25, whatever the sample rate; and blocks of any size give the same."""
    wav = voice(1.3, 44100)
    found = [toggled(denoising, wav, {22050: True}, block, 44100)[0] for block in (441, 22050, 1 << 20)]
    plain = toggled(denoising, wav, {}, 4096, 44100)[0]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    assert np.array_equal(found[0][..., :25], plain[..., :25])
    assert not np.array_equal(found[0][..., 25:30], plain[..., 25:30])


def test_denoising_costs_neither_bits_nor_time(denoising, voice):
    on = denoising.stream_encoder(16000, packet_frames=2, denoise=True)
    off = denoising.stream_encoder(16000, packet_frames=2)
    assert on.latency_seconds == off.latency_seconds
    for block in np.split(voice(1.2), 30, axis=1):
        assert [len(packet) for packet in on.push(block)] == [len(packet) for packet in off.push(block)]
    assert [len(packet) for packet in on.flush()] == [len(packet) for packet in off.flush()]


def test_a_model_without_switch_cannot_be_switched_on(codec, voice):
    with pytest.raises(InputError, match="no denoising switch"):
        codec.stream_encoder(16000, denoise=True)
    encoder = codec.stream_encoder(16000)
    encoder.push(voice(1.5))
    with pytest.raises(InputError, match="no denoising switch"):
        encoder.denoise = True
    encoder.denoise = False
    assert b"".join(encoder.flush())
