import numpy as np
import pytest
import torch

from audiocodec.audio.concealment import FADE_SECONDS
from audiocodec.coding import PacketDecoder, PacketEncoder, encode_latents, frames_for
from audiocodec.errors import InputError

PACKET = 16000  # samples of a packet of the tiny model


def decode(codec, header, packets):
    decoder = PacketDecoder(codec.model, header, length=header.length)
    return np.concatenate([*(decoder.push(packet) for packet in packets), decoder.flush()], axis=1)


@pytest.fixture
def coded(codec, voice):
    """Three packets of codes and their header."""
    wav = voice(2.5, seed=9)  # loud where the packets meet
    header = codec.header(16000, 1, length=wav.shape[1])
    encoder = PacketEncoder(codec.model, header)
    return header, [*encoder.push(wav), *encoder.flush()], wav


def test_packets_are_full_but_for_the_last(coded):
    _, packets, wav = coded
    assert [packet.shape for packet in packets] == [(1, 8, 50), (1, 8, 50), (1, 8, 26)]
    assert wav.shape[1] + 320 <= 320 * (50 + 50 + 26)


@pytest.mark.parametrize(
    "length", [1, 319, 320, 321, PACKET - 321, PACKET - 320, PACKET - 319, PACKET, 2 * PACKET]
)
def test_as_few_frames_as_hold_the_recording_and_the_delay(codec, voice, length):
    header = codec.header(16000, 1, length=length)
    encoder = PacketEncoder(codec.model, header)
    packets = [*encoder.push(voice(3.0)[:, :length]), *encoder.flush()]
    assert sum(packet.shape[2] for packet in packets) == -(-(length + 320) // 320)
    assert frames_for(codec.model, length) == frames_for(header, length) == -(-(length + 320) // 320)
    assert decode(codec, header, packets).shape == (1, length)


def test_packets_agree_with_the_model_run_over_everything_at_once(codec, coded):
    """Up to rounding, which can tip a choice between two nearly equal entries here and there."""
    _, packets, wav = coded
    frames = sum(packet.shape[2] for packet in packets)
    padded = np.pad(wav, ((0, 0), (0, frames * 320 - wav.shape[1])))
    with torch.inference_mode():
        whole = codec.model.encode(torch.from_numpy(padded)[:, None]).numpy()
    assert np.mean(np.concatenate(packets, axis=2) != whole) < 0.01


@pytest.mark.parametrize("sample_rate", [16000, 24000])
def test_latents_are_those_that_are_coded(codec, voice, sample_rate):
    wav = voice(2.3, sample_rate, channels=2)
    heard = []
    header = codec.header(sample_rate, 2)
    encoder = PacketEncoder(codec.model, header, listener=lambda *packet: heard.append(packet))
    codes = np.concatenate(list(encoder.packets(np.array_split(wav, 7, axis=1))), axis=2)
    latents = encode_latents(codec.model, wav, sample_rate)
    assert torch.equal(latents, torch.cat([part for part, _ in heard], dim=2))
    assert torch.equal(codec.model.quantizer.encode(latents), torch.from_numpy(codes))
    assert np.array_equal(codes, torch.cat([part for _, part in heard], dim=2).numpy())


def test_latents_of_what_is_no_sound(codec):
    with pytest.raises(InputError, match="no sample"):
        encode_latents(codec.model, np.zeros((1, 0), np.float32), 16000)
    with pytest.raises(InputError, match=r"not finite|NaN"):
        encode_latents(codec.model, np.full((1, 9000), np.nan, np.float32), 16000)


def test_a_lost_packet_fades_out_and_back_in(codec, coded):
    header, packets, _ = coded
    whole = decode(codec, header, packets)
    lossy = decode(codec, header, [packets[0], None, packets[2]])
    assert lossy.shape == whole.shape
    start = PACKET - 320  # where the lost packet sounds
    np.testing.assert_array_equal(lossy[:, :start], whole[:, :start])
    heard = round(FADE_SECONDS * 16000)
    assert np.abs(lossy[:, start : start + heard // 2]).max() > 0.01
    assert not lossy[:, start + heard : start + PACKET].any()
    after = slice(start + PACKET + 320, None)
    assert np.corrcoef(lossy[0, after], whole[0, after])[0, 1] > 0.9
    # No click: nowhere a larger step than the sound itself has.
    assert np.abs(np.diff(lossy)).max() <= 1.5 * np.abs(np.diff(whole)).max()


def test_a_long_loss_stays_silent_and_short_packets_fade_as_slowly(codec, voice):
    wav = voice(1.0, seed=9)
    header = codec.header(16000, 1, packet_frames=2, length=wav.shape[1])
    encoder = PacketEncoder(codec.model, header)
    packets = [*encoder.push(wav), *encoder.flush()]
    lost = decode(codec, header, [*packets[:10], *([None] * 10), *packets[20:]])
    start, heard = 10 * 640 - 320, round(FADE_SECONDS * 16000)
    assert np.abs(lost[:, start + 640 : start + heard // 2]).max() > 0.005
    assert not lost[:, start + heard : start + 10 * 640].any()


def test_a_loss_at_the_very_start_is_silence(codec, coded):
    header, packets, _ = coded
    lossy = decode(codec, header, [None, *packets[1:]])
    assert not lossy[:, : PACKET - 320].any()
    assert np.abs(lossy[:, PACKET + 320 :]).max() > 0.01


def test_blocks_are_the_packet(codec, voice):
    """Of 20 channels a packet is decoded in several blocks; what is lost is filled in as many."""
    wav = np.tile(voice(2.5, 44100, seed=9), (20, 1))
    header = codec.header(44100, 20, length=wav.shape[1])
    encoder = PacketEncoder(codec.model, header)
    first, _, third = [*encoder.push(wav), *encoder.flush()]
    whole, parts = (PacketDecoder(codec.model, header, length=header.length) for _ in range(2))
    expected, found = [], []
    for codes in (first, None, third):
        expected.append(whole.push(codes))
        blocks = list(parts.blocks(codes))
        assert len(blocks) > 1 or codes is third
        found += blocks
    expected = np.concatenate([*expected, whole.flush()], axis=1)
    np.testing.assert_array_equal(np.concatenate([*found, parts.flush()], axis=1), expected)
    header = codec.header(44100, 1, length=wav.shape[1])
    alone = decode(codec, header, [first[:1], None, third[:1]])
    np.testing.assert_allclose(expected, np.tile(alone, (20, 1)), atol=1e-4)


def test_two_streams_on_one_model_do_not_disturb_each_other(codec, coded, voice):
    header, packets, wav = coded
    one, two = PacketEncoder(codec.model, header), PacketEncoder(codec.model, header)
    other = voice(2.5, seed=5)
    mixed = []
    for start in range(0, wav.shape[1], 5000):
        mixed += one.push(wav[:, start : start + 5000])
        two.push(other[:, start : start + 5000])
    mixed += one.flush()
    assert all(np.array_equal(a, b) for a, b in zip(mixed, packets, strict=True))
