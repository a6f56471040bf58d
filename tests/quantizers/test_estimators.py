"""Forward values to the bit, gradients against what each paper says, written out another way."""

import numpy as np
import pytest
import torch

from audiocodec.quantizers import QuantizerConfig, build_method, build_quantizer
from audiocodec.quantizers.codebook import nearest
from audiocodec.quantizers.estimators import (
    rotation,
    sample_near,
    straight_through,
    synchronized,
)


def _pair(seed: int = 0, count: int = 20, dim: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, dim, generator=rng), 3 * torch.randn(count, dim, generator=rng)


@pytest.mark.parametrize("estimator", [straight_through, rotation, lambda z, q: synchronized(z, q, 0.3)])
def test_forward_values_are_the_entries_to_the_bit(estimator) -> None:
    vectors, entries = _pair()
    assert torch.equal(estimator(vectors, entries), entries)


def test_straight_through_passes_all_to_the_latents_and_nothing_to_the_entries() -> None:
    vectors, entries = (tensor.requires_grad_() for tensor in _pair())
    direction = _pair(1)[0]
    straight_through(vectors, entries).backward(direction)
    assert torch.equal(vectors.grad, direction)
    assert entries.grad is None


def _explicit_rotation(z: np.ndarray, q: np.ndarray) -> np.ndarray:
    """|q|/|z| R, R turning the plane of z and q by their angle and leaving the rest alone."""
    e = z / np.linalg.norm(z)
    f = q / np.linalg.norm(q)
    across = f - (f @ e) * e
    sine = np.linalg.norm(across)
    across = across / sine
    cosine = f @ e
    plane = np.outer(e, e) + np.outer(across, across)
    turn = cosine * plane + sine * (np.outer(across, e) - np.outer(e, across))
    matrix = np.eye(len(z)) - plane + turn
    assert np.allclose(matrix @ matrix.T, np.eye(len(z)))
    assert np.isclose(np.linalg.det(matrix), 1)
    return np.linalg.norm(q) / np.linalg.norm(z) * matrix


def test_rotation_against_an_explicit_rotation_matrix() -> None:
    vectors, entries = (tensor.double() for tensor in _pair())
    for z, q in zip(vectors, entries, strict=True):
        matrix = torch.from_numpy(_explicit_rotation(z.numpy(), q.numpy()))
        torch.testing.assert_close(matrix @ z, q)
        jacobian = torch.autograd.functional.jacobian(lambda x, q=q: rotation(x, q), z)
        torch.testing.assert_close(jacobian, matrix)


def test_rotation_against_vector_quantize_pytorch() -> None:
    peer = pytest.importorskip("vector_quantize_pytorch.vector_quantize_pytorch")
    vectors, entries = _pair()
    direction = _pair(1)[0]
    gradients = []
    for estimator in (rotation, peer.rotate_to):
        x = vectors.clone().requires_grad_()
        estimator(x, entries).backward(direction)
        gradients.append(x.grad)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("entry", [[-1.0, -2.0, -3.0], [0.0, 0.0, 0.0]])
def test_rotation_stays_finite_where_it_is_not_defined(entry: list[float]) -> None:
    vectors = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]).requires_grad_()
    entries = torch.tensor(entry).repeat(2, 1)
    output = rotation(vectors, entries)
    output.sum().backward()
    assert torch.equal(output, entries)
    assert bool(vectors.grad.isfinite().all())
    assert float(vectors.grad.abs().max()) < 1e7


def test_synchronized_gives_entries_their_share() -> None:
    vectors, entries = (tensor.requires_grad_() for tensor in _pair())
    direction = _pair(1)[0]
    synchronized(vectors, entries, 0.3).backward(direction)
    torch.testing.assert_close(vectors.grad, direction)
    torch.testing.assert_close(entries.grad, 0.3 * direction)


def test_modified_estimator_lets_entries_step_with_the_encoder() -> None:
    """Equations A18-A21: entries get the decoder's gradient 2 alpha / numel times."""
    torch.manual_seed(0)
    quantizer = build_method(4, "vector", 8, {"estimator": "modified", "codebook_weight": 0.7})
    latents = torch.randn(2, 4, 5)
    direction = torch.randn(2, 4, 5)
    output = quantizer(latents)
    (output.quantized * direction).sum().backward()
    expected = torch.zeros(8, 4)
    flat = direction.transpose(1, 2).reshape(-1, 4) * 2 * 0.7 / latents.numel()
    expected.index_add_(0, output.codes.flatten(), flat)
    torch.testing.assert_close(quantizer.codebook.grad, expected)


def test_a_stack_passes_the_modified_gradient_to_the_entries_of_every_stage() -> None:
    torch.manual_seed(0)
    stack = build_quantizer(
        QuantizerConfig("vector", 3, 8, search_width=1, options={"estimator": "modified", "code_share": 0.5}),
        4,
    )
    stack.initialize(torch.randn(8, 4, 20))
    latents = torch.randn(2, 4, 5).requires_grad_()
    direction = torch.randn(2, 4, 5)
    output = stack(latents)
    (output.quantized * direction).sum().backward()
    torch.testing.assert_close(latents.grad, direction)
    for row, stage in enumerate(stack.stages):
        expected = torch.zeros(8, 4)
        expected.index_add_(0, output.codes[:, row].flatten(), 0.5 * direction.transpose(1, 2).reshape(-1, 4))
        torch.testing.assert_close(stage.codebook.grad, expected)


def test_a_stack_of_rotations_is_differentiated_as_a_chain() -> None:
    """With J_i the Jacobian of stage i, the stack's is I - (I - J_n) ... (I - J_1)."""
    torch.manual_seed(0)
    stack = build_quantizer(
        QuantizerConfig("vector", 3, 8, search_width=1, options={"estimator": "rotation"}), 4
    )
    stack.initialize(torch.randn(8, 4, 20))
    z = torch.randn(4)
    left, residual = torch.eye(4), z
    for stage in stack.stages:
        q = stage.codebook[nearest(residual[None], stage.codebook)][0].detach()
        jacobian = torch.from_numpy(_explicit_rotation(residual.double().numpy(), q.double().numpy())).float()
        left = (torch.eye(4) - jacobian) @ left
        residual = residual - q
    found = torch.autograd.functional.jacobian(lambda x: stack(x[None, :, None]).quantized[0, :, 0], z)
    torch.testing.assert_close(found, torch.eye(4) - left, atol=1e-4, rtol=1e-4)


def test_sampled_entries_follow_the_stated_probabilities() -> None:
    codebook = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    vectors = torch.full((40000, 1), 0.4)
    indices = sample_near(vectors, codebook, 3, 2.0, torch.Generator().manual_seed(0))
    distances = (0.4 - codebook[:3, 0]).square()
    expected = (-distances / (2.0 * 0.4**2)).softmax(0)
    found = indices.bincount(minlength=4) / len(indices)
    torch.testing.assert_close(found[:3], expected, atol=0.01, rtol=0)
    assert found[3] == 0


def test_one_candidate_is_the_nearest() -> None:
    vectors, codebook = _pair()
    assert torch.equal(sample_near(vectors, codebook, 1, 1.0), nearest(vectors, codebook))
    assert sample_near(vectors[:0], codebook, 3, 1.0).shape == (0,)


def test_sampling_happens_in_training_only_and_not_where_it_is_switched_off() -> None:
    torch.manual_seed(0)
    stack = build_quantizer(
        QuantizerConfig(
            "ema", 2, 16, search_width=1, options={"sample_top_k": 8, "sample_temperature": 10.0}
        ),
        4,
    )
    latents = torch.randn(4, 4, 50)
    stack.initialize(latents)
    greedy = stack.eval()(latents).codes
    assert torch.equal(stack.encode(latents), greedy)
    for stage in stack.stages:
        stage.ema_decay = 1.0
    stack.train()
    stack.stages[0].sampling = False  # noise first in the last stage, as the paper's schedule has it
    sampled = stack(latents).codes
    assert torch.equal(sampled[:, 0], greedy[:, 0])
    assert not torch.equal(sampled[:, 1], greedy[:, 1])
