"""A bank of simulated room responses: made once, kept as sound files with a manifest, drawn from by `Room`.

Shoebox rooms: reflections by the image source method (J. B. Allen and D. A. Berkley, JASA 65, 1979) as
pyroomacoustics has it, until twice the mixing time; from there on noise that decays as the room does (J.-D.
Polack, La transmission de l'energie sonore dans les salles, 1988), which is as dense as late reflections are
and free of the sweeping echoes of a perfect box.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiocodec import audio
from audiocodec.effects.room import direct_path
from audiocodec.errors import InputError, require
from audiocodec.storage import sync

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Point = tuple[float, float, float]
MANIFEST_NAME, STAMPS_NAME = "manifest.csv", "stamps.json"
NEAR_METERS = 1.0
"""Talkers up to here count as near, others as far."""
MAX_SECONDS = 1.5
MIN_WALL_METERS = 0.4
"""Of talker and microphone to every wall."""
LEAD_SECONDS = 0.005
"""Before the direct sound, for the filters that place it between samples."""
PEAK = 0.9
SPEED_OF_SOUND = 343.0
MIXED_SECONDS = (0.03, 0.12)
"""From shortest to longest time of single reflections; between, twice the mixing time of sqrt(V / m3) ms."""
FADE_SECONDS = 0.01
"""From single reflections to the tail."""


@dataclass(frozen=True)
class RoomSize:
    """Ranges that rooms of one size are drawn from; meters and seconds."""

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
    """What was drawn of one room; meters and seconds."""

    size: str
    dimensions: Point
    talker: Point
    microphone: Point
    t60: float
    seed: int

    @property
    def distance(self) -> float:
        """From talker to microphone, meters."""
        return float(np.linalg.norm(np.subtract(self.talker, self.microphone)))

    @property
    def type(self) -> str:
        """As a `Room` effect asks for it: simulated-small-near."""
        return f"simulated-{self.size}-{'near' if self.distance <= NEAR_METERS else 'far'}"


def ensure_rooms(
    folder: Path,
    count: int = 200,
    sample_rate: int = 16000,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Path:
    """Give the manifest of a bank of `count` rooms, which is simulated into `folder` when it is not there.

    Equal arguments give equal rooms; the bank lies in a folder named by them, and is made again where a file
    of it is missing or was written anew. `progress` is told the share that is done.

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
    """Whether every file of a bank is there as it was written."""
    try:
        stamps: Any = json.loads((bank / STAMPS_NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return (
        isinstance(stamps, dict)
        and MANIFEST_NAME in stamps
        and all([*audio.stamp(bank / name)] == found for name, found in stamps.items())
    )


def draw_room(rng: np.random.Generator, size: str, near: bool) -> SimulatedRoom:
    """Draw a room of a size with a talker near the microphone or far from it."""
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


def simulate_room(room: SimulatedRoom, sample_rate: int) -> NDArray[np.float32]:
    """Its response [L], direct sound LEAD_SECONDS after the start, at a peak of PEAK.

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
    """The response with all reflections in the first `seconds` after the direct sound."""
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
    """Cross-fade at sample `mixed` to noise that goes on as loud as the reflections before, and decays."""
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
    measured = "measured room responses (kind rir in a manifest) need nothing more"
    return require("pyroomacoustics", "simulating rooms", "'audiocodec[train]'", measured)
