"""HTML pages from the templates beside this file; whatever is filled in is escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from audiocodec.errors import require

PACKAGES = "'audiocodec[plot]'"
"""What pip installs to make a page."""


def render(template: str, **content: Any) -> str:
    """A page as text; only `markupsafe.Markup` in `content` is taken for HTML.

    Raises:
        MissingPackageError: Jinja is not installed.
    """
    return _environment().get_template(template).render(**content)


def check_installed() -> None:
    """Import what a page with charts and pictures needs, before long work whose result it shows.

    Raises:
        MissingPackageError: one of the packages is not installed.
    """
    for module in ("jinja2", "matplotlib", "PIL"):
        require(module, "a page", PACKAGES)


@cache
def _environment() -> Any:
    jinja2 = require("jinja2", "a page", PACKAGES)
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        lstrip_blocks=True,
    )
