"""Codes as tokens for language models: `.npz` files that numpy reads anywhere, and orders of tokens.

An order turns the rectangle of codes [C, N, T] into what a model is trained on, and back:

- rows: as they are, N tokens in parallel.
- flat: [C, T * N], the stages of a frame one after the other, each with entries of its own: stage n counts
  from the sum of the codebook sizes before it (AudioLM, Borsos et al. 2022, https://arxiv.org/abs/2209.03143).
- delay: [C, N, T + N - 1], row n comes n steps later, so that a frame's stages can follow from each other;
  what is empty holds the size of the row's codebook (MusicGen, Copet et al. 2023,
  https://arxiv.org/abs/2306.05284, section 2.2).
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from audiocodec.bitstream import Header
from audiocodec.errors import InputError
from audiocodec.storage import new_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audiocodec.codec import EncodedAudio

Order = Literal["rows", "flat", "delay"]
Integers = NDArray[np.integer[Any]]
VERSION = 1
MAX_BYTES = 1 << 28
"""Of all arrays of a file: hours of codes."""
UNKNOWN = -1
"""Length of a recording that is not known, such as a generated one: all frames are decoded then."""


def to_tokens(codes: Integers, sizes: Sequence[int], order: Order) -> Integers:
    """Put codes [C, N, T] of codebooks with `sizes` [N] entries into an order."""
    channels, rows, frames = codes.shape
    if order == "rows":
        return codes
    if order == "flat":
        return (codes + _offsets(sizes)).transpose(0, 2, 1).reshape(channels, -1)
    tokens = np.empty((channels, rows, frames + rows - 1), np.int64)
    tokens[:] = np.asarray(sizes)[:, None]
    for row in range(rows):
        tokens[:, row, row : row + frames] = codes[:, row]
    return tokens


def from_tokens(tokens: Integers, sizes: Sequence[int], order: Order) -> NDArray[np.int64]:
    """Undo `to_tokens`: codes [C, N, T]. What an order fills in is not looked at.

    Raises:
        InputError: the shape is not one of this order, or a token is none of its codebook.
    """
    rows, tokens = len(sizes), tokens.astype(np.int64)
    dimensions = 2 if order == "flat" else 3
    fits = tokens.ndim == dimensions and (
        tokens.shape[1] % rows == 0 if order == "flat" else tokens.shape[1] == rows
    )
    if not fits or (order == "delay" and tokens.shape[2] < rows):
        shape = {
            "flat": f"[C, T * {rows}]",
            "delay": f"[C, {rows}, T + {rows - 1}]",
            "rows": f"[C, {rows}, T]",
        }
        raise InputError(f"tokens in the order {order} have shape {tokens.shape}; expected {shape[order]}")
    if order == "flat":
        codes = tokens.reshape(len(tokens), -1, rows).transpose(0, 2, 1) - _offsets(sizes)
    elif order == "delay":
        frames = tokens.shape[2] - rows + 1
        codes = np.stack([tokens[:, row, row : row + frames] for row in range(rows)], axis=1)
    else:
        codes = tokens
    wrong = (codes < 0) | (codes >= np.asarray(sizes)[:, None])
    if wrong.any():
        channel, row, frame = (int(place[0]) for place in np.nonzero(wrong))
        raise InputError(
            f"channel {channel}, stage {row}, frame {frame}: no entry of its codebook, which has {sizes[row]}"
        )
    return codes


def save_tokens(
    path: str | Path, encoded: EncodedAudio, order: Order = "rows", *, overwrite: bool = False
) -> None:
    """Write one recording's codes, and what decoding must know, to a `.npz` file.

    Raises:
        InputError: it is a batch, or the file is there already or cannot be written.
    """
    header = encoded.header
    sizes = header.codebook_sizes[: encoded.codes.shape[-2]]
    if encoded.codes.ndim != 3:
        raise InputError(f"codes have shape {encoded.codes.shape}; save one recording [C, N, T] a file")
    tokens = to_tokens(encoded.codes, sizes, order)
    kind = np.uint16 if sum(sizes) < 1 << 16 else np.uint32
    arrays: dict[str, Any] = {
        "version": VERSION,
        "tokens": tokens.astype(kind),
        "order": order,
        "codebook_sizes": np.array(sizes, np.int64),
        "frame_rate": header.frame_rate,
        "length": UNKNOWN if header.length is None else header.length,
        **{name: getattr(header, name) for name in (*_NUMBERS, *_NAMES)},
    }
    with new_file(path, overwrite) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def load_tokens(path: str | Path) -> EncodedAudio:
    """Read what `save_tokens` wrote, or what a language model made in its place.

    `length` may be -1 (not known), and `tokens` may hold any number of frames. Nothing is unpickled.

    Raises:
        InputError: the file cannot be read, is too large, or does not fit what it says of itself.
    """
    from audiocodec.codec import EncodedAudio  # brings torch, which help texts can do without

    arrays = _read(path)
    try:
        if int(arrays["version"]) != VERSION:
            raise InputError(f"version {arrays['version']}, this package reads {VERSION}; update it")
        order, length = _order(str(arrays["order"])), int(arrays["length"])
        tokens, sizes = arrays["tokens"], [int(size) for size in arrays["codebook_sizes"]]
        if tokens.dtype.kind not in "iu":
            raise InputError(f"tokens are {tokens.dtype}, not integers")
        told: dict[str, Any] = {name: int(arrays[name]) for name in _NUMBERS}
        told |= {name: str(arrays[name]) for name in _NAMES}
        header = Header(
            **told,
            channels=tokens.shape[0] if tokens.ndim else 0,
            length=None if length == UNKNOWN else length,
            codebook_sizes=tuple(sizes),
        )
        return EncodedAudio(from_tokens(tokens, sizes, order), header)
    except KeyError as error:
        raise InputError(f"{path}: has no array {error}; keep all that `audiocodec tokens` wrote") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: not written by `audiocodec tokens` ({error})") from error


_NUMBERS = ("sample_rate", "model_sample_rate", "hop_length", "delay", "packet_frames")
_NAMES = ("model_id", "codebook_id", "model_name")


def _offsets(sizes: Sequence[int]) -> NDArray[np.int64]:
    """[N, 1]: where each stage starts to count."""
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)[:, None]


def _order(name: str) -> Order:
    for order in get_args(Order):
        if name == order:
            return order
    raise InputError(f"order {name!r} is none of {', '.join(get_args(Order))}")


def _read(path: str | Path) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_BYTES:
            raise InputError(f"{path}: {size} bytes of arrays, at most {MAX_BYTES} are read; cut it up")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the name") from error
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a .npz file of plain arrays ({error})") from error
