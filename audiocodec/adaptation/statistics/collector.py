"""Gathering statistics while audio is encoded, cheaply enough to leave it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from audiocodec.adaptation.statistics.accumulators import (
    BIGRAM_BUCKETS,
    CodeUse,
    ErrorStatistics,
    Moments,
    Reservoir,
    bigram_buckets,
)
from audiocodec.adaptation.statistics.statistics import StageStatistics, Statistics
from audiocodec.errors import InputError
from audiocodec.quantizers.latent_map import LatentMap
from audiocodec.quantizers.residual import ResidualQuantizer

if TYPE_CHECKING:
    from torch import Tensor

    from audiocodec.codec import Codec
    from audiocodec.quantizers import Quantizer


def steps(quantizer: Quantizer, num_quantizers: int) -> tuple[tuple[int, int], ...]:
    """First row of codes and row after the last, of each stage up to `num_quantizers`."""
    ends = [prefix for prefix in quantizer.prefixes if prefix <= num_quantizers]
    return tuple(zip([0, *ends], ends, strict=False))


class Reconstruction:
    """Codes [n, N] -> reconstructions [S, n, D] after each stage, with the codebooks as they are now."""

    def __init__(self, quantizer: Quantizer, num_quantizers: int) -> None:
        """Of the stages up to `num_quantizers` rows."""
        self._quantizer = quantizer
        self._ends = [last for _, last in steps(quantizer, num_quantizers)]
        self._entries = _stacked_entries(quantizer, num_quantizers)

    def __call__(self, codes: Tensor) -> Tensor:
        """[S, n, D]; of a plain residual stack in one lookup."""
        if self._entries is not None:
            entries, offsets = self._entries
            return F.embedding((codes + offsets).t(), entries).cumsum(dim=0)
        columns = codes.t()[None]  # [1, N, n]
        parts = [self._quantizer.decode(columns[:, :end])[0].t() for end in self._ends]
        return torch.stack(parts)


def _stacked_entries(quantizer: Quantizer, num_quantizers: int) -> tuple[Tensor, Tensor] | None:
    """All entries [sum of K, D] and where each stage's begin [N]; None unless decoding is adding entries."""
    if isinstance(quantizer, LatentMap) or not isinstance(quantizer, ResidualQuantizer):
        return None
    parts: list[Tensor] = []
    for first, _, stage in quantizer.spans():
        if first >= num_quantizers:
            break
        entries = stage.search_entries()
        if entries is None:
            return None
        parts.append(entries.detach().clone())
    sizes = torch.tensor([0, *(len(entries) for entries in parts)])
    return torch.cat(parts), sizes.cumsum(dim=0)[:-1].to(parts[0].device)


FOLD_FRAMES = 512
"""Latents are taken in so many at a time: matrix products of few rows cost as much as of many."""
RESERVOIR_SIZE = 4096


class StatisticsCollector:
    """Takes latents and codes as they come, gives `Statistics` at any time.

    One collector follows `B` streams side by side (channels); `new_recording` says that others start.
    """

    def __init__(
        self,
        quantizer: Quantizer,
        num_quantizers: int | None = None,
        *,
        rng: np.random.Generator,
        reservoir_size: int = RESERVOIR_SIZE,
        sample_every: int = 1,
        model_id: str = "",
        codebook_id: str = "",
        frame_rate: float = 1.0,
    ) -> None:
        """Follow codes of `num_quantizers` quantizers (None: all); `rng` samples `reservoir_size` latents.

        Codes of all frames are counted, but only the latents of every `sample_every`-th frame. Neighboring
        frames are alike, so 4 loses little and makes a live encoder faster. The codebooks are read
        once, here.

        Raises:
            InputError: the quantizer does not offer this number of quantizers.
        """
        self._num_quantizers = quantizer.check_num_quantizers(num_quantizers)
        self._reconstruction = Reconstruction(quantizer, self._num_quantizers)
        self._sizes = quantizer.codebook_sizes[: self._num_quantizers]
        self._steps = steps(quantizer, self._num_quantizers)
        self._dim, self._rng = quantizer.dim, rng
        self._reservoir_size, self._sample_every = reservoir_size, sample_every
        self._model_id, self._codebook_id, self._frame_rate = model_id, codebook_id, frame_rate
        self._offsets = np.concatenate([[0], np.cumsum(self._sizes)])[: self._num_quantizers, None]
        self._pair_offsets = np.arange(self._num_quantizers)[:, None] * BIGRAM_BUCKETS
        self._phase = 0
        self._last: NDArray[np.int64] | None = None
        self.reset()

    @classmethod
    def for_codec(
        cls,
        codec: Codec,
        bitrate: float | None = None,
        *,
        rng: np.random.Generator,
        reservoir_size: int = RESERVOIR_SIZE,
        sample_every: int = 1,
    ) -> StatisticsCollector:
        """Follow what a codec codes at a bitrate (None: the highest)."""
        model = codec.model
        return cls(
            model.quantizer,
            model.num_quantizers_for(bitrate),
            rng=rng,
            reservoir_size=reservoir_size,
            sample_every=sample_every,
            model_id=codec.model_id,
            codebook_id=codec.codebook_id,
            frame_rate=model.frame_rate,
        )

    @property
    def frames(self) -> int:
        """Frames seen since the last reset."""
        return self._frames

    def reset(self) -> None:
        """Forget what was counted; streams go on."""
        self._counts = np.zeros(sum(self._sizes), np.int64)
        self._bigrams = np.zeros(self._num_quantizers * BIGRAM_BUCKETS, np.int64)
        self._repeats = np.zeros(self._num_quantizers, np.int64)
        self._frames = 0
        self._moments = Moments.empty(self._dim)
        self._errors = [ErrorStatistics.empty() for _ in self._steps]
        self._reservoir = Reservoir.empty(self._dim, self._reservoir_size)
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._waiting_frames = 0

    def new_recording(self) -> None:
        """Say that what comes next does not follow what came last."""
        self._last = None

    @torch.no_grad()
    def update(self, latents: Tensor | None, codes: Tensor) -> None:
        """Take codes [B, N, T] and the latents [B, D, T] they stand for, or None where these are not known.

        Raises:
            InputError: shapes do not fit, or a latent is not a finite number; nothing was counted then.
        """
        if codes.dim() != 3 or codes.shape[1] != self._num_quantizers:
            raise InputError(
                f"codes have shape {tuple(codes.shape)}; expected [B, {self._num_quantizers}, T]"
            )
        if latents is not None:
            expected = (codes.shape[0], self._dim, codes.shape[2])
            if tuple(latents.shape) != expected:
                raise InputError(f"latents have shape {tuple(latents.shape)}; expected {expected}")
            self._wait(latents, codes)
        self._count(codes.cpu().numpy())
        if self._waiting_frames >= FOLD_FRAMES:
            self._fold()

    def statistics(self) -> Statistics:
        """What was gathered since the last reset."""
        self._fold()
        uses = self._uses()
        stages = tuple(
            StageStatistics(uses[first:last], error)
            for (first, last), error in zip(self._steps, self._errors, strict=True)
        )
        return Statistics(
            model_id=self._model_id,
            codebook_id=self._codebook_id,
            num_quantizers=self._num_quantizers,
            frame_rate=self._frame_rate,
            frames=self._frames,
            latents=self._moments,
            stages=stages,
            reservoir=self._reservoir,
        )

    def _uses(self) -> tuple[CodeUse, ...]:
        counts = np.split(self._counts, self._offsets[1:, 0])
        bigrams = self._bigrams.reshape(self._num_quantizers, BIGRAM_BUCKETS)
        return tuple(
            CodeUse(c.copy(), b.copy(), int(r))
            for c, b, r in zip(counts, bigrams, self._repeats, strict=True)
        )

    def _count(self, codes: NDArray[np.int64]) -> None:
        if not codes.shape[2]:
            return
        counts = np.bincount((codes + self._offsets).ravel(), minlength=len(self._counts))
        if len(counts) != len(self._counts):
            raise InputError(f"codes reach {int(codes.max())}; codebooks have {self._sizes} entries")
        self._counts += counts
        self._frames += codes.shape[0] * codes.shape[2]
        if self._last is not None and len(self._last) == len(codes):
            codes = np.concatenate([self._last, codes], axis=2)
        before, after = codes[..., :-1], codes[..., 1:]
        buckets = bigram_buckets(before, after) + self._pair_offsets
        self._bigrams += np.bincount(buckets.ravel(), minlength=len(self._bigrams))
        self._repeats += (before == after).sum(axis=(0, 2))
        self._last = codes[..., -1:]

    def _wait(self, latents: Tensor, codes: Tensor) -> None:
        every = self._sample_every
        start, self._phase = -self._phase % every, (self._phase + codes.shape[2]) % every
        picked = latents[..., start::every].detach().float()
        if not bool(torch.isfinite(picked.sum())):
            raise InputError(
                "latents hold values that are not finite numbers; the model is damaged, or its input is"
            )
        self._waiting.append(
            (picked.transpose(1, 2).reshape(-1, self._dim), frame_codes(codes[..., start::every]))
        )
        self._waiting_frames += len(self._waiting[-1][0])

    def _fold(self) -> None:
        """Take the waiting latents into the sums, so many frames at once that it is quick."""
        if not self._waiting_frames:
            return
        latents = torch.cat([part for part, _ in self._waiting])
        codes = torch.cat([part for _, part in self._waiting])
        self._waiting, self._waiting_frames = [], 0
        for some, their_codes in zip(
            latents.split(FOLD_FRAMES * 2), codes.split(FOLD_FRAMES * 2), strict=True
        ):
            self._fold_chunk(some, their_codes)

    def _fold_chunk(self, latents: Tensor, codes: Tensor) -> None:
        left = latents - self._reconstruction(codes)  # [S, n, D], what each stage leaves
        mean = latents.mean(dim=0)
        centered = latents - mean
        # Of so few vectors, about their mean, single precision is enough; sums over all chunks are double.
        scatter = (centered.t() @ centered).double().cpu().numpy()
        self._moments = self._moments + Moments(len(latents), mean.double().cpu().numpy(), scatter)
        errors = left.square().sum(dim=2).cpu().numpy()
        for stage in range(len(self._steps)):
            self._errors[stage] = self._errors[stage] + ErrorStatistics.of(errors[stage])
        self._reservoir = self._reservoir.offer(latents.cpu().numpy(), self._rng)


def frame_codes(codes: Tensor) -> Tensor:
    """Codes [B, N, T] -> [B * T, N]."""
    return codes.transpose(1, 2).reshape(-1, codes.shape[1])
