"""Published corpora: where their files lie and what the paths say, from `recipes/corpora/*.yaml`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec.audio import find_audio
from audiocodec.config import load_config, recipes_folder
from audiocodec.errors import ConfigError, InputError
from audiocodec.training.data.manifest import Recording
from audiocodec.training.data.patterns import PathPattern, path_pattern
from audiocodec.training.data.splits import SPLITS, split_by_hash, split_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import PurePath

VALID_SHARE = TEST_SHARE = 0.05
"""Of the speakers of a corpus that names no splits, unless a command says otherwise."""


@dataclass(frozen=True)
class Archive:
    """A file to fetch.

    Attributes:
        url: where it is.
        gigabytes: its size, packed.
        sha256: of the file; empty where it is not known.
    """

    url: str
    gigabytes: float
    sha256: str = ""


@dataclass(frozen=True)
class CorpusConfig:
    """What there is to know about a corpus before it can be trained on.

    Attributes:
        name: what recipes call it, and the source of its recordings.
        homepage: where it is described.
        licence: of the recordings.
        hours: of sound.
        speakers: how many.
        sample_rate: of the files, in Hz.
        files: template of the paths below the folder it was unpacked to (see `patterns`); others are left
            out.
        archives: what to fetch.
        splits: the split that a value of `{split}` in `files` means; where there is none, and that name means
            none by itself, whole speakers are held out.
        language: spoken, where the paths do not say it.
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
    """What the paths of a folder mean.

    Attributes:
        pattern: what it is read from; None when paths say nothing but the split.
        splits: see `CorpusConfig`.
        source: of recordings whose path does not name it; likewise `language` and `kind`.
        whole: whether every file must match the pattern, or else is none of the corpus.
    """

    pattern: PathPattern | None
    splits: Mapping[str, str]
    source: str = ""
    language: str = ""
    kind: str = "speech"
    whole: bool = False

    def fields(self, below: PurePath) -> dict[str, str] | None:
        """Speaker, source, language, kind and split ('' when unknown) of a path below the folder.

        None when the file does not belong to the corpus.
        """
        found = self.pattern.fields(below) if self.pattern else None
        if found is None and self.whole:
            return None
        found = dict(found or {})
        named = found.get("split")
        if named is None:
            split = next((part for part in below.parts[:-1] if part in SPLITS), None)
        else:
            split = self.splits.get(named) or split_named(named)
        rest = {"speaker": "", "source": self.source, "language": self.language, "kind": self.kind}
        return {**rest, **found, "split": split or ""}


def find_corpus(name_or_path: str, root: Path | None = None) -> CorpusConfig:
    """The corpus of that name in `recipes/corpora`, or that a YAML file describes.

    Raises:
        ConfigError: there is neither, or the file is wrong; lists the corpora.
    """
    folder = root or recipes_folder() / "corpora"
    known = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
    path = known.get(name_or_path, Path(name_or_path))
    if not path.is_file():
        raise ConfigError(
            f"{name_or_path}: no such corpus; name a YAML file or one of {', '.join(known) or 'none'}"
        )
    return load_config(CorpusConfig, path)


def layout_of(corpus: CorpusConfig) -> Layout:
    """The layout of a corpus."""
    pattern = path_pattern(corpus.files)
    return Layout(pattern, corpus.splits, corpus.name, corpus.language, corpus.kind, whole=True)


def read_corpus(folder: Path, corpus: CorpusConfig) -> list[Recording]:
    """List the recordings of a corpus that was unpacked below `folder`.

    Raises:
        InputError: none of the files there belongs to it.
    """
    layout = layout_of(corpus)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; {_how_to_fetch(corpus)}")
    files = find_audio([folder])
    found = [(file, fields) for file in files if (fields := layout.fields(file.relative_to(folder)))]
    if not found:
        raise InputError(
            f"{folder}: none of {len(files)} sound files is named like {corpus.files}, as those of"
            f" {corpus.name} are (the first is {files[0].relative_to(folder)}); {_how_to_fetch(corpus)}"
        )
    splits = complete_splits((fields for _, fields in found), VALID_SHARE, TEST_SHARE)
    return [
        Recording(file, split, fields["kind"], fields["source"], fields["speaker"])
        for (file, fields), split in zip(found, splits, strict=True)
    ]


def complete_splits(rows: Iterable[Mapping[str, str]], valid: float, test: float) -> list[str]:
    """The split of every row: its own, or where it has none that of its speaker, drawn by hash.

    Rows without a speaker need a `path`, by which they are drawn. A speaker who has a split somewhere keeps
    to it.
    """
    rows = list(rows)
    known: dict[str, str] = {}
    for row in rows:
        if row["split"] and row["speaker"]:
            known.setdefault(_key(row), row["split"])
    drawn = split_by_hash({_key(row) for row in rows if not row["split"]} - set(known), valid, test)
    return [row["split"] or known.get(_key(row)) or drawn[_key(row)] for row in rows]


def _key(row: Mapping[str, str]) -> str:
    return f"{row['source']}/{row['speaker']}" if row["speaker"] else row.get("path", "")


def _how_to_fetch(corpus: CorpusConfig) -> str:
    return f"unpack {corpus.homepage} there, and name the folder it was unpacked into"
