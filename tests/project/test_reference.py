"""The generated pages of docs/reference say what the code says; links in the documentation lead somewhere."""

import importlib.util
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGES = [
    page
    for pattern in ("*.md", "docs/**/*.md", "tools/*.md", "recipes/*.md", "pretrained/**/*.md")
    for page in sorted(REPOSITORY.glob(pattern))
]


@pytest.fixture(scope="module")
def reference():
    path = REPOSITORY / "tools" / "release" / "reference.py"
    spec = importlib.util.spec_from_file_location("reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current(reference):
    assert reference.stale(reference.render()) == [], "run `make reference` and commit docs/reference"


def test_every_command_and_metric_is_there(reference):
    commands = reference.command_page()
    assert all(f"\n## {name}\n" in commands for name in ("encode", "codebooks rollback", "evaluate"))
    assert "| `pesq_wb_input` |" in reference.column_page()


def test_every_recipe_field_has_a_meaning(reference):
    page = reference.recipe_page()
    assert "## model.net of kind seanet" in page
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows if not row[3].strip(" |")] == []


def test_links_lead_somewhere():
    wrong = []
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for target, _, anchor in re.findall(r"\]\(([^)#\s]*)(#([^)\s]+))?\)", text):
            if "://" in target:
                continue
            path = (page.parent / target).resolve() if target else page
            if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
                wrong.append(f"{page.relative_to(REPOSITORY)}: {target}#{anchor}")
    assert wrong == []


def anchors(page):
    """Links to headings as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
