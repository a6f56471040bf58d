"""What a caller has set for torch changes neither codes nor sound; values of a wrong kind are our errors."""

import numpy as np
import pytest
import torch

from audiocodec import EncodedAudio, InputError
from audiocodec.codec import load
from audiocodec.devices import resolve_device
from audiocodec.errors import BitrateError, SampleRateError


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        yield


@pytest.fixture
def another_device():
    with torch.device("meta"):
        yield


@pytest.fixture
def gradients_only():
    with torch.inference_mode(False), torch.enable_grad():
        yield


@pytest.mark.parametrize("setting", ["float64", "autocast", "another_device", "gradients_only"])
def test_codes_and_sound_are_the_same(tiny_folder, voice, setting, request):
    wav = voice(1.3)
    codec = load(tiny_folder, "cpu")
    data = codec.compress(wav, 16000)
    sound = codec.decompress(data)[0]
    request.getfixturevalue(setting)
    for one in (codec, load(tiny_folder, "cpu")):
        assert (one.model_id, one.codebook_id) == (codec.model_id, codec.codebook_id)
        assert one.compress(wav, 16000) == data
        assert np.array_equal(one.decompress(data)[0], sound)


def test_the_settings_of_the_caller_come_back(tiny_folder, voice, float64):
    load(tiny_folder, "cpu").compress(voice(0.1), 16000)
    assert torch.get_default_dtype() == torch.float64


@pytest.mark.parametrize(
    "rate", [None, float("nan"), float("inf"), "16000", [16000], 16000.5, True, -1, 10**30]
)
def test_sample_rates_that_are_none(codec, voice, rate):
    with pytest.raises(SampleRateError, match="is not supported; use a whole number"):
        codec.compress(voice(0.1), rate)


@pytest.mark.parametrize("bitrate", ["1000", [1000], {}, float("nan"), float("inf"), -1, True])
def test_bitrates_that_are_none(codec, voice, bitrate):
    with pytest.raises(BitrateError, match="choose one of"):
        codec.compress(voice(0.1), 16000, bitrate)


@pytest.mark.parametrize(
    "wav",
    [[[1.0, 2.0], [3.0]], "speech", None, {}, [["a"]], [10**400], torch.zeros(1, 9).to_sparse(),
     torch.zeros(1, 9, device="meta"), [object()], np.zeros(9, complex), np.zeros(9, bool)],
    ids=lambda wav: str(wav)[:20],
)  # fmt: skip
def test_samples_that_are_none(codec, wav):
    stream = codec.stream_encoder(16000)
    for take in (
        lambda: codec.compress(wav, 16000),
        lambda: codec.encode(wav, 16000),
        lambda: stream.push(wav),
    ):
        with pytest.raises(InputError):
            take()


def test_codes_that_are_none(codec, voice):
    encoded = codec.encode(voice(0.1), 16000)
    for codes in (None, "codes", [[1], [1, 2]], encoded.codes - 10**6, encoded.codes.astype(float)):
        with pytest.raises(InputError):
            codec.decode(EncodedAudio(codes, encoded.header))


@pytest.mark.parametrize(("start", "duration"), [(None, None), ("0", None), ([1], None), (0, "1"), (0, [1])])
def test_parts_that_are_none(codec, voice, tmp_path, start, duration):
    (tmp_path / "a.nac").write_bytes(codec.compress(voice(0.1), 16000))
    with pytest.raises(InputError, match="the start must be 0 or more"):
        codec.decompress_file(tmp_path / "a.nac", tmp_path / "a.wav", start=start, duration=duration)


@pytest.mark.parametrize("device", ["mps", "xla", "tpu", "", None, "meta", "cuda:99", "vulkan"])
def test_devices_that_cannot_be_used(device):
    with pytest.raises(InputError, match=r"use .*cpu") as error:
        resolve_device(device)
    assert len(str(error.value)) < 200
