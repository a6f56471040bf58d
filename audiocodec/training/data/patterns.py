"""What a path says of a recording: templates such as `{speaker}/{chapter}/*.flac`, or regular expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audiocodec.errors import InputError

if TYPE_CHECKING:
    from pathlib import PurePath

FIELDS = ("speaker", "source", "language", "split", "kind")
"""Names that mean something; any other name matches and is forgotten."""
MAX_PATTERN = 1000
_TOKEN = re.compile(r"\{([A-Za-z_]\w*)\}|(\*\*/|\*\*|\*|\?)")
_WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True)
class PathPattern:
    """A pattern, and the expression that it means; it is matched to the end of a path."""

    text: str
    expression: re.Pattern[str]

    def fields(self, path: PurePath) -> dict[str, str] | None:
        """What `path` says, by name of FIELDS; None when the pattern does not match."""
        found = self.expression.search(path.as_posix())
        if found is None:
            return None
        return {name: value for name, value in found.groupdict().items() if name in FIELDS and value}


def path_pattern(text: str, fields: tuple[str, ...] = FIELDS) -> PathPattern:
    """Understand a template, or a regular expression with groups named as in FIELDS.

    In a template `{name}` is one part of the path, or a piece of one (`{speaker}_{take}.wav`): as few
    characters as fit, none of them a slash; the same name twice must match the same. `*`, `?` and `**` are
    those of file names. Names that are not in FIELDS only match.

    Raises:
        InputError: it cannot be understood, or names none of `fields`.
    """
    try:
        if len(text) > MAX_PATTERN:
            raise ValueError(f"longer than {MAX_PATTERN} characters")
        expression = re.compile(text if "(?P<" in text else _expression(text))
    except (re.error, ValueError) as error:
        raise InputError(
            f"pattern {text!r}: {error}; write a template such as '{{speaker}}/*/*.flac', or a regular"
            " expression with (?P<speaker>...)"
        ) from error
    if not set(expression.groupindex) & set(fields):
        raise InputError(
            f"pattern {text!r} names nothing that is known; use {{name}} or (?P<name>...) with one of"
            f" {', '.join(fields)}"
        )
    return PathPattern(text, expression)


def _expression(template: str) -> str:
    parts: list[str] = []
    named: set[str] = set()
    end = 0
    for token in _TOKEN.finditer(template):
        parts.append(re.escape(template[end : token.start()]))
        name, wild = token.groups()
        if name is None:
            parts.append(_WILD[wild])
        else:
            parts.append(f"(?P={name})" if name in named else f"(?P<{name}>[^/]+?)")
            named.add(name)
        end = token.end()
    parts.append(re.escape(template[end:]))
    return f"(?:^|/){''.join(parts)}$"
