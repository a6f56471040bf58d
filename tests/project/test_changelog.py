import re
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
HEADINGS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_top_version_is_that_of_the_package():
    text = (REPOSITORY / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(.+?)\] - (\S+)$", text, re.MULTILINE)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert versions[0][0] == project["version"]
    assert all(date == "unreleased" or re.fullmatch(r"\d{4}-\d\d-\d\d", date) for _, date in versions)
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= HEADINGS
