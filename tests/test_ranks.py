"""Two processes with different data must end every step with the same codebooks."""

import socket
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from audiocodec import ranks
from audiocodec.quantizers import Quantizer, QuantizerConfig, build_quantizer

DIM = 4

CASES = {
    "ema": {},
    "ema_anchor": {"dead_codes": "anchor"},
    "ema_sampled": {"sample_top_k": 4},
    "vector_random": {"dead_codes": "random", "dead_code_threshold": 0.9},
    "online": {},
    "lfq": {},
    "fsq": {},
    "gumbel": {},
    "factorized_random": {"dead_codes": "random"},
    "simvq": {},
    "transvq": {"width": 16},
    "wasserstein": {"queue_size": 256},
    "wasserstein_sliced": {"queue_size": 256, "variant": "sliced", "target": "zador"},
    "nsvq_entropy": {"entropy_weight": 0.1},
    "affine_statistics": {"statistics": True},
    "residual_fsq": {},
}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _train(quantizer: Quantizer, rank: int) -> None:
    """A few data-parallel steps: gradients are averaged, as DistributedDataParallel does."""
    parameters = list(quantizer.parameters())
    optimizer = torch.optim.SGD([*parameters, torch.zeros(1, requires_grad=True)], lr=0.1)
    for step in range(7):
        rng = torch.Generator().manual_seed(100 * step + rank)
        latents = torch.randn(3, DIM, 20, generator=rng) + rank
        counts = torch.randint(1, 3, (3,), generator=rng) if rank else torch.ones(3, dtype=torch.long)
        output = quantizer(latents, counts)
        optimizer.zero_grad()
        total = output.loss + output.quantized.square().mean()
        if parameters:
            total.backward()
        for p in parameters:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            dist.all_reduce(p.grad)
            p.grad /= 2
        optimizer.step()


def _run(rank: int, port: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    _check_functions(rank)
    for name, options in CASES.items():
        torch.manual_seed(0)
        method = name if name == "residual_fsq" else name.split("_")[0]
        quantizer = build_quantizer(
            QuantizerConfig(method, 2, 16, search_width=1, options=options), DIM
        ).train()
        torch.manual_seed(rank)  # random choices differ by rank unless shared
        quantizer.initialize(torch.randn(4, DIM, 30) + rank)
        _train(quantizer, rank)
        own = dict(quantizer.codebooks()) | dict(quantizer.named_parameters())
        for key, tensor in own.items():
            others = [torch.empty_like(tensor) for _ in range(2)]
            dist.all_gather(others, tensor.detach().contiguous())
            assert torch.equal(others[0], others[1]), (
                f"{name}: {key} differs by {(others[0] - others[1]).abs().max()}"
            )
    dist.destroy_process_group()


def _check_functions(rank: int) -> None:
    mine = torch.full((2,), float(rank + 1))
    assert ranks.world_size() == 2
    assert ranks.sum_over_ranks(mine).tolist() == [3, 3]
    assert mine.tolist() == [rank + 1] * 2  # not changed in place
    assert ranks.max_over_ranks(rank + 5, mine.device) == 6
    assert ranks.from_first_rank(mine).tolist() == [1, 1]
    rows = torch.full((rank * 2, 3), float(rank))  # rank 0 has none
    assert ranks.gather_rows(rows).tolist() == [[1.0] * 3] * 2
    total = mine.clone().requires_grad_()  # sums 1 and 2 over 1 and 3 rows
    mean = ranks.pooled_mean(total, 2 * rank + 1)
    assert mean.tolist() == [0.75, 0.75]
    # Averaged over two ranks, 2 / 4 is the mean's own gradient 1 / 4 of each sum.
    assert torch.autograd.grad(mean.sum(), total)[0].tolist() == [0.5, 0.5]


@pytest.mark.slow
def test_codebooks_stay_equal_on_two_ranks() -> None:
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("this torch has no gloo")
    mp.spawn(_run, args=(_free_port(),), nprocs=2)


def test_one_process_is_the_identity() -> None:
    tensor = torch.ones(3)
    assert ranks.world_size() == 1
    for function in (ranks.sum_over_ranks, ranks.from_first_rank, ranks.gather_rows):
        assert function(tensor) is tensor
    assert ranks.max_over_ranks(4, tensor.device) == 4
    assert ranks.pooled_mean(tensor, 4).tolist() == [0.25] * 3
    assert ranks.pooled_mean(torch.zeros(3), 0).tolist() == [0] * 3
