"""Entries or an adapter moved along the gradient of the decoded sound.

Codes are chosen anew in every step by the encoder's own search, as entries move under it; given the codes,
sums of entries go through the frozen decoder and the error of the sound comes back to them. A second term
keeps the sums near the latents, without which the search and the decoder drift apart. Nets in use are never
changed; of a copy of the decoder an adapter is fitted.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from audiocodec.coding import encode_latents
from audiocodec.devices import device_of
from audiocodec.losses.reconstruction import ADAPTER_LOUDNESS_WEIGHT, RefreshLoss
from audiocodec.revisions import adapter_parameters

if TYPE_CHECKING:
    from torch import Tensor, nn

    from audiocodec.adaptation.refresh.refit import Fit
    from audiocodec.adaptation.refresh.sound import SoundClip
    from audiocodec.adaptation.refresh.stack import Stack
    from audiocodec.model import CodecModel


@dataclass(frozen=True)
class Refining:
    """How the gradient is followed.

    Attributes:
        steps: of Adam, with a rate that falls to 0 on a cosine.
        batch: excerpts in a step.
        clean_share: of them, from clean speech.
        excerpt_seconds: length of an excerpt.
        settling_seconds: of its start that the decoder needs to come to know the past; no error is counted.
        entry_rate: learning rate of entries, in units of the root mean square of their stage.
        latent_weight: of the squared error of the latents, in units of their variance.
        adapter_rate: learning rate of the decoder's gains and offsets.
    """

    steps: int = 120
    batch: int = 6
    clean_share: float = 1 / 3
    excerpt_seconds: float = 1.6
    settling_seconds: float = 0.3
    entry_rate: float = 0.01
    latent_weight: float = 1.0
    adapter_rate: float = 2e-3


@dataclass(frozen=True, eq=False)
class EncodedClip:
    """A piece of sound with its latents.

    Attributes:
        latents: [T, D].
        wav: [T * hop_length], in step with them; what is missing at the end is silence.
    """

    latents: Tensor
    wav: Tensor


def encode_clips(model: CodecModel, clips: Sequence[SoundClip]) -> list[EncodedClip]:
    """Encode pieces of sound."""
    encoded: list[EncodedClip] = []
    for clip in clips:
        latents = encode_latents(model, clip.wav, clip.sample_rate)[0].t()
        wav = torch.zeros(len(latents) * model.hop_length)
        wav[: len(clip.wav)] = torch.from_numpy(clip.wav)
        encoded.append(EncodedClip(latents.clone().cpu(), wav))
    return encoded


def refine_entries(
    model: CodecModel,
    fit: Fit,
    environment: Sequence[EncodedClip],
    clean: Sequence[EncodedClip],
    options: Refining,
    rng: torch.Generator,
    progress: Callable[[float], None] = lambda share: None,
) -> Fit:
    """Move the movable entries of `fit`."""
    start, masks = fit.stack.entries, [free[:, None].float() for free in fit.moved]
    sizes = [entry.square().mean().sqrt() for entry in start]
    deltas = [torch.zeros_like(entry, requires_grad=True) for entry in start]

    def current() -> Stack:
        parts = zip(start, deltas, sizes, masks, strict=True)
        return fit.stack.with_entries([e + size * mask * delta for e, delta, size, mask in parts])

    decoder = copy.deepcopy(model.decoder).requires_grad_(False)
    loss = RefreshLoss(model.sample_rate)
    learner = _Learner(model, decoder, loss, current, deltas, options.entry_rate)
    learner.fit(environment, clean, options, rng, progress)
    with torch.no_grad():
        return replace(fit, stack=current())


def fit_adapter(
    model: CodecModel,
    stack: Stack,
    environment: Sequence[EncodedClip],
    clean: Sequence[EncodedClip],
    options: Refining,
    rng: torch.Generator,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, Tensor]:
    """Gains and offsets of the decoder for what `stack` makes of an environment, by name."""
    decoder = copy.deepcopy(model.decoder).requires_grad_(False)
    moved = adapter_parameters(decoder)
    for parameter in moved.values():
        parameter.requires_grad_(True)
    loss = RefreshLoss(model.sample_rate, ADAPTER_LOUDNESS_WEIGHT)
    learner = _Learner(model, decoder, loss, lambda: stack, list(moved.values()), options.adapter_rate)
    learner.fit(environment, clean, options, rng, progress)
    return {name: parameter.detach().cpu() for name, parameter in moved.items()}


class _Learner:
    """Adam on `parameters`, which are part of `decoder` or of the stack that `current` makes."""

    def __init__(
        self,
        model: CodecModel,
        decoder: nn.Module,
        loss: RefreshLoss,
        current: Callable[[], Stack],
        parameters: Sequence[Tensor],
        rate: float,
    ) -> None:
        self.model, self.decoder, self.current = model, decoder, current
        self.loss = loss.to(device_of(model))
        self.optimizer = torch.optim.Adam(parameters, lr=rate, betas=(0.9, 0.99))

    def fit(
        self,
        environment: Sequence[EncodedClip],
        clean: Sequence[EncodedClip],
        options: Refining,
        rng: torch.Generator,
        progress: Callable[[float], None],
    ) -> None:
        """Take all steps."""
        frames = math.ceil(options.excerpt_seconds * self.model.frame_rate)
        settling = math.floor(options.settling_seconds * self.model.frame_rate)
        from_clean = round(options.clean_share * options.batch) if clean else 0
        rates = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, options.steps)
        prefixes = self.current().error_prefixes
        for step in range(options.steps):
            batch = [_excerpt(clean, frames, rng) for _ in range(from_clean)]
            batch += [_excerpt(environment, frames, rng) for _ in range(options.batch - from_clean)]
            num_quantizers = prefixes[int(torch.randint(len(prefixes), (), generator=rng))]
            self.optimizer.zero_grad()
            self._error(batch, num_quantizers, settling, options.latent_weight).backward()
            self.optimizer.step()
            rates.step()
            progress((step + 1) / options.steps)

    def _error(
        self, batch: Sequence[EncodedClip], num_quantizers: int, settling: int, latent_weight: float
    ) -> Tensor:
        model, stack = self.model, self.current()
        vectors = torch.cat([clip.latents for clip in batch])
        with torch.no_grad():
            codes = stack.search(vectors, num_quantizers)
        sums = stack.sums(codes)
        variance = (vectors - vectors.mean(dim=0)).square().mean().clamp(min=1e-9)
        latent_error = (sums - vectors).square().mean() / variance
        quantized = sums.view(len(batch), -1, sums.shape[1]).transpose(1, 2)
        quantized = quantized.to(device_of(model))
        decoded = self.decoder(quantized, num_quantizers=num_quantizers)[:, 0, model.delay :].cpu()
        wav = torch.stack([clip.wav for clip in batch])[:, : decoded.shape[1]]
        skipped = settling * model.hop_length
        return self.loss(decoded[:, skipped:], wav[:, skipped:]) + latent_weight * latent_error


def _excerpt(pool: Sequence[EncodedClip], frames: int, rng: torch.Generator) -> EncodedClip:
    """A random excerpt of `frames` frames; a shorter clip is repeated."""
    clip = pool[int(torch.randint(len(pool), (), generator=rng))]
    hop = len(clip.wav) // len(clip.latents)
    start = int(torch.randint(max(1, len(clip.latents) - frames + 1), (), generator=rng))
    places = (start + torch.arange(frames)) % len(clip.latents)
    wav = clip.wav.view(-1, hop)[places].reshape(-1)
    return EncodedClip(clip.latents[places], wav)
