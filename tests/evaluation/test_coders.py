import io
import math
import pickle
import sys

import numpy as np
import pytest
import torch

from audiocodec.bitstream import ContainerReader
from audiocodec.checkpoint import identify_codebooks
from audiocodec.codec import Codec
from audiocodec.errors import BitrateError
from audiocodec.evaluation.coders import ModelCoder
from audiocodec.evaluation.peers import open_peer


@pytest.fixture
def coder(codec):
    return ModelCoder(codec)


def test_a_model_writes_and_reads_real_files(coder, codec, voice):
    wav = voice(1.3, 22050)[0]
    bitrate = codec.bitrates[2]
    decoded = coder.code(wav, 22050, bitrate)
    data = codec.compress(wav, 22050, bitrate)
    np.testing.assert_array_equal(decoded.wav, codec.decompress(data)[0][0])
    assert decoded.size == len(data)
    np.testing.assert_array_equal(decoded.codes, codec.encode(wav, 22050, bitrate).codes[0])
    reader = ContainerReader(io.BytesIO(data))
    frames = sum(codes.shape[2] for _, codes in reader.packets())
    assert decoded.codes.shape == (3, frames)
    assert decoded.payload_bits == reader.payload_bits
    assert 0 < decoded.payload_bits < 8 * decoded.size
    assert decoded.encode_seconds > 0


def test_codes_of_the_clean_recording_are_remembered(coder, codec, voice, monkeypatch):
    wav = voice(0.5)[0]
    first = coder.clean_codes(wav, 16000, codec.bitrates[1], "a")
    np.testing.assert_array_equal(first, codec.encode(wav, 16000, codec.bitrates[1]).codes[0])
    monkeypatch.setattr(codec, "encode", None)
    assert coder.clean_codes(wav, 16000, codec.bitrates[1], "a") is first


def test_latents_are_those_of_the_encoder(coder, codec, voice):
    wav = voice(2.3)[0]  # in packets of a second
    model = codec.model
    frames = math.ceil((len(wav) + model.delay) / model.hop_length)
    padded = np.pad(wav, (0, frames * model.hop_length - len(wav)))
    with torch.inference_mode():
        expected = model.encoder(torch.from_numpy(padded)[None, None])[0].numpy()
    latents = coder.latents(wav, 16000)
    np.testing.assert_allclose(latents, expected, atol=1e-4)
    codes = coder.code(wav, 16000, codec.bitrates[-1]).codes
    assert codes.shape[1] == latents.shape[1]
    with torch.inference_mode():
        expected = model.quantizer.decode(torch.from_numpy(codes)[None])[0].numpy()
    np.testing.assert_array_equal(coder.quantized(codes), expected)


def test_a_model_says_which_it_is(coder, codec, tiny_folder):
    header = codec.header(16000, 1)
    assert coder.identity == {
        "peer": False, "model": "tiny", "model_id": header.model_id, "codebook": header.codebook_id
    }  # fmt: skip
    by_name = ModelCoder(str(tiny_folder))
    assert by_name.name == "tiny"
    assert len(pickle.dumps(by_name)) < 500  # it is loaded anew, not sent
    assert pickle.loads(pickle.dumps(by_name)).identity == coder.identity


def test_a_model_with_its_denoising_switch_on(denoising, voice):
    wav, bitrate = voice(0.6)[0], denoising.bitrates[1]
    coder = ModelCoder(denoising, denoise=True)
    assert coder.name == f"{denoising.name} denoised"
    codes = denoising.encode(wav, 16000, bitrate, denoise=True).codes[0]
    assert not np.array_equal(codes, denoising.encode(wav, 16000, bitrate).codes[0])
    np.testing.assert_array_equal(coder.code(wav, 16000, bitrate).codes, codes)
    np.testing.assert_array_equal(coder.clean_codes(wav, 16000, bitrate, "a"), codes)
    off = ModelCoder(denoising).latents(wav, 16000)
    assert np.abs(coder.latents(wav, 16000) - off).max() > 1e-3


def test_a_model_with_other_codebooks_says_so(codec):
    class Store:
        def get(self, codebook_id):
            return {name: 1.1 * entries for name, entries in codec.model.quantizer.codebooks().items()}

    other = identify_codebooks(Store().get(""))
    revised = Codec(codec.model, codec.config, codec.metadata, codebooks=Store()).with_codebook(other)
    assert ModelCoder(lambda: revised).name == f"tiny@{other[:8]}"
    assert ModelCoder(lambda: revised).identity["codebook"] == other[:32]
    assert ModelCoder(lambda: codec).name == "tiny"


def test_bitrates_of_a_model_are_steps_of_its_ladder(coder, codec):
    assert coder.bitrates_near([codec.bitrates[3] * 1.001, codec.bitrates[0]]) == (
        codec.bitrates[0], codec.bitrates[3]
    )  # fmt: skip
    with pytest.raises(BitrateError, match="choose one of"):
        coder.bitrates_near([codec.bitrates[0] / 2])


def test_whether_a_peer_counts_its_bits(tmp_path, voice):
    wav, copy = (
        voice(0.5)[0],
        f"{sys.executable} -c 'import shutil, sys; shutil.copy(*sys.argv[1:])' {{in}} {{out}}",
    )
    assert open_peer(f"silent={copy}").code(wav, 16000, 8000).nominal_bits
    said = copy.replace("'import", '\'print("bits=4000"); import')
    decoded = open_peer(f"counts={said}").code(wav, 16000, 8000)
    assert (decoded.nominal_bits, decoded.payload_bits) == (False, 4000)
