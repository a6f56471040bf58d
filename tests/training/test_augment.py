"""Environments in training: drawn as the recipe says, repeatable, with the target that each one names."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from audiocodec.errors import ConfigError, InputError
from audiocodec.training.augment import AugmentConfig, held_out_scenes, open_augmenter
from audiocodec.training.data.sampler import step_rng
from audiocodec.training.loop import Trainer

RATE = 16000
ENVIRONMENTS = """
environments:
  clean: {weight: 2}
  street: {weight: 1, effects: [{kind: noise, types: [street], snr_db: [0, 20]}]}
  denoise: {weight: 1, target: clean, start_step: 4, effects: [{kind: noise, snr_db: [5, 10]}]}
"""


@pytest.fixture(scope="module")
def noises(tmp_path_factory):
    """A manifest of two noises for training and one for validation."""
    folder = tmp_path_factory.mktemp("noises")
    rng = np.random.default_rng(0)
    rows = ["path,split,kind,type"]
    for name, split in (("a", "train"), ("b", "train"), ("c", "valid")):
        soundfile.write(folder / f"{name}.wav", 0.1 * rng.standard_normal(4 * RATE), RATE)
        rows.append(f"{name}.wav,{split},noise,street")
    (folder / "noises.csv").write_text("\n".join(rows))
    (folder / "environments.yaml").write_text(ENVIRONMENTS)
    return folder


@pytest.fixture
def augment(noises):
    return AugmentConfig(str(noises / "environments.yaml"), str(noises / "noises.csv"))


@pytest.fixture
def noisy(recipe, augment):
    return replace(recipe, augment=augment)


def step_rng_after_seed(seed):
    """As the feed has it when it draws the speech of step 0."""
    rng = step_rng(seed, 0)
    rng.integers(2**62)
    return rng


def drawn(trainer, step):
    return [part.scenes for part in trainer.feed(step)]


def test_a_recipe_without_environments_hears_what_is_recorded(recipe, tmp_path):
    (scenes,) = drawn(Trainer(recipe, tmp_path), 0)
    assert scenes.wav is scenes.target
    assert scenes.environments == ()


def test_shares_and_curriculum(noisy, tmp_path):
    trainer = Trainer(replace(noisy, data=replace(noisy.data, batch_size=64)), tmp_path)
    early = Counter(name for step in range(4) for name in drawn(trainer, step)[0].environments)
    late = Counter(name for step in range(4, 12) for name in drawn(trainer, step)[0].environments)
    assert {name: count / early.total() for name, count in early.items()} == pytest.approx(
        {"clean": 2 / 3, "street": 1 / 3}, abs=0.08
    )
    assert {name: count / late.total() for name, count in late.items()} == pytest.approx(
        {"clean": 0.5, "street": 0.25, "denoise": 0.25}, abs=0.08
    )


def test_each_environment_has_its_target(noisy, recipe, tmp_path):
    """Clean examples are those of the recipe without noise, and so are the targets of denoising."""
    with_noise, without = Trainer(noisy, tmp_path / "a"), Trainer(recipe, tmp_path / "b")
    seen = set()
    for step in range(4, 20):
        (scenes,), (plain,) = drawn(with_noise, step), drawn(without, step)
        for row, name in enumerate(scenes.environments):
            seen.add(name)
            heard, target, original = scenes.wav[row, 0], scenes.target[row, 0], plain.wav[row, 0]
            gain = float((target @ original) / original.square().sum())  # below 1 where the sum would clip
            if name == "street":
                assert heard.equal(target)
                assert not heard.equal(original)
            else:
                assert np.allclose(target, gain * original, atol=1e-6)
                assert heard.equal(target) == (name == "clean")
    assert seen == {"clean", "street", "denoise"}


def test_what_is_drawn_follows_from_seed_rank_and_step(noisy, tmp_path):
    first, again = Trainer(noisy, tmp_path / "a"), Trainer(noisy, tmp_path / "b")
    other = Trainer(replace(noisy, seed=1), tmp_path / "c")
    for step in (3, 1):
        (mine,), (same,), (another,) = drawn(first, step), drawn(again, step), drawn(other, step)
        assert mine.wav.equal(same.wav)
        assert mine.target.equal(same.target)
        assert mine.environments == same.environments
        assert not mine.wav.equal(another.wav)


def test_a_resumed_run_repeats_with_noise_and_discriminators(balanced, augment, tmp_path):
    recipe = replace(balanced, augment=augment, steps=8, log_every=1)
    lines = {}
    for name, halts in (("whole", [8]), ("cut", [5, 8])):
        for halt in halts:
            trainer = Trainer(recipe, tmp_path / name)
            trainer.resume()
            trainer.fit(
                lambda step, scalars, name=name: lines.setdefault((name, step), dict(scalars)),
                lambda trainer=trainer, halt=halt: trainer.step_number >= halt,
            )
            trainer.save()
    for step in range(1, 9):
        whole, cut = lines["whole", step], lines["cut", step]
        assert sum(value for name, value in whole.items() if name.startswith("environment/")) == 1.0
        for timing in ("audio_seconds_per_second", "waiting_share"):
            whole.pop(timing)
            cut.pop(timing)
        assert whole == cut


def test_validation_meets_held_out_noise_the_same_way_each_time(noisy, augment, noises, tmp_path, voice):
    clips = [voice(1.0, seed=n)[0] for n in range(4)]
    augmenter = open_augmenter(augment, "", RATE)
    scenes = held_out_scenes(augmenter, augment, "", clips)
    again = held_out_scenes(augmenter, augment, "", clips)
    assert {name: len(found) for name, found in scenes.items()} == {"street": 3, "denoise": 3}
    assert all(
        np.array_equal(one.wav, other.wav)
        for name in scenes
        for one, other in zip(scenes[name], again[name], strict=True)
    )
    held_out, _ = soundfile.read(noises / "c.wav", dtype="float32")
    noise = scenes["denoise"][0].wav - scenes["denoise"][0].target
    match = np.correlate(held_out, noise / np.linalg.norm(noise), "valid").max() / np.sqrt(len(noise))
    assert match > 0.09  # 0.1 of white noise when it is this recording, near 0 else
    trainer = Trainer(replace(noisy, validate_seconds=6.0, best_score="stoi/4/denoise"), tmp_path)
    assert {"pesq_wb/4/street", "si_sdr/2/denoise"} <= set(trainer.validate().scores)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"environments": "nosy"}, "no such list of environments"),
        ({"manifest": "missing.csv"}, "missing.csv"),
        ({"manifest": "", "folders": {}}, "a folder does not say what is noise"),
    ],
    ids=str,
)
def test_what_is_refused_before_training(noisy, tmp_path, change, words):
    with pytest.raises((ConfigError, InputError), match=words):
        Trainer(replace(noisy, augment=replace(noisy.augment, **change)), tmp_path)


def test_environments_without_sources_are_named(noisy, noises, tmp_path):
    (tmp_path / "rain.yaml").write_text(
        "environments:\n  rain: {effects: [{kind: noise, types: [rain], snr_db: 5}]}\n"
    )
    augment = replace(noisy.augment, environments=str(tmp_path / "rain.yaml"))
    with pytest.raises(InputError, match=r"rain: no recording of kind noise of type rain.*street"):
        Trainer(replace(noisy, augment=augment), tmp_path / "run")


def test_a_folder_with_one_noise_shorter_than_an_example(noisy, tmp_path):
    (tmp_path / "noise").mkdir()
    soundfile.write(tmp_path / "noise" / "hum.wav", 0.1 * np.sin(np.arange(3000)), RATE)
    (tmp_path / "hum.yaml").write_text("environments:\n  hum: {effects: [{kind: noise, snr_db: 0}]}\n")
    augment = AugmentConfig(str(tmp_path / "hum.yaml"), folders={"noise": str(tmp_path / "noise")})
    trainer = Trainer(replace(noisy, augment=augment, validate_seconds=3.0), tmp_path / "run")
    (scenes,) = drawn(trainer, 0)
    assert set(scenes.environments) == {"hum"}
    clean = trainer.data.sampler.draw(step_rng_after_seed(trainer.config.seed)).wav
    added = (scenes.wav - clean).square().unflatten(-1, (8, -1)).mean(-1)
    assert bool((added > 1e-8).all())  # to the end: it is repeated
    assert "stoi/4/hum" in trainer.validate().scores


def test_a_kind_of_folder_that_is_not_known():
    with pytest.raises(ConfigError, match="did you mean 'noise'"):
        AugmentConfig(folders={"nois": "x"})
