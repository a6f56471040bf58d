"""Noise, rooms and level changes in whole batches on the device that trains, as `effects` defines them.

The CPU only draws a few numbers for each example, so no step waits for the device or for a file.
Environments with other effects are left to `Augmenter`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from audiocodec.devices import send
from audiocodec.effects import batches
from audiocodec.effects.build import EFFECTS
from audiocodec.effects.level import Gain
from audiocodec.effects.noise import MAX_TRIES, SILENCE_DB, Noise
from audiocodec.effects.rooms import DIRECT_SECONDS, EARLY_SECONDS, Room, direct_path
from audiocodec.effects.sources import FULL_SCALE
from audiocodec.training.augment import Augmenter, Scenes
from audiocodec.training.data.sampler import ResidentSampler, resident

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from audiocodec.corpus import Recording
    from audiocodec.effects import Effect, Environment, Range, Sources
    from audiocodec.training.data.sampler import Batch, Sampler

BATCHED = (Noise, Room, Gain)
"""Effects that are applied here."""
ENERGY_SECONDS = 0.02
"""Length of blocks whose energy is computed beforehand, so that no silent excerpt is drawn."""


def cpu_effects(environments: Sequence[Environment]) -> list[str]:
    """Kinds of effects that only the CPU can apply, sorted."""
    used = {type(effect) for environment in environments for effect in environment.effects}
    return sorted(kind for kind, cls in EFFECTS.items() if cls in used and cls not in BATCHED)


def follow_sampler(augmenter: Augmenter | None, sampler: Sampler) -> Augmenter | None:
    """`augmenter`, or one that works on the device where `sampler` makes its batches."""
    if augmenter is None or not isinstance(sampler, ResidentSampler):
        return augmenter
    return BatchAugmenter(augmenter, sampler.segment_length, sampler.device)


class BatchAugmenter(Augmenter):
    """Does what `augmenter` does for a batch on `device`: same shares and ranges, other random numbers.

    Scenes of held-out clips are those of `augmenter`. Silent speech stays as it is, as it has no SNR.
    """

    def __init__(self, augmenter: Augmenter, length: int, device: torch.device) -> None:
        """Copy noise and rooms of the environments to `device`, for examples of `length` samples."""
        self.denoise_probability = augmenter.denoise_probability
        self.environments, self.sources = augmenter.environments, augmenter.sources
        self.sample_rate, self.length, self.device = augmenter.sample_rate, length, device
        chains = [environment.effects for environment in self.environments]
        effects = [effect for chain in chains for effect in chain]
        self._excerpts = {
            key: Excerpts(self.sources, *key, self.sample_rate, length, device)
            for key in {_noises(effect) for effect in effects if isinstance(effect, Noise)}
        }
        self._rooms = {
            key: Rooms(self.sources, *key, self.sample_rate, device)
            for key in {_rooms(effect) for effect in effects if isinstance(effect, Room)}
        }

    def __call__(self, batch: Batch, rng: np.random.Generator, step: int) -> Scenes:
        """Draw an environment for each example, at this step of their curricula, and apply it."""
        wavs = batch.wav[:, 0]
        noisy, target = wavs.clone(), wavs.clone()
        weights = np.cumsum([environment.weight_at(step) for environment in self.environments])
        picks = np.searchsorted(weights, rng.random(len(wavs)) * weights[-1], side="right")
        for number, environment in enumerate(self.environments):
            rows = np.flatnonzero(picks == number)
            if len(rows) and environment.effects:
                places = send(rows, self.device)
                changed = self._apply(environment, wavs[places], rng, step)
                noisy[places], target[places] = changed
        names = tuple(self.environments[pick].name for pick in picks)
        if self.denoise_probability is None:
            return Scenes(noisy[:, None], target[:, None], names)
        on = torch.from_numpy(rng.random(len(wavs)) < self.denoise_probability)
        target = torch.where(send(on.numpy(), self.device)[:, None], target, noisy)
        return Scenes(noisy[:, None], target[:, None], names, on)

    def _apply(
        self, environment: Environment, wavs: Tensor, rng: np.random.Generator, step: int
    ) -> tuple[Tensor, Tensor]:
        """Inputs of the model and targets, [n, L] each, of wavs [n, L]."""
        noisy = clean = wavs
        for effect in environment.chain(step).effects:
            chosen = send(rng.random(len(wavs)) < effect.probability, self.device)[:, None]
            changed, reference = self._effect(effect, noisy, clean, rng)
            noisy, clean = torch.where(chosen, changed, noisy), torch.where(chosen, reference, clean)
        return batches.limit_peak(noisy, noisy if environment.target == "input" else clean, environment.peak)

    def _effect(
        self, effect: Effect, noisy: Tensor, clean: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """`noisy` [n, L] after an effect, and `clean` [n, L] as the effect changes a target."""
        count = len(noisy)
        if isinstance(effect, Noise):
            snr_db = send(_uniform(rng, effect.snr_db, count), self.device)
            noise = self._excerpts[_noises(effect)].draw(rng, count)
            return batches.add_at_snr(noisy, noise, snr_db, self.sample_rate), clean
        if isinstance(effect, Room):
            return self._rooms[_rooms(effect)].apply(effect.clean, noisy, clean, rng)
        assert isinstance(effect, Gain), "others are refused when the data are opened"
        factor = send(10 ** (_uniform(rng, effect.gain_db, count) / 20), self.device)[:, None]
        return noisy * factor, clean * factor


class Excerpts:
    """Random excerpts [n, L] of the recordings of a pool: first a type is drawn, then a recording of it."""

    def __init__(
        self,
        sources: Sources,
        pool: str,
        types: tuple[str, ...],
        names: tuple[str, ...],
        sample_rate: int,
        length: int,
        device: torch.device,
    ) -> None:
        """Copy the matching recordings to `device`; short ones are looped with cross-fades."""
        clips = _readable(sources, sources.find(pool, types, names), sample_rate)
        samples = [_at_least(length, clip, sources, sample_rate) for clip in clips]
        self.choice = Choice.by_type(clips)
        self.lengths = np.array([len(one) for one in samples])
        self.firsts = np.cumsum(self.lengths) - self.lengths
        whole = np.concatenate(samples)
        self.samples, self.device = resident(whole, device), device
        self.block = max(1, min(length, round(ENERGY_SECONDS * sample_rate)))
        blocks = np.array_split(_blocks(whole, self.block), len(samples))
        energies = [np.square(part, dtype=np.float64).sum(axis=1) for part in blocks]
        self.energy = np.concatenate([[0.0], np.cumsum(np.concatenate(energies))])
        self._steps = torch.arange(length, device=device)

    def draw(self, rng: np.random.Generator, count: int) -> Tensor:
        """Draw `count` excerpts; silent ones are drawn again, up to MAX_TRIES times."""
        length, starts = len(self._steps), np.zeros(count, np.int64)
        left = np.arange(count)
        for _ in range(MAX_TRIES):
            clips = self.choice.draw(rng, len(left))
            spare = self.lengths[clips] - length + 1
            starts[left] = self.firsts[clips] + (rng.random(len(left)) * spare).astype(np.int64)
            first, last = starts[left] // self.block, (starts[left] + length) // self.block
            power = (self.energy[last] - self.energy[first]) / (self.block * FULL_SCALE**2 * (last - first))
            left = left[power < 10 ** (SILENCE_DB / 10)]
            if not len(left):
                break
        return self.samples[send(starts, self.device)[:, None] + self._steps].float() / FULL_SCALE


class Rooms:
    """Room responses: first a type is drawn, then a response of it."""

    def __init__(
        self,
        sources: Sources,
        types: tuple[str, ...],
        names: tuple[str, ...],
        sample_rate: int,
        device: torch.device,
    ) -> None:
        """Copy the matching responses to `device`."""
        clips = _readable(sources, sources.find("rir", types, names), sample_rate)
        responses = [sources.samples("rir", clip.name, sample_rate) for clip in clips]
        rows = np.zeros((len(responses), max(map(len, responses))), np.float32)
        for row, response in zip(rows, responses, strict=True):
            row[: len(response)] = response.astype(np.float32) / FULL_SCALE
        self.choice, self.device, self.sample_rate = Choice.by_type(clips), device, sample_rate
        self.responses = torch.from_numpy(rows).to(device)
        self.direct = torch.tensor([direct_path(row) for row in rows], device=device)

    def apply(
        self, kept: str, noisy: Tensor, clean: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """`noisy` [n, L] in random rooms, and what is `kept` of `clean` [n, L]: dry, direct or early."""
        picks = send(self.choice.draw(rng, len(noisy)), self.device)
        responses, direct = self.responses[picks], self.direct[picks]
        reverberant = batches.convolve(noisy, responses, direct)
        changed = reverberant * batches.level_gains(noisy, reverberant)
        if kept == "dry":
            return changed, clean
        gain = batches.level_gains(clean, batches.convolve(clean, responses, direct))
        reach = EARLY_SECONDS if kept == "early" else DIRECT_SECONDS
        after = torch.arange(responses.shape[1], device=self.device) - direct[:, None]
        margin = round(DIRECT_SECONDS * self.sample_rate)
        part = (after >= -margin) & (after <= round(reach * self.sample_rate))
        return changed, batches.convolve(clean, responses * part, direct) * gain


class Choice(NamedTuple):
    """Draws a type first, then one of its items: types with few items are drawn as often as others.

    Attributes:
        order: numbers of the items, those of a type together.
        firsts: where each type begins in `order`.
        counts: how many items each type has.
    """

    order: NDArray[np.int64]
    firsts: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def by_type(cls, clips: Sequence[Recording]) -> Choice:
        """Choose among clips."""
        types, numbers = np.unique([clip.type for clip in clips], return_inverse=True)
        counts = np.bincount(numbers, minlength=len(types))
        return cls(np.argsort(numbers, kind="stable"), np.cumsum(counts) - counts, counts)

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Draw numbers [count] of items."""
        types = rng.integers(len(self.counts), size=count)
        return self.order[self.firsts[types] + (rng.random(count) * self.counts[types]).astype(np.int64)]


def _noises(effect: Noise) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    return effect.pool, effect.types, effect.names


def _rooms(effect: Room) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return effect.types, effect.names


def _uniform(rng: np.random.Generator, value: Range, count: int) -> NDArray[np.float32]:
    low, high = value if isinstance(value, tuple) else (value, value)
    return rng.uniform(low, high, count).astype(np.float32)


def _readable(sources: Sources, clips: Sequence[Recording], sample_rate: int) -> list[Recording]:
    """The clips that can be decoded; `sources` notes the others."""
    sources.preload(sample_rate, kinds=sorted({clip.kind for clip in clips}))
    return [clip for clip in clips if str(clip.path) not in sources.unreadable]


def _at_least(length: int, clip: Recording, sources: Sources, sample_rate: int) -> NDArray[np.int16]:
    samples = sources.samples(clip.kind, clip.name, sample_rate)
    if len(samples) >= length:
        return samples
    looped = sources.excerpt(clip.kind, clip.name, sample_rate, 0, length)
    return np.rint(np.clip(looped, -1, 1) * FULL_SCALE).astype(np.int16)


def _blocks(samples: NDArray[np.int16], size: int) -> NDArray[np.int16]:
    """Whole blocks [N, size] of samples [L], the last one filled with silence."""
    return np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
