"""Whole batches against the effects that do one recording at a time."""

import numpy as np
import pytest
import torch

from audiocodec.audio.levels import active_level
from audiocodec.effects import batches
from audiocodec.effects import noise as one_by_one
from audiocodec.effects.environments import limit_peak
from audiocodec.effects.rooms import _level_gain, convolve

RATE = 16000


@pytest.fixture(name="wavs")
def _wavs(voice):
    """Speech, quiet speech, speech with pauses, a tone, near silence, silence."""
    speech = voice(2.0, seed=1)[0]
    paused = voice(2.0, seed=2)[0] * (np.arange(2 * RATE) % RATE < RATE // 3)
    tone = 0.3 * np.sin(np.arange(2 * RATE) * 0.2)
    rows = [speech, 0.01 * speech, paused, tone, 1e-4 * speech, 0 * speech]
    return np.stack(rows).astype(np.float32)


def test_active_levels(wavs):
    found = batches.active_levels_db(torch.from_numpy(wavs), RATE)
    wanted = [active_level(wav, RATE).level_db for wav in wavs]
    np.testing.assert_allclose(found.numpy(), wanted, atol=0.01)
    assert found[-1] == -torch.inf


def test_noise_at_an_snr(wavs):
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.standard_normal(wavs.shape).astype(np.float32)
    snr_db = rng.uniform(-5, 25, len(wavs)).astype(np.float32)
    found = batches.add_at_snr(
        torch.from_numpy(wavs), torch.from_numpy(noise), torch.from_numpy(snr_db), RATE
    )
    for row in range(4):
        wanted = one_by_one.add_at_snr(wavs[row], noise[row], snr_db[row], RATE)
        np.testing.assert_allclose(found[row], wanted, atol=2e-3 * np.abs(wanted).max())
    assert not found[-1].any(), "no SNR is defined for silence: it stays"


def test_rooms(wavs):
    rng = np.random.default_rng(0)
    responses = rng.standard_normal((len(wavs), 3000)) * np.exp(-np.arange(3000) / 400)
    responses, delays = responses.astype(np.float32), rng.integers(0, 2999, len(wavs))
    found = batches.convolve(*map(torch.from_numpy, (wavs, responses, delays)))
    gains = batches.level_gains(torch.from_numpy(wavs), found)
    for row, wav in enumerate(wavs):
        wanted = convolve(wav, responses[row], delays[row])
        np.testing.assert_allclose(found[row], wanted, atol=1e-5 * max(1.0, np.abs(wanted).max()))
        assert float(gains[row]) == pytest.approx(float(_level_gain(wav, wanted)), rel=1e-4)


@pytest.mark.parametrize("peak", ["scale", "clip", "keep"])
@pytest.mark.parametrize("same", [True, False])
def test_limit(wavs, peak, same):
    heard = 5 * torch.from_numpy(wavs)
    target = heard if same else 3 * torch.from_numpy(wavs[::-1].copy())
    found = batches.limit_peak(heard, target, peak)
    for row in range(len(wavs)):
        one = heard[row].numpy()
        wanted = limit_peak(one, one if same else target[row].numpy(), peak)
        for mine, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(mine[row], other, rtol=1e-6)
