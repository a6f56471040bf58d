"""Small codebooks of a made-up model, changed versions of them, and stores with a clock that ticks."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from audiocodec.adaptation.registry import Registry, round_changes

MODEL = "ab" * 32
Codebooks = dict[str, Tensor]


def make_codebooks(seed: int = 0, stages: int = 3, size: int = 64, dim: int = 16) -> Codebooks:
    rng = torch.Generator().manual_seed(seed)
    return {
        f"{stage}.codebook": torch.randn(size, dim, generator=rng) / (stage + 1) for stage in range(stages)
    }


def change(codebooks: Codebooks, seed: int = 1, share: float = 0.25, size: float = 0.3) -> Codebooks:
    """Move a share of the entries of every codebook."""
    rng = torch.Generator().manual_seed(seed)
    changed = {name: codebook.clone() for name, codebook in codebooks.items()}
    for codebook in changed.values():
        rows = torch.randperm(len(codebook), generator=rng)[: round(share * len(codebook))]
        codebook[rows] += size * codebook.std() * torch.randn(len(rows), codebook.shape[1], generator=rng)
    return changed


class Ticking:
    """A clock that goes on by a second whenever it is asked."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.now = start

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def model_id() -> str:
    return MODEL


@pytest.fixture
def codebooks() -> Codebooks:
    return make_codebooks()


@pytest.fixture
def changed() -> Callable[..., Codebooks]:
    return change


@pytest.fixture
def new_store(tmp_path) -> Callable[..., Registry]:
    """Makes a registry in a folder of its own, with a ticking clock."""
    numbers = itertools.count()

    def make(**options) -> Registry:
        path = options.pop("path", tmp_path / f"store{next(numbers)}")
        return Registry(path, **{"clock": Ticking(), "actor": "tester", **options})

    return make


@pytest.fixture
def store(new_store, codebooks) -> Registry:
    """A registry that holds the model's own codebooks."""
    registry = new_store()
    registry.baseline(MODEL, codebooks, model="made-up")
    return registry


@pytest.fixture
def published(store, codebooks) -> Callable[..., object]:
    """Publishes changed codebooks, each fitted from the last one made (or from `parent`)."""
    last = [store.active(MODEL).codebook_id]

    def make(seed: int = 1, parent: str | None = None, **origin):
        parent = parent or last[0]
        new = round_changes(store.get(parent), change(store.get(parent), seed))
        revision = store.publish(MODEL, new, parent, reason=f"fit {seed}", **origin)
        last[0] = revision.codebook_id
        return revision

    return make
