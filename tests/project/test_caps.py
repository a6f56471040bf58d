"""Size limits that keep the code readable.

A comment `# cap: reason` on the line of a def, or in the first five lines of a file, lifts one.
"""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60
MAX_INIT_PARAMETERS = 8
MAX_FOLDER_FILES = 16
MAX_PACKAGE_LINES = 36_000  # training, evaluation and adaptation are each larger than the codec itself
ONE_METHOD_A_FILE = {"quantizers", "effects", "cli", "peers", "tools"}  # any number of files

FILES = sorted(
    path for folder in ("audiocodec", "tools", "tests") for path in (REPOSITORY / folder).rglob("*.py")
)


def functions_over_caps(text):
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if (
            not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            or "# cap: " in lines[node.lineno - 1]
        ):
            continue
        length = node.end_lineno - node.lineno + 1
        if length > MAX_FUNCTION_LINES:
            yield f"{node.name} has {length} lines"
        arguments = node.args
        count = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs) - 1
        if node.name == "__init__" and count > MAX_INIT_PARAMETERS:
            yield f"__init__ in line {node.lineno} has {count} parameters"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_files_and_functions(path):
    text = path.read_text()
    lines = text.splitlines()
    assert len(lines) <= MAX_FILE_LINES or any("# cap: " in line for line in lines[:5])
    assert list(functions_over_caps(text)) == []


def test_folders():
    for folder in {path.parent for path in FILES}:
        count = sum(path.suffix == ".py" for path in folder.iterdir())
        assert count <= MAX_FOLDER_FILES or folder.name in ONE_METHOD_A_FILE, f"{folder} has {count} files"


def test_package():
    package = REPOSITORY / "audiocodec"
    files = [path for path in package.rglob("*.py") if path.parent.name != "quantizers"]
    assert sum(len(path.read_text().splitlines()) for path in files) <= MAX_PACKAGE_LINES


def test_the_test_counts():
    long = "def f():\n" + "    x = 1\n" * 60
    wide = "class A:\n    def __init__(self, a, b, c, d, e, f, g, *, h, i): ..."
    assert list(functions_over_caps(long)) == ["f has 61 lines"]
    assert list(functions_over_caps(wide)) == ["__init__ in line 2 has 9 parameters"]
    assert list(functions_over_caps(long.replace("f():", "f():  # cap: a table"))) == []
