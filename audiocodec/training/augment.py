"""Augmentation: examples in environments (noise, rooms and the like), with the target of the model for each.

Everything random follows from (seed, rank, step). The name of each example's environment is kept for the log.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

import numpy as np
import torch

from audiocodec.config import check_names, find_shipped, recipes_folder
from audiocodec.effects import Scene, Sources, check_environments, pick_environment, read_environments
from audiocodec.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from audiocodec.effects import Environment
    from audiocodec.training.data.sampler import Batch

KINDS = ("noise", "speech", "music", "rir")
"""Pools of recordings that effects take from; rir are room impulse responses."""
CLEAN = "clean"
"""Environment in the log of examples to which no effect could be applied."""
LEAST_CLIPS = 3
"""Number of clips in which an environment is validated at least, if there are so many."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AugmentConfig:
    """Environments that examples are put into.

    Attributes:
        environments: a YAML file, or the name of one in recipes/environments; empty for none.
        manifest: CSV or JSONL manifest of noise, speech, music and room responses (columns path, split, kind,
            type); empty for `data.manifest` where no folder is named.
        folders: folders of recordings by kind: noise, speech, music, rir.
        types: YAML file of patterns that give the type of a recording; empty for the shipped types.yaml.
        denoise_probability: share of examples with the denoising switch on, in models that have one.
    """

    environments: str = ""
    manifest: str = ""
    folders: dict[str, str] = field(default_factory=dict[str, str])
    types: str = ""
    denoise_probability: float = 0.5

    def __post_init__(self) -> None:
        """Check names.

        Raises:
            ConfigError: a kind of recordings is unknown, or the share is not from 0 to 1.
        """
        check_names("folders", self.folders, KINDS)
        if not 0 <= self.denoise_probability <= 1:
            raise ConfigError(f"denoise_probability is {self.denoise_probability}; give a share from 0 to 1")


class Scenes(NamedTuple):
    """A batch in its environments.

    Attributes:
        wav: input of the model [B, 1, L].
        target: what its output should be [B, 1, L].
        environments: name of each example's environment.
        denoise: whether the denoising switch is on [B]; None for a model without one.
    """

    wav: Tensor
    target: Tensor
    environments: tuple[str, ...]
    denoise: Tensor | None = None

    def to(self, device: torch.device) -> Scenes:
        """The same on `device`."""
        wav, target = self.wav.to(device, non_blocking=True), self.target.to(device, non_blocking=True)
        denoise = None if self.denoise is None else self.denoise.to(device, non_blocking=True)
        return Scenes(wav, target, self.environments, denoise)


class Augmenter:
    """Puts the examples of a batch into environments.

    With a denoising switch, the target that an environment names applies to examples with the switch on; with
    the switch off, the input itself is the target. SoundStream trains both in the same way (section III-F).
    """

    def __init__(
        self,
        environments: Sequence[Environment],
        sources: Sources,
        sample_rate: int,
        denoise_probability: float | None = None,
    ) -> None:
        """Take noise and rooms from `sources`, decoded now; `denoise_probability` is None without a switch.

        Raises:
            InputError: an environment cannot be made of these sources.
        """
        self.denoise_probability = denoise_probability
        self.environments, self.sources, self.sample_rate = tuple(environments), sources, sample_rate
        check_environments(environments, sources, sample_rate)
        # Now, not at first use: files that cannot be read are known before the first draw, also when resumed.
        sources.preload(sample_rate)

    def __call__(self, batch: Batch, rng: np.random.Generator, step: int) -> Scenes:
        """Choose an environment for each example, as its schedule says at `step`, and apply it."""
        scenes: list[Scene] = []
        names: list[str] = []
        for wav, example in zip(batch.wav[:, 0].numpy(), batch.examples, strict=True):
            environment = pick_environment(self.environments, rng, step)
            scene = self._scene(environment, wav, rng, example.speaker, step)
            scenes.append(scene)
            names.append(CLEAN if scene.reason else environment.name)
        wavs, targets = ([getattr(scene, name) for scene in scenes] for name in ("wav", "target"))
        if self.denoise_probability is None:
            return Scenes(_stack(wavs), _stack(targets), tuple(names))
        on = rng.random(len(scenes)) < self.denoise_probability  # drawn last: scenes are as without a switch
        targets = [target if one_on else wav for wav, target, one_on in zip(wavs, targets, on, strict=True)]
        return Scenes(_stack(wavs), _stack(targets), tuple(names), torch.from_numpy(on))

    def scene(self, environment: Environment, wav: NDArray[np.float32], number: int) -> Scene:
        """Put held-out clip `number` [L] into an environment, the same way in every run."""
        rng = np.random.default_rng((crc32(environment.name.encode()), number))
        return self._scene(environment, wav, rng, "", None)

    def _scene(
        self,
        environment: Environment,
        wav: NDArray[np.float32],
        rng: np.random.Generator,
        speaker: str,
        step: int | None,
    ) -> Scene:
        if not environment.effects:
            return Scene(wav, wav)
        drawn = environment.draw(rng, len(wav), self.sample_rate, self.sources, speaker, step)
        return environment.apply(wav, self.sample_rate, drawn, self.sources, strict=False)


def open_augmenter(
    config: AugmentConfig, manifest: str, sample_rate: int, switched: bool = False
) -> Augmenter | None:
    """Open the environments of a recipe and training recordings for them; None for a recipe without.

    `manifest` is used if the recipe names no sources; `switched` says whether the model has a denoising
    switch.

    Raises:
        ConfigError: the environments or the patterns of types cannot be read, or a switch would learn nothing
            from them.
        InputError: sources cannot be read, or have nothing for an environment.
    """
    environments = open_environments(config)
    if not environments:
        return None
    if switched and not any(one.target == "clean" and one.effects for one in environments):
        raise ConfigError(
            f"augment.environments {config.environments}: the denoising switch learns from environments with"
            " target: clean, and there is none; denoise has them"
        )
    probability = config.denoise_probability if switched else None
    return Augmenter(environments, _open_sources(config, manifest, "train"), sample_rate, probability)


def open_environments(config: AugmentConfig) -> tuple[Environment, ...]:
    """Read the environments of a recipe; none for a recipe without.

    Raises:
        ConfigError: they cannot be read.
    """
    if not config.environments:
        return ()
    folder = recipes_folder() / "environments"
    return read_environments(find_shipped(config.environments, folder, "list of environments"))


def held_out_scenes(
    augmenter: Augmenter, config: AugmentConfig, manifest: str, clips: Sequence[NDArray[np.float32]]
) -> dict[str, list[Scene]]:
    """Validation clips in each environment that has effects, by its name.

    Noise and rooms are of split valid, or, if it has none of a kind, those of the training. All environments
    together get about as many clips as there are, but no fewer than LEAST_CLIPS each.

    Raises:
        InputError: sources cannot be read.
    """
    environments = [environment for environment in augmenter.environments if environment.effects]
    if not clips or not environments:
        return {}
    held_out = _open_sources(config, manifest, "valid")
    count = min(len(clips), max(LEAST_CLIPS, len(clips) // len(environments)))
    picks = [int(pick) for pick in np.linspace(0, len(clips) - 1, count).round()]
    scenes: dict[str, list[Scene]] = {}
    for environment in environments:
        try:
            chosen = Augmenter([environment], held_out, augmenter.sample_rate)
        except InputError as error:
            logger.info("validation in %s uses training recordings: %s", environment.name, error)
            chosen = augmenter
        scenes[environment.name] = [chosen.scene(environment, clips[pick], pick) for pick in picks]
    return scenes


def _open_sources(config: AugmentConfig, manifest: str, split: str) -> Sources:
    named = config.manifest or ("" if config.folders else manifest)
    if named and Path(named).is_dir():
        raise InputError(
            f"{named}: a folder does not say what is noise; set augment.manifest, or augment.folders by kind"
        )
    return Sources.open(
        [Path(named)] if named else [],
        {kind: [Path(folder)] for kind, folder in config.folders.items()},
        split,
        Path(config.types) if config.types else None,
    )


def _stack(wavs: Sequence[NDArray[np.float32]]) -> Tensor:
    return torch.from_numpy(np.stack(wavs))[:, None]
