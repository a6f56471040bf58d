"""A test file lies where the code lies that it tests, under the same name."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
# Properties of a whole package: no single module has them.
OF_A_PACKAGE = {
    "test_recipes.py", "test_undisturbed.py", "test_written.py",
    "adaptation/registry/test_decoding.py", "adaptation/registry/test_faults.py",
    "adaptation/registry/test_verification.py",
    "bitstream/test_container.py", "bitstream/test_damage.py", "bitstream/test_format.py",
    "bitstream/test_fuzz.py", "bitstream/test_hostile.py",
    "cli/test_names.py", "cli/test_stopping.py",
    "evaluation/peers/test_peers.py", "metrics/test_metrics.py",
    "quantizers/test_conformance.py", "quantizers/test_memory.py",
}  # fmt: skip


def module_of(path):
    """The module that a test file is about."""
    parts = path.relative_to(REPOSITORY / "tests").parts
    root = REPOSITORY if parts[0] == "tools" else REPOSITORY / "audiocodec"
    return root.joinpath(*parts[:-1], path.name.removeprefix("test_"))


def test_every_test_file_mirrors_a_module():
    tests = REPOSITORY / "tests"
    files = {path for path in tests.rglob("test_*.py") if path.parent != tests / "project"}
    listed = {tests / name for name in OF_A_PACKAGE}
    astray = {str(path.relative_to(tests)) for path in files - listed if not module_of(path).is_file()}
    assert astray == set(), "no module has this place and name"
    assert {str(path.relative_to(tests)) for path in listed - files} == set(), "listed, but not there"
