"""The model: its ladder, its delay, both families of nets, and the whole as a stream."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from audiocodec.config import from_mapping, to_mapping
from audiocodec.errors import BitrateError, ConfigError
from audiocodec.model import CodecModel, ModelConfig, QuantizerConfig, build_model, build_quantizer
from audiocodec.nn.seanet import SEANetConfig
from audiocodec.nn.spectral import SpectralConfig
from audiocodec.nn.streaming import StreamState

SPECTRAL = ModelConfig(
    net=SpectralConfig(dim=16, encoder_channels=32, encoder_blocks=1, decoder_channels=32, decoder_blocks=1),
    quantizer=QuantizerConfig(num_quantizers=4, codebook_size=32),
)
SEANET = replace(SPECTRAL, net=SEANetConfig(dim=16, channels=4, lstm_layers=1, strides=(2, 4, 5, 8)))
CONFIGS = {"spectral": SPECTRAL, "seanet": SEANET}


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def model(request):
    torch.manual_seed(0)
    return build_model(request.param).eval()


def test_default_ladder():
    """50 frames a second, 10 bits a stage, 16 stages."""
    with torch.device("meta"):
        model = build_model(ModelConfig())
    assert model.bitrates == tuple(500.0 * n for n in range(1, 17))
    assert (model.frame_rate, model.hop_length, model.delay) == (50.0, 320, 320)
    assert model.latency / model.sample_rate == 0.040
    for number, bitrate in enumerate(model.bitrates, 1):
        assert model.num_quantizers_for(bitrate) == number
    assert model.num_quantizers_for(None) == 16
    assert model.num_quantizers_for(2999.0) == 6


@pytest.mark.parametrize("bitrate", [0.0, -500.0, 499.0 - 5, 750.0, 8100.0, float("nan"), float("inf")])
def test_a_bitrate_that_is_not_offered_lists_the_ladder(bitrate):
    with torch.device("meta"):
        model = build_model(ModelConfig())
    with pytest.raises(BitrateError) as caught:
        model.num_quantizers_for(bitrate)
    assert "500, 1000, 1500" in str(caught.value)
    assert "8000" in str(caught.value)


def test_rates_that_are_no_whole_numbers():
    config = replace(
        SPECTRAL, sample_rate=16000, quantizer=QuantizerConfig(num_quantizers=2, codebook_size=1000)
    )
    model = build_model(config)
    assert model.bitrates == pytest.approx((498.29, 996.58), abs=0.01)
    assert model.num_quantizers_for(498) == 1
    assert model.num_quantizers_for(1000) == 2


def test_codes_and_sound_have_the_promised_shapes(model):
    wav = 0.1 * torch.randn(2, 1, 10 * model.hop_length)
    codes = model.encode(wav, 3)
    assert (codes.shape, codes.dtype) == ((2, 3, 10), torch.int64)
    assert model.decode(codes).shape == wav.shape


def test_a_stream_gives_the_same_codes_and_sound(model):
    wav = 0.1 * torch.randn(2, 1, 12 * model.hop_length)
    with torch.no_grad():
        codes = model.encode(wav)
        whole = model.decode(codes)
        state, back = StreamState(), StreamState()
        parts = [model.encode(part, state=state) for part in wav.split(5 * model.hop_length, dim=-1)]
        assert torch.equal(torch.cat(parts, dim=-1), codes)
        sound = torch.cat([model.decode(part, back) for part in codes.split(3, dim=-1)], dim=-1)
    torch.testing.assert_close(sound, whole, rtol=1e-4, atol=1e-6)


def test_the_future_changes_nothing(model):
    """No later sample changes a code, no later code a sample: latency is one frame and the delay."""
    wav = 0.1 * torch.randn(1, 1, 8 * model.hop_length)
    changed = wav.clone()
    changed[..., 5 * model.hop_length :] += 0.1
    with torch.no_grad():
        codes, other = model.encode(wav), model.encode(changed)
        assert torch.equal(codes[..., :5], other[..., :5])
        assert not torch.allclose(model.encoder(wav)[..., 5:], model.encoder(changed)[..., 5:])
        sound, other = (
            model.decode(codes),
            model.decode(torch.cat([codes[..., :5], (codes[..., 5:] + 1) % 32], -1)),
        )
    edge = 5 * model.hop_length
    torch.testing.assert_close(sound[..., :edge], other[..., :edge])
    assert not torch.allclose(sound[..., edge:], other[..., edge:])


class Frames(nn.Module):
    def forward(self, wav, state=None, denoise=False):
        return wav.reshape(wav.shape[0], -1, 4).transpose(1, 2)


class Late(nn.Module):
    def forward(self, latents, state=None, num_quantizers=None, renderings=1):
        wav = latents.transpose(1, 2).reshape(latents.shape[0], 1, -1)
        return nn.functional.pad(wav, (6, 0))[..., : wav.shape[-1]]


def test_training_output_is_in_step_with_the_input():
    """Nets that only delay by 6 samples: what comes out is what went in, 6 samples shorter."""
    quantizer = build_quantizer(QuantizerConfig(num_quantizers=2, codebook_size=4), 4)
    model = CodecModel(Frames(), quantizer, Late(), 16000, 4, 6)
    wav = torch.randn(2, 1, 40)
    output = model(wav, quantize=False)
    torch.testing.assert_close(output.wav, wav[..., :-6])
    assert output.codes.shape == (2, 2, 10)
    assert torch.equal(output.latents, model.encoder(wav))


def test_gradients_reach_both_nets(model):
    model.train()
    output = model(0.1 * torch.randn(2, 1, 10 * model.hop_length), torch.tensor([1, 4]))
    (output.wav.square().mean() + output.loss).backward()
    for net in (model.encoder, model.decoder):
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in net.parameters())
        assert any(bool(p.grad.any()) for p in net.parameters())


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_both_families_come_from_a_mapping(config):
    assert from_mapping(ModelConfig, to_mapping(config)) == config
    with torch.device("meta"):
        model = build_model(config)
    assert model.hop_length == 320
    assert model.delay == {"spectral": 320, "seanet": 0}[config.net.kind]


def test_an_unknown_method_lists_the_known():
    with pytest.raises(ConfigError, match=r"'emma'; choose one of .*ema"):
        build_quantizer(QuantizerConfig(method="emma"), 8)


def test_an_unknown_option_is_named():
    with pytest.raises(ConfigError, match="no_such_option"):
        build_quantizer(QuantizerConfig(options={"no_such_option": 1}), 8)


def test_an_unknown_kind_of_net():
    with pytest.raises(ConfigError, match=r"net\.kind.*'spectral', 'seanet'"):
        from_mapping(ModelConfig, {"net": {"kind": "wavenet"}})
