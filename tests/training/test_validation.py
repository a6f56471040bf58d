import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from audiocodec.model import CodecModel, QuantizerConfig, build_model, build_quantizer
from audiocodec.nn.spectral import start_linear
from audiocodec.training.validation import validate


@pytest.fixture(scope="module")
def model(tiny_config, voice):
    torch.manual_seed(0)
    model = build_model(tiny_config)
    wav = torch.from_numpy(np.stack([voice(4.0, seed=seed) for seed in range(4)]))
    with torch.no_grad():
        start_linear(model.encoder, model.decoder, wav)
        model.quantizer.initialise(model.encoder(wav))
    return model.eval()


def test_scores_rise_with_the_number_of_quantizers(model, voice):
    scores = validate(model, [voice(3.0, seed=5)[0], voice(2.01, seed=6)[0]], [1, 8, 0])
    assert set(scores) == {f"{name}/{n}" for name in ("pesq_wb", "stoi") for n in (1, 8, 0)} | {"unscored"}
    assert scores["unscored"] == 0
    for name in ("pesq_wb", "stoi"):
        assert scores[f"{name}/1"] < scores[f"{name}/8"] < scores[f"{name}/0"]


class Frames(nn.Module):
    """A perfect encoder: the samples of each frame."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, wav):
        return self.gain * wav.reshape(wav.shape[0], -1, 16).transpose(1, 2)


class Late(nn.Module):
    """A perfect decoder that is 40 samples late."""

    def forward(self, latents):
        wav = latents.transpose(1, 2).reshape(latents.shape[0], 1, -1)
        return functional.pad(wav, (40, 0))[..., : wav.shape[-1]]


def test_the_delay_is_taken_out(voice):
    quantizer = build_quantizer(QuantizerConfig(num_quantizers=1, codebook_size=4), 16)
    model = CodecModel(Frames(), quantizer, Late(), 16000, 16, 40)
    scores = validate(model, [voice(2.001)[0]], [0])
    assert scores["pesq_wb/0"] > 4.6
    assert scores["stoi/0"] > 0.999


def test_silence_is_counted_not_scored(model, voice):
    scores = validate(model, [np.zeros(32000, np.float32), voice(2.0)[0]], [8])
    assert scores["unscored"] == 2  # PESQ and STOI
    assert scores["pesq_wb/8"] > 1
