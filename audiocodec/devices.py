"""Names of devices to devices."""

from __future__ import annotations

import torch
from torch import nn

from audiocodec.errors import InputError


def resolve_device(device: str) -> torch.device:
    """Turn a name into a device; "auto" is a GPU when there is one.

    Raises:
        InputError: there is no such device here.
    """
    cuda = torch.cuda.is_available()
    if device == "auto":
        device = "cuda" if cuda else "cpu"
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device {device!r} is not known; use auto, cpu or cuda") from error
    if found.type == "cuda" and not cuda:
        raise InputError("no usable GPU on this machine; use --device cpu")
    return found


def device_of(module: nn.Module) -> torch.device:
    """Where the weights of a module are."""
    return next(module.parameters()).device
