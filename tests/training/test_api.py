"""Recipes by name and by path; one call from a recipe to a model."""

from dataclasses import replace

import pytest

from audiocodec.errors import ConfigError
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
