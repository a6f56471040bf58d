"""A module imports only parts on lower layers; parts on the same layer never see each other; no cycles."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "audiocodec"
LAYERS = {
    "errors": 0, "printing": 0,
    "storage": 1, "outside": 1,
    "config": 2, "audio": 2, "devices": 2, "shipped": 2, "work": 2,
    "nn": 3, "quantizers": 3, "bitstream": 3, "metrics": 3, "effects": 3, "cluster": 3,
    "model": 4,
    "checkpoint": 5, "coding": 5,
    "pretrained": 6, "streaming": 6, "files": 6, "revisions": 6,
    "codec": 7,
    "training": 8, "evaluation": 8, "adaptation": 8, "tokens": 8,
    "cli": 9,
    "__init__": 10, "__main__": 10,
}  # fmt: skip
FILES = sorted(ROOT.rglob("*.py"))


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def part_of(module):
    return module.split(".")[1] if "." in module else "__init__"


def imports_of(path, tree):
    """Names of our modules that a file imports, at its top, inside functions, and for type checking alike."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
            found = [name if name in MODULES else base for name in names]
        else:
            continue
        yield from (name for name in found if name.split(".")[0] == "audiocodec")


class WithoutTyping(ast.NodeTransformer):
    """Drops what is imported for type checkers only: it never runs."""

    def visit_If(self, node):
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else node


@cache
def imports(module, running=False):
    path = MODULES[module]
    tree = ast.parse(path.read_text())
    return sorted(set(imports_of(path, WithoutTyping().visit(tree) if running else tree)))


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module):
    own = "__main__" if module.endswith("__main__") else part_of(module)
    assert own in LAYERS, f"{own} has no layer: give it one in the table, and in the design"
    for name in imports(module):
        part = part_of(name)
        assert part == own or LAYERS[part] < LAYERS[own], f"{module} (layer {LAYERS[own]}) imports {name}"


def test_no_cycles():
    done, path = set(), []

    def visit(module):
        assert module not in path, f"import cycle: {' -> '.join([*path, module])}"
        if module in done:
            return
        path.append(module)
        for name in imports(module, running=True):
            # A package's __init__ gathers its own modules, which name their package only as a prefix.
            if name in MODULES and name != module:
                visit(name)
        done.add(path.pop())

    for module in MODULES:
        visit(module)


@pytest.mark.parametrize("module", [name for name in MODULES if part_of(name) == "bitstream"])
def test_files_can_be_read_without_torch(module):
    tree = ast.parse(MODULES[module].read_text())
    names = {
        alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    names |= {
        (node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }
    assert not names & {"torch", "torchaudio", "soundfile", "librosa"}


def test_the_test_sees_a_wrong_import():
    tree = ast.parse(
        "def f():\n    from audiocodec.cli import main\n    from .. import codec\nimport audiocodec.nn.conv"
    )
    assert {part_of(name) for name in imports_of(ROOT / "nn" / "blocks.py", tree)} >= {"cli", "nn"}
