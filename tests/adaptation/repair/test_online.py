import pytest
import torch

from audiocodec.adaptation.repair.online import LARGEST_STEP, OnlineFit, follow
from audiocodec.adaptation.repair.stack import Stack


def make_stack(stages=2, size=16, dim=4):
    rng = torch.Generator().manual_seed(0)
    entries = tuple(torch.randn(size, dim, generator=rng) * 0.6**stage for stage in range(stages))
    names = tuple(f"{stage}.codebook" for stage in range(stages))
    return Stack(entries, names, 4, torch.ones(dim), torch.zeros(dim))


def windows(count, shift=1.0, seed=1, frames=200):
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(frames, 4, generator=rng) + shift for _ in range(count)]


def test_sound_that_goes_on_is_coded_better_and_better():
    stack, heard = make_stack(), windows(30)
    ahead = torch.cat(windows(5, seed=9))
    few, many = (follow(stack, heard[:n], ahead[:0], range(2), 1.0).stack for n in (5, 30))
    assert many.error(ahead) < few.error(ahead) < stack.error(ahead)
    assert many.error(ahead) < 0.9 * stack.error(ahead)


def test_no_entry_moves_further_than_the_bound_in_one_window():
    stack = make_stack()
    free = [torch.ones(16, dtype=torch.bool)] * 2
    online = OnlineFit(stack, free)
    online.update(windows(1, shift=5.0)[0])
    for before, after in zip(stack.entries, online.stack.entries, strict=True):
        bound = LARGEST_STEP * before.square().sum(dim=1).mean().sqrt()
        steps = (after - before).norm(dim=1)
        assert float(steps.max()) == pytest.approx(float(bound), rel=1e-4)
        assert (steps <= bound * 1.0001).all()


def test_with_an_endless_bound_a_window_gives_the_mean_with_its_prior():
    stack, rows = make_stack(stages=1), windows(1)[0]
    online = OnlineFit(stack, [torch.ones(16, dtype=torch.bool)], largest_step=1e9)
    online.update(rows)
    codes = torch.cdist(rows, stack.entries[0]).argmin(dim=1)
    for entry in range(16):
        mine = rows[codes == entry]
        prior = 20.0 if not len(mine) else 19.0  # what was known fades by a twentieth where something came
        expected = (mine.sum(dim=0) + prior * stack.entries[0][entry]) / (len(mine) + prior)
        assert torch.allclose(online.stack.entries[0][entry], expected, atol=1e-5)


def test_only_the_movable_share_of_the_named_stages_moves():
    stack = make_stack()
    fit = follow(stack, windows(4), windows(1, shift=0.0)[0], [1], 0.25)
    assert [int(free.sum()) for free in fit.moved] == [0, 4]
    for before, after, free in zip(stack.entries, fit.stack.entries, fit.moved, strict=True):
        assert torch.equal(before[~free], after[~free])
