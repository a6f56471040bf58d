from dataclasses import replace

import pytest
import torch

from audiocodec.checkpoint import save_model
from audiocodec.errors import CheckpointError, ConfigError, RegistryError
from audiocodec.model import build_model
from audiocodec.nn.seanet import SEANetConfig
from audiocodec.training import starting
from audiocodec.training.data.opening import open_data
from audiocodec.training.loop import Trainer
from audiocodec.training.starting import build, scores_imitated, start

SEANET = SEANetConfig(channels=4, dim=16, strides=(4, 5, 8), lstm_layers=0)


def test_codebooks_are_fitted_to_the_latents(recipe, tmp_path):
    sampler = open_data(recipe, tmp_path).sampler
    model = build(recipe)
    before = model.quantizer.codebooks()["0.codebook"].clone()
    start(model, recipe, sampler)
    wav = starting._sample(recipe, sampler)
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
        other = build(replace(recipe, model=changed, start=str(tmp_path / "model")))
        for name, tensor in other.state_dict().items():
            assert torch.equal(tensor, model.state_dict()[name]), name
        assert other.quantizer.stages[0].parts.dead_codes == change.get("options", {}).get(
            "dead_codes", "random"
        )
        assert torch.equal(other.quantizer.stages[0].cluster_sum, other.quantizer.stages[0].codebook)
    for change in ({"codebook_size": 8}, {"method": "simvq"}):
        changed = replace(recipe.model, quantizer=replace(recipe.model.quantizer, **change))
        with pytest.raises(CheckpointError, match="another `model`"):
            build(replace(recipe, model=changed, start=str(tmp_path / "model")))
    other = replace(recipe.model, net=replace(recipe.model.net, decoder_blocks=2))
    with pytest.raises(CheckpointError, match="another `model`"):
        build(replace(recipe, model=other, start=str(tmp_path / "model")))


def test_an_unknown_start(recipe):
    with pytest.raises(RegistryError, match="'lineer' is not known"):
        build(replace(recipe, start="lineer"))


@pytest.mark.parametrize(
    ("batch_size", "seconds", "examples"), [(2, 0.5, 160), (64, 20.0, 64), (8, 80.0, 16)]
)
def test_how_much_is_fitted_to(recipe, batch_size, seconds, examples):
    """1280 s, in whole batches, 80 at most."""

    class Sampler:
        def batch(self, rng):
            return torch.zeros(batch_size, 1, 1)

    recipe = replace(recipe, data=replace(recipe.data, batch_size=batch_size, segment_seconds=seconds))
    assert len(starting._sample(recipe, Sampler())) == examples


def test_what_earlier_losses_imitated_is_not_forgotten(recipe, tmp_path):
    save_model(tmp_path, build_model(recipe.model), recipe.model, {"imitates": "pesq_wb,stoi"})
    later = replace(recipe, start=str(tmp_path), loss=replace(recipe.loss, weights={"waveform": 1.0}))
    assert scores_imitated(later) == ("pesq_wb", "stoi", "si_sdr")
    assert scores_imitated(replace(later, start="random")) == ("si_sdr",)


@torch.no_grad()
def test_random_phase_is_what_the_recipe_says(recipe, tmp_path):
    """A decoder without any is given some, and gives the same sound but for what is random; or loses it."""
    model = build_model(recipe.model).eval()
    save_model(tmp_path, model, recipe.model)
    net = replace(recipe.model.net, noise_gains=(1e-6,))
    noisy = replace(recipe, start=str(tmp_path), model=replace(recipe.model, net=net))
    given = build(noisy).eval()
    quantized = torch.randn(1, net.dim, 9)
    low = torch.fft.rfft(model.render(quantized) - given.render(quantized)).abs()[..., :20]
    assert float(low.max()) < 0.05 * float(torch.fft.rfft(model.render(quantized)).abs().max())
    save_model(tmp_path / "with", given, noisy.model)
    without = build(replace(noisy, start=str(tmp_path / "with"), model=recipe.model)).eval()
    torch.testing.assert_close(without.render(quantized), model.render(quantized))
