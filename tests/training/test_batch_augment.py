"""Environments made for whole batches: shares, ranges and levels are those of the definition."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from audiocodec.audio.levels import active_level, rms_db
from audiocodec.effects import Environment, Sources, build_effect
from audiocodec.errors import ConfigError
from audiocodec.training.augment import AugmentConfig, Augmenter, open_environments
from audiocodec.training.batch_augment import BatchAugmenter, Excerpts, cpu_effects
from audiocodec.training.data.sampler import Batch
from audiocodec.training.loop import Trainer

RATE, LENGTH = 16000, 16000
CPU = torch.device("cpu")


@pytest.fixture(scope="module", name="folders")
def _folders(tmp_path_factory):
    """A long noise of one type, two short ones of another, half of a third silent; and two rooms."""
    folder, rng = tmp_path_factory.mktemp("sources"), np.random.default_rng(0)
    sounds = {
        "noise/rain/0": 0.1 * rng.standard_normal(5 * RATE),
        "noise/click/0": 0.1 * rng.standard_normal(RATE // 3),
        "noise/click/1": 0.1 * rng.standard_normal(RATE // 4),
        "noise/door/0": 0.1 * rng.standard_normal(6 * RATE) * (np.arange(6 * RATE) > 3 * RATE),
        "rir/small/0": np.eye(1, 2000, 100)[0] + 0.01 * rng.standard_normal(2000),
        "rir/large/0": np.eye(1, 6000, 40)[0] + 0.05 * rng.standard_normal(6000),
    }
    for name, wav in sounds.items():
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wav.clip(-1, 1), RATE, subtype="PCM_16")
    return folder


@pytest.fixture(name="sources")
def _sources(folders):
    return Sources.open(folders={kind: [folders / kind] for kind in ("noise", "rir")})


def made(sources, *environments, denoise=None):
    built = tuple(
        Environment(**{**fields, "effects": tuple(build_effect(one) for one in fields.get("effects", ()))})
        for fields in environments
    )
    return BatchAugmenter(Augmenter(built, sources, RATE, denoise), LENGTH, CPU)


def batch(voice, count=16):
    wavs = np.stack([0.5 * voice(1.0, seed=seed)[0] for seed in range(count)]).astype(np.float32)
    return Batch(torch.from_numpy(wavs)[:, None], ())


def test_shares_and_names(sources, voice):
    noise = {"kind": "noise", "snr_db": (0.0, 20.0)}
    augmenter = made(
        sources,
        {"name": "clean", "weight": 3.0},
        {"name": "noise", "effects": [noise]},
        {"name": "late", "start_step": 100, "effects": [noise]},
    )
    drawn = batch(voice)
    scenes = [augmenter(drawn, np.random.default_rng(seed), 10) for seed in range(40)]
    names = [name for scene in scenes for name in scene.environments]
    assert set(names) == {"clean", "noise"}
    assert abs(names.count("noise") / len(names) - 0.25) < 0.08
    for scene in scenes[:3]:
        changed = (scene.wav != drawn.wav).any(dim=2)[:, 0].tolist()
        assert changed == [name == "noise" for name in scene.environments]
        assert torch.equal(scene.wav, scene.target), "coded as it is heard"


def test_noise_is_at_its_snr_and_left_out_of_a_clean_target(sources, voice):
    effects = [{"kind": "noise", "snr_db": 5.0}]
    augmenter = made(sources, {"name": "noise", "target": "clean", "effects": effects, "peak": "keep"})
    drawn = batch(voice)
    scenes = augmenter(drawn, np.random.default_rng(0), 0)
    assert torch.equal(scenes.target, drawn.wav)
    for heard, wav in zip(scenes.wav[:, 0].numpy(), drawn.wav[:, 0].numpy(), strict=True):
        assert active_level(wav, RATE).level_db - rms_db(heard - wav) == pytest.approx(5.0, abs=0.05)


def test_a_room_keeps_the_level_and_a_target_its_direct_sound(sources, voice):
    room = {"kind": "room", "names": ("large*",)}
    drawn = batch(voice)
    for kept in ("dry", "early", "direct"):
        effects = [{**room, "clean": kept}]
        fields = {"name": "room", "target": "clean", "effects": effects, "peak": "keep"}
        augmenter = made(sources, fields)
        scenes = augmenter(drawn, np.random.default_rng(0), 0)
        plain = Augmenter(augmenter.environments, sources, RATE)
        for row, wav in enumerate(drawn.wav[:, 0].numpy()):
            scene = plain.scene(augmenter.environments[0], wav, row)
            np.testing.assert_allclose(scenes.wav[row, 0], scene.wav, atol=1e-5)
            np.testing.assert_allclose(scenes.target[row, 0], scene.target, atol=1e-5)


def test_gain_and_probability(sources, voice):
    gain = {"kind": "gain", "gain_db": -6.0, "probability": 0.5}
    augmenter = made(sources, {"name": "gain", "target": "clean", "effects": [gain]})
    drawn = batch(voice, 64)
    scenes = augmenter(drawn, np.random.default_rng(0), 0)
    factors = (scenes.wav.abs().amax(dim=2) / drawn.wav.abs().amax(dim=2))[:, 0].numpy()
    assert torch.equal(scenes.wav, scenes.target)
    np.testing.assert_allclose(np.unique(factors.round(4)), [0.5012, 1.0], atol=1e-3)
    assert 0.25 < (factors < 0.9).mean() < 0.75


def test_the_switch_asks_for_the_clean_voice_in_a_share(sources, voice):
    augmenter = made(
        sources,
        {"name": "noise", "target": "clean", "effects": [{"kind": "noise", "snr_db": 5.0}]},
        denoise=0.5,
    )
    scenes = augmenter(batch(voice, 64), np.random.default_rng(0), 0)
    assert 0.25 < float(scenes.denoise.float().mean()) < 0.75
    off = ~scenes.denoise
    assert torch.equal(scenes.target[off], scenes.wav[off])
    assert not torch.equal(scenes.target[scenes.denoise], scenes.wav[scenes.denoise])


def test_excerpts_by_type_and_never_silent(sources):
    excerpts = Excerpts(sources, "noise", (), (), RATE, LENGTH, CPU)
    drawn = excerpts.draw(np.random.default_rng(0), 300)
    assert float(drawn.square().mean(dim=1).min()) > 1e-6
    assert len(excerpts.samples) == (5 + 6) * RATE + 2 * LENGTH, "short ones go round"
    numbers = excerpts.choice.draw(np.random.default_rng(0), 3000)
    shares = np.bincount(numbers, minlength=4) / 3000  # click, click, door, rain
    np.testing.assert_allclose(shares, [1 / 6, 1 / 6, 1 / 3, 1 / 3], atol=0.04)


def test_silence_stays(sources):
    augmenter = made(sources, {"name": "noise", "effects": [{"kind": "noise", "snr_db": 5.0}]})
    wavs = torch.zeros(2, 1, LENGTH)
    assert not augmenter(Batch(wavs, ()), np.random.default_rng(0), 0).wav.any()


def test_what_only_the_cpu_applies():
    assert cpu_effects(open_environments(AugmentConfig("rooms"))) == []
    expected = ["babble", "bandlimit", "clipping", "colored_noise", "microphone", "tandem"]
    assert cpu_effects(open_environments(AugmentConfig("noisy"))) == expected


@pytest.fixture(name="held")
def _held(recipe, folders, tmp_path):
    text = "environments: {clean: {}, noise: {effects: [{kind: room}, {kind: noise, snr_db: [0, 20]}]}}"
    (tmp_path / "places.yaml").write_text(text)
    kinds = {kind: str(folders / kind) for kind in ("noise", "rir")}
    augment = AugmentConfig(str(tmp_path / "places.yaml"), folders=kinds)
    return replace(recipe, augment=augment, data=replace(recipe.data, on_device="always"), log_every=2)


def test_a_run_resumes_exactly(held, tmp_path):
    straight, cut = (Trainer(held, tmp_path / name) for name in ("straight", "cut"))
    assert isinstance(straight.feed.augmenter, BatchAugmenter)
    straight.fit(stop=lambda: straight.step_number == 6)
    cut.fit(stop=lambda: cut.step_number == 3)
    again = Trainer(held, tmp_path / "cut")
    assert again.resume()
    again.fit(stop=lambda: again.step_number == 6)
    for name, parameter in straight.model.named_parameters():
        assert torch.equal(parameter, again.model.get_parameter(name)), name


def test_other_effects_are_refused(held, tmp_path):
    augment = replace(held.augment, environments="noisy")
    with pytest.raises(ConfigError, match="babble, bandlimit, clipping"):
        Trainer(replace(held, augment=augment), tmp_path / "refused")
