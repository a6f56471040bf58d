import numpy as np
import pytest
import torch

from audiocodec.errors import ConfigError
from audiocodec.quantizers import codebook as module
from audiocodec.quantizers.codebook import (
    check_size,
    cluster_sums,
    from_rows,
    in_chunks,
    kmeans,
    least,
    mean_square,
    nearest,
    perplexity_and_usage,
    sample_rows,
    squared_distances,
    to_rows,
)


@pytest.mark.parametrize("chunk_elements", [1, 50, 64, 7 * 13, 1 << 22])
def test_nearest_equals_brute_force_at_every_chunk_size(
    chunk_elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    vectors, codebook = rng.standard_normal((101, 5)), rng.standard_normal((13, 5))
    expected = ((vectors[:, None] - codebook[None]) ** 2).sum(-1).argmin(1)
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", chunk_elements)
    found = nearest(torch.from_numpy(vectors).float(), torch.from_numpy(codebook).float())
    assert np.array_equal(found.numpy(), expected)


def test_nearest_never_holds_more_than_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    whole = module.scores

    def watched(vectors: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
        result = whole(vectors, codebook)
        seen.append(result.numel())
        return result

    monkeypatch.setattr(module, "scores", watched)
    nearest(torch.zeros(5000, 2), torch.zeros(8192, 2))
    assert len(seen) > 5
    assert max(seen) <= module.CHUNK_ELEMENTS


@pytest.mark.parametrize("shape", [(50, 1024), (7, 64), (3, 33), (2, 1), (0, 64)])
def test_least_is_argmin_with_ties_and_what_is_not_finite(shape: tuple[int, int]) -> None:
    values = torch.randint(0, 40, shape, generator=torch.Generator().manual_seed(0)).float()
    assert torch.equal(least(values), values.argmin(1))
    values[values == 0] = -torch.inf
    values[values == 1] = torch.nan
    assert torch.equal(least(values), values.argmin(1))


def test_nearest_of_no_vectors_is_empty_int64() -> None:
    found = nearest(torch.zeros(0, 4), torch.zeros(3, 4))
    assert found.shape == (0,)
    assert found.dtype == torch.int64


def test_squared_distances_equal_cdist() -> None:
    torch.manual_seed(0)
    vectors, codebook = torch.randn(30, 6), torch.randn(11, 6)
    torch.testing.assert_close(
        squared_distances(vectors, codebook), torch.cdist(vectors, codebook).square(), atol=1e-5, rtol=1e-5
    )


def test_chunked_function_has_the_same_values_and_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    vectors, weights = torch.randn(37, 4), torch.randn(4, 9)
    results = []
    for chunk_elements in (9 * 5, 1 << 20):
        monkeypatch.setattr(module, "CHUNK_ELEMENTS", chunk_elements)
        x, w = vectors.clone().requires_grad_(), weights.clone().requires_grad_()
        y = in_chunks(lambda chunk, w=w: (chunk @ w).softmax(dim=1), x, 9)
        results.append((y.detach(), *torch.autograd.grad(y.square().sum(), (x, w))))
    for chunked, whole in zip(*results, strict=True):
        torch.testing.assert_close(chunked, whole)


def test_cluster_sums_against_a_loop() -> None:
    torch.manual_seed(0)
    vectors, indices = torch.randn(50, 3), torch.randint(7, (50,))
    sums, counts = cluster_sums(vectors, indices, 8)
    for k in range(8):
        torch.testing.assert_close(sums[k], vectors[indices == k].sum(0))
        assert int(counts[k]) == int((indices == k).sum())


def test_rows_and_latents_are_inverse() -> None:
    latents = torch.arange(24.0).view(2, 3, 4)
    assert to_rows(latents)[5].tolist() == latents[1, :, 1].tolist()
    assert torch.equal(from_rows(to_rows(latents), latents), latents)
    for empty in (torch.zeros(2, 3, 0), torch.zeros(0, 3, 5)):
        assert from_rows(to_rows(empty), empty).shape == empty.shape


def test_sampled_rows_do_not_repeat_while_there_are_enough() -> None:
    vectors = torch.arange(20.0)[:, None]
    rng = torch.Generator().manual_seed(0)
    assert len(set(sample_rows(vectors, 20, rng)[:, 0].tolist())) == 20
    many = sample_rows(vectors, 100, rng)
    assert many.shape == (100, 1)
    assert set(many[:, 0].tolist()) <= set(range(20))


def test_kmeans_finds_separated_clusters() -> None:
    rng = torch.Generator().manual_seed(0)
    centers = 10 * torch.eye(4)
    vectors = (centers[:, None] + 0.1 * torch.randn(4, 50, 4, generator=rng)).reshape(-1, 4)
    found = kmeans(vectors, 4, rng=rng)
    error = (vectors - found[nearest(vectors, found)]).square().sum(1).mean()
    assert float(error) < 4 * 0.1**2 * 1.2  # the spread within clusters, not the distance between them


def test_kmeans_never_raises_the_error() -> None:
    vectors = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    errors = []
    for iterations in (0, 1, 2, 5, 20):
        codebook = kmeans(vectors, 16, iterations, torch.Generator().manual_seed(1))
        errors.append(float((vectors - codebook[nearest(vectors, codebook)]).square().sum(1).mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.8 * errors[0]


def test_kmeans_with_fewer_vectors_than_entries_stays_on_the_vectors() -> None:
    vectors = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    codebook = kmeans(vectors, 16)
    assert float(torch.cdist(codebook, vectors).min(dim=1).values.max()) < 1e-4


def test_perplexity_and_usage_of_known_counts() -> None:
    metrics = perplexity_and_usage(torch.tensor([5.0, 5.0, 5.0, 5.0, 0.0]))
    assert float(metrics["perplexity"]) == pytest.approx(4.0)
    assert float(metrics["usage"]) == pytest.approx(0.8)
    nothing = perplexity_and_usage(torch.zeros(5))
    assert float(nothing["perplexity"]) == 1.0
    assert float(nothing["usage"]) == 0.0


def test_mean_square() -> None:
    assert float(mean_square(torch.tensor([[1.0, 2.0], [2.0, 4.0]]))) == pytest.approx(25 / 4)
    assert float(mean_square(torch.zeros(0, 3))) == 0.0


@pytest.mark.parametrize(
    ("dim", "size", "field"), [(0, 4, "dim is 0"), (4, 0, "codebook_size is 0"), (4, -1, "-1")]
)
def test_empty_codebooks_are_refused(dim: int, size: int, field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        check_size(dim, size)
