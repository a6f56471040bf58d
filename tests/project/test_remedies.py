"""What the package imports, and what its messages say to install, is declared in pyproject.toml."""

import ast
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def names(requirements):
    """Distributions of a list of requirements, as pip spells them."""
    return {re.match(r"[\w.-]+", one)[0].lower().replace("_", "-") for one in requirements}


def texts(tree):
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [value for value in constants if isinstance(value, str)]


SOURCES = {path: ast.parse(path.read_text()) for path in sorted((ROOT / "audiocodec").rglob("*.py"))}
TEXTS = [(path.name, text) for path, tree in SOURCES.items() for text in texts(tree)]


def constant(path, node):
    """The text that an argument is, or that the constant of the module is which it names."""
    for one in SOURCES[path].body:
        if isinstance(one, ast.Assign) and getattr(one.targets[0], "id", "") == getattr(node, "id", None):
            node = one.value
    return node.value if isinstance(node, ast.Constant) else None


def required():
    """(module, what pip takes) of each call of `require`."""
    for path, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "require":
                module, install = constant(path, node.args[0]), constant(path, node.args[2])
                if module and install:
                    yield module, install


def installed_by(install):
    """Distributions that `pip install INSTALL` brings, as far as the project says."""
    found = set()
    for word in install.replace("'", "").split():
        extra = re.fullmatch(r"audiocodec\[(\w+)\]", word)
        found |= names(EXTRAS[extra[1]]) if extra else names([word])
    return found


def installed(distribution):
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def imported(path):
    """First parts of the names of other packages' modules that a file imports."""
    for node in ast.walk(SOURCES[path]):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules = [node.module]
        else:
            continue
        yield from {module.partition(".")[0] for module in modules} - {*sys.stdlib_module_names, "audiocodec"}


def test_what_is_imported_is_declared():
    known = names(one for extra in EXTRAS.values() for one in extra) | names(PROJECT["dependencies"])
    brought_by = packages_distributions()
    undeclared = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in SOURCES
        for module in imported(path)
        if not names(brought_by.get(module, [module])) & known
    ]
    assert undeclared == []


def test_what_every_installation_brings_is_imported():
    brought_by = packages_distributions()
    used = {module for path in SOURCES for module in imported(path)} | {module for module, _ in required()}
    distributions = {one for module in used for one in names(brought_by.get(module.partition(".")[0], []))}
    assert names(PROJECT["dependencies"]) - distributions == set()


def test_extras_that_are_named_exist():
    named = {extra for _, text in TEXTS for extra in re.findall(r"audiocodec\[([\w,]+)\]", text)}
    assert {"scores", "peers", "train", "evaluate"} <= named <= set(EXTRAS)


@pytest.mark.parametrize(("module", "install"), sorted(set(required())))
def test_what_is_to_be_installed_brings_the_module(module, install):
    brought = installed_by(install)
    known = names(one for extra in EXTRAS.values() for one in extra) | names(PROJECT["dependencies"])
    assert brought <= known, f"{brought - known} stand in no extra"
    top = module.partition(".")[0]
    distributions = names(packages_distributions().get(top, []))
    if distributions:  # it is installed here, so it is known who brings it
        brought |= {part for one in brought if installed(one) for part in names(requires(one) or ())}
        assert distributions & brought, f"{module} comes with {distributions}"


def test_the_calls_are_found():
    modules = {module for module, _ in required()}
    assert {"visqol", "ray", "lhotse", "cryptography.hazmat.primitives"} <= modules
