"""Known environments: which of them a window belongs to, and the codebooks that were made for it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiocodec import audio
from audiocodec.adaptation.drift.baseline import find_baseline, load_baseline, save_baseline
from audiocodec.adaptation.drift.measures import gaussian_w2
from audiocodec.adaptation.drift.null import tail
from audiocodec.adaptation.registry.registry import ENVIRONMENTS_NAME
from audiocodec.adaptation.statistics import collect
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from audiocodec.adaptation.drift import Baseline
    from audiocodec.adaptation.statistics import Statistics
    from audiocodec.codec import Codec

SUFFIX = ".safetensors"
UNKNOWN_BELOW = 0.01
"""A window does not belong to an environment if less than this share of the environment's own windows are as
far away from it."""
MAX_ENVIRONMENTS = 256
RECOGNITION_SECONDS = 30.0
"""Length of the start of a file by which its environment is recognized."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Recognition:
    """The known environment that a window resembles most.

    Attributes:
        name: name of the nearest environment; None if even that is too far away: the environment is unknown.
        nearest: name of the nearest environment in any case.
        distance: Gaussian 2-Wasserstein distance to it, in standard deviations of its latents.
        p_value: share of its own windows that are as far away from it.
        codebook_id: codebooks to encode with; None if the environment is unknown.
        distances: distance to each environment, by name.
    """

    name: str | None
    nearest: str
    distance: float
    p_value: float
    codebook_id: str | None
    distances: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return asdict(self)


class EnvironmentBook:
    """Known environments of one model, each a baseline: those given, and those in the files of a folder."""

    def __init__(
        self, model_id: str, folder: str | os.PathLike[str] | None = None, known: Sequence[Baseline] = ()
    ) -> None:
        """Read the folder if it is there; baselines of other models in it are left alone.

        Raises:
            InputError: a file in it is damaged, or two environments have the same name.
        """
        self.model_id, self.folder = model_id, None if folder is None else Path(folder)
        baselines = list(known)
        if self.folder is not None and self.folder.is_dir():
            files = sorted(file for file in self.folder.glob(f"*{SUFFIX}") if not file.name.startswith("."))
            if len(files) > MAX_ENVIRONMENTS:
                raise InputError(f"{self.folder}: {len(files)} environments, at most {MAX_ENVIRONMENTS}")
            baselines += [load_baseline(file) for file in files]
        self._known: dict[str, Baseline] = {}
        for baseline in baselines:
            if baseline.model_id != model_id:
                continue
            if baseline.name in self._known:
                raise InputError(f"two environments are named {baseline.name!r}; rename one of them")
            self._known[baseline.name] = baseline

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """Baselines of all known environments."""
        return tuple(self._known.values())

    def get(self, name: str) -> Baseline:
        """The baseline of the environment with that name.

        Raises:
            InputError: no environment has that name; the message lists those that are known.
        """
        if name not in self._known:
            known = ", ".join(self._known) or "none"
            raise InputError(f"environment {name!r} is not known; known environments are: {known}")
        return self._known[name]

    def add(self, baseline: Baseline, *, overwrite: bool = False) -> None:
        """Remember an environment, in the folder if the book has one.

        Raises:
            InputError: it was made with another model, or its name is in use or cannot be a file name.
        """
        if baseline.model_id != self.model_id:
            raise InputError(
                f"environment {baseline.name!r} was made with model {baseline.model_id[:32]}, these are for"
                f" {self.model_id[:32]}; make its baseline with this model"
            )
        if not _NAME.fullmatch(baseline.name):
            raise InputError(
                f"environment name {baseline.name!r}: use up to 64 letters, digits, dots, dashes, underscores"
            )
        if baseline.name in self._known and not overwrite:
            raise InputError(f"environment {baseline.name!r} is known already; choose another name")
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_baseline(self.folder / f"{baseline.name}{SUFFIX}", baseline, overwrite=overwrite)
        self._known[baseline.name] = baseline

    def recognize(self, window: Statistics) -> Recognition:
        """Find the environment nearest to a window of latents, and whether it is near enough.

        Raises:
            InputError: no environment is known, or the window is of another model, lacks latents or is short.
        """
        if not self._known:
            raise InputError("no environment is known; add one with audiocodec baseline --store DIR")
        if window.model_id != self.model_id or window.codes_only:
            raise InputError(
                "an environment is recognized by latents of the model that its baseline was made with; give"
                " sound files, not .nac files, and use that model"
            )
        distances = {
            name: gaussian_w2(known.statistics.latents, window.latents) for name, known in self._known.items()
        }
        nearest = min(distances, key=lambda name: distances[name])
        known = self._known[nearest]
        known.null.check_frames(window.frames, window.frame_rate)
        null = known.null.at("w2", window.frames, 1)[:, 0]
        p_value = tail("w2", distances[nearest], null)
        same = distances[nearest] <= np.quantile(null, 1 - UNKNOWN_BELOW)
        return Recognition(
            name=nearest if same else None,
            nearest=nearest,
            distance=distances[nearest],
            p_value=p_value,
            codebook_id=known.codebook_id if same else None,
            distances=distances,
        )


def choose_baseline(
    codec: Codec, name: str | None, model: str | None, store: Path | None
) -> tuple[Baseline, EnvironmentBook]:
    """The baseline to compare with, and the environments of the store together with it.

    `name` is a file, an environment of the store, or an identity of codebooks. None means the baseline of the
    codebooks in use, or the one that comes with `model`.

    Raises:
        InputError: there is no such baseline, or a file of an environment is damaged.
    """
    book = EnvironmentBook(codec.model_id, None if store is None else store / ENVIRONMENTS_NAME)
    is_file = name is not None and Path(name).is_file()
    baseline = load_baseline(str(name)) if is_file else _find(book, codec, name, model)
    if baseline.name in book:
        return baseline, book
    return baseline, EnvironmentBook(codec.model_id, known=[*book.baselines, baseline])


def _find(book: EnvironmentBook, codec: Codec, name: str | None, model: str | None) -> Baseline:
    wanted = codec.codebook_id if name is None else name
    for baseline in book.baselines:
        if baseline.name == wanted or (len(wanted) >= 4 and baseline.codebook_id.startswith(wanted)):
            return baseline
    return find_baseline(model) if name is None else book.get(name)


def recognize_file(codec: Codec, model: str | None, store: Path | None, path: Path) -> Recognition:
    """Which known environment the start of a sound file belongs to.

    Raises:
        InputError: no store is named, there is no baseline, or the file is too short.
    """
    if store is None:
        raise InputError("--codebook auto looks for environments in a store; name it with --store")
    _, book = choose_baseline(codec, None, model, store)
    sample_rate = audio.info(path).sample_rate
    wav = next(audio.blocks(path, round(RECOGNITION_SECONDS * sample_rate)))
    return book.recognize(collect(codec, [(wav, sample_rate)], rng=np.random.default_rng(0)))
