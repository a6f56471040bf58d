"""Where noise, speech for babble, music and room responses come from: pools of recordings, decoded lazily."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from audiocodec import audio
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FULL_SCALE = 32767
DEFAULT_MAX_BYTES = 1 << 29
"""Of decoded samples kept in memory: 4.6 hours at 16 kHz."""


@dataclass(frozen=True)
class Clip:
    """One recording that a source may take sound from.

    Attributes:
        name: what logs call it: the path in its manifest or folder, with forward slashes.
        path: where it is.
        kind: the pool it is in: noise, speech, music or rir (a room impulse response).
        type: what kind of noise or room: street, rain, ...
        source: the corpus it comes from.
        speaker: who speaks; empty when not known.
    """

    name: str
    path: Path
    kind: str
    type: str = ""
    source: str = ""
    speaker: str = ""


@dataclass
class Sources:
    """Pools of recordings by kind; samples are decoded at first use and kept as 16 bit up to `max_bytes`.

    Pickles without the decoded samples, so that each worker process decodes what it needs.

    Attributes:
        clips: in any order; they are kept in the order of their names, so that draws repeat.
        max_bytes: of decoded samples in memory; the least recently used are dropped beyond.
    """

    clips: Sequence[Clip] = ()
    max_bytes: int = DEFAULT_MAX_BYTES
    _decoded: OrderedDict[tuple[str, str, int], NDArray[np.int16]] = field(
        default_factory=OrderedDict["tuple[str, str, int]", "NDArray[np.int16]"], repr=False
    )

    def find(self, kind: str, types: Iterable[str] = (), names: Iterable[str] = ()) -> list[Clip]:
        """Clips of a kind, in order of name, whose type and name match one of these patterns (none: all).

        Raises:
            InputError: there is none; says what types there are.
        """
        raise NotImplementedError

    def samples(self, kind: str, name: str, sample_rate: int) -> NDArray[np.int16]:
        """The whole recording [L], mono, at `sample_rate`.

        Raises:
            InputError: it is not known or cannot be read.
        """
        raise NotImplementedError

    def excerpt(
        self, kind: str, name: str, sample_rate: int, start: int, length: int
    ) -> NDArray[np.float32]:
        """Samples [length] from `start` on; a recording that ends is gone on with from its start, cross-faded.

        Raises:
            InputError: as `samples`.
        """
        raise NotImplementedError
