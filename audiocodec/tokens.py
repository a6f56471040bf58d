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

import io
import math
import sys
import zipfile
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from audiocodec.bitstream import Header, open_container
from audiocodec.errors import InputError
from audiocodec.outside import MALFORMED, read_bytes
from audiocodec.storage import new_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audiocodec.codec import EncodedAudio

Order = Literal["rows", "flat", "delay"]
Integers = NDArray[np.integer[Any]]
VERSION = 1
MAX_TOKENS = 1 << 24
"""Most tokens in a file: almost six hours at 800 tokens a second."""
MAX_FACTS = 1 << 12
"""Most numbers or letters in any other array."""
MAX_ARRAYS = 64
MAX_BYTES = 8 * MAX_TOKENS + (1 << 20)
UNKNOWN = -1
"""Stands for an unknown length, as of generated tokens: all frames are decoded."""


def read_codes(path: str | Path) -> EncodedAudio:
    """The codes of a `.nac` file, without decoding them.

    Raises:
        InputError: it cannot be read.
        BitstreamError: it is no such file, or damaged.
    """
    from audiocodec.codec import EncodedAudio  # brings torch, which help texts can do without

    with open_container(path) as reader:
        packets = [codes for _, codes in reader.packets()]
        none = np.zeros((*reader.header.packet_shape[:2], 0), np.int64)
        return EncodedAudio(np.concatenate([none, *packets], 2), replace(reader.header, length=reader.length))


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
        codes = tokens.reshape(len(tokens), -1, rows).transpose(0, 2, 1)
        codes -= _offsets(sizes)  # in place: they may be large
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
        InputError: it is a batch or too long, or the file is there already or cannot be written.
    """
    header = encoded.header
    sizes = header.codebook_sizes[: encoded.codes.shape[-2]]
    if encoded.codes.ndim != 3:
        raise InputError(f"codes have shape {encoded.codes.shape}; save one recording [C, N, T] a file")
    tokens = to_tokens(encoded.codes, sizes, order)
    if tokens.size > MAX_TOKENS:
        raise InputError(f"{tokens.size} tokens, a file holds at most {MAX_TOKENS}; cut the recording")
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
    from audiocodec.codec import EncodedAudio

    arrays = _read(path)
    try:
        if int(arrays["version"]) != VERSION:
            raise InputError(f"version {arrays['version']}, this package reads {VERSION}; update it")
        order, length = _order(str(arrays["order"])), int(arrays["length"])
        tokens, sizes = arrays["tokens"], [int(size) for size in arrays["codebook_sizes"]]
        if tokens.dtype.kind not in "iu":
            raise InputError(f"tokens are {tokens.dtype}, not integers")
        fields: dict[str, Any] = {name: int(arrays[name]) for name in _NUMBERS}
        fields |= {name: str(arrays[name]) for name in _NAMES}
        header = Header(
            **fields,
            channels=tokens.shape[0] if tokens.ndim else 0,
            length=None if length == UNKNOWN else length,
            codebook_sizes=tuple(sizes),
        )
        return EncodedAudio(from_tokens(tokens, sizes, order), header)
    except KeyError as error:
        raise InputError(f"{path}: has no array {error}; keep all that `audiocodec tokens` wrote") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except MALFORMED as error:
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
    data = read_bytes(path, MAX_BYTES)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _arrays(archive)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except MALFORMED as error:
        raise InputError(f"{path}: not a .npz file of plain arrays ({error})") from error


def _arrays(archive: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
    """All arrays; what each says it holds is looked at before anything is unpacked."""
    arrays: dict[str, NDArray[Any]] = {}
    members = archive.infolist()
    if len(members) > MAX_ARRAYS:
        raise InputError(f"{len(members)} arrays, at most {MAX_ARRAYS} are read")
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(f"{member.filename} is packed in a way that numpy does not; save it by numpy")
        name = member.filename.removesuffix(".npy")
        if name in arrays:
            raise InputError(f"it has two arrays {name}; keep one")
        with archive.open(member) as file:
            arrays[name] = _array(name, file)
    return arrays


def _array(name: str, file: IO[bytes]) -> NDArray[Any]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, columns_first, kind = read(file)
    if kind.hasobject:
        raise InputError(f"{name} holds Python objects, not numbers")
    count, most = math.prod(shape), MAX_TOKENS if name == "tokens" else MAX_FACTS
    if min(shape, default=0) < 0 or count > most or count * kind.itemsize > 8 * most:
        raise InputError(f"{name} has shape {shape} of {kind}; at most {most} numbers are read: cut it up")
    data = file.read(count * kind.itemsize)
    if kind.kind == "U" and (np.frombuffer(data, kind.byteorder + "u4") > sys.maxunicode).any():
        raise InputError(f"{name} holds what is no text")
    return np.ndarray(shape, kind, data, order="F" if columns_first else "C")
