"""Codebooks chosen for each file by the environment it was recorded in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec.cli.parts.stores import environment_book, find_named_baseline
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from audiocodec.adaptation.watch import Recognition
    from audiocodec.codec import Codec

AUTO = "auto"
LISTENED_SECONDS = 30.0
"""From the start of a file, by which its environment is told."""


def recognize_file(codec: Codec, model: str | None, store: Path | None, path: Path) -> Recognition:
    """Which known environment the start of a sound file belongs to.

    Raises:
        InputError: there is no store, no baseline, or too little audio to tell.
    """
    import numpy as np

    from audiocodec import audio
    from audiocodec.adaptation.statistics import collect

    if store is None:
        raise InputError("--codebook auto looks for environments in a store; name it with --store")
    book = environment_book(codec, find_named_baseline(None, codec, model, store), store)
    found = audio.info(path)
    wav = next(audio.blocks(path, round(LISTENED_SECONDS * found.sample_rate)))
    return book.recognize(collect(codec, [(wav, found.sample_rate)], rng=np.random.default_rng(0)))
