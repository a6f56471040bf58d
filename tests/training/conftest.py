"""A folder of sound, and a recipe small enough to take a step in some hundredths of a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile

from audiocodec.losses.reconstruction import LossConfig
from audiocodec.model import ModelConfig, QuantizerConfig
from audiocodec.nn.spectral import SpectralConfig
from audiocodec.training.adversarial import AdversarialConfig
from audiocodec.training.config import BalancerConfig, OptimConfig, TrainConfig
from audiocodec.training.data.config import DataConfig
from audiocodec.training.discriminators import DiscriminatorConfig, LightConfig
from audiocodec.training.loop import Trainer

NET = SpectralConfig(dim=16, encoder_channels=32, encoder_blocks=1, decoder_channels=32, decoder_blocks=1)
LOSS = LossConfig(window_lengths=(256, 1024), mel_bins=(20, 40), compressed_windows=(256,))
RECIPE = TrainConfig(
    name="tiny",
    model=ModelConfig(net=NET, quantizer=QuantizerConfig(num_quantizers=4, codebook_size=32)),
    data=DataConfig(segment_seconds=0.5, batch_size=2),
    loss=replace(LOSS, weights={"mel": 4.0, "spectrum": 100.0, "commitment": 0.5}),
    optim=OptimConfig(warmup_steps=2, decay_steps=4),
    steps=12,
    autocast="none",
    prefix_choices=(2, 4),
    log_every=4,
    validate_every=100,
    validate_seconds=0,
    judge_clips=0,
)
ADVERSARIAL = AdversarialConfig(
    DiscriminatorConfig(kinds=("light",), light=LightConfig(window_lengths=(256,), channels=4)),
    start_step=2,
    warmup_steps=2,
    ramp_steps=4,
    crop_seconds=0.2,
)
"""Discriminators learn from step 2 on, the codec hears of them from step 4 on, fully at step 7."""


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory, voice: Callable[..., Any]) -> Path:
    """Two sources of two files in train, one file in valid."""
    folder = tmp_path_factory.mktemp("recordings")
    for number, name in enumerate(["train/a/0", "train/a/1", "train/b/2", "train/b/3", "valid/a/4"]):
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, voice(3.0, seed=number).T, 16000, subtype="PCM_16")
    return folder


@pytest.fixture
def recipe(recordings: Path, tmp_path: Path) -> TrainConfig:
    data = replace(RECIPE.data, manifest=str(recordings), cache=str(tmp_path / "cache"))
    return replace(RECIPE, data=data)


@pytest.fixture
def adversarial(recipe: TrainConfig) -> TrainConfig:
    return replace(recipe, adversarial=ADVERSARIAL)


@pytest.fixture
def balanced(adversarial: TrainConfig) -> TrainConfig:
    weights = {"mel": 1.0, "spectrum": 1.0, "commitment": 0.5}
    loss = replace(adversarial.loss, weights=weights)
    return replace(adversarial, loss=loss, balancer=BalancerConfig(enabled=True, ema_decay=0.9))


@pytest.fixture
def trainer(recipe, tmp_path):
    trainer = Trainer(recipe, tmp_path / "run")
    trainer.step()
    return trainer
