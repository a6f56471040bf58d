"""Every `__all__` is sorted and true, and importing the package stays cheap."""

import importlib
import importlib.metadata
import pkgutil
import subprocess
import sys

import pytest

import audiocodec

MODULES = [
    "audiocodec",
    *(module.name for module in pkgutil.walk_packages(audiocodec.__path__, "audiocodec.")),
]


def in_fresh_process(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    ).stdout


def test_all_is_sorted_and_true():
    wrong = []
    for name in MODULES:
        if name.endswith("__main__"):
            continue
        module = importlib.import_module(name)
        exported = list(getattr(module, "__all__", []))
        if exported != sorted(exported, key=ruff_order):
            wrong.append(f"{name}: __all__ is not sorted")
        wrong += [f"{name} has no {item}" for item in exported if not hasattr(module, item)]
        if not module.__doc__:
            wrong.append(f"{name} has no docstring")
    assert wrong == []


def ruff_order(name):
    """Constants, classes, the rest."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


def test_version_is_the_one_of_the_distribution():
    assert audiocodec.__version__ == importlib.metadata.version("audiocodec")


def test_importing_the_package_does_not_import_torch():
    loaded = in_fresh_process("import audiocodec, sys; print(*sys.modules)").split()
    assert not {"torch", "librosa", "soundfile"} & set(loaded)


@pytest.mark.parametrize(
    "name", [name for name in MODULES if name in ("audiocodec.codec", "audiocodec.cli.main")]
)
def test_a_broken_torchaudio_stops_nobody_from_opening_a_file(name):
    code = f"import sys; sys.modules['torchaudio'] = None; import {name}; print('fine')"
    assert in_fresh_process(code).strip() == "fine"


def test_a_checkout_that_is_not_installed_can_be_used(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    try:
        assert importlib.reload(audiocodec).__version__ == "0.0.0"
    finally:
        monkeypatch.undo()
        importlib.reload(audiocodec)
