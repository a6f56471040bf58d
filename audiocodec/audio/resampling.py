"""Resampling by soxr at its highest quality; whole recordings and blocks give the same samples."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from audiocodec.audio.samples import check_sample_rate
from audiocodec.errors import InputError

_QUALITY = "VHQ"


class Resampler:
    """One stream of [C, L] blocks from one sample rate to another, whatever the sizes of the blocks.

    The whole output has exactly `ceil(L * out_rate / in_rate)` samples; the filter is linear-phase and its
    delay is removed. With equal rates the samples pass untouched.
    """

    def __init__(self, in_rate: int, out_rate: int, channels: int) -> None:
        self.in_rate = check_sample_rate(in_rate)
        self.out_rate = check_sample_rate(out_rate)
        self.channels = channels
        self._pushed = 0
        self._returned = 0
        self._stream = None
        if in_rate != out_rate:
            self._stream = soxr.ResampleStream(in_rate, out_rate, channels, dtype="float32", quality=_QUALITY)

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take samples [C, L], give those [C, L'] that are ready; L' may be 0."""
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise InputError(f"block of shape {block.shape}: expected [{self.channels}, L]")
        self._pushed += block.shape[1]
        if self._stream is None or not block.shape[1]:
            return block if self._stream is None else block[:, :0]
        return self._run(block, last=False)

    def flush(self) -> NDArray[np.float32]:
        """Give the last samples [C, L']; the stream is over afterwards."""
        if self._stream is None or not self._pushed:
            return np.zeros((self.channels, 0), np.float32)
        # soxr rounds its length down at times; a little silence brings the sample that is missing.
        silence = np.zeros((self.channels, 2 + -(-self.in_rate // self.out_rate)), np.float32)
        return self._run(silence, last=True)

    def _run(self, block: NDArray[np.float32], last: bool) -> NDArray[np.float32]:
        assert self._stream is not None
        frames = np.ascontiguousarray(block.T, dtype=np.float32)
        out = np.asarray(self._stream.resample_chunk(frames, last=last), np.float32)
        out = out.reshape(-1, self.channels)
        left = -(-self._pushed * self.out_rate // self.in_rate) - self._returned
        if len(out) > left:
            out = out[:left]
        self._returned += len(out)
        assert not last or self._returned == -(-self._pushed * self.out_rate // self.in_rate)
        return np.ascontiguousarray(out.T)


def resample(wav: NDArray[np.float32], in_rate: int, out_rate: int) -> NDArray[np.float32]:
    """Resample [C, L] to [C, ceil(L * out_rate / in_rate)], equal to `Resampler` in blocks."""
    resampler = Resampler(in_rate, out_rate, wav.shape[0])
    return np.concatenate([resampler.push(wav), resampler.flush()], axis=1)
