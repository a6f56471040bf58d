"""The start of a run: its data, and its model as built, as a linear codec or trained before."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from audiocodec.checkpoint import load_model
from audiocodec.errors import CheckpointError, ConfigError
from audiocodec.metrics import METRICS, imitated
from audiocodec.model import CodecModel, build_model, build_quantizer
from audiocodec.nn.film import SwitchableNet
from audiocodec.nn.spectral import SpectralConfig, SpectralDecoder, SpectralEncoder, start_linear
from audiocodec.pretrained import find
from audiocodec.training.augment import open_environments
from audiocodec.training.batch_augment import cpu_effects
from audiocodec.training.data.opening import TrainingData, open_data

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from torch import Tensor

    from audiocodec.model import ModelConfig
    from audiocodec.training.config import TrainConfig
    from audiocodec.training.data.sampler import Sampler
    from audiocodec.training.processes import Processes

UNTRAINED = ("linear", "random")
"""Values of `start` that name no trained model."""
DENOISE = "denoise"
"""Name of the denoising switch in `frozen`."""
START_SECONDS = 1280.0
"""Audio that codebooks and linear codec are fitted to: 62 vectors for each of 1024 entries at 50 frames/s."""
MAX_BATCHES = 80
CHUNK = 16
"""Examples that are encoded at a time."""


def open_run_data(
    config: TrainConfig,
    folder: Path,
    processes: Processes | None = None,
    progress: Callable[[float], None] | None = None,
) -> TrainingData:
    """Open the data of a recipe (see `open_data`); a segment is a whole number of frames.

    Raises:
        InputError: files are missing, or a split has no recording that can be read.
        ConfigError: segments are too short for the model, or a source is unknown.
    """
    data, net, rate = config.data, config.model.net, config.model.sample_rate
    length = max(1, round(data.segment_seconds * rate / net.hop_length)) * net.hop_length
    if length <= net.delay:
        raise ConfigError(
            f"data.segment_seconds {data.segment_seconds:g} is no longer than the model's delay of"
            f" {net.delay} samples; give more"
        )
    return open_data(
        data,
        folder,
        rate,
        length,
        seed=config.seed,
        validate_seconds=config.validate_seconds,
        cpu_effects=cpu_effects(open_environments(config.augment)),
        processes=processes,
        progress=progress,
    )


def build_or_load(config: ModelConfig, start: str) -> CodecModel:
    """Build the model of `config`, or load the trained one that `start` names.

    Raises:
        CheckpointError: the trained one was built from another configuration.
        ConfigError: `start` does not fit the nets.
        RegistryError: there is no model of that name.
    """
    if start not in UNTRAINED:
        model, trained, _ = load_model(find(start))
        if (trained.denoise, config.denoise) == ("none", "film"):
            assert isinstance(model.encoder, SwitchableNet)
            model.encoder.add_switch()  # does nothing before it is trained
            trained = replace(trained, denoise="film")
        model, trained = _with_noise(model, trained, config)
        if trained != config and not _exchange_quantizer(model, trained, config):
            raise CheckpointError(
                f"{start} was built from another `model` than this recipe's;"
                " copy the one of its config.yaml, all but the quantizer's options"
            )
        return model
    if start == "linear" and config.net.kind != "spectral":
        raise ConfigError(
            f"start: linear is for nets of kind spectral, not {config.net.kind}; use start: random"
        )
    return build_model(config)


def scores_imitated(start: str, weights: Mapping[str, float]) -> tuple[str, ...]:
    """Names of the scores that the losses with `weights` imitate, or those of the model at `start` did."""
    earlier: list[str] = []
    if start not in UNTRAINED:
        earlier = load_model(find(start))[2].get("imitates", "").split(",")
    names = {*imitated(weights), *earlier}
    return tuple(name for name in METRICS if name in names)


def hold_frozen(model: CodecModel, frozen: Collection[str]) -> None:
    """Let all parts learn but `frozen`, which get no gradient and leave training mode.

    In training mode their running statistics and codebooks would move. The denoising switch is a part of its
    own, though it is inside the encoder; it is the same in both modes.
    """
    model.train()
    for part in {*frozen} - {DENOISE}:
        getattr(model, part).requires_grad_(False)
        getattr(model, part).eval()
    if isinstance(model.encoder, SwitchableNet) and model.encoder.film is not None:
        model.encoder.film.requires_grad_(DENOISE not in frozen)


def _with_noise(
    model: CodecModel, trained: ModelConfig, wanted: ModelConfig
) -> tuple[CodecModel, ModelConfig]:
    """The model with the random phases of `wanted`, and its configuration."""
    if not isinstance(trained.net, SpectralConfig) or not isinstance(wanted.net, SpectralConfig):
        return model, trained
    names = ("noise_gains", "noise_crossover", "noise_slope")
    net = replace(trained.net, **{name: getattr(wanted.net, name) for name in names})
    if net == trained.net:
        return model, trained
    decoder = SpectralDecoder(net)
    decoder.load_state_dict(model.decoder.state_dict())
    model.decoder = decoder.eval()
    return model, replace(trained, net=net)


def _exchange_quantizer(model: CodecModel, trained: ModelConfig, wanted: ModelConfig) -> bool:
    """Whether `wanted` differs only in how the quantizer learns and searches; if so, take its quantizer."""
    other = wanted.quantizer
    quantizer = replace(trained.quantizer, options=other.options, search_width=other.search_width)
    if replace(trained, quantizer=quantizer) != wanted:
        return False
    fresh = build_quantizer(other, wanted.net.dim)
    try:
        fresh.load_state_dict(model.quantizer.state_dict())
    except RuntimeError:  # an option that adds weights
        return False
    fresh.load_codebooks({name: codebook.clone() for name, codebook in fresh.codebooks().items()})
    model.quantizer = fresh.eval()
    return True


def fit_start(
    model: CodecModel, start: str, sampler: Sampler, seed: int, batch_seconds: float, processes: Processes
) -> None:
    """Fit an untrained model to the data: as a linear codec first if `start` says so, then the codebooks.

    `batch_seconds` is the audio in a batch of `sampler`. Leaves `model` in evaluation mode, the same on all
    processes; a trained model is left as it is.
    """
    if start in UNTRAINED:
        torch.manual_seed(seed)
        wav = _sample(sampler, seed, batch_seconds).to(next(model.parameters()).device)
        if isinstance(model.encoder, SpectralEncoder) and start == "linear":
            assert isinstance(model.decoder, SpectralDecoder)
            start_linear(model.encoder, model.decoder, wav)
        processes.share(model)
        model.eval()
        mine = wav[processes.rank :: processes.world_size]  # quantizers gather the rows of all processes
        with torch.no_grad():
            model.quantizer.initialize(torch.cat([model.encoder(part) for part in mine.split(CHUNK)]))
        processes.share(model)


def _sample(sampler: Sampler, seed: int, batch_seconds: float) -> Tensor:
    """Draw audio to fit to, [B, 1, L]; no training step draws from this generator."""
    rng = np.random.default_rng((seed, 2**31))
    count = min(math.ceil(START_SECONDS / batch_seconds), MAX_BATCHES)
    return torch.cat([sampler.draw(rng).wav for _ in range(count)])
