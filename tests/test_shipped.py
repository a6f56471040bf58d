import pytest

from audiocodec import shipped
from audiocodec.errors import ConfigError
from audiocodec.shipped import find_shipped, recipes_folder


def test_a_file_or_a_name(tmp_path):
    (tmp_path / "soft.yaml").write_text("")
    assert find_shipped("soft", tmp_path, "cheese") == tmp_path / "soft.yaml"
    assert find_shipped("soft.yaml", tmp_path, "cheese") == tmp_path / "soft.yaml"
    assert find_shipped(tmp_path / "soft.yaml", recipes_folder(), "cheese") == tmp_path / "soft.yaml"


@pytest.mark.parametrize("name", ["hard", "x/soft", "../soft"])
def test_what_is_not_there(tmp_path, name):
    (tmp_path / "soft.yaml").write_text("")
    with pytest.raises(ConfigError, match="no such cheese; name a YAML file or one of soft"):
        find_shipped(name, tmp_path, "cheese")


def test_inside_an_installed_package(tmp_path, monkeypatch):
    package = tmp_path / "audiocodec"
    package.mkdir()
    monkeypatch.setattr(shipped, "__file__", str(package / "shipped.py"))
    assert shipped.recipes_folder() == tmp_path / "recipes"
    (package / "_recipes").mkdir()
    assert shipped.recipes_folder() == package / "_recipes"
