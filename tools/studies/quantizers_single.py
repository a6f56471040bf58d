"""The studies of quantizers.py with one codebook, on frozen latents of the pretrained speech codec."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from quantizers_codec import open_store, whole_recordings
from quantizers_rows import Row, code_statistics
from torch import Tensor

from audiocodec.codec import load
from audiocodec.model import CodecModel
from audiocodec.process import compute_in_one_thread
from audiocodec.quantizers import QUANTIZERS, Quantizer, build_method
from audiocodec.quantizers.codebook import kmeans, nearest, sample_rows
from audiocodec.quantizers.wasserstein import FeatureQueue
from audiocodec.training.config import TrainConfig

SIZES = (256, 1024, 8192)
MODEL, TRAIN_MINUTES = "speech-16k", 20.0
STEPS, LONG_STEPS, BATCH, RATE = 200, 1000, 1024, 1e-2
"""An entry nobody uses counts as dead only after 230 steps of `ema`, so some runs are long."""
LONG: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in ("ema", "wasserstein", "nsvq", "simvq", "transvq")},
    "ema-split": ("ema", {"dead_codes": "split"}),
    "vector-split": ("vector", {"dead_codes": "split"}),
    "nsvq-split": ("nsvq", {"dead_codes": "split"}),
    "wasserstein-rate": ("wasserstein", {"target": "rate"}),
    "wasserstein-rate-split": ("wasserstein", {"target": "rate", "dead_codes": "split"}),
}
"""What runs long, from the data: methods that claim full use, and what should help them."""
RATES = {"transvq": 1e-3}
"""A transformer learns at the rate of one; all others are codebooks or linear maps."""
DIMENSIONS = (4, 8, 16)


@dataclass(frozen=True)
class Latents:
    """Vectors [N, D] of recordings one after another, with the lengths of the recordings."""

    train: Tensor
    train_lengths: list[int]
    valid: Tensor
    valid_lengths: list[int]

    def projected(self, dim: int) -> Latents:
        """On the `dim` axes of largest variance, mean variance 1."""
        _, axes = torch.linalg.eigh(self.train.t().cov())
        train, valid = (x @ axes[:, -dim:] for x in (self.train, self.valid))
        scale = train.var(dim=0).mean().sqrt()
        return Latents(train / scale, self.train_lengths, valid / scale, self.valid_lengths)


def read_latents(config: TrainConfig, folder: Path) -> Latents:
    """Latents of mean 0 and mean variance 1; kept in `folder`, as encoding takes longer than a run."""
    compute_in_one_thread()
    path = folder / "latents.npz"
    if not path.exists():
        model = load(MODEL, device="cpu").model.eval()
        train, train_lengths = _encode(model, config, "train", TRAIN_MINUTES)
        valid, valid_lengths = _encode(model, config, "valid", None)
        mean, scale = train.mean(dim=0), train.var(dim=0).mean().sqrt()
        np.savez(
            path,
            train=((train - mean) / scale).numpy(),
            valid=((valid - mean) / scale).numpy(),
            train_lengths=np.array(train_lengths),
            valid_lengths=np.array(valid_lengths),
        )
    with np.load(path) as file:
        train, valid = (torch.from_numpy(file[name]) for name in ("train", "valid"))
        return Latents(train, file["train_lengths"].tolist(), valid, file["valid_lengths"].tolist())


@torch.no_grad()
def _encode(
    model: CodecModel, config: TrainConfig, split: str, minutes: float | None
) -> tuple[Tensor, list[int]]:
    rows: list[Tensor] = []
    for wav in whole_recordings(open_store(config, split), minutes):
        frames = len(wav) // model.hop_length
        samples = torch.from_numpy(wav[: frames * model.hop_length])[None, None]
        rows.append(model.encoder(samples)[0].t())
    return torch.cat(rows), [len(r) for r in rows]


def single_names() -> list[str]:
    """Runs `method/size/start`: from the own start, for 1024 entries also from the data, and long."""
    lbg = [f"lbg/{size}/own" for size in SIZES]
    own = [f"{method}/{size}/own" for size in (1024, 256, 8192) for method in sorted(QUANTIZERS)]
    data = [f"{method}/1024/data" for method in sorted(QUANTIZERS)]
    return lbg + data + own + [f"{method}/1024/long" for method in LONG]


def run_single(name: str, latents: Latents) -> Row:
    """Fit one codebook."""
    method, size, start = name.split("/")
    steps = LONG_STEPS if start == "long" else STEPS
    torch.manual_seed(0)
    about = {"method": method, "codebook_size": int(size), "start": start}
    if method == "lbg":
        return about | fit_offline(
            kmeans(latents.train, int(size), 10, torch.Generator().manual_seed(0)), latents
        )
    name, options = LONG.get(method, (method, {}))
    options = {**_options(name, steps), **options}
    quantizer = build_method(latents.train.shape[1], name, int(size), options)
    if start in ("data", "long"):
        quantizer.initialize(sample_rows(latents.train, 16384).t()[None])
    began = time.process_time()
    train(quantizer, latents.train, RATES.get(name, RATE), steps)
    return about | {"step_ms": 1e3 * (time.process_time() - began) / steps} | judge(quantizer, latents)


def _options(method: str, steps: int) -> dict[str, Any]:
    """Schedules as long as the run; everything else as it comes."""
    return {"gumbel": {"temperature_steps": steps}, "nsvq": {"tau_every": steps // 10}}.get(method, {})


def train(quantizer: Quantizer, vectors: Tensor, rate: float, steps: int = STEPS) -> None:
    """Adam on the method's loss plus the error, which teaches projections and logits; rate falling to 0."""
    spare = torch.nn.Parameter(torch.zeros(1))  # some methods have no parameters
    optimizer = torch.optim.Adam([*quantizer.parameters(), spare], lr=rate)
    rng = torch.Generator().manual_seed(0)
    for step in range(steps):
        batch = vectors[torch.randint(len(vectors), (BATCH,), generator=rng)].t()[None]
        output = quantizer.train()(batch)
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / steps)
        optimizer.zero_grad()
        total = output.loss + (output.quantized - batch).square().mean()
        if total.requires_grad:
            total.backward()
        optimizer.step()
    quantizer.eval()


@torch.no_grad()
def judge(quantizer: Quantizer, latents: Latents) -> Row:
    """Error over variance, and use of the codes, on the held-out latents."""
    codes = [quantizer.encode(x.t()[None]) for x in (latents.train, latents.valid)]
    decoded = quantizer.decode(codes[1])[0].t()
    return _row(codes[0][0, 0], codes[1][0, 0], decoded, quantizer.codebook_sizes[0], latents)


def fit_offline(codebook: Tensor, latents: Latents) -> Row:
    """The row of a codebook that was not trained by steps."""
    train, valid = (nearest(x, codebook) for x in (latents.train, latents.valid))
    return _row(train, valid, codebook[valid], len(codebook), latents)


def _row(train: Tensor, valid: Tensor, decoded: Tensor, size: int, latents: Latents) -> Row:
    fit = [part.numpy() for part in train.split(latents.train_lengths)]
    held_out = [part.numpy() for part in valid.split(latents.valid_lengths)]
    variance = (latents.valid - latents.valid.mean(dim=0)).square().mean()
    error = float((decoded - latents.valid).square().mean() / variance)
    return {"bits": float(np.log2(size)), "error": error, **code_statistics(fit, held_out, size)}


TARGETS = tuple(f"{v}-{t}" for v in ("gaussian", "sliced") for t in ("features", "zador"))


def zador_names() -> list[str]:
    """Runs `dim/how`: drawn entries, matching alone, matching beside VQ-VAE's losses, and bounds."""
    hows = ["drawn-features", "drawn-zador", *(f"{t}-alone" for t in TARGETS), *TARGETS, "vector", "lbg"]
    return [f"{dim}/{how}" for dim, how in itertools.product(DIMENSIONS, hows)]


def run_zador(name: str, latents: Latents) -> Row:
    """One codebook of 1,024 entries in few dimensions."""
    dim, how = int(name.split("/")[0]), name.split("/")[1]
    torch.manual_seed(0)
    low = latents.projected(dim)
    about = {"dim": dim, "how": how}
    if how == "lbg":
        return about | fit_offline(kmeans(low.train, 1024, 20), low)
    if how.startswith("drawn-"):
        queue = FeatureQueue(len(low.train), dim)
        queue.push(low.train)
        queue.push(low.train, queue.zador_weights(low.train) if how == "drawn-zador" else None)
        return about | fit_offline(queue.sample(1024), low)
    options: dict[str, Any] = {}
    if how != "vector":
        variant, target, *alone = how.split("-")
        options = {"variant": variant, "target": target}
        if alone:  # as in the paper's synthetic study
            options |= {"codebook_weight": 0.0, "wasserstein_weight": 10.0}
    quantizer = build_method(dim, "vector" if how == "vector" else "wasserstein", 1024, options)
    quantizer.load_codebooks({"codebook": torch.randn(1024, dim)})
    train(quantizer, low.train, RATE)
    return about | judge(quantizer, low)
