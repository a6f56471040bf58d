from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from audiocodec import config
from audiocodec.config import (
    MAX_FILE_BYTES,
    dump_yaml,
    find_shipped,
    from_mapping,
    load_config,
    recipes_folder,
    to_mapping,
)
from audiocodec.errors import AudioCodecError, ConfigError


@dataclass(frozen=True)
class Circle:
    kind: Literal["circle"] = "circle"
    radius: float = 1.0


@dataclass(frozen=True)
class Square:
    kind: Literal["square"] = "square"
    side: int = 2

    def __post_init__(self) -> None:
        if self.side < 0:
            raise ConfigError("side: must not be negative")


@dataclass(frozen=True)
class Optimizer:
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float | None = None


@dataclass(frozen=True)
class Recipe:
    name: str
    steps: int = 10
    fast: bool = False
    mode: Literal["a", "b"] = "a"
    strides: tuple[int, ...] = (2, 4)
    optimizer: Optimizer = field(default_factory=Optimizer)
    shape: Circle | Square = field(default_factory=Circle)
    options: dict[str, float | int | str | bool] = field(default_factory=dict)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_round_trip_through_yaml(tmp_path):
    recipe = Recipe(
        "x", 3, True, "b", (8, 5), Optimizer(3e-5, (0.5, 0.9), 1.0), Square(side=7),
        {"a": 1, "b": 0.5, "c": "text", "d": True},
    )  # fmt: skip
    loaded = load_config(Recipe, write(tmp_path / "r.yaml", dump_yaml(recipe)))
    assert loaded == recipe
    assert [type(v) for v in loaded.options.values()] == [int, float, str, bool]
    assert from_mapping(Recipe, to_mapping(recipe)) == recipe


def test_defaults_and_empty_file(tmp_path):
    assert load_config(Optimizer, write(tmp_path / "e.yaml", "")) == Optimizer()


def test_exponents_are_numbers(tmp_path):
    assert load_config(Optimizer, write(tmp_path / "e.yaml", "learning_rate: 3e-4")).learning_rate == 3e-4
    assert load_config(Optimizer, tmp_path / "e.yaml", ["learning_rate=2E3"]).learning_rate == 2000.0


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"name": "x", "stepz": 3}, ["stepz", "did you mean 'steps'"]),
        ({"name": "x", "optimizer": {"learning_rat": 1.0}}, ["optimizer.learning_rat", "'learning_rate'"]),
        ({"name": "x", "qqq": 3}, ["qqq", "known keys", "strides"]),
        ({}, ["name", "missing"]),
        ({"name": 3}, ["name", "text", "3"]),
        ({"name": "x", "steps": True}, ["steps", "whole number", "True"]),
        ({"name": "x", "steps": 1.5}, ["steps", "whole number"]),
        ({"name": "x", "fast": 1}, ["fast", "true or false"]),
        ({"name": "x", "mode": "c"}, ["mode", "'a', 'b'", "'c'"]),
        ({"name": "x", "strides": 4}, ["strides", "a list"]),
        ({"name": "x", "strides": [1, "2"]}, ["strides[1]", "whole number"]),
        ({"name": "x", "optimizer": {"betas": [0.9]}}, ["optimizer.betas", "2 entries", "1"]),
        ({"name": "x", "optimizer": {"clip": "much"}}, ["optimizer.clip", "number"]),
        ({"name": "x", "optimizer": {"learning_rate": float("nan")}}, ["optimizer.learning_rate", "finite"]),
        ({"name": "x", "optimizer": {"learning_rate": 10**400}}, ["optimizer.learning_rate", "finite"]),
        ({"name": "x", "optimizer": [1]}, ["optimizer", "a mapping", "a list"]),
        ({"name": "x", "shape": {"side": 3}}, ["shape.kind", "'circle', 'square'", "nothing"]),
        ({"name": "x", "shape": {"kind": "star"}}, ["shape.kind", "'star'"]),
        ({"name": "x", "shape": {"kind": "square", "radius": 1.0}}, ["shape.radius", "Square"]),
        ({"name": "x", "shape": {"kind": "square", "side": -1}}, ["shape: side", "negative"]),
        ({"name": "x", "options": {"a": [1]}}, ["options.a", "one of"]),
    ],
)
def test_errors_name_the_place_and_what_is_allowed(mapping, words):
    with pytest.raises(ConfigError) as error:
        from_mapping(Recipe, mapping)
    assert isinstance(error.value, AudioCodecError)
    assert isinstance(error.value, ValueError)
    for word in words:
        assert word in str(error.value)


def test_extends_is_relative_to_the_file_and_merges_deeply(tmp_path):
    (tmp_path / "base").mkdir()
    write(tmp_path / "base/b.yaml", "name: base\noptimizer: {learning_rate: 0.5, clip: 2}\nstrides: [1]\n")
    path = write(tmp_path / "r.yaml", "extends: base/b.yaml\noptimizer: {clip: null}\nstrides: [7, 8]\n")
    recipe = load_config(Recipe, path)
    assert recipe == Recipe("base", strides=(7, 8), optimizer=Optimizer(0.5))


def test_another_kind_replaces_instead_of_merging(tmp_path):
    write(tmp_path / "b.yaml", "name: b\nshape: {kind: circle, radius: 3}\n")
    path = write(tmp_path / "r.yaml", "extends: b.yaml\nshape: {kind: square, side: 5}\n")
    assert load_config(Recipe, path).shape == Square(side=5)
    assert load_config(Recipe, path, ["shape.side=6"]).shape == Square(side=6)
    assert load_config(Recipe, path, ["shape.kind=circle", "shape.radius=4"]).shape == Circle(radius=4.0)


def test_overrides(tmp_path):
    path = write(tmp_path / "r.yaml", "name: x\n")
    overrides = ["steps=99", "optimizer.betas=[0.1, 0.2]", "fast=true", "name=a=b", "options.k=1"]
    assert load_config(Recipe, path, overrides) == Recipe(
        "a=b", 99, True, optimizer=Optimizer(betas=(0.1, 0.2)), options={"k": 1}
    )


@pytest.mark.parametrize("override", ["steps", "=3", "a..b=3", "steps=[", "optimizer.clipp=1", "steps=x"])
def test_bad_overrides(tmp_path, override):
    with pytest.raises(ConfigError, match=r"steps|override|clipp"):
        load_config(Recipe, write(tmp_path / "r.yaml", "name: x\n"), [override])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("name: [", "not valid YAML"),
        ("- 1\n- 2\n", "a list"),
        ("name: x\nname: y\n", "twice"),
        ("1: x\n", "not text"),
        ("a: &a [1]\nb: *a\n", "aliases"),
        ("name: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
        ("name: 2020-13-45\n", "not valid YAML"),
        ("name: !!timestamp x\n", "not valid YAML"),
        ("name: !!bool x\n", "not valid YAML"),
        ("name: !!int ''\n", "not valid YAML"),
        ("extends: 3\n", "file name"),
        ("extends: r.yaml\n", "circle"),
        ("extends: missing.yaml\n", "missing.yaml"),
        ("[" * 20000, "nested too deeply"),
        ("# " + "x" * MAX_FILE_BYTES, "at most 262144 are read"),
    ],
)
def test_hostile_files(tmp_path, text, word):
    with pytest.raises(ConfigError, match=r"\.yaml") as error:
        load_config(Recipe, write(tmp_path / "r.yaml", text))
    assert word in str(error.value)


@pytest.mark.parametrize(
    "named", ["../b.yaml", "{folder}/../b.yaml", "sub/../../b.yaml", "link.yaml", "/dev/zero"]
)
def test_only_files_of_the_same_folder_are_extended(tmp_path, named):
    """Or the message about a file that cannot be understood would show what is in it."""
    folder = tmp_path / "recipes"
    (folder / "sub").mkdir(parents=True)
    write(tmp_path / "b.yaml", "secret")
    (folder / "link.yaml").symlink_to(tmp_path / "b.yaml")
    path = write(folder / "r.yaml", f"extends: {named.format(folder=folder)}\n")
    for shipped in (None, folder / "sub"):
        with pytest.raises(ConfigError, match="lies elsewhere") as error:
            load_config(Recipe, path, shipped=shipped)
        assert "secret" not in str(error.value)


def test_a_folder_of_links_is_one_place(tmp_path):
    """As configuration is mounted by Kubernetes."""
    for folder in ("data", "mounted"):
        (tmp_path / folder).mkdir()
    for name, text in (("b.yaml", "name: base\n"), ("r.yaml", "extends: b.yaml\n")):
        write(tmp_path / "data" / name, text)
        (tmp_path / "mounted" / name).symlink_to(tmp_path / "data" / name)
    assert load_config(Recipe, tmp_path / "mounted" / "r.yaml").name == "base"


def test_files_that_are_not_ones_own_extend_nothing(tmp_path):
    write(tmp_path / "b.yaml", "name: base\n")
    with pytest.raises(ConfigError, match="extends: unknown key"):
        load_config(Recipe, write(tmp_path / "r.yaml", "extends: b.yaml\n"), extend=False)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        load_config(Recipe, tmp_path / "none.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path, tmp_path / "pipe.yaml", Path("/dev/zero")):
        with pytest.raises(ConfigError, match=r"a folder|no regular file"):
            load_config(Recipe, path)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(Recipe, tmp_path / "b.yaml")


def test_a_field_type_the_module_cannot_read_is_our_own_mistake():
    @dataclass
    class Odd:
        value: complex = 0j

    with pytest.raises(TypeError, match="complex"):
        from_mapping(Odd, {"value": 1})


def test_a_shipped_file_by_path_or_name(tmp_path):
    (tmp_path / "soft.yaml").write_text("")
    assert find_shipped("soft", tmp_path, "cheese") == tmp_path / "soft.yaml"
    assert find_shipped("soft.yaml", tmp_path, "cheese") == tmp_path / "soft.yaml"
    assert find_shipped(tmp_path / "soft.yaml", recipes_folder(), "cheese") == tmp_path / "soft.yaml"


@pytest.mark.parametrize("name", ["hard", "x/soft", "../soft"])
def test_a_shipped_file_that_is_not_there(tmp_path, name):
    (tmp_path / "soft.yaml").write_text("")
    with pytest.raises(ConfigError, match="no such cheese; name a YAML file or one of soft"):
        find_shipped(name, tmp_path, "cheese")


def test_recipes_inside_an_installed_package(tmp_path, monkeypatch):
    package = tmp_path / "audiocodec"
    package.mkdir()
    monkeypatch.setattr(config, "__file__", str(package / "config.py"))
    assert config.recipes_folder() == tmp_path / "recipes"
    (package / "_recipes").mkdir()
    assert config.recipes_folder() == package / "_recipes"
