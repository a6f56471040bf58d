"""Whether the denoising switch of a model can be on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiocodec import pretrained
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from audiocodec.codec import Codec


def check_denoise(codec: Codec, denoise: bool) -> None:
    """Make sure that a model has a denoising switch, if it shall be on.

    Raises:
        InputError: it has none; names the installed models that have one.
    """
    if denoise and not codec.model.can_denoise:
        known = ", ".join(name for name, entry in pretrained.models().items() if entry.denoise)
        raise InputError(
            f"model {codec.name!r} has no denoising switch; installed models with one: {known or 'none'};"
            " leave out --denoise, or name one of these or a folder (--model)"
        )
