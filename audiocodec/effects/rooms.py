"""Rooms between mouth and microphone: an effect of room responses, and the simulation of a bank of them.

Simulated rooms are boxes. Reflections come from the image source method (J. B. Allen and D. A. Berkley,
JASA 65, 1979) of pyroomacoustics until twice the mixing time; after that the response is noise that decays
like the room (J.-D. Polack, La transmission de l'energie sonore dans les salles, 1988): as dense as late
reflections are, without the sweeping echoes of a perfect box.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.signal import fftconvolve

from audiocodec import audio
from audiocodec.effects.base import Effect, Floats, Params, Samples
from audiocodec.effects.sources import FULL_SCALE
from audiocodec.errors import InputError, require
from audiocodec.storage import sync

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiocodec.effects.sources import Sources

EARLY_SECONDS = 0.05
"""Reflections until then after the direct sound help to understand speech (ISO 3382-1, D50)."""
DIRECT_SECONDS = 0.0025
"""On both sides of the peak, the direct sound as microphone and resampling spread it."""
DIRECT_SHARE = 0.5
"""Of the highest amplitude, which may be that of a reflection."""
Point = tuple[float, float, float]
MANIFEST_NAME, STAMPS_NAME = "manifest.csv", "stamps.json"
NEAR_METERS = 1.0
"""Largest distance of talker and microphone of a type that ends in near."""
MAX_SECONDS = 1.5
MIN_WALL_METERS = 0.4
"""Distance of talker and microphone from every wall."""
LEAD_SECONDS = 0.005
"""Silence before the direct sound, for the ringing of the fractional delay filters."""
PEAK = 0.9
SPEED_OF_SOUND = 343.0
MIXED_SECONDS = (0.03, 0.12)
"""Limits of the duration of single reflections: twice the mixing time, which is sqrt(V / m3) ms."""
FADE_SECONDS = 0.01
"""Cross-fade from single reflections to the noise tail."""


@dataclass(frozen=True)
class Room(Effect):
    """Convolves with a room response; the place of the direct sound in time and the level do not change.

    As in T. Ko et al., A study on data augmentation of reverberant speech for robust speech recognition,
    ICASSP 2017, with the recordings of kind "rir" of the sources; `ensure_rooms` simulates some.

    Attributes:
        types: patterns of types to draw from, such as simulated-small-near, measured-large; none: all.
        names: patterns of names of responses to draw from; none: all.
        clean: target of a model that removes the room: "dry", the original; "direct", the direct sound at its
            level in the room; "early", the direct sound and reflections up to 50 ms, which help listeners.
    """

    kind: Literal["room"] = field(default="room", kw_only=True)
    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    clean: Literal["dry", "direct", "early"] = "dry"

    def draw(
        self, rng: Generator, length: int, sample_rate: int, sources: Sources, speaker: str = ""
    ) -> Params:
        """Draw a type first, then a response of it: `type` and `name`."""
        response, _ = sources.draw(rng, sources.draw_type(rng, "rir", self.types, self.names), sample_rate)
        return {"type": response.type, "name": response.name}

    def reference(self, wav: Samples, sample_rate: int, params: Params, sources: Sources) -> Samples:
        """The clean signal [L] with the part of the room that `clean` names."""
        if self.clean == "dry":
            return wav
        response, direct = _response(params, sample_rate, sources)
        gain = _level_gain(wav, convolve(wav, response, direct))
        reach = EARLY_SECONDS if self.clean == "early" else DIRECT_SECONDS
        start = max(0, direct - round(DIRECT_SECONDS * sample_rate))
        stop = direct + round(reach * sample_rate) + 1
        return convolve(wav, response[start:stop], direct - start) * gain

    def _apply(self, wav: Samples, sample_rate: int, params: Params, sources: Sources) -> Floats:
        response, direct = _response(params, sample_rate, sources)
        reverberant = convolve(wav, response, direct)
        return reverberant * _level_gain(wav, reverberant)


def direct_path(response: Floats) -> int:
    """Index of the direct sound in a room response [L]: the first peak of at least DIRECT_SHARE."""
    size = np.abs(response)
    first = int(np.argmax(size >= DIRECT_SHARE * size.max()))
    falls = np.flatnonzero(np.diff(size[first:]) < 0)
    return first + (int(falls[0]) if len(falls) else len(size) - 1 - first)


def convolve(wav: Samples, response: Samples, delay: int) -> Samples:
    """Convolve wav [L] with a response and remove the first `delay` samples: [L]."""
    return np.asarray(fftconvolve(wav, response), np.float32)[delay : delay + len(wav)]


def _response(params: Params, sample_rate: int, sources: Sources) -> tuple[Samples, int]:
    samples = sources.samples("rir", params["name"], sample_rate)
    response = samples.astype(np.float32) * np.float32(1 / FULL_SCALE)
    return response, direct_path(response)


def _level_gain(wav: Samples, changed: Samples) -> np.float32:
    """The factor that gives `changed` the power of `wav`; 1 for silence."""
    power = float(np.dot(changed, changed))
    return np.float32(np.sqrt(float(np.dot(wav, wav)) / power)) if power > 0 else np.float32(1)


@dataclass(frozen=True)
class RoomSize:
    """Ranges of the rooms of one size; meters and seconds."""

    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    t60: tuple[float, float]
    far: tuple[float, float]


ROOM_SIZES = {
    "small": RoomSize((2.5, 5.0), (2.0, 4.0), (2.3, 2.8), (0.15, 0.45), (1.0, 2.5)),
    "medium": RoomSize((5.0, 10.0), (4.0, 8.0), (2.5, 3.5), (0.25, 0.8), (1.5, 5.0)),
    "large": RoomSize((10.0, 30.0), (8.0, 20.0), (3.0, 8.0), (0.6, 1.8), (3.0, 12.0)),
}
"""Offices, meeting rooms and halls, in the ranges of T. Ko et al., ICASSP 2017."""


@dataclass(frozen=True)
class SimulatedRoom:
    """A room, and where talker and microphone are; meters and seconds."""

    size: str
    dimensions: Point
    talker: Point
    microphone: Point
    t60: float
    seed: int

    @property
    def distance(self) -> float:
        """Distance of talker and microphone, meters."""
        return float(np.linalg.norm(np.subtract(self.talker, self.microphone)))

    @property
    def type(self) -> str:
        """Type of the response in the manifest, such as simulated-small-near."""
        return f"simulated-{self.size}-{'near' if self.distance <= NEAR_METERS else 'far'}"


def ensure_rooms(
    folder: Path,
    count: int = 200,
    sample_rate: int = 16000,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Path:
    """Return the manifest of a bank of `count` simulated rooms below `folder`; make the bank if needed.

    Equal arguments give equal rooms, in a folder whose name they form. A bank is made again if one of its
    files is missing or has changed. `progress` is called with the share that is done.

    Raises:
        MissingPackageError: pyroomacoustics is not installed.
        InputError: `folder` cannot be written.
    """
    bank = folder / f"rooms-{count}-{sample_rate}-{seed}"
    manifest = bank / MANIFEST_NAME
    if _is_whole(bank):
        return manifest
    _import_pyroomacoustics()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".rooms-", dir=folder) as temporary:
            made = Path(temporary) / "bank"
            made.mkdir()
            _write_bank(made, count, sample_rate, seed, progress)
            if not _is_whole(bank):  # another process may have been faster
                shutil.rmtree(bank, ignore_errors=True)
                for path in (*made.iterdir(), made):
                    sync(path)
                os.replace(made, bank)
                sync(folder)
    except OSError as error:
        if _is_whole(bank):
            return manifest
        raise InputError(f"{folder}: rooms cannot be kept there ({error}); choose another folder") from error
    return manifest


def _is_whole(bank: Path) -> bool:
    """Whether no file of a bank is missing or has changed."""
    try:
        stamps: Any = json.loads((bank / STAMPS_NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return (
        isinstance(stamps, dict)
        and MANIFEST_NAME in stamps
        and all([*audio.stamp(bank / name)] == stamp for name, stamp in stamps.items())
    )


def draw_room(rng: Generator, size: str, near: bool) -> SimulatedRoom:
    """Draw a room of a size in ROOM_SIZES, with the talker near the microphone or far from it."""
    ranges = ROOM_SIZES[size]
    while True:
        x, y, z = (float(rng.uniform(*axis)) for axis in (ranges.length, ranges.width, ranges.height))
        t60 = float(rng.uniform(*ranges.t60))
        corner, opposite = np.full(3, MIN_WALL_METERS), np.array([x, y, z]) - MIN_WALL_METERS
        microphone = rng.uniform(corner, opposite)
        distance = rng.uniform(*((0.3, NEAR_METERS) if near else ranges.far))
        azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
        level = np.cos(elevation)
        direction = [level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)]
        talker = microphone + distance * np.array(direction)
        seed = int(rng.integers(1 << 31))
        if np.all(talker >= corner) and np.all(talker <= opposite):
            return SimulatedRoom(size, (x, y, z), _point(talker), _point(microphone), t60, seed)


def _point(place: NDArray[np.float64]) -> Point:
    x, y, z = map(float, place)
    return x, y, z


def simulate_room(room: SimulatedRoom, sample_rate: int) -> Samples:
    """The response [L] of a room: its direct sound LEAD_SECONDS after the start, its peak PEAK.

    Raises:
        MissingPackageError: pyroomacoustics is not installed.
    """
    volume = float(np.prod(room.dimensions))
    mixed = float(np.clip(2 * np.sqrt(volume) / 1000, *MIXED_SECONDS))
    early = _image_sources(room, mixed, sample_rate)
    lead = round(LEAD_SECONDS * sample_rate)
    early = np.concatenate([np.zeros(lead), early])
    early = early[direct_path(early) - lead :]
    response = _with_tail(early, lead + round(mixed * sample_rate), room, sample_rate)
    return (response * (PEAK / np.abs(response).max())).astype(np.float32)


def _image_sources(room: SimulatedRoom, seconds: float, sample_rate: int) -> NDArray[np.float64]:
    """The response of a room, complete in the first `seconds` after the direct sound."""
    pra = _import_pyroomacoustics()
    x, y, z = room.dimensions
    surface = 2 * (x * y + y * z + x * z)
    # Eyring's formula, solved for the absorption: T60 = 24 ln(10) V / (-c S ln(1 - a)).
    exponent = 24 * np.log(10) * x * y * z / (SPEED_OF_SOUND * surface * room.t60)
    box = pra.ShoeBox(
        room.dimensions,
        fs=sample_rate,
        materials=pra.Material(1 - np.exp(-exponent)),
        max_order=int(np.ceil((seconds * SPEED_OF_SOUND + room.distance) / min(room.dimensions))) + 1,
    )
    box.add_source(list(room.talker))
    box.add_microphone(list(room.microphone))
    box.compute_rir()
    return np.asarray(box.rir[0][0], np.float64)


def _with_tail(
    early: NDArray[np.float64], mixed: int, room: SimulatedRoom, sample_rate: int
) -> NDArray[np.float64]:
    """Cross-fade at sample `mixed` to decaying noise, which starts at the level of the reflections before."""
    fade = round(FADE_SECONDS * sample_rate)
    length = mixed + round(min(room.t60, MAX_SECONDS) * sample_rate)
    early = np.pad(early[:mixed], (0, max(0, length - len(early[:mixed]))))
    decay = 10 ** (-3 * np.arange(length) / (room.t60 * sample_rate))  # amplitude: -60 dB after T60
    before = slice(mixed - 2 * fade, mixed)
    level = np.sqrt(np.mean(np.square(early[before] / decay[before])))
    tail = np.random.default_rng(room.seed).standard_normal(length) * decay * level
    angle = np.clip((np.arange(length) - (mixed - fade)) / fade, 0, 1) * (np.pi / 2)
    return early * np.cos(angle) + tail * np.sin(angle)


def _write_bank(
    folder: Path, count: int, sample_rate: int, seed: int, progress: Callable[[float], None] | None
) -> None:
    rng = np.random.default_rng(seed)
    sizes = list(ROOM_SIZES)
    with (folder / MANIFEST_NAME).open("w", newline="", encoding="utf-8") as file:
        columns = ("path", "kind", "type", "seconds", "t60", "distance", "dimensions")
        table = csv.writer(file)
        table.writerow(columns)
        for number in range(count):
            room = draw_room(rng, sizes[number % len(sizes)], near=number // len(sizes) % 2 == 0)
            response = simulate_room(room, sample_rate)
            name = f"{room.type}-{number:04d}.flac"
            audio.write(folder / name, response[None], sample_rate)
            about = (f"{len(response) / sample_rate:.3f}", f"{room.t60:.2f}", f"{room.distance:.2f}")
            table.writerow((name, "rir", room.type, *about, "x".join(f"{d:.1f}" for d in room.dimensions)))
            if progress is not None:
                progress((number + 1) / count)
    stamps = {path.name: audio.stamp(path) for path in sorted(folder.iterdir())}
    (folder / STAMPS_NAME).write_text(json.dumps(stamps), "utf-8")


def _import_pyroomacoustics() -> Any:
    return require(
        "pyroomacoustics",
        "simulating rooms",
        "'audiocodec[train]'",
        "measured room responses (kind rir in a manifest) do not need it",
    )
