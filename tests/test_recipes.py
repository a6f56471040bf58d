"""Every recipe in the repository is read, and takes one step with its nets and data made small."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch

from audiocodec.config import load_config
from audiocodec.training import starting
from audiocodec.training.api import load_recipe
from audiocodec.training.config import TrainConfig
from audiocodec.training.discriminators import (
    BandsConfig,
    LightConfig,
    PeriodConfig,
    ScaleConfig,
    STFTConfig,
)
from audiocodec.training.loop import Trainer

FOLDER = Path(__file__).parents[1] / "recipes"
RECIPES = sorted(FOLDER.glob("*.yaml"))
SMALL = {
    "spectral": {
        "dim": 16,
        "encoder_channels": 32,
        "encoder_blocks": 1,
        "decoder_channels": 32,
        "decoder_blocks": 1,
    },
    "seanet": {"dim": 16, "channels": 4, "lstm_layers": 0},
}
SMALL_DISCRIMINATORS = {
    "stft": STFTConfig((256, 128), channels=4),
    "period": PeriodConfig((2, 3), channels=(4, 8)),
    "scale": ScaleConfig(2, channels=4, max_channels=16),
    "bands": BandsConfig((256, 128), channels=4),
    "light": LightConfig((256, 128), channels=4),
}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory, voice):
    folder = tmp_path_factory.mktemp("recordings")
    for split in ("train", "valid"):
        (folder / split).mkdir()
        soundfile.write(folder / split / "a.wav", voice(4.0).T, 16000)
    return folder


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_one_step(path, recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(starting, "MAX_BATCHES", 4)
    config = load_config(TrainConfig, path)
    model = replace(
        config.model,
        net=replace(config.model.net, **SMALL[config.model.net.kind]),
        quantizer=replace(config.model.quantizer, codebook_size=16),
    )
    data = replace(config.data, manifest=str(recordings), cache="", batch_size=2, source_weights={})
    # The discriminators take part in the first step already, and the codec hears of them.
    judges = replace(config.adversarial.discriminators, **SMALL_DISCRIMINATORS)
    adversarial = replace(
        config.adversarial,
        discriminators=judges,
        start_step=0,
        warmup_steps=0,
        ramp_steps=0,
        update_share=1.0,
    )
    pools = dict.fromkeys(("noise", "speech", "music", "rir"), str(recordings / "train"))
    augment = replace(config.augment, folders=pools if config.augment.environments else {})
    small = replace(
        config,
        augment=augment,
        model=model,
        data=replace(data, segment_seconds=0.4),
        adversarial=adversarial,
        validate_seconds=3.0,
    )
    start = small.start if small.start in ("linear", "random") else "random"
    with torch.random.fork_rng(devices=[]):
        trainer = Trainer(replace(small, start=start), tmp_path)
        before = [parameter.detach().clone() for parameter in trainer.parameters]
        trainer.start()
        scalars = trainer.step()
    assert torch.isfinite(scalars["total"])
    assert ("discriminator" in scalars) == config.adversarial.enabled
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.parameters, strict=True))


@pytest.mark.parametrize(
    "path", [path for path in RECIPES if path.stem != "base"], ids=lambda path: path.stem
)
def test_is_a_short_difference_under_its_own_name(path):
    assert load_config(TrainConfig, path).name == path.stem
    assert len([line for line in path.read_text().splitlines() if line and not line.startswith("#")]) <= 15


def test_the_table_lists_every_recipe():
    table = (FOLDER / "README.md").read_text()
    assert [path.stem for path in RECIPES if f"| `{path.stem}`" not in table] == []


@pytest.mark.parametrize("page", ["docs/guide/train.md", "docs/reference/data.md", "recipes/README.md"])
def test_commands_in_the_documentation_are_understood(page):
    """Recipe found, every key known; paths in them are the reader's."""
    text = (FOLDER.parent / page).read_text()
    commands = re.findall(r"audiocodec train ([a-z][a-z0-9-]*)(?=[\s`])((?: [a-z_.]+=[^\s`]+)*)", text)
    assert len(commands) >= 2
    for name, changes in commands:
        load_recipe(name, changes.split())


def test_changes_in_the_documentation_are_understood():
    text = (FOLDER.parent / "docs" / "guide" / "train.md").read_text()
    changes = [change for change in re.findall(r"`([a-z_.]+=[^`]+)`", text) if change != "key=value"]
    assert len(changes) >= 5
    for change in changes:
        load_recipe("base", [change])


def test_the_recipe_in_the_documentation_is_understood(tmp_path):
    (block,) = re.findall(
        r"```yaml\n(.*?)```", (FOLDER.parent / "docs" / "guide" / "train.md").read_text(), re.DOTALL
    )
    (tmp_path / "mine.yaml").write_text(block)
    config = load_recipe(tmp_path / "mine.yaml")
    assert config.data.source_weights == {"interviews": 3.0}
