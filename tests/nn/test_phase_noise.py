"""Random phase: how much of it where, the same however the frames come, and no pattern in it."""

from dataclasses import replace

import pytest
import torch

from audiocodec.errors import ConfigError
from audiocodec.nn.phase_noise import TABLE_FRAMES, PhaseNoise, phase_table
from audiocodec.nn.spectral import SpectralConfig, SpectralDecoder
from audiocodec.nn.streaming import StreamState

GAINS = (0.5, 1.0)
CONFIG = SpectralConfig(
    hop_length=16, window_length=24, dim=6, decoder_channels=10, decoder_blocks=2, kernel_size=3,
    encoder_channels=12, noise_gains=GAINS, noise_crossover=0.5, noise_slope=0.05,
)  # fmt: skip


def noise(bins=101):
    return PhaseNoise(bins, GAINS, 0.5, 0.02).eval()


def decoder():
    torch.manual_seed(1)
    return SpectralDecoder(CONFIG).eval()


def test_low_frequencies_keep_their_phase_and_high_ones_lose_it():
    spectrum = torch.ones(1, 400, 101, dtype=torch.complex64)
    made = noise()(spectrum)[0]
    steady, power = made.mean(dim=0).abs(), made.abs().square().mean(dim=0)
    assert bool((steady[:40] > 0.95).all())
    assert bool((steady[60:] < 0.45).all())  # sqrt(1 - M^2) of M = sigmoid(3), and the mean of 400 phases
    torch.testing.assert_close(power[60:], torch.ones(41), rtol=0, atol=0.2)


@pytest.mark.parametrize(("number", "gain"), [(1, 0.5), (2, 1.0), (7, 1.0), (None, 1.0)])
def test_the_gain_is_that_of_the_number_of_quantizers(number, gain):
    made = noise()(torch.ones(2, 400, 101, dtype=torch.complex64), num_quantizers=number)
    mix = torch.tensor(3.0).sigmoid()
    expected = 1 - mix**2 + (gain * mix) ** 2
    torch.testing.assert_close(made[..., 70:].abs().square().mean(), expected, rtol=0.05, atol=0)


def test_examples_may_have_different_numbers_of_quantizers():
    spectrum = torch.randn(3, 5, 101, dtype=torch.complex64)
    made = noise()(spectrum, num_quantizers=torch.tensor([2, 1, 2]))
    for row, number in enumerate((2, 1, 2)):
        torch.testing.assert_close(made[row], noise()(spectrum[row : row + 1], num_quantizers=number)[0])


def test_the_table_is_even_and_without_pattern():
    """All angles alike, neighbors in time and frequency unlike; some values by a count of my own."""
    table = phase_table(256, 241)
    turns = torch.histc(table, 16, 0, 2 * torch.pi)
    assert float((turns / turns.mean() - 1).abs().max()) < 0.06
    unit = torch.polar(torch.ones_like(table), table)
    for lagged in (unit[1:] * unit[:-1].conj(), unit[:, 1:] * unit[:, :-1].conj()):
        assert float(lagged.mean().abs()) < 0.02

    def hashed(number):
        number = ((number ^ (number >> 16)) * 0x85EBCA6B) % 2**32
        number = ((number ^ (number >> 13)) * 0xC2B2AE35) % 2**32
        return (number ^ (number >> 16)) * 2 * 3.141592653589793 / 2**32

    for frame, bin_ in ((0, 0), (0, 240), (3, 7), (255, 100)):
        assert float(table[frame, bin_]) == pytest.approx(hashed(frame * 241 + bin_ + 1), abs=1e-6)


@torch.no_grad()
def test_chunks_give_the_samples_of_the_whole():
    net, quantized = decoder(), torch.randn(2, 6, TABLE_FRAMES // 2 + 40)  # beyond the end of the table
    whole = net(quantized, num_quantizers=2)
    for size in (1, 7, 300):
        state = StreamState()
        parts = [net(part, state, 2) for part in quantized.split(size, dim=-1)]
        torch.testing.assert_close(torch.cat(parts, dim=-1), whole, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_batch_gives_what_each_gives_alone():
    net, quantized = decoder(), torch.randn(3, 6, 20)
    alone = torch.cat([net(item, num_quantizers=1) for item in quantized.split(1)])
    torch.testing.assert_close(net(quantized, num_quantizers=1), alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_frames_that_are_skipped_count():
    """Without memory in the net (kernels of one frame), what follows a gap is what follows without one."""
    torch.manual_seed(1)
    net = SpectralDecoder(replace(CONFIG, kernel_size=1)).eval()
    quantized, state = torch.randn(1, 6, 900), StreamState()
    net.skip(state, 1, 700)
    late = net(quantized[..., 700:], state)
    delay = CONFIG.delay
    torch.testing.assert_close(
        late[..., delay:], net(quantized)[..., 700 * CONFIG.hop_length + delay :], rtol=1e-4, atol=1e-5
    )


@torch.no_grad()
def test_no_two_frames_are_alike():
    """The same latents for ever: without random phase every frame is the same, with it none is."""
    plain = SpectralDecoder(replace(CONFIG, noise_gains=())).eval()
    for net, alike in ((plain, True), (decoder(), False)):
        wav = net(torch.ones(1, 6, 1).expand(-1, -1, 60))[0, 0, 20 * 16 :].unflatten(-1, (-1, 16))
        assert torch.allclose(wav, wav[:1], atol=1e-4) == alike


def test_renderings_differ_while_learning_only():
    net, quantized = decoder(), torch.randn(2, 6, 9)
    one, two = net(quantized, renderings=2).chunk(2)
    assert torch.equal(one, two)
    net.train()
    one, two = net(quantized, None, torch.tensor([1, 2]), 2).chunk(2)
    assert float((one - two).detach().abs().max()) > 1e-3
    assert one.shape == (2, 1, 9 * 16)
    (one - two).square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in net.parameters())


@pytest.mark.parametrize(
    "wrong",
    [
        {"noise_gains": (0.0,)},
        {"noise_gains": (float("nan"),)},
        {"noise_slope": 0.0},
        {"window_length": 8 * 2**20},
    ],
)
def test_what_is_refused(wrong):
    with pytest.raises(ConfigError, match="noise"):
        replace(CONFIG, **wrong)
