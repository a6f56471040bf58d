"""What another codec has to do to be compared: audio in, the same audio back, and the bits it really took."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audiocodec.audio import check_sample_rate, check_samples, resample
from audiocodec.errors import BitrateError, InputError, PeerError

Samples = NDArray[np.float32]


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class Coded:
    """What one codec made of one recording.

    Attributes:
        wav: [L] the decoded audio at the rate and of the length of the input, its delay removed.
        bits: payload for the length of the input, without container headers and trailing silence.
        encode_seconds: processor seconds, the start of a program included.
        decode_seconds: likewise.
        nominal: the bits are what was asked for, because the codec does not say what it used.
    """

    wav: Samples
    bits: int
    encode_seconds: float
    decode_seconds: float
    nominal: bool = False


class Peer(Protocol):
    """A codec of others. Objects are small and can be pickled; what is heavy is loaded at first use.

    Attributes:
        name: as it stands in tables.
        bitrates: every bitrate it has, in bit/s, ascending; None: any in reason.
    """

    @property
    def name(self) -> str: ...  # noqa: D102  said above

    @property
    def bitrates(self) -> tuple[float, ...] | None: ...  # noqa: D102

    def roundtrip(self, wav: Samples, sample_rate: int, bitrate: float) -> Coded:
        """Encode and decode [L] samples in [-1, 1] of any rate; a codec of another rate has them resampled.

        Raises:
            InputError: the audio cannot be used; BitrateError: nor can this bitrate.
            PeerError: the codec failed, hung, or returned something else than this audio.
        """
        ...


@dataclass(frozen=True)
class PeerOptions:
    """How peers are run.

    Attributes:
        folders: models on this disk by the name of the peer: "lyra", "encodec", "dac", "mimi".
        timeout_seconds: a program that takes longer on one recording is stopped.
        device: where neural peers compute.
    """

    folders: Mapping[str, Path] = field(default_factory=dict[str, Path])
    timeout_seconds: float = 120.0
    device: str = "cpu"


def check_input(wav: Samples, sample_rate: int) -> None:
    """Refuse what no codec can be given.

    Raises:
        InputError: not [L], empty, not finite; SampleRateError for an unsupported rate.
    """
    check_sample_rate(sample_rate)
    if wav.ndim != 1 or not len(wav):
        raise InputError(f"samples of shape {wav.shape}: a peer takes one channel [L] with sound in it")
    check_samples(wav, sample_rate)


def check_bitrate(name: str, bitrates: tuple[float, ...], bitrate: float) -> float:
    """Return that one of the codec's bitrates which is `bitrate` within 0.1 %: some are no whole numbers.

    Raises:
        BitrateError: there is none; the message lists those it has.
    """
    for rate in bitrates:
        if math.isclose(rate, bitrate, rel_tol=1e-3):
            return rate
    ladder = ", ".join(f"{rate:.6g}" for rate in bitrates)
    raise BitrateError(f"{name} has no {bitrate:g} bit/s; choose from {ladder}")


def to_rate(wav: Samples, sample_rate: int, target_rate: int) -> Samples:
    """Resample [L] to [ceil(L * target_rate / sample_rate)]."""
    return wav if sample_rate == target_rate else resample(wav[None], sample_rate, target_rate)[0]


def check_output(name: str, wav: Samples, length: int) -> Samples:
    """Cut decoded audio [L'] that is aligned to `length`; a codec may leave out less than 50 ms at the end.

    Raises:
        PeerError: it is too short, or has samples that are not finite.
    """
    if not np.isfinite(wav).all():
        raise PeerError(f"{name} returned samples that are not finite numbers")
    missing = length - len(wav)
    if missing > max(2400, length // 20):
        raise PeerError(f"{name} returned {len(wav)} samples for {length}")
    return np.pad(wav[:length], (0, max(0, missing))).astype(np.float32)
