"""What another codec must do to be compared: audio in, the same audio back, and the bits it really took."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiocodec.audio import check_sample_rate, check_samples, resample, stamp
from audiocodec.errors import BitrateError, InputError, PeerError
from audiocodec.evaluation.coders import Decoded

Samples = NDArray[np.float32]

REACH = 2.0
"""Steps of a ladder are used up to this factor below or above the bitrates that were requested."""
_CLEARLY_BETTER = 0.1
"""By how much another delay must correlate better than the expected one: in vowels many come close."""


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


class Coded(NamedTuple):
    """What a codec made of samples at its own rate.

    Attributes:
        wav: [L'] decoded, its delay still in it.
        bits: payload for the length of the input.
        encode_seconds: processor seconds.
        decode_seconds: processor seconds.
    """

    wav: Samples
    bits: int
    encode_seconds: float
    decode_seconds: float


class Peer(ABC):
    """A codec of others, used as a `Coder`; a subclass says how its encoder and decoder are called.

    Attributes:
        name: in tables.
        ladder: every bitrate it has, in bit/s, ascending; None: any from `lowest` to `highest`.
        usual: bitrates to use, whatever is requested, for a codec that is of no use at the lowest ones.
        chosen: bitrates that the user named for this codec.
        sample_rate: Hz at which it codes.
        max_delay: samples by which its delay may differ from `_delay`; 0: it is known exactly.
        clips: whether its output is limited to [-1, 1].
    """

    name: str
    ladder: tuple[float, ...] | None = None
    lowest: float = 0.0
    highest: float = math.inf
    usual: tuple[float, ...] = ()
    chosen: tuple[float, ...] = ()
    sample_rate: int = 16000
    max_delay: int = 0
    clips: bool = False

    def __init__(self, options: PeerOptions) -> None:
        """Subclasses check that the codec can be run here.

        Raises:
            PeerUnavailable: a program, a package or weights are missing.
        """
        self.options = options

    @property
    def identity(self) -> dict[str, Any]:
        """No model of this package."""
        return {"peer": True}

    def bitrates_near(self, requested: Sequence[float]) -> tuple[float, ...]:
        """The bitrates chosen for this peer, else those requested, or the steps of its ladder around them.

        Raises:
            InputError: no bitrate was requested, and the peer has no ladder.
        """
        own = self.chosen or self.usual
        if own or self.ladder is None:
            if not (own or requested):
                raise InputError(f"{self.name}: name bitrates to use it at, such as {self.name}:6000:12000")
            return own or tuple(requested)
        near = [rate for rate in self.ladder if min(requested) / REACH <= rate <= max(requested) * REACH]
        return tuple(near) or (min(self.ladder, key=lambda rate: abs(math.log(rate / max(requested)))),)

    def files(self) -> list[Path]:
        """The files that decide what it does: its weights, or programs."""
        folder = self.options.folders.get(self.name)
        return [] if folder is None else sorted(folder.glob("*"))

    def fingerprint(self) -> list[tuple[str, int, int]]:
        """Path, size and time of change of `files`."""
        return [(str(file), *stamp(file)) for file in self.files()]

    def code(self, wav: Samples, sample_rate: int, bitrate: float) -> Decoded:
        """Encode and decode [L] samples in [-1, 1] of any rate, which are resampled to that of the codec.

        Raises:
            InputError: the audio or (BitrateError) the bitrate cannot be used.
            PeerError: the codec failed, hung, or returned something else than this audio.
        """
        check_input(wav, sample_rate)
        bitrate = self.check_bitrate(bitrate)
        samples = to_rate(wav, sample_rate, self.sample_rate)
        padded = np.pad(samples, (0, self._padding(len(samples))))
        coded = self._run(padded, len(samples), bitrate)
        delay = self._delay(bitrate)
        if self.max_delay:
            delay = find_delay(padded, coded.wav, delay, self.max_delay)
        shifted = shift(coded.wav, delay)
        aligned = check_output(self.name, shifted.clip(-1, 1) if self.clips else shifted, len(samples))
        back = to_rate(aligned, self.sample_rate, sample_rate)[: len(wav)]
        size = math.ceil(coded.bits / 8)
        return Decoded(back, size, coded.bits, coded.encode_seconds, coded.decode_seconds)

    def check_bitrate(self, bitrate: float) -> float:
        """Return `bitrate`, or the step of the ladder within 0.1 % of it: some are no whole numbers.

        Raises:
            BitrateError: it has no such bitrate; the message lists those it has.
        """
        if self.ladder is None:
            if self.lowest <= bitrate <= self.highest:
                return bitrate
            known = f"{self.lowest:g} " + ("or more" if math.isinf(self.highest) else f"to {self.highest:g}")
            raise BitrateError(f"{self.name} has no {bitrate:g} bit/s; ask for {known}")
        for rate in self.ladder:
            if math.isclose(rate, bitrate, rel_tol=1e-3):
                return rate
        known = ", ".join(f"{rate:.6g}" for rate in self.ladder)
        raise BitrateError(f"{self.name} has no {bitrate:g} bit/s; choose from {known}")

    def _padding(self, length: int) -> int:
        """Zeros after `length` samples, so that all of them come out of the decoder."""
        raise NotImplementedError

    def _delay(self, bitrate: float) -> int:
        """Samples at its rate by which the output comes later, as measured."""
        return 0

    @abstractmethod
    def _run(self, wav: Samples, length: int, bitrate: float) -> Coded:
        """Encode and decode padded samples [L'] at its rate, of which the first `length` count.

        Raises:
            PeerError: it failed.
        """


def to_int16(wav: Samples) -> NDArray[np.int16]:
    """Samples as 16-bit numbers."""
    return np.clip(np.rint(wav * 32768.0), -32768, 32767).astype(np.int16)


def payload_bits(packets: Sequence[int], length: int, packet_length: int) -> int:
    """Bits of the packets that cover `length` samples; those that only flush the decoder do not count."""
    return sum(packets[: -(-length // packet_length)])


def correlations(
    reference: Samples, estimate: Samples, most: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cross-correlate [L] with [L'] delayed by -most to most samples: delays, and values in [-1, 1].

    Both are zero beyond their ends.
    """
    size = 1 << (len(reference) + len(estimate) + most).bit_length()
    spectra = np.fft.rfft(reference, size).conj() * np.fft.rfft(estimate, size)
    delays = np.arange(-most, most + 1)
    energy = np.sqrt(np.dot(reference, reference) * float(np.dot(estimate, estimate)))
    return delays, np.fft.irfft(spectra, size)[delays] / max(energy, 1e-12)


def find_delay(reference: Samples, estimate: Samples, expected: int, most: int) -> int:
    """Samples by which [L'] comes later than [L]: the expected number unless another fits clearly better."""
    delays, values = correlations(reference, estimate, max(most, abs(expected)))
    best = int(np.argmax(values))
    at_expected = float(values[expected - delays[0]])
    return int(delays[best]) if values[best] > at_expected + _CLEARLY_BETTER else expected


def shift(wav: Samples, delay: int) -> Samples:
    """Drop the first `delay` samples of [L], or put as many zeros before it when negative."""
    return wav[delay:] if delay >= 0 else np.pad(wav, (-delay, 0))


def check_input(wav: Samples, sample_rate: int) -> None:
    """Refuse audio that no codec takes.

    Raises:
        InputError: not [L], empty, not finite; SampleRateError for an unsupported rate.
    """
    check_sample_rate(sample_rate)
    if wav.ndim != 1 or not len(wav):
        raise InputError(f"samples of shape {wav.shape}: a peer takes one channel [L] with sound in it")
    check_samples(wav, sample_rate)


def to_rate(wav: Samples, sample_rate: int, target_rate: int) -> Samples:
    """Resample [L] to [ceil(L * target_rate / sample_rate)]."""
    return wav if sample_rate == target_rate else resample(wav[None], sample_rate, target_rate)[0]


def check_output(name: str, wav: Samples, length: int) -> Samples:
    """Cut aligned audio [L'] to `length`, or fill it: a codec may leave out less than 50 ms at the end.

    Raises:
        PeerError: it is too short, or has samples that are not finite.
    """
    if not np.isfinite(wav).all():
        raise PeerError(f"{name} returned samples that are not finite numbers")
    missing = length - len(wav)
    if missing > max(2400, length // 20):
        raise PeerError(f"{name} returned {len(wav)} samples for {length}")
    return np.pad(wav[:length], (0, max(0, missing))).astype(np.float32)
