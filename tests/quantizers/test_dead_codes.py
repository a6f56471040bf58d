import pytest
import torch

from audiocodec.quantizers import build_method, codebook
from audiocodec.quantizers.dead_codes import (
    anchor_shares,
    closest_vectors,
    find_dead,
    replacements,
    split_most_used,
)


def _randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_dead_is_relative_to_the_mean_use() -> None:
    usage = torch.tensor([10.0, 10.0, 10.0, 0.5, 0.9])
    assert find_dead(usage, 0.1).tolist() == [False, False, False, True, False]
    assert find_dead(1000 * usage, 0.1).tolist() == find_dead(usage, 0.1).tolist()


@pytest.mark.parametrize("chunk_elements", [6, 60, 1 << 22])
def test_closest_vectors_by_brute_force(chunk_elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codebook, "CHUNK_ELEMENTS", chunk_elements)
    vectors, entries = _randn(53, 4), _randn(6, 4, seed=1)
    assert torch.equal(closest_vectors(vectors, entries), torch.cdist(entries, vectors).argmin(1))


def test_random_replacements_are_distinct_vectors_of_the_batch() -> None:
    torch.manual_seed(0)
    vectors = _randn(30, 4)
    fresh = replacements("random", vectors, torch.zeros(10, 4))
    rows = [(vectors == row).all(1).nonzero().item() for row in fresh]
    assert len(set(rows)) == 10


def test_anchors_are_the_closest_vectors() -> None:
    vectors, entries = _randn(30, 4), _randn(5, 4, seed=1)
    assert torch.equal(
        replacements("anchor", vectors, entries), vectors[torch.cdist(entries, vectors).argmin(1)]
    )


def test_nothing_moves_without_vectors() -> None:
    entries = _randn(5, 4)
    for policy in ("random", "anchor"):
        assert torch.equal(replacements(policy, torch.zeros(0, 4), entries), entries)


def test_anchor_shares_by_their_formula() -> None:
    """Unused entries go almost all the way, those of average use do not move."""
    shares = anchor_shares(torch.tensor([0.0, 1e-4, 0.25]))
    assert shares[0] == pytest.approx(0.999, abs=1e-4)
    assert float(shares[1]) == pytest.approx(2.71828 ** (-10 * 3 * 1e-4 / 0.01 - 1e-3), rel=1e-4)
    assert float(shares[2]) < 1e-20


def test_dead_entries_go_beside_the_most_used() -> None:
    entries, usage = _randn(6, 4), torch.tensor([3.0, 0.0, 5.0, 1.0, 0.0, 4.0])
    places, parents, fresh = split_most_used(entries, usage, usage == 0)
    assert places.tolist() == [1, 4]
    assert parents.tolist() == [2, 5]
    distance = (fresh - entries[parents]).norm(dim=1)
    assert bool((distance > 0).all())
    assert float(distance.max()) < 0.1 * float(torch.pdist(entries).min())


def test_no_more_entries_are_split_than_are_alive() -> None:
    usage = torch.tensor([0.0, 7.0, 0.0, 0.0])
    places, parents, _ = split_most_used(_randn(4, 3), usage, usage == 0)
    assert (places.tolist(), parents.tolist()) == ([0], [1])


@pytest.mark.parametrize("method", ["ema", "vector"])
def test_split_entries_come_into_use_where_random_ones_do_not(method: str) -> None:
    """Clusters in many dimensions, hidden from half of the entries at first."""
    used = {}
    for policy in ("random", "split"):
        torch.manual_seed(0)
        options = {"dead_codes": policy, **({"ema_decay": 0.9} if method == "ema" else {})}
        quantizer = build_method(64, method, 32, options).train()
        start = torch.randn(32, 64)
        start[16:] *= 100
        quantizer.load_codebooks({"codebook": start})
        optimizer = torch.optim.SGD([*quantizer.parameters(), torch.nn.Parameter(torch.zeros(1))], lr=50.0)
        for _ in range(250):
            optimizer.zero_grad()
            quantizer(torch.randn(1, 64, 400)).loss.backward() if method == "vector" else quantizer(
                torch.randn(1, 64, 400)
            )
            optimizer.step()
        counts = torch.bincount(quantizer.eval().encode(torch.randn(1, 64, 4000)).flatten(), minlength=32)
        used[policy] = int((counts > 0.2 * counts.float().mean()).sum())
    assert used["split"] >= max(31, used["random"])
