"""The frame-rate nets: what comes back, how late, and what a linear start is worth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from audiocodec.errors import ConfigError, InputError
from audiocodec.metrics import stoi
from audiocodec.nn.spectral import (
    Analysis,
    LatentScale,
    SpectralConfig,
    SpectralDecoder,
    SpectralEncoder,
    Synthesis,
    compress,
    expand,
    full_precision,
    start_linear,
)

SPEECH = Path(__file__).parents[1] / "data"
SMALL = SpectralConfig(
    hop_length=16, window_length=24, dim=6, encoder_channels=12, encoder_blocks=2, decoder_channels=10,
    decoder_blocks=2, kernel_size=3,
)  # fmt: skip
SHAPES = {
    "default": {},
    "no substeps": {"substeps": 1, "window_length": 32},
    "four substeps": {"substeps": 4, "window_length": 16},
    "long windows": {"window_length": 64},
}


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def config(request):
    return replace(SMALL, **request.param)


def snr_db(reference, estimate):
    return float(10 * torch.log10(reference.square().sum() / (reference - estimate).square().sum()))


def speech(number):
    """Real speech, [1, 1, L], L a multiple of 320."""
    wav, rate = soundfile.read(sorted(SPEECH.glob("*.flac"))[number], dtype="float32")
    assert rate == 16000
    return torch.from_numpy(wav[: len(wav) // 320 * 320])[None, None]


@pytest.mark.parametrize("exponent", [0.2, 0.3, 0.5, 1.0])
def test_expand_undoes_compress(exponent):
    """Far above the constant that tames silence; near it magnitudes shrink, and nothing is ever raised."""
    phase = torch.linspace(-3.1, 3.1, 50, dtype=torch.float64)
    loud = torch.polar(torch.logspace(-1, 2, 50, dtype=torch.float64), phase)
    torch.testing.assert_close(expand(compress(loud, exponent), exponent), loud, rtol=1e-3, atol=0)
    quiet = torch.polar(torch.logspace(-9, -4, 50, dtype=torch.float64), phase)
    assert bool((expand(compress(quiet, exponent), exponent).abs() <= quiet.abs() * 1.001).all())
    assert bool((compress(loud, exponent).angle() - phase).abs().max() < 1e-9)


def test_compress_is_a_power_of_the_magnitude():
    spectrum = torch.tensor([3.0 + 4.0j, -1.0 + 0j, 100j])
    expected = torch.tensor([5.0, 1.0, 100.0]) ** 0.3
    torch.testing.assert_close(compress(spectrum, 0.3).abs(), expected, rtol=1e-5, atol=0)


def test_gradients_of_silence_are_finite():
    for function in (compress, expand):
        spectrum = torch.zeros(4, dtype=torch.complex64, requires_grad=True)
        torch.view_as_real(function(spectrum, 0.3)).square().sum().backward()
        assert bool(torch.view_as_real(spectrum.grad).isfinite().all())


def test_what_goes_in_comes_out_delayed_exactly(config):
    """Without compression to rounding; the delay is the one declared, at every sample from the first on."""
    config = replace(config, exponent=1.0)
    wav = torch.randn(2, 1, 20 * config.hop_length, dtype=torch.float64)
    out = Synthesis(config).double()(Analysis(config).double()(wav))
    assert out.shape == wav.shape
    torch.testing.assert_close(out[..., config.delay :], wav[..., : -config.delay], rtol=0, atol=1e-6)


def test_compression_costs_nothing_that_is_heard():
    config, wav = SpectralConfig(), speech(0)
    out = Synthesis(config)(Analysis(config)(wav))
    assert snr_db(wav[..., : -config.delay], out[..., config.delay :]) > 55


def test_analysis_and_synthesis_in_chunks(check_streaming, check_causality, config):
    wav = torch.randn(2, 1, 13 * config.hop_length)
    analysis, synthesis = Analysis(config), Synthesis(config)
    check_causality(analysis, wav, hop_in=config.hop_length)
    check_streaming(analysis, wav, hop=config.hop_length)
    features = Analysis(config)(wav)
    check_causality(synthesis, features, hop_out=config.hop_length)
    check_streaming(synthesis, features)


def test_nets_in_chunks(check_streaming, check_causality, config):
    encoder, decoder = SpectralEncoder(config).eval(), SpectralDecoder(config).eval()
    for module in (*encoder.modules(), *decoder.modules()):
        if hasattr(module, "gate"):
            nn.init.ones_(module.gate)
    wav, latents = torch.randn(2, 1, 13 * config.hop_length), torch.randn(2, config.dim, 13)
    check_causality(encoder, wav, hop_in=config.hop_length)
    check_streaming(encoder, wav, hop=config.hop_length)
    check_causality(decoder, latents, hop_out=config.hop_length)
    check_streaming(decoder, latents)


def test_default_latency_is_40_ms():
    """One hop to fill, and the delay of the windows: 640 samples at 16 kHz."""
    config = SpectralConfig()
    assert (config.hop_length, config.stft_hop, config.delay) == (320, 160, 320)
    assert config.hop_length + config.delay == 640 == round(0.040 * 16000)


def test_an_impulse_is_back_after_the_delay():
    config = SpectralConfig(exponent=1.0)
    for place in (0, 1, 159, 160, 319, 320, 500):
        wav = torch.zeros(1, 1, 1600)
        wav[..., place] = 1.0
        out = Synthesis(config)(Analysis(config)(wav))[0, 0]
        assert int(out.abs().argmax()) == place + config.delay
        assert float(out[place + config.delay]) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("length", [0, 319, 321])
def test_a_length_that_is_no_multiple(length):
    with pytest.raises(InputError, match=f"{length} samples are no positive multiple of 320"):
        Analysis(SpectralConfig())(torch.zeros(1, 1, length))


def test_sixteen_bit_features_are_computed_in_full():
    config = SpectralConfig()
    features = Analysis(config)(speech(0)[..., :16000])
    out = Synthesis(config)(features.bfloat16())
    assert out.dtype == torch.float32
    assert snr_db(Synthesis(config)(features), out) > 30


def test_a_linear_start_is_intelligible(voice):
    """Unquantized, on a voice it was not fitted to and on real speech; a random start gives nothing."""
    config = SpectralConfig(encoder_blocks=2, decoder_blocks=2)
    encoder, decoder = SpectralEncoder(config).eval(), SpectralDecoder(config).eval()

    def heard(wav):
        with torch.no_grad():
            return wav[..., : -config.delay], decoder(encoder(wav))[..., config.delay :]

    unseen = torch.from_numpy(voice(4.0, seed=50))[None]
    assert snr_db(*heard(unseen)) < 1
    start_linear(encoder, decoder, torch.from_numpy(np.stack([voice(8.0, seed=seed) for seed in range(8)])))
    assert snr_db(*heard(unseen)) > 10

    recordings = torch.cat([speech(number)[..., :71040] for number in range(3)])
    start_linear(encoder, decoder, recordings)
    reference, estimate = heard(recordings[1:2])
    assert stoi(reference[0, 0].numpy(), estimate[0, 0].numpy(), 16000) > 0.9
    with torch.no_grad():
        assert float(encoder(recordings).square().mean()) == pytest.approx(1.0, rel=0.1)


def test_a_linear_start_does_not_depend_on_how_much_is_held_at_once(monkeypatch):
    config = replace(SMALL, dim=4)
    wav = torch.randn(7, 1, 20 * config.hop_length)
    weights = []
    for at_once in (1, 100):
        monkeypatch.setattr("audiocodec.nn.spectral.ANALYZED_AT_ONCE", at_once)
        encoder, decoder = SpectralEncoder(config), SpectralDecoder(config)
        torch.manual_seed(0)
        start_linear(encoder, decoder, wav)
        weights.append(decoder.project_out.weight[:, :4] @ decoder.project_in.weight[:4])
    torch.testing.assert_close(*weights, rtol=0.05, atol=0.02)  # random parts are of size 0.001


def test_a_linear_start_through_nets_too_narrow():
    config = replace(SMALL, dim=11)
    with pytest.raises(ConfigError, match="width 11 do not fit through nets of 10"):
        start_linear(SpectralEncoder(config), SpectralDecoder(config), torch.randn(1, 1, 160))


def test_number_of_parameters():
    """5.76 M and 13.20 M, nearly all in the two layers of each block."""
    config = SpectralConfig()
    assert config.features == 2 * 2 * 241

    def linear(inputs, outputs):
        return inputs * outputs + outputs

    def block(width):
        hidden = 3 * width
        return width * 8 + 2 * width + width + linear(width, hidden) + linear(hidden, width)

    counts = [sum(p.numel() for p in net(config).parameters()) for net in (SpectralEncoder, SpectralDecoder)]
    assert counts == [
        linear(964, 384) + 6 * block(384) + linear(384, 128),
        linear(128, 512) + 8 * block(512) + linear(512, 964),
    ]
    assert counts == [5_762_816, 13_204_932]


def test_windows_that_do_not_overlap_evenly():
    with pytest.raises(ConfigError, match="2 or more times hop_length / substeps = 160"):
        SpectralConfig(window_length=400)
    with pytest.raises(ConfigError, match="not a multiple of substeps"):
        SpectralConfig(substeps=3)


def test_noise_floor_is_kept():
    """A quiet room, 70 dB under full scale, does not turn into silence or get louder."""
    config = SpectralConfig()
    wav = torch.from_numpy(
        np.random.default_rng(0).normal(0, 10 ** (-70 / 20), (1, 1, 16000)).astype(np.float32)
    )
    out = Synthesis(config)(Analysis(config)(wav))
    assert 0.9 < float(out[..., 320:].std() / wav.std()) < 1.001


def test_latents_keep_their_size_whatever_the_net_does():
    scale = LatentScale(decay=0.5)
    for _ in range(40):
        out = scale(100 * torch.randn(2, 8, 500))
    assert float(out.square().mean()) == pytest.approx(1.0, rel=0.1)
    before = scale.mean_square.clone()
    scale.eval()(torch.ones(1, 8, 5))
    assert torch.equal(scale.mean_square, before)


def test_loss_cannot_shrink_the_latents():
    scale = LatentScale()
    latents = torch.randn(2, 4, 10, requires_grad=True)
    # A commitment loss towards zero pulls along the latents only; another part of the gradient must pass.
    (scale(latents).square().sum() + scale(latents)[0, 0, 0]).backward()
    assert latents.grad is not None
    assert abs((latents.grad * latents).sum().item()) < 1e-4
    assert float(latents.grad[0, 0, 0]) > 0.5


def test_full_precision_leaves_double_alone():
    for given, expected in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        assert full_precision(torch.ones(1, dtype=given)).dtype == expected
