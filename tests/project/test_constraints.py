"""constraints.txt pins what pyproject asks for, within its bounds."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
UNTESTED = {"jiwer", "faster-whisper", "ray", "transformers", "resemblyzer", "webrtcvad-wheels"}
"""Not part of the environment in which the tests run."""


def test_pins_are_within_the_bounds():
    pins = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines()[1:]]
    versions = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}
    extras = PROJECT["optional-dependencies"].values()
    wanted = map(Requirement, [*PROJECT["dependencies"], *(one for extra in extras for one in extra)])
    asked = [one for one in wanted if one.name != PROJECT["name"]]
    missing = {canonicalize_name(one.name) for one in asked} - set(versions)
    assert missing <= UNTESTED
    for one in asked:
        name = canonicalize_name(one.name)
        if name in versions:
            assert one.specifier.contains(versions[name], prereleases=True), f"{one}, pinned {versions[name]}"
