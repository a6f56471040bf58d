import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from audiocodec.adaptation.refresh.refit import (
    LARGEST_STEP,
    OnlineFit,
    follow_online,
    gaussian_map,
    refit,
    regret,
    thin,
)
from audiocodec.adaptation.refresh.stack import Stack


def make_stack(stages=3, size=32, dim=6, seed=0, width=4):
    """Codebooks fitted, roughly, to vectors of unit variance."""
    rng = torch.Generator().manual_seed(seed)
    entries = tuple(torch.randn(size, dim, generator=rng) * 0.7**stage for stage in range(stages))
    names = tuple(f"{stage}.codebook" for stage in range(stages))
    return Stack(entries, names, width, torch.ones(dim), torch.zeros(dim))


def draw(count, dim=6, seed=0, scale=None, shift=0.0):
    rng = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, dim, generator=rng)
    return rows * (torch.ones(dim) if scale is None else scale) + shift


NARROW = torch.tensor([2.0, 1.5, 1.0, 0.1, 0.1, 0.1])


def test_regret_is_the_growth_of_the_error_without_an_entry():
    vectors, entries = draw(200), make_stack().entries[0]
    found = regret(vectors, entries)

    def error(kept):
        return torch.cdist(vectors, entries[kept]).square().min(dim=1).values.sum()

    everything = torch.arange(len(entries))
    for entry in (0, 7, 31):
        without = error(everything[everything != entry]) - error(everything)
        assert found[entry] == pytest.approx(float(without), rel=1e-3, abs=1e-3)


def test_the_gaussian_map_carries_mean_and_covariance_at_least_cost():
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((2, 4, 4))
    old = torch.from_numpy(rng.standard_normal((50_000, 4)) @ mix[0])
    new = torch.from_numpy(rng.standard_normal((50_000, 4)) @ mix[1] + 3)
    moved = gaussian_map(old.float(), new.float())(old.float()).double()
    assert moved.mean(dim=0).numpy() == pytest.approx(new.mean(dim=0).numpy(), abs=0.02)
    scale = float(torch.cov(new.t()).abs().max())
    assert torch.cov(moved.t()).numpy() == pytest.approx(torch.cov(new.t()).numpy(), abs=0.02 * scale)
    # Its cost is the Wasserstein distance between the Gaussians, which no other such map goes below.
    a, b = np.cov(old.numpy().T), np.cov(new.numpy().T)
    distance = np.trace(a + b - 2 * np.real(sqrtm(sqrtm(a) @ b @ sqrtm(a)))) + float(
        (old.mean(dim=0) - new.mean(dim=0)).square().sum()
    )
    assert float((moved - old).square().sum(dim=1).mean()) == pytest.approx(distance, rel=0.02)


@pytest.mark.parametrize("fraction", [0.25, 1.0])
def test_new_sound_of_the_environment_is_coded_with_less_error(fraction):
    stack, clean = make_stack(), draw(4000, seed=1)
    here = draw(2000, seed=2, scale=NARROW, shift=1.0)
    elsewhere = draw(1000, seed=3, scale=NARROW, shift=1.0)
    fit = refit(stack, here, clean, range(3), fraction, torch.Generator().manual_seed(0))
    assert fit.stack.error(elsewhere) < 0.85 * stack.error(elsewhere)
    assert [int(free.sum()) for free in fit.moved] == [round(32 * fraction)] * 3
    for before, after, free in zip(stack.entries, fit.stack.entries, fit.moved, strict=True):
        assert torch.equal(before[~free], after[~free])


def test_what_nobody_uses_makes_room_first_and_clean_sound_hardly_loses():
    stack, clean = make_stack(), draw(4000, seed=1)
    far = torch.arange(8)
    stack.entries[0][far] += 100  # dead
    before = stack.error(clean)
    here = draw(2000, seed=2, shift=6.0)
    fit = refit(stack, here, clean, range(1), 0.25, torch.Generator().manual_seed(0))
    assert fit.moved[0][far].all()
    assert fit.stack.error(clean) < before + 1e-6
    assert fit.stack.error(here) < 0.2 * stack.error(here)


def test_only_the_stages_that_are_named_change_and_equal_seeds_give_equal_codebooks():
    stack, here, clean = make_stack(), draw(500, seed=2, scale=NARROW), draw(500, seed=1)
    fits = [refit(stack, here, clean, [1], 0.5, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(fits[0].stack.entries, fits[1].stack.entries, strict=True))
    changed = [not torch.equal(a, b) for a, b in zip(stack.entries, fits[0].stack.entries, strict=True)]
    assert changed == [False, True, False]


def test_thinning_keeps_rows_of_its_own():
    rows = torch.arange(10.0)[:, None]
    kept = thin(rows, 4, torch.Generator().manual_seed(0))
    assert kept.shape == (4, 1)
    assert len(kept.unique()) == 4
    assert thin(rows, 20, torch.Generator().manual_seed(0)) is rows


def windows(count, shift=1.0, seed=1, frames=200):
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(frames, 4, generator=rng) + shift for _ in range(count)]


def test_sound_that_goes_on_is_coded_better_and_better():
    stack, heard = make_stack(stages=2, size=16, dim=4), windows(30)
    ahead = torch.cat(windows(5, seed=9))
    few, many = (follow_online(stack, heard[:n], ahead[:0], range(2), 1.0).stack for n in (5, 30))
    assert many.error(ahead) < few.error(ahead) < stack.error(ahead)
    assert many.error(ahead) < 0.9 * stack.error(ahead)


def test_no_entry_moves_further_than_the_bound_in_one_window():
    stack = make_stack(stages=2, size=16, dim=4)
    free = [torch.ones(16, dtype=torch.bool)] * 2
    online = OnlineFit(stack, free)
    online.update(windows(1, shift=5.0)[0])
    for before, after in zip(stack.entries, online.stack.entries, strict=True):
        bound = LARGEST_STEP * before.square().sum(dim=1).mean().sqrt()
        steps = (after - before).norm(dim=1)
        assert float(steps.max()) == pytest.approx(float(bound), rel=1e-4)
        assert (steps <= bound * 1.0001).all()


def test_with_an_endless_bound_a_window_gives_the_mean_with_its_prior():
    stack, rows = make_stack(stages=1, size=16, dim=4), windows(1)[0]
    online = OnlineFit(stack, [torch.ones(16, dtype=torch.bool)], largest_step=1e9)
    online.update(rows)
    codes = torch.cdist(rows, stack.entries[0]).argmin(dim=1)
    for entry in range(16):
        mine = rows[codes == entry]
        prior = 20.0 if not len(mine) else 19.0  # what was known fades by a twentieth where something came
        expected = (mine.sum(dim=0) + prior * stack.entries[0][entry]) / (len(mine) + prior)
        assert torch.allclose(online.stack.entries[0][entry], expected, atol=1e-5)


def test_only_the_movable_share_of_the_named_stages_moves():
    stack = make_stack(stages=2, size=16, dim=4)
    fit = follow_online(stack, windows(4), windows(1, shift=0.0)[0], [1], 0.25)
    assert [int(free.sum()) for free in fit.moved] == [0, 4]
    for before, after, free in zip(stack.entries, fit.stack.entries, fit.moved, strict=True):
        assert torch.equal(before[~free], after[~free])
