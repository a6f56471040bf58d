import os
import pickle
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from audiocodec.errors import BitrateError, PeerError, PeerUnavailable
from audiocodec.evaluation.peers import PeerOptions
from audiocodec.evaluation.peers.lyra import GRAPHS, LyraPeer, pack, unpack
from audiocodec.metrics import pesq_wb


class Interpreter:
    """Stands for the three graphs: every fifth sample of a frame is a feature of 4 bits, held on decoding."""

    def __init__(self, path, num_threads):
        self.name = Path(path).stem
        assert num_threads == 1

    def allocate_tensors(self):
        pass

    def get_signature_runner(self, name):
        return {"encode": self.encode, "decode": self.decode}[name]

    def encode(self, input_frames, num_quantizers):
        assert input_frames.shape == (1, 1, 64)
        indices = np.clip(np.round(input_frames.reshape(-1)[:46] * 8 + 8), 0, 15).astype(np.int32)
        indices[num_quantizers:] = 0
        return {"output_0": indices.reshape(46, 1, 1)}

    def decode(self, encoding_indices):
        indices = encoding_indices.reshape(-1)
        features = np.zeros(64, np.float32)
        features[:46] = np.where(indices < 0, 0, (indices - 8) / 8)
        return {"output_0": features.reshape(1, 1, 64)}

    def get_input_details(self):
        return [{"index": 0}]

    get_output_details = get_input_details

    def set_tensor(self, index, value):
        self.value = value

    def invoke(self):
        if np.abs(self.value).max() > 0.99:
            raise RuntimeError("node 7 failed")

    def get_tensor(self, index):
        if self.name == "soundstream_encoder":
            assert self.value.shape == (1, 320)
            return self.value[None, :, ::5].copy()
        return np.repeat(self.value, 5, axis=-1)


@pytest.fixture
def options(monkeypatch, tmp_path):
    for name in ("ai_edge_litert", "ai_edge_litert.interpreter"):
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.Interpreter = Interpreter
        monkeypatch.setitem(sys.modules, name, module)
    for name in GRAPHS:
        (tmp_path / f"{name}.tflite").touch()
    return PeerOptions(folders={"lyra": tmp_path})


def slow_ramp(length):
    return (0.8 * np.sin(np.arange(length) / 2000)).astype(np.float32)


@pytest.mark.parametrize(
    ("bitrate", "frame_bits", "count"), [(3200, 64, 16), (6000, 120, 30), (9200, 184, 46)]
)
def test_frames_features_packets_and_back(options, bitrate, frame_bits, count):
    wav = slow_ramp(5000)
    coded = pickle.loads(pickle.dumps(LyraPeer(options))).code(wav, 16000, bitrate)
    assert coded.payload_bits == 16 * frame_bits  # 5000 samples in frames of 320
    assert coded.wav.shape == (5000,)
    kept = np.arange(5000) % 320 < 5 * count
    np.testing.assert_allclose(coded.wav[kept], wav[kept], atol=1 / 16 + 0.01)
    assert not coded.wav[~kept].any()


def test_other_rates(options):
    assert LyraPeer(options).code(slow_ramp(9001), 48000, 3200).wav.shape == (9001,)


def test_packing():
    indices = np.array([1, 15, 0, 7, 8])
    assert pack(indices) == bytes([0x01, 0xF0, 0x78])
    assert unpack(pack(indices), 5) == indices.tolist()


def test_failures(options):
    with pytest.raises(BitrateError, match="choose from 3200, 6000, 9200"):
        LyraPeer(options).code(slow_ramp(5000), 16000, 4000)
    with pytest.raises(PeerError, match="lyra failed: node 7 failed"):
        LyraPeer(options).code(np.ones(5000, np.float32), 16000, 3200)


def test_not_there(options, monkeypatch, tmp_path):
    with pytest.raises(PeerUnavailable, match="--lyra-models DIR"):
        LyraPeer(PeerOptions())
    (tmp_path / "lyragan.tflite").unlink()
    with pytest.raises(PeerUnavailable, match=r"has no lyragan\.tflite"):
        LyraPeer(options)
    (tmp_path / "lyragan.tflite").touch()
    monkeypatch.setattr("audiocodec.evaluation.peers.lyra.find_spec", lambda name: None)
    with pytest.raises(PeerUnavailable, match="pip install"):
        LyraPeer(options)


@pytest.mark.skipif(
    "AUDIOCODEC_LYRA_MODELS" not in os.environ, reason="AUDIOCODEC_LYRA_MODELS names no folder"
)
def test_released_weights(speech):
    pytest.importorskip("ai_edge_litert")
    peer = LyraPeer(PeerOptions(folders={"lyra": Path(os.environ["AUDIOCODEC_LYRA_MODELS"])}))
    scores = [pesq_wb(speech, peer.code(speech, 16000, rate).wav, 16000) for rate in (3200, 9200, 9200)]
    assert 1.5 < scores[0] < scores[1] < 4
    assert scores[1] == scores[2]  # nothing is remembered between recordings
