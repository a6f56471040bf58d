"""Reads fields such as the speaker from paths, by patterns; describes the corpora of `recipes/corpora`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec.audio import find_audio
from audiocodec.config import find_shipped, load_config, recipes_folder
from audiocodec.corpus.manifest import SPLITS, Recording
from audiocodec.corpus.splits import complete_splits, split_named
from audiocodec.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePath

FIELDS = ("speaker", "source", "language", "split", "kind")
"""Names in a pattern that are used; others match and are ignored."""
MAX_PATTERN = 1000
_TOKEN = re.compile(r"\{([A-Za-z_]\w*)\}|(\*\*/|\*\*|\*|\?)")
_WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True)
class PathPattern:
    """A template or regular expression as given, and the compiled expression."""

    text: str
    expression: re.Pattern[str]

    def fields(self, path: PurePath) -> dict[str, str] | None:
        """The fields in `path` by name; None if the pattern does not match."""
        match = self.expression.search(path.as_posix())
        if match is None:
            return None
        return {name: value for name, value in match.groupdict().items() if name in FIELDS and value}


def path_pattern(text: str) -> PathPattern:
    """Compile a template, or a regular expression with groups named as in FIELDS.

    It is matched to the end of a path. In a template `{name}` is one part of the path, or a piece of one
    (`{speaker}_{take}.wav`): as few characters as fit, none of them a slash; a name given twice must match
    the same text. `*`, `?` and `**` are those of file names. Names that are not in FIELDS are ignored.

    Raises:
        InputError: it cannot be understood, or names none of FIELDS.
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
    if not set(expression.groupindex) & set(FIELDS):
        raise InputError(
            f"pattern {text!r} names nothing that is known; use {{name}} or (?P<name>...) with one of"
            f" {', '.join(FIELDS)}"
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


@dataclass(frozen=True)
class Archive:
    """A file to download.

    Attributes:
        gigabytes: size of the file.
        sha256: of the file; empty if not known.
    """

    url: str
    gigabytes: float
    sha256: str = ""


@dataclass(frozen=True)
class CorpusConfig:
    """Description of a corpus.

    Attributes:
        name: in recipes, and as the source of its recordings.
        licence: of the recordings.
        hours: of sound.
        speakers: number of speakers.
        sample_rate: of the files, in Hz.
        files: template of the paths below the unpacked folder (see `path_pattern`); other files are left out.
        archives: files to download.
        splits: the split for each value of `{split}` in `files`. A value that is neither here nor a usual
            name of a split gives no split: whole speakers are held out then.
        language: of the speech, if the paths do not give it.
        kind: speech, music, noise or rir.
    """

    name: str
    homepage: str
    licence: str
    hours: float
    speakers: int
    sample_rate: int
    files: str
    archives: tuple[Archive, ...] = ()
    splits: dict[str, str] = field(default_factory=dict[str, str])
    language: str = ""
    kind: str = "speech"

    def __post_init__(self) -> None:
        """Check the template and the names of splits.

        Raises:
            ConfigError: one cannot be understood.
        """
        wrong = sorted(set(self.splits.values()) - set(SPLITS))
        if wrong:
            raise ConfigError(f"splits has {wrong}; known are {', '.join(SPLITS)}")
        try:
            path_pattern(self.files)
        except InputError as error:
            raise ConfigError(f"files: {error}") from error


@dataclass(frozen=True)
class Layout:
    """How the paths of a folder describe its recordings.

    Attributes:
        pattern: reads the fields of a path; None if paths give only the split.
        splits: see `CorpusConfig`.
        source: of recordings whose path does not give it, as are `language` and `kind`.
        strict: whether a file that does not match the pattern is left out.
    """

    pattern: PathPattern | None = None
    splits: Mapping[str, str] = field(default_factory=dict[str, str])
    source: str = ""
    language: str = ""
    kind: str = "speech"
    strict: bool = False

    def recording(self, folder: Path, file: Path) -> Recording | None:
        """The recording of a file below `folder`; None if the file does not belong to the corpus."""
        below = file.relative_to(folder)
        fields = self.pattern.fields(below) if self.pattern else None
        if fields is None and self.strict:
            return None
        fields = fields or {}
        named = fields.get("split")
        if named is None:
            split = next((part for part in below.parts[:-1] if part in SPLITS), None)
        else:
            split = self.splits.get(named) or split_named(named)
        return Recording(
            below.as_posix(),
            file,
            split=split or "",
            kind=fields.get("kind", self.kind),
            source=fields.get("source", self.source),
            speaker=fields.get("speaker", ""),
            language=fields.get("language", self.language),
        )


def find_corpus(name_or_path: str, root: Path | None = None) -> CorpusConfig:
    """The corpus of that name in `recipes/corpora`, or the one that a YAML file describes.

    Raises:
        ConfigError: there is neither, or the file is wrong; lists the corpora.
    """
    path = find_shipped(name_or_path, root or recipes_folder() / "corpora", "corpus")
    return load_config(CorpusConfig, path)


def layout_of(corpus: CorpusConfig) -> Layout:
    """The layout of a corpus."""
    return Layout(
        path_pattern(corpus.files), corpus.splits, corpus.name, corpus.language, corpus.kind, strict=True
    )


def read_corpus(folder: Path, corpus: CorpusConfig) -> list[Recording]:
    """List the recordings of a corpus that was unpacked below `folder`, each in a split.

    Raises:
        InputError: none of the files there belongs to it.
    """
    layout = layout_of(corpus)
    how_to_fetch = f"unpack {corpus.homepage} there, and name the folder it was unpacked into"
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; {how_to_fetch}")
    files = find_audio([folder])
    recordings = [one for file in files if (one := layout.recording(folder, file)) is not None]
    if not recordings:
        raise InputError(
            f"{folder}: none of {len(files)} sound files is named like {corpus.files}, as those of"
            f" {corpus.name} are (the first is {files[0].relative_to(folder)}); {how_to_fetch}"
        )
    return complete_splits(recordings)
