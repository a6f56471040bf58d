"""The switch: nothing when it is new or off, an affine of each channel where it is on, no memory."""

import pytest
import torch

from audiocodec.errors import InputError
from audiocodec.nn.film import REACH, FiLM
from audiocodec.nn.seanet import SEANetConfig, SEANetEncoder
from audiocodec.nn.spectral import SpectralConfig, SpectralEncoder
from audiocodec.nn.streaming import StreamState

NETS = {
    "spectral": (SpectralEncoder, SpectralConfig(dim=8, encoder_channels=16, encoder_blocks=2)),
    "seanet": (SEANetEncoder, SEANetConfig(dim=8, channels=4, strides=(4, 5, 8))),
}
HOPS = {"spectral": 320, "seanet": 160}


def trained(film):
    film.requires_grad_(False)
    torch.nn.init.normal_(film.scale, std=0.1)
    torch.nn.init.normal_(film.shift, std=0.1)
    return film


@pytest.fixture(params=NETS)
def encoder(request):
    build, config = NETS[request.param]
    net = build(config).eval().requires_grad_(False)
    net.hop = HOPS[request.param]
    return net


def test_a_new_switch_changes_no_bit():
    x = torch.randn(2, 5, 7)
    film = FiLM(5)
    for on in (True, False, torch.tensor([True, False])):
        assert torch.equal(film(x, on), x)


def test_scales_and_shifts_where_it_is_on():
    """Equation of the paper, one number at a time; REACH is part of what parameters mean."""
    x, film = torch.randn(3, 5, 7), trained(FiLM(5))
    on = torch.rand(3, 7) < 0.5
    y = film(x, on)
    for b in range(3):
        for c in range(5):
            for t in range(7):
                gain, shift = 1 + REACH * film.scale[c], REACH * film.shift[c]
                expected = gain * x[b, c, t] + shift if on[b, t] else x[b, c, t]
                assert float(y[b, c, t]) == pytest.approx(float(expected), abs=1e-5)
    assert torch.equal(film(x, True), film(x, torch.ones(3, 7)))
    assert torch.equal(film(x, on[:, 0]), film(x, on[:, :1].expand(3, 7)))


@pytest.mark.parametrize("shape", [(), (2,), (7,), (3, 6), (3, 1, 7)])
def test_a_switch_of_another_shape(shape):
    with pytest.raises(InputError, match=r"give one value, \[3\] or \[3, 7\]"):
        FiLM(5)(torch.randn(3, 5, 7), torch.zeros(shape))


def test_both_encoders_are_what_they_were_while_it_is_off(encoder):
    wav = 0.1 * torch.randn(2, 1, 6 * encoder.hop)
    before = encoder(wav)
    with pytest.raises(InputError, match="no denoising switch"):
        encoder(wav, denoise=True)
    encoder.add_switch()
    assert torch.equal(encoder(wav, denoise=True), before)
    trained(encoder.film)
    assert torch.equal(encoder(wav), before)
    on = encoder(wav, denoise=True)
    assert not torch.allclose(on, before)
    mixed = encoder(wav, denoise=torch.tensor([False, True]))
    assert torch.equal(mixed[0], before[0])
    assert torch.equal(mixed[1], on[1])


def test_toggled_in_the_middle_of_a_stream(encoder):
    """Chunks with one value each give what the whole gives with a value a frame; the past stays as it was."""
    encoder.add_switch()
    trained(encoder.film)
    wav, state = 0.1 * torch.randn(2, 1, 10 * encoder.hop), StreamState()
    values, lengths = (False, True, False, True), (3, 2, 4, 1)
    on = torch.tensor([value for value, length in zip(values, lengths, strict=True) for _ in range(length)])
    whole = encoder(wav, denoise=on.expand(2, -1))
    chunks = wav.split([length * encoder.hop for length in lengths], dim=-1)
    parts = [encoder(chunk, state, value) for chunk, value in zip(chunks, values, strict=True)]
    torch.testing.assert_close(torch.cat(parts, dim=-1), whole, rtol=1e-5, atol=1e-6)
    assert torch.equal(whole[..., :3], encoder(wav)[..., :3])
