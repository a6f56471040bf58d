"""The room between mouth and microphone: measured or simulated impulse responses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import fft

from audiocodec.effects.base import Drawn, Effect
from audiocodec.effects.filtering import fast_size
from audiocodec.effects.sources import FULL_SCALE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiocodec.effects.sources import Sources

EARLY_SECONDS = 0.05
"""Reflections up to 50 ms after the direct sound help to understand speech (ISO 3382-1, D50)."""
DIRECT_SECONDS = 0.0025
"""To either side of the peak of the direct sound, for what the microphone and the resampling spread."""
DIRECT_SHARE = 0.5
"""The direct sound is the first sample with this share of the highest; a reflection may be the highest."""


@dataclass(frozen=True)
class Room(Effect):
    """Convolves with a room response: the direct sound stays where it was, the level as it was.

    As in T. Ko et al., A study on data augmentation of reverberant speech for robust speech recognition,
    ICASSP 2017, with responses from the pool "rir" of the sources; `rooms.simulate_rooms` makes some.

    Attributes:
        types: patterns of types to draw from, such as simulated-small-near, measured-large; none: all.
        names: patterns of names of responses to draw from; none: all.
        clean: what a target without the room is: "dry", the original; "direct", the direct sound as loud as
            it is in the room; "early", with its reflections up to 50 ms, which are of use to listeners.
    """

    kind: Literal["room"] = field(default="room", kw_only=True)
    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    clean: Literal["dry", "direct", "early"] = "dry"

    def draw(
        self,
        rng: np.random.Generator,
        length: int,
        sample_rate: int,
        sources: Sources,
        speaker: str | None = None,
    ) -> Drawn:
        """Draw a type first, then a response of it: `type` and `name`."""
        types = sorted({clip.type for clip in sources.find("rir", self.types, self.names)})
        chosen = types[int(rng.integers(len(types)))]
        clips = [clip for clip in sources.find("rir", (), self.names) if clip.type == chosen]
        clip, _ = sources.draw(rng, clips, sample_rate)
        return {"type": chosen, "name": clip.name}

    def reference(
        self, wav: NDArray[np.float32], sample_rate: int, drawn: Drawn, sources: Sources
    ) -> NDArray[np.float32]:
        """The clean signal [L] without late reflections, as `clean` says."""
        if self.clean == "dry":
            return wav
        response, direct = _response(drawn, sample_rate, sources)
        gain = _level_gain(wav, convolve(wav, response, direct))
        reach = EARLY_SECONDS if self.clean == "early" else DIRECT_SECONDS
        start = max(0, direct - round(DIRECT_SECONDS * sample_rate))
        stop = direct + round(reach * sample_rate) + 1
        return convolve(wav, response[start:stop], direct - start) * gain

    def _apply(
        self, wav: NDArray[np.float32], sample_rate: int, drawn: Drawn, sources: Sources
    ) -> NDArray[np.floating]:
        response, direct = _response(drawn, sample_rate, sources)
        reverberant = convolve(wav, response, direct)
        return reverberant * _level_gain(wav, reverberant)


def direct_path(response: NDArray[np.floating]) -> int:
    """Where in a room response [L] the direct sound is: the peak of what first reaches DIRECT_SHARE."""
    size = np.abs(response)
    first = int(np.argmax(size >= DIRECT_SHARE * size.max()))
    falls = np.flatnonzero(np.diff(size[first:]) < 0)
    return first + (int(falls[0]) if len(falls) else len(size) - 1 - first)


def convolve(wav: NDArray[np.float32], response: NDArray[np.float32], delay: int) -> NDArray[np.float32]:
    """Convolve wav [L] with a response, and take away `delay` samples: [L]."""
    size = fast_size(len(wav) + len(response) - 1)
    product = np.asarray(fft.rfft(wav, size)) * np.asarray(fft.rfft(response, size))
    return np.asarray(fft.irfft(product, size), np.float32)[delay : delay + len(wav)]


def _response(drawn: Drawn, sample_rate: int, sources: Sources) -> tuple[NDArray[np.float32], int]:
    samples = sources.samples("rir", drawn["name"], sample_rate)
    response = samples.astype(np.float32) * np.float32(1 / FULL_SCALE)
    return response, direct_path(response)


def _level_gain(wav: NDArray[np.float32], changed: NDArray[np.float32]) -> np.float32:
    """The factor that gives `changed` the power of `wav`; 1 for silence."""
    power = float(np.dot(changed, changed))
    return np.float32(np.sqrt(float(np.dot(wav, wav)) / power)) if power > 0 else np.float32(1)
