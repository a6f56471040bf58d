"""Names of devices to devices."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

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
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device {device!r} is not known; use auto, cpu or cuda") from error
    if resolved.type == "cuda" and not cuda:
        raise InputError("no usable GPU on this machine; use --device cpu")
    try:
        torch.zeros(1, device=resolved).tolist()
    except (RuntimeError, NotImplementedError, AssertionError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise InputError(f"device {device!r} cannot be used here ({reason}); use auto or cpu") from error
    return resolved


@contextmanager
def undisturbed(device: torch.device) -> Generator[None]:
    """Compute as ever, whatever the caller has set for torch.

    That is autocast, which would change codes without a word, a default type and a default device.
    """
    kind, place = torch.get_default_dtype(), torch.get_default_device()
    with ExitStack() as stack:
        if torch.is_autocast_enabled(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        if place.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if kind != torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, kind)
        yield


def device_of(module: nn.Module) -> torch.device:
    """Where the weights of a module are."""
    return next(module.parameters()).device


def send(array: NDArray[Any], device: torch.device) -> Tensor:
    """Copy a small array to `device`; a GPU is not waited for."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
