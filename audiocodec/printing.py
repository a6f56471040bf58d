"""Text that may hold anything, such as names of files, on its way to a terminal."""

from __future__ import annotations

import logging
import re

# Line ends and other controls (C0, DEL, C1), what turns the direction of writing or cannot be seen, ends of
# lines and paragraphs, and bytes that are no text. Joiners stay: words of several scripts need them.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0001]"
)


def printable(text: str) -> str:
    """The same with a visible escape for all that would steer a terminal or a reader's eye."""
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def print_logs_plainly() -> None:
    """What modules log is printed as `printable` gives it, unless who runs us has logging of his own."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Plain())
