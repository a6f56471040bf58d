"""Which entries follow moving data? Toy drifts of https://arxiv.org/abs/2602.18896, section 11.

    python tools/studies/toy_drift.py --out docs/images

Points in the plane move while codebooks of 16 entries learn from mini-batches. Writes toy_drift.png (the
end of each motion and method) and toy_drift.gif (the way there), and prints how many entries are in use at
the end.

From the paper's text and videos: 2 dimensions, 16 entries and 1,500 points from N(0, I), about 23 batches of
64 an epoch, 10 epochs, the four motions. Chosen here, as the text does not give them: how far and fast the
points move, learning rates, and the kernel's unit (the paper's start 1 and factor 0.9 an epoch are kept).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from torch import Tensor

from audiocodec.quantizers import Quantizer, build_method

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.animation import FuncAnimation, PillowWriter

ENTRIES, POINTS, BATCH, STEPS_PER_EPOCH, EPOCHS = 16, 1500, 64, 23, 10
APPROACH = 0.03
"""Share of the way that is left which the points go in a step, as under gradient descent (chosen)."""

MOTIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "translation": lambda x, p: x + p * torch.tensor([6.0, 4.0]),
    "expansion": lambda x, p: x * (1 + 5 * p),
    "shrinking": lambda x, p: x * (1 + p * (torch.tensor([0.05, 0.1]) - 1)),
    "quadrant split": lambda x, p: x + 4 * p * x.sign(),
}


@dataclass(frozen=True)
class Method:
    """A row of the picture: method and options of `build_method`, and how its parameters learn."""

    title: str
    name: str
    options: dict[str, Any]
    make_optimizer: Callable[[list[Any]], torch.optim.Optimizer] | None = None


METHODS = [
    Method("EMA", "ema", {"ema_decay": 0.9, "dead_codes": "none"}),
    Method("EMA, replacing", "ema", {"ema_decay": 0.9}),
    Method(
        "NS-VQ",
        "nsvq",
        {"weighting": "paper", "tau": 1.0, "tau_decay": 0.9, "tau_every": STEPS_PER_EPOCH},
        lambda parameters: torch.optim.SGD(parameters, lr=4.0),
    ),
    Method("TransVQ", "transvq", {"width": 64}, lambda parameters: torch.optim.Adam(parameters, lr=3e-3)),
]


@dataclass(frozen=True)
class Frame:
    """One moment of one run: points [N, 2] and entries [K, 2]."""

    points: Tensor
    entries: Tensor

    def in_use(self) -> Tensor:
        """Mask [K] of the entries that are nearest to some point."""
        used = torch.zeros(len(self.entries), dtype=torch.bool)
        used[torch.cdist(self.points, self.entries).argmin(dim=1)] = True
        return used


def run(method: Method, motion: Callable[[Tensor, float], Tensor], seed: int) -> Iterator[Frame]:
    """Train one method on one motion, a frame a step and one before the first."""
    torch.manual_seed(seed)
    base = torch.randn(POINTS, 2)
    quantizer = _start(method, torch.randn(ENTRIES, 2), base)
    parameters = list(quantizer.parameters())
    optimizer = method.make_optimizer(parameters) if method.make_optimizer else None
    progress = 0.0
    yield Frame(motion(base, progress), quantizer.codebooks()["codebook"].clone())
    for _ in range(EPOCHS * STEPS_PER_EPOCH):
        batch = motion(base[torch.randint(POINTS, (BATCH,))], progress)
        loss = quantizer.train()(batch.t()[None]).loss
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        progress += APPROACH * (1 - progress)
        yield Frame(motion(base, progress), quantizer.eval().codebooks()["codebook"].clone())


def _start(method: Method, entries: Tensor, base: Tensor) -> Quantizer:
    quantizer = build_method(2, method.name, ENTRIES, method.options)
    if method.name == "transvq":  # its codebook is computed; it starts with the spread of the points
        quantizer.initialize(base.t()[None])
    else:
        quantizer.load_codebooks({"codebook": entries})
    return quantizer


def draw(axes: Any, frame: Frame, limits: tuple[float, float]) -> None:
    """Points gray, entries in use blue, others as red crosses."""
    used = frame.in_use()
    axes.clear()
    axes.scatter(*frame.points.t(), s=2, color="0.75", linewidths=0)
    axes.scatter(*frame.entries[used].t(), s=18, color="tab:blue", zorder=3)
    axes.scatter(*frame.entries[~used].t(), s=18, color="tab:red", marker="x", zorder=3)
    axes.set(xlim=limits, ylim=limits, xticks=[], yticks=[], aspect="equal")
    axes.text(0.03, 0.97, f"{int(used.sum())}/{ENTRIES}", transform=axes.transAxes, va="top")


def main() -> None:
    """Run all methods on all motions, print the table, write picture and animation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    runs = {
        (m.title, name): list(run(m, motion, arguments.seed))
        for m in METHODS
        for name, motion in MOTIONS.items()
    }
    print(f"{'entries in use, of 16':24s}" + "".join(f"{name:>16s}" for name in MOTIONS))
    for m in METHODS:
        used = [int(runs[m.title, name][-1].in_use().sum()) for name in MOTIONS]
        print(f"{m.title:24s}" + "".join(f"{count:16d}" for count in used))
    spans = {
        name: max(float(frames[-1].points.abs().max()) for (_, n), frames in runs.items() if n == name)
        for name in MOTIONS
    }
    _picture(runs, spans, arguments.out / "toy_drift.png")
    _animation(runs, spans, arguments.out / "toy_drift.gif")


Runs = dict[tuple[str, str], list[Frame]]


def _grid(size: float) -> tuple[Any, Any]:
    figure, axes = plt.subplots(
        len(METHODS), len(MOTIONS), figsize=(size * len(MOTIONS), size * len(METHODS)), layout="constrained"
    )
    return figure, axes


def _draw_all(axes: Any, runs: Runs, spans: dict[str, float], step: int) -> None:
    for row, m in enumerate(METHODS):
        for column, name in enumerate(MOTIONS):
            span = max(3.5, 1.05 * spans[name]) if name != "shrinking" else 3.0
            draw(axes[row, column], runs[m.title, name][step], (-span, span))
            if row == 0:
                axes[row, column].set_title(name)
        axes[row, 0].set_ylabel(m.title)


def _picture(runs: Runs, spans: dict[str, float], path: Path) -> None:
    figure, axes = _grid(2.6)
    _draw_all(axes, runs, spans, -1)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _animation(runs: Runs, spans: dict[str, float], path: Path) -> None:
    figure, axes = _grid(1.7)
    steps = [*range(0, EPOCHS * STEPS_PER_EPOCH, 10), EPOCHS * STEPS_PER_EPOCH]

    def show(index: int) -> list[Any]:
        _draw_all(axes, runs, spans, steps[index])
        return []

    animation = FuncAnimation(figure, show, frames=len(steps))
    animation.save(path, PillowWriter(fps=6), dpi=60)
    plt.close(figure)


if __name__ == "__main__":
    main()
