"""A function fits a screen; no count limits files, folders or the package.

A comment `# cap: reason` on the line of a def lifts the limit.
"""

import ast
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MAX_FUNCTION_LINES = 60
MAX_INIT_PARAMETERS = 8

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


def test_functions():
    over = {str(path.relative_to(REPOSITORY)): list(functions_over_caps(path.read_text())) for path in FILES}
    assert {path: found for path, found in over.items() if found} == {}


def test_the_test_counts():
    long = "def f():\n" + "    x = 1\n" * 60
    wide = "class A:\n    def __init__(self, a, b, c, d, e, f, g, *, h, i): ..."
    assert list(functions_over_caps(long)) == ["f has 61 lines"]
    assert list(functions_over_caps(wide)) == ["__init__ in line 2 has 9 parameters"]
    assert list(functions_over_caps(long.replace("f():", "f():  # cap: a table"))) == []
