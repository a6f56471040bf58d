import pytest

from audiocodec.config import load_config
from audiocodec.errors import ConfigError
from audiocodec.training import recipes
from audiocodec.training.config import TrainConfig
from audiocodec.training.recipes import find_recipe


def test_by_name_and_by_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = find_recipe("speech-16k")
    assert find_recipe("speech-16k.yaml") == found
    assert load_config(TrainConfig, found).name == "speech-16k"
    (tmp_path / "mine.yaml").write_text("name: mine")
    assert load_config(TrainConfig, find_recipe("mine.yaml")).name == "mine"
    (tmp_path / "speech-16k").mkdir()  # a run folder of that name is no recipe
    assert find_recipe("speech-16k") == found


def test_unknown(tmp_path):
    with pytest.raises(ConfigError, match=r"no such recipe.*base, .*speech-16k"):
        find_recipe("spech")
    with pytest.raises(ConfigError, match="no such recipe"):
        find_recipe(tmp_path / "speech-16k.yaml")


def test_inside_an_installed_package(tmp_path, monkeypatch):
    package = tmp_path / "audiocodec"
    (package / "training").mkdir(parents=True)
    monkeypatch.setattr(recipes, "__file__", str(package / "training" / "recipes.py"))
    assert recipes.recipes_folder() == tmp_path / "recipes"
    (package / "_recipes").mkdir()
    assert recipes.recipes_folder() == package / "_recipes"
