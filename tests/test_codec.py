import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from audiocodec.audio import resample
from audiocodec.bitstream import ContainerReader
from audiocodec.codec import Codec, EncodedAudio, load
from audiocodec.errors import (
    BitrateError,
    BitstreamError,
    CheckpointError,
    ChecksumMismatch,
    InputError,
    RegistryError,
    SampleRateError,
    Truncated,
)
from audiocodec.pretrained import name_for

RATES = [8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000]


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("sample_rate", RATES)
def test_rate_channels_and_length_come_back(codec, voice, sample_rate, channels):
    for length in (1, 2, 1001, sample_rate // 3 + 1):
        wav = voice(0.4, sample_rate, channels)[:, :length]
        decoded, rate = codec.decode(codec.encode(wav, sample_rate, 300))
        assert rate == sample_rate
        assert decoded.shape == wav.shape
        assert np.isfinite(decoded).all()


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 44100, 48000])
def test_what_comes_back_lies_where_it_was(codec, voice, sample_rate):
    wav = voice(2.0, sample_rate)
    decoded, _ = codec.decompress(codec.compress(wav, sample_rate))
    lags = range(-40, 41)
    inner = slice(100, -100)
    products = [float(np.dot(wav[0, inner], np.roll(decoded[0], lag)[inner])) for lag in lags]
    # Noise of the codec moves the peak by less than a sample of the model.
    assert abs(lags[int(np.argmax(products))]) <= sample_rate // 32000
    band = resample(resample(wav, sample_rate, 8000), 8000, sample_rate)[:, : wav.shape[1]]
    assert np.corrcoef(band[0], decoded[0])[0, 1] > 0.8


def test_channels_are_coded_each_for_itself(codec, voice):
    wav = voice(1.2, channels=3)
    together = codec.encode(wav, 16000).codes
    for channel in range(3):
        alone = codec.encode(wav[channel], 16000).codes
        assert np.mean(alone[0] != together[channel]) < 0.01


def test_every_bitrate_of_the_ladder(codec, voice):
    wav = voice(1.5)
    highest = codec.encode(wav, 16000).codes
    for number, bitrate in enumerate(codec.bitrates, 1):
        encoded = codec.encode(wav, 16000, bitrate)
        assert encoded.codes.shape == (1, number, highest.shape[2])
        assert encoded.header.nominal_bitrate == bitrate


def test_codes_cut_to_fewer_rows_decode_as_the_lower_bitrate(codec, voice):
    high, low = codec.encode(voice(1.5), 16000), codec.encode(voice(1.5), 16000, 900)
    cut = replace(high, codes=high.codes[:, :3])
    same = replace(low, codes=high.codes[:, :3])
    np.testing.assert_array_equal(codec.decode(cut)[0], codec.decode(same)[0])
    assert not np.array_equal(codec.decode(cut)[0], codec.decode(high)[0])


@pytest.mark.parametrize("bitrate", [0, 1, 250, 333.3, 1e9, -300, float("nan")])
def test_an_unknown_bitrate_lists_the_ladder(codec, voice, bitrate):
    with pytest.raises(BitrateError, match=r"300, 600, 900, 1200, 1500, 1800, 2100, 2400"):
        codec.compress(voice(0.1), 16000, bitrate)


def test_the_same_audio_in_other_clothes_gives_the_same_bytes(codec, voice):
    whole = np.round(voice(1.1) * 32768).astype(np.int16)
    wav = (whole / 32768).astype(np.float32)
    expected = codec.compress(wav, 16000)
    for same in (
        whole,
        whole.astype(np.int32) << 16,
        wav.astype(np.float64),
        wav[0],
        wav[0].tolist(),
        torch.from_numpy(wav),
        torch.from_numpy(wav).double(),
        torch.from_numpy(whole),
        torch.from_numpy(wav).requires_grad_(),
        np.asfortranarray(np.repeat(wav, 2, axis=0))[::2],
        wav[:, ::-1][:, ::-1],
    ):
        assert codec.compress(same, 16000) == expected


def test_a_batch_is_coded_item_by_item(codec, voice):
    batch = np.stack([voice(1.1, channels=2, seed=seed) for seed in range(3)])
    encoded = codec.encode(torch.from_numpy(batch), 22050)
    assert encoded.codes.shape[:3] == (3, 2, 8)
    decoded, _ = codec.decode(encoded)
    assert decoded.shape == batch.shape
    assert encoded.codes.flags.c_contiguous
    for item, codes, wav in zip(batch, encoded.codes, decoded, strict=True):
        alone = codec.encode(item, 22050)
        np.testing.assert_array_equal(alone.codes, codes)
        np.testing.assert_array_equal(codec.decode(alone)[0], wav)
    with pytest.raises(InputError, match="shape"):
        codec.compress(batch, 22050)


def test_decoding_codes_and_bytes_agree(codec, voice):
    wav = voice(2.3, 44100, 2)
    from_codes, _ = codec.decode(codec.encode(wav, 44100))
    from_bytes, _ = codec.decompress(codec.compress(wav, 44100))
    np.testing.assert_array_equal(from_codes, from_bytes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: np.zeros(0), "nothing to"),
        (lambda: np.zeros((2, 0)), "nothing to"),
        (lambda: np.array([0.0, np.nan]), "not a finite number"),
        (lambda: np.array([0.0, -np.inf]), "not a finite number"),
        (lambda: np.array([1e300]), "not a finite number"),
        (lambda: np.array([0.0, 20000.0]), "full scale"),
        (lambda: np.zeros((16000, 2)), "transpose"),
        (lambda: np.zeros((2, 2, 2, 2)), "shape"),
        (lambda: np.zeros(10, np.uint8), "type uint8"),
        (lambda: np.zeros(10, complex), "type complex128"),
        (lambda: "hello", "type"),
        (lambda: None, "type"),
    ],
)
def test_audio_that_cannot_be_used(codec, make, message):
    for code in (codec.encode, codec.compress):
        with pytest.raises(InputError, match=message):
            code(make(), 16000)


@pytest.mark.parametrize("sample_rate", [0, -1, 7999, 192001, 16000.5])
def test_sample_rates_that_cannot_be_used(codec, sample_rate):
    with pytest.raises(SampleRateError, match="8000 to 192000"):
        codec.compress(np.zeros(100), sample_rate)


def test_silence_and_full_scale(codec):
    silent, _ = codec.decompress(codec.compress(np.zeros(20000), 16000))
    assert silent.shape == (1, 20000)
    assert np.abs(silent).max() < 0.05
    square = np.sign(np.sin(np.arange(20000) / 20)) * 0.999
    for loud in (square, 1.5 * square):
        decoded, _ = codec.decompress(codec.compress(loud, 16000))
        assert np.isfinite(decoded).all()


def test_bytes_that_are_damaged_are_refused(codec, voice):
    data = codec.compress(voice(2.2), 16000, 300)
    for cut in range(len(data)):
        with pytest.raises(BitstreamError):
            codec.decompress(data[:cut])
    for position in range(0, len(data), 3):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        with pytest.raises(BitstreamError):
            codec.decompress(bytes(changed))


def test_a_damaged_packet_names_its_seconds_and_can_be_filled(codec, voice):
    wav = voice(3.4)
    data = codec.compress(wav, 16000)
    whole, _ = codec.decompress(data)
    changed = bytearray(data)
    changed[ContainerReader(io.BytesIO(data)).index[1] + 30] ^= 1
    with pytest.raises(ChecksumMismatch, match=r"0\.98 to 1\.98 s are lost"):
        codec.decompress(bytes(changed))
    filled, _ = codec.decompress(bytes(changed), conceal=True)
    assert filled.shape == wav.shape
    np.testing.assert_array_equal(filled[:, :15680], whole[:, :15680])
    assert np.corrcoef(filled[0, 32400:], whole[0, 32400:])[0, 1] > 0.95


def test_a_cut_off_file_is_filled_to_its_length(codec, voice):
    wav = voice(3.4)
    data = codec.compress(wav, 16000)
    cut = data[: ContainerReader(io.BytesIO(data)).index[2] + 3]
    with pytest.raises(Truncated, match=r"everything from 1\.98 s on is lost"):
        codec.decompress(cut)
    filled, _ = codec.decompress(cut, conceal=True)
    assert filled.shape == wav.shape
    assert not filled[:, 40000:].any()


def test_a_file_of_another_model_is_refused(codec, voice):
    encoded = codec.encode(voice(0.3), 16000)
    other = replace(encoded, header=replace(encoded.header, model_id="ab" * 16, model_name="other"))
    with pytest.raises(RegistryError, match=r"made with model 'other' \(identity abab"):
        codec.decode(other)
    with pytest.raises(RegistryError, match=r"'other' .* is not installed; name its folder"):
        name_for(other.header)


@pytest.mark.parametrize(
    "change",
    [{"hop_length": 160}, {"delay": 0}, {"model_sample_rate": 8000}, {"codebook_sizes": (64, 65)}],
)
def test_a_header_that_contradicts_its_model_is_refused(codec, voice, change):
    encoded = codec.encode(voice(0.3), 16000)
    with pytest.raises(BitstreamError, match="contradicts"):
        codec.decode(replace(encoded, header=replace(encoded.header, **change)))


@pytest.mark.parametrize("codes", [np.zeros((2, 8, 5), int), np.zeros((1, 5), int), np.zeros((1, 8, 5))])
def test_codes_that_do_not_fit(codec, voice, codes):
    encoded = codec.encode(voice(0.3), 16000)
    with pytest.raises(InputError, match="expected int64"):
        codec.decode(replace(encoded, codes=codes))


@pytest.mark.parametrize("value", [-1, 64])
def test_codes_outside_their_codebook(codec, voice, value):
    encoded = codec.encode(voice(0.3), 16000)
    with pytest.raises(InputError, match="allowed"):
        codec.decode(replace(encoded, codes=np.full_like(encoded.codes, value)))


def test_load_says_what_is_wrong(tmp_path):
    with pytest.raises(RegistryError, match="'no-such-model' is not known"):
        load("no-such-model")
    with pytest.raises(CheckpointError, match="no model here"):
        load(tmp_path)


@pytest.mark.parametrize("device", ["tpu9", "cuda:99x", ""])
def test_an_unknown_device(tiny_folder, device):
    with pytest.raises(InputError, match="not known"):
        load(tiny_folder, device)


def test_a_codec_without_metadata_knows_itself(codec, tiny_config):
    again = Codec(codec.model, tiny_config)
    assert (again.model_id, again.codebook_id) == (codec.model_id, codec.codebook_id)


def test_any_name_fits_a_file(codec, tiny_config, voice):
    for name in ("модель " * 20, "tab\tand\nline", "", "𝄞" * 40):
        named = Codec(codec.model, tiny_config, {**codec.metadata, "name": name})
        header = ContainerReader(io.BytesIO(named.compress(voice(0.1), 16000))).header
        assert header.model_name == named.name
        assert name.startswith(named.name) or named.name == "tabandline"


def test_packets_of_any_length_decode_alike(codec, voice):
    """And in bounded memory: a packet of minutes is decoded in parts."""
    wav = voice(7.0)
    long = codec.stream_encoder(16000, packet_frames=1000)
    data = b"".join([*long.push(wav), *long.flush()])
    reader = ContainerReader(io.BytesIO(data))
    assert reader.num_packets == 1
    ((_, codes),) = reader.packets()
    shorter = EncodedAudio(codes, codec.header(16000, 1, length=wav.shape[1]))
    np.testing.assert_allclose(codec.decompress(data)[0], codec.decode(shorter)[0], atol=1e-5)


def test_files_and_memory_give_the_same_bytes(codec, voice, tmp_path):
    for number, (subtype, rate, channels) in enumerate(
        itertools.product(("PCM_16", "PCM_24", "FLOAT"), (16000, 44100), (1, 2))
    ):
        path, out = tmp_path / f"{number}.wav", tmp_path / f"{number}.nac"
        soundfile.write(path, voice(1.2, rate, channels).T, rate, subtype)
        wav = soundfile.read(path, dtype="float32", always_2d=True)[0].T
        codec.compress_file(path, out, 600)
        assert np.array_equal(codec.encode_file(path, 600).codes, codec.encode(wav, rate, 600).codes)
        assert out.read_bytes() == codec.compress(wav, rate, 600)


def test_denoising_is_a_matter_of_encoding(denoising, codec, voice, tmp_path):
    """Off, the model is the one without a switch; on, all ways of encoding agree and any decoder will do."""
    wav = voice(1.3)
    assert np.array_equal(denoising.encode(wav, 16000).codes, codec.encode(wav, 16000).codes)
    on = denoising.encode(wav, 16000, denoise=True)
    assert not np.array_equal(on.codes, codec.encode(wav, 16000).codes)
    blob = denoising.compress(wav, 16000, denoise=True)
    assert len(blob) == len(denoising.compress(wav, 16000))
    soundfile.write(tmp_path / "a.wav", wav.T, 16000, "FLOAT")
    denoising.compress_file(tmp_path / "a.wav", tmp_path / "a.nac", denoise=True)
    assert (tmp_path / "a.nac").read_bytes() == blob
    assert np.array_equal(denoising.decompress(blob)[0], denoising.decode(on)[0])
    for call in (codec.encode, codec.compress):
        with pytest.raises(InputError, match="no denoising switch"):
            call(wav, 16000, denoise=True)
    with pytest.raises(InputError, match="no denoising switch"):
        codec.compress_file(tmp_path / "a.wav", tmp_path / "b.nac", denoise=True)
    assert not (tmp_path / "b.nac").exists()
