"""A module imports only parts on lower layers; parts on the same layer never see each other; no cycles."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2] / "audiocodec"
LAYERS = {
    "errors": 0, "printing": 0,
    "outside": 1, "process": 1,
    "storage": 2,
    "config": 3, "audio": 3, "devices": 3, "ranks": 3, "work": 3,
    "nn": 4, "quantizers": 4, "bitstream": 4, "metrics": 4, "corpus": 4,
    "effects": 5, "losses": 5, "model": 5,
    "checkpoint": 6, "coding": 6,
    "pretrained": 7, "streaming": 7, "files": 7, "revisions": 7, "report": 7,
    "codec": 8,
    "roundtrip": 9,
    "training": 10, "evaluation": 10, "adaptation": 10, "tokens": 10,
    "cli": 11,
    "__init__": 12, "__main__": 12,
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


@cache
def imports(module):
    path = MODULES[module]
    return sorted(set(imports_of(path, ast.parse(path.read_text()))))


def test_every_part_has_a_layer():
    assert {own_part(module) for module in MODULES} == set(LAYERS)


def own_part(module):
    return "__main__" if module.endswith("__main__") else part_of(module)


def test_imports_go_down():
    wrong = [
        f"{module} (layer {LAYERS[own_part(module)]}) imports {name}"
        for module in MODULES
        for name in imports(module)
        if part_of(name) != own_part(module) and LAYERS[part_of(name)] >= LAYERS[own_part(module)]
    ]
    assert wrong == []


def test_no_cycles():
    """Imports for type checkers count: a circle behind `TYPE_CHECKING` is a circle."""
    done, path = set(), []

    def visit(module):
        assert module not in path, f"import cycle: {' -> '.join([*path, module])}"
        if module in done:
            return
        path.append(module)
        for name in imports(module):
            # A package's __init__ gathers its own modules, which name their package only as a prefix.
            if name in MODULES and name != module:
                visit(name)
        done.add(path.pop())

    for module in MODULES:
        visit(module)


def test_files_can_be_read_without_torch():
    wrong = [
        f"{module} imports {name}"
        for module in MODULES
        if part_of(module) == "bitstream"
        for name in packages_of(ast.parse(MODULES[module].read_text()))
        if name in {"torch", "torchaudio", "soundfile", "librosa"}
    ]
    assert wrong == []


def packages_of(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


def test_the_test_sees_a_wrong_import():
    tree = ast.parse(
        "def f():\n    from audiocodec.cli import main\n    from .. import codec\nimport audiocodec.nn.conv"
    )
    assert {part_of(name) for name in imports_of(ROOT / "nn" / "blocks.py", tree)} >= {"cli", "nn"}
