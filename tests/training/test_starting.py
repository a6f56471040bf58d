"""The model before its first step: fitted, loaded, or with a denoising switch; and what of it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from audiocodec.checkpoint import load_model, save_model
from audiocodec.errors import CheckpointError, ConfigError, RegistryError
from audiocodec.metrics.waveform import si_sdr
from audiocodec.model import build_model
from audiocodec.nn.seanet import SEANetConfig
from audiocodec.training import starting
from audiocodec.training.augment import AugmentConfig
from audiocodec.training.data.sampler import Batch
from audiocodec.training.loop import Trainer
from audiocodec.training.objective import si_sdr_by_switch
from audiocodec.training.processes import Processes
from audiocodec.training.starting import build_or_load, fit_start, open_run_data, scores_imitated

SEANET = SEANetConfig(channels=4, dim=16, strides=(4, 5, 8), lstm_layers=0)


def test_codebooks_are_fitted_to_the_latents(recipe, tmp_path):
    sampler = open_run_data(recipe, tmp_path).sampler
    model = build_or_load(recipe.model, recipe.start)
    before = model.quantizer.codebooks()["0.codebook"].clone()
    fit_start(model, recipe.start, sampler, recipe.seed, 1.0, Processes())
    wav = starting._sample(sampler, recipe.seed, 1.0)
    with torch.no_grad():
        latents = model.encoder(wav)
        left = latents - model.quantizer.decode(model.quantizer.encode(latents))
    assert not torch.equal(before, model.quantizer.codebooks()["0.codebook"])
    assert float(left.square().mean() / latents.square().mean()) < 0.5


def test_a_seanet_starts_at_random(recipe, tmp_path):
    recipe = replace(recipe, model=replace(recipe.model, net=SEANET), start="random")
    trainer = Trainer(recipe, tmp_path)
    assert float(trainer.step()["total"]) > 0
    with pytest.raises(ConfigError, match="not seanet; use start: random"):
        Trainer(replace(recipe, start="linear"), tmp_path)


def test_goes_on_from_a_model(recipe, tmp_path):
    model = build_model(recipe.model)
    save_model(tmp_path / "model", model, recipe.model)
    trainer = Trainer(replace(recipe, start=str(tmp_path / "model")), tmp_path / "run")
    trainer.start()
    for name, parameter in trainer.model.named_parameters():
        assert torch.equal(parameter, dict(model.named_parameters())[name])
        assert torch.equal(trainer.average.averages[name], parameter)
    codebooks = trainer.model.quantizer.codebooks()
    assert all(torch.equal(codebooks[name], c) for name, c in model.quantizer.codebooks().items())
    trainer.step()
    for change in ({"options": {"dead_codes": "split"}}, {"search_width": 2}):
        changed = replace(recipe.model, quantizer=replace(recipe.model.quantizer, **change))
        other = build_or_load(changed, str(tmp_path / "model"))
        for name, tensor in other.state_dict().items():
            assert torch.equal(tensor, model.state_dict()[name]), name
        assert other.quantizer.stages[0].parts.dead_codes == change.get("options", {}).get(
            "dead_codes", "random"
        )
        assert torch.equal(other.quantizer.stages[0].cluster_sum, other.quantizer.stages[0].codebook)
    for change in ({"codebook_size": 8}, {"method": "simvq"}):
        changed = replace(recipe.model, quantizer=replace(recipe.model.quantizer, **change))
        with pytest.raises(CheckpointError, match="another `model`"):
            build_or_load(changed, str(tmp_path / "model"))
    other = replace(recipe.model, net=replace(recipe.model.net, decoder_blocks=2))
    with pytest.raises(CheckpointError, match="another `model`"):
        build_or_load(other, str(tmp_path / "model"))


def test_an_unknown_start(recipe):
    with pytest.raises(RegistryError, match="'lineer' is not known"):
        build_or_load(recipe.model, "lineer")


@pytest.mark.parametrize(
    ("batch_size", "seconds", "examples"), [(2, 0.5, 160), (64, 20.0, 64), (8, 80.0, 16)]
)
def test_how_much_is_fitted_to(batch_size, seconds, examples):
    """1280 s, in whole batches, 80 at most."""

    class Sampler:
        def draw(self, rng):
            return Batch(torch.zeros(batch_size, 1, 1), ())

    assert len(starting._sample(Sampler(), 0, batch_size * seconds)) == examples


def test_what_earlier_losses_imitated_is_not_forgotten(recipe, tmp_path):
    save_model(tmp_path, build_model(recipe.model), recipe.model, {"imitates": "pesq_wb,stoi"})
    weights = {"waveform": 1.0}
    assert scores_imitated(str(tmp_path), weights) == ("pesq_wb", "stoi", "si_sdr")
    assert scores_imitated("random", weights) == ("si_sdr",)


@torch.no_grad()
def test_random_phase_is_what_the_recipe_says(recipe, tmp_path):
    """A decoder without any is given some, and gives the same sound but for what is random; or loses it."""
    model = build_model(recipe.model).eval()
    save_model(tmp_path, model, recipe.model)
    net = replace(recipe.model.net, noise_gains=(1e-6,))
    noisy = replace(recipe, start=str(tmp_path), model=replace(recipe.model, net=net))
    given = build_or_load(noisy.model, noisy.start).eval()
    quantized = torch.randn(1, net.dim, 9)
    low = torch.fft.rfft(model.render(quantized) - given.render(quantized)).abs()[..., :20]
    assert float(low.max()) < 0.05 * float(torch.fft.rfft(model.render(quantized)).abs().max())
    save_model(tmp_path / "with", given, noisy.model)
    without = build_or_load(recipe.model, str(tmp_path / "with")).eval()
    torch.testing.assert_close(without.render(quantized), model.render(quantized))


ENVIRONMENTS = """
environments:
  clean: {weight: 1}
  hiss: {weight: 2, target: clean, effects: [{kind: colored_noise, snr_db: [0, 10]}]}
  hum: {weight: 1, effects: [{kind: colored_noise, colors: [brown], snr_db: [10, 20]}]}
"""


@pytest.fixture
def noisy(recipe, recordings, tmp_path):
    """The recipe in noise, of a model without a switch."""
    (tmp_path / "environments.yaml").write_text(ENVIRONMENTS)
    augment = AugmentConfig(str(tmp_path / "environments.yaml"), folders={"noise": str(recordings / "train")})
    return replace(recipe, augment=augment, data=replace(recipe.data, batch_size=4))


@pytest.fixture
def switched(noisy):
    return replace(noisy, model=replace(noisy.model, denoise="film"))


@pytest.fixture
def trained(recipe, tmp_path):
    """A model folder without a switch."""
    torch.manual_seed(0)
    save_model(tmp_path / "model", build_model(recipe.model), recipe.model)
    return str(tmp_path / "model")


def test_the_same_scenes_with_a_target_for_each_position(noisy, switched, tmp_path):
    without, with_one = Trainer(noisy, tmp_path / "a"), Trainer(switched, tmp_path / "b")
    seen = set()
    for step in range(8):
        (plain,), (drawn,) = without.feed(step), with_one.feed(step)
        assert plain.scenes.denoise is None
        assert plain.scenes.wav.equal(drawn.scenes.wav)
        assert plain.scenes.environments == drawn.scenes.environments
        for row, (name, on) in enumerate(zip(drawn.scenes.environments, drawn.scenes.denoise, strict=True)):
            seen.add((name, bool(on)))
            expected = plain.scenes.target if on else plain.scenes.wav
            assert drawn.scenes.target[row].equal(expected[row])
    assert seen == {(name, on) for name in ("clean", "hiss", "hum") for on in (True, False)}


def test_goes_on_from_a_model_without_one_as_if_nothing_had_been_added(switched, trained):
    before, _, _ = load_model(trained)
    after = build_or_load(switched.model, trained).eval()
    wav = 0.1 * torch.randn(2, 1, 6400)
    with torch.no_grad():
        codes = before.encode(wav)
        for on in (False, True, torch.tensor([True, False])):
            assert torch.equal(after.encode(wav, denoise=on), codes)
        assert torch.equal(after.decode(codes), before.decode(codes))


def test_other_differences_are_refused_still(switched, trained, tmp_path):
    net = replace(switched.model.net, decoder_blocks=2)
    with pytest.raises(CheckpointError, match="another `model`"):
        build_or_load(replace(switched.model, net=net), trained)
    model = build_or_load(switched.model, trained)
    save_model(tmp_path / "with", model, switched.model)
    build_or_load(switched.model, str(tmp_path / "with"))
    plain = replace(switched.model, denoise="none")
    with pytest.raises(CheckpointError, match="another `model`"):
        build_or_load(plain, str(tmp_path / "with"))


@pytest.mark.parametrize("probability", [0.0, 0.5])
@pytest.mark.parametrize("frozen", [("encoder",), ("encoder", "quantizer", "decoder"), ("denoise",)], ids=str)
def test_what_learns(switched, trained, tmp_path, probability, frozen):
    """The switch moves when it is sometimes on and not frozen; what it lies in may be frozen around it."""
    augment = replace(switched.augment, denoise_probability=probability)
    config = replace(switched, start=trained, augment=augment, frozen=frozen)
    if probability == 0 and len(frozen) == 3:
        config = replace(config, frozen=("encoder", "quantizer"))
    trainer = Trainer(config, tmp_path / "run")
    trainer.start()
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    for _ in range(3):
        trainer.step()
    after = trainer.model.state_dict()
    moved = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    film = {"encoder.film.scale", "encoder.film.shift"}
    assert moved & film == (film if probability and "denoise" not in frozen else set())
    parts = {name.split(".")[0] for name in moved - film}
    assert parts == {"encoder", "quantizer", "decoder"} - {*config.frozen}


def test_the_log_and_the_validation_tell_positions_apart(switched, tmp_path):
    config = replace(switched, validate_seconds=6.0, best_score="si_sdr/4/hiss", steps=4, validate_every=4)
    trainer, lines = Trainer(config, tmp_path / "run"), {}
    trainer.fit(lambda step, scalars: lines.update(scalars))
    assert 0 < lines["denoise"] < 1
    assert {"si_sdr/on", "si_sdr/off"} <= set(lines)
    places = {"", "/hiss", "/hiss-off", "/hum", "/clean-on"}
    assert places <= {name.removeprefix("valid/si_sdr/4") for name in lines}
    on, off = ([clip for clip in trainer.clips if clip.environment == name] for name in ("hiss", "hiss-off"))
    for first, second in zip(on, off, strict=True):
        assert (first.denoise, second.denoise) == (True, False)
        assert second.target is second.wav is first.wav
        assert not np.array_equal(first.target, first.wav)
    assert {clip.denoise for clip in trainer.clips if not clip.environment} == {False}
    model, found, _ = load_model(tmp_path / "run" / "model")
    assert (model.can_denoise, found.denoise) == (True, "film")
    average = trainer.average.averages["encoder.film.scale"]
    assert torch.equal(model.encoder.film.scale, average)


def test_ratios_by_position_are_those_of_the_metric(voice):
    target = torch.from_numpy(np.stack([voice(0.5, seed=seed) for seed in range(4)]))
    target[3] = 0.0
    estimate = target[..., :-40] + 0.01 * torch.randn(4, 1, target.shape[-1] - 40)
    found = si_sdr_by_switch(estimate, target, torch.tensor([True, False, True, True]))
    one = [si_sdr(target[n, 0, :-40].numpy(), estimate[n, 0].numpy(), 16000) for n in range(3)]
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {"si_sdr/on": (one[0] + one[2]) / 2, "si_sdr/off": one[1]}, abs=0.05
    )
    assert set(si_sdr_by_switch(estimate, target, torch.zeros(4, dtype=torch.bool))) == {"si_sdr/off"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"augment": AugmentConfig()}, "name augment.environments, such as denoise"),
        ({"frozen": ("encoder", "quantizer", "decoder", "denoise")}, "leave one to learn"),
    ],
    ids=str,
)
def test_recipes_that_teach_a_switch_nothing(switched, change, words):
    with pytest.raises(ConfigError, match=words):
        replace(switched, **change)


def test_environments_that_teach_a_switch_nothing(switched, tmp_path):
    (tmp_path / "environments.yaml").write_text(ENVIRONMENTS.replace("target: clean, ", ""))
    with pytest.raises(ConfigError, match="learns from environments with target: clean, and there is none"):
        Trainer(switched, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"denoise_probability is 1\.5"):
        AugmentConfig(denoise_probability=1.5)


def test_a_switch_may_be_held_without_noise(switched):
    assert replace(switched, augment=AugmentConfig(), frozen=("denoise",)).model.denoise == "film"
