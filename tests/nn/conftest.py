"""The one property every streaming module has: chunks give what the whole signal gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from audiocodec.nn.streaming import StreamState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

PATTERNS = {"one by one": (1,), "threes": (3,), "uneven": (1, 4, 2), "halves": (7,)}
"""Frames in each chunk, repeated to the end of the signal; the last chunk is what remains."""


def split(x: Tensor, pattern: Sequence[int], hop: int = 1) -> Iterator[Tensor]:
    """Cut x [B, C, T * hop] into chunks of `pattern` frames of `hop` samples."""
    start = turn = 0
    while start < x.shape[-1]:
        stop = start + pattern[turn % len(pattern)] * hop
        yield x[..., start:stop]
        start, turn = stop, turn + 1


def run_stream(module: nn.Module, x: Tensor, pattern: Sequence[int], hop: int = 1) -> Tensor:
    """Pass x through `module` chunk by chunk with a fresh state."""
    state = StreamState()
    return torch.cat([module(chunk, state) for chunk in split(x, pattern, hop)], dim=-1)


def check_streaming(
    module: nn.Module, x: Tensor, hop: int = 1, patterns: Sequence[str] = tuple(PATTERNS)
) -> None:
    """Assert that chunked and whole results agree, to 1e-5 in single and 1e-10 in double precision.

    `x` is [B, C, T * hop]. Works for any module with `forward(x, state=None)`; leaves it in single precision.
    """
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        module.to(dtype)
        with torch.no_grad():
            whole = module(x.to(dtype))
            for name in patterns:
                chunked = run_stream(module, x.to(dtype), PATTERNS[name], hop)
                torch.testing.assert_close(chunked, whole, rtol=tolerance, atol=tolerance)


def check_causality(module: nn.Module, x: Tensor, hop_in: int = 1, hop_out: int = 1) -> None:
    """Assert that the future never changes the past, and that the present does change the present."""
    with torch.no_grad():
        before = module(x)
        for frame in range(x.shape[-1] // hop_in):
            changed = x.clone()
            changed[..., frame * hop_in :] += torch.randn_like(changed[..., frame * hop_in :])
            after = module(changed)
            edge = frame * hop_out
            torch.testing.assert_close(after[..., :edge], before[..., :edge], rtol=1e-5, atol=1e-6)
            assert not torch.allclose(
                after[..., edge : edge + hop_out], before[..., edge : edge + hop_out], atol=1e-4
            )


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


@pytest.fixture(name="run_stream")
def _run_stream() -> Callable[..., Tensor]:
    return run_stream


@pytest.fixture(name="check_streaming")
def _check_streaming() -> Callable[..., None]:
    return check_streaming


@pytest.fixture(name="check_causality")
def _check_causality() -> Callable[..., None]:
    return check_causality


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    """Let `torch.compile` start from nothing and trace LSTMs too, which it does only when asked."""
    with torch._dynamo.config.patch(allow_rnn=True):
        torch._dynamo.reset()
        yield
    torch._dynamo.reset()
