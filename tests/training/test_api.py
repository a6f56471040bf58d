"""Recipes by name and by path; one call from a recipe to a model."""

from dataclasses import replace

import pytest

import audiocodec
from audiocodec.config import dump_yaml
from audiocodec.errors import ConfigError, InputError
from audiocodec.training.api import find_recipe, load_recipe


def test_by_name_and_by_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = find_recipe("speech-16k")
    assert find_recipe("speech-16k.yaml") == found
    assert load_recipe(found).name == "speech-16k"
    (tmp_path / "mine.yaml").write_text("name: mine")
    assert load_recipe("mine.yaml").name == "mine"
    (tmp_path / "speech-16k").mkdir()  # a run folder of that name is no recipe
    assert find_recipe("speech-16k") == found


def test_unknown(tmp_path):
    with pytest.raises(ConfigError, match=r"no such recipe.*base, .*speech-16k"):
        find_recipe("spech")
    with pytest.raises(ConfigError, match="no such recipe"):
        find_recipe(tmp_path / "speech-16k.yaml")


def test_a_recipe_of_ones_own_extends_what_lies_beside_it_or_comes_along(tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: tiny.yaml\nname: mine\n")
    mine = load_recipe(tmp_path / "mine.yaml", ["seed=7"])
    assert mine == replace(load_recipe("tiny"), name="mine", seed=7)
    (tmp_path / "tiny.yaml").write_text("extends: base.yaml\nsteps: 3\n")
    assert load_recipe(tmp_path / "mine.yaml") == replace(load_recipe("base"), name="mine", steps=3)
    (tmp_path / "mine.yaml").write_text("extends: tinny.yaml\n")
    with pytest.raises(ConfigError, match=r"tinny\.yaml: cannot be read \(No such file"):
        load_recipe(tmp_path / "mine.yaml")


def test_a_program_trains_resumes_and_replaces_a_run(recipe, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("audiocodec.training.api.prepare_for_training", lambda: None)
    (tmp_path / "mine.yaml").write_text(dump_yaml(recipe))
    folder, steps = tmp_path / "run", []
    result = audiocodec.train(
        tmp_path / "mine.yaml", "steps=2", "log_every=1", output=folder, report=lambda n, _: steps.append(n)
    )
    assert (result.step, result.steps, result.processes, result.skipped) == (2, 2, 1, {})
    assert (result.model, result.best, steps) == (folder / "model", None, [1, 2])
    assert audiocodec.load(result.model).model.sample_rate == 16000
    longer = replace(recipe, steps=3)
    for options, words in (({}, "holds a run already"), ({"resume": True, "force": True}, "one of them")):
        with pytest.raises(InputError, match=words):
            audiocodec.train(longer, output=folder, **options)
    with pytest.raises(InputError, match=r"'steps=4': a TrainConfig takes no overrides"):
        audiocodec.train(longer, "steps=4", output=folder, resume=True)
    with pytest.raises(InputError, match=r"another experiment: seed: 0 -> 1"):
        audiocodec.train(replace(longer, seed=1), output=folder, resume=True)
    result = audiocodec.train(longer, output=folder, resume=True, stop=lambda: True)
    assert (result.step, result.steps) == (2, 3)
    assert "config.yaml: steps: 2 -> 3" in caplog.text
    assert audiocodec.train(replace(longer, steps=1), output=folder, force=True).step == 1
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-000000001.safetensors"]
