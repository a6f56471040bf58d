"""What a model is before its first step: as built, as a linear codec, or a trained one to go on from."""

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
from audiocodec.nn.spectral import SpectralConfig, SpectralDecoder, SpectralEncoder, start_linear
from audiocodec.pretrained import find
from audiocodec.training.engine.processes import Processes
from audiocodec.training.switch import add_switch

if TYPE_CHECKING:
    from torch import Tensor

    from audiocodec.model import ModelConfig
    from audiocodec.training.config import TrainConfig
    from audiocodec.training.data.batch import Sampler

UNTRAINED = ("linear", "random")
START_SECONDS = 1280.0
"""Audio that codebooks and linear codec are fitted to: 62 vectors for each of 1024 entries at 50 a second."""
MAX_BATCHES = 80
CHUNK = 16
"""Examples that are encoded at a time."""


def build(config: TrainConfig) -> CodecModel:
    """Build the model of a recipe, or load the trained one that it names.

    Raises:
        CheckpointError: that one was built from another configuration.
        ConfigError: `start` does not fit the nets.
        RegistryError: there is no model of that name.
    """
    if config.start not in UNTRAINED:
        model, found, _ = load_model(find(config.start))
        if (found.denoise, config.model.denoise) == ("none", "film"):
            add_switch(model)  # which it can learn without changing anything else
            found = replace(found, denoise="film")
        model, found = _with_noise(model, found, config.model)
        if found != config.model and not _exchange_quantizer(model, found, config.model):
            raise CheckpointError(
                f"{config.start} was built from another `model` than this recipe's;"
                " copy what its config.yaml says, all but the quantizer's options"
            )
        return model
    if config.start == "linear" and config.model.net.kind != "spectral":
        raise ConfigError(
            f"start: linear is for nets of kind spectral, not {config.model.net.kind}; use start: random"
        )
    return build_model(config.model)


def scores_imitated(config: TrainConfig) -> tuple[str, ...]:
    """Names of the scores that losses of a recipe imitate, or those of the model that it starts from did."""
    earlier: list[str] = []
    if config.start not in UNTRAINED:
        earlier = load_model(find(config.start))[2].get("imitates", "").split(",")
    names = {*imitated(config.loss.weights), *earlier}
    return tuple(name for name in METRICS if name in names)


def _with_noise(model: CodecModel, found: ModelConfig, wanted: ModelConfig) -> tuple[CodecModel, ModelConfig]:
    """The model, whose decoder was trained without random phase, with that of `wanted`."""
    if not isinstance(found.net, SpectralConfig) or not isinstance(wanted.net, SpectralConfig):
        return model, found
    names = ("noise_gains", "noise_crossover", "noise_slope")
    net = replace(found.net, **{name: getattr(wanted.net, name) for name in names})
    if net == found.net:
        return model, found
    decoder = SpectralDecoder(net)
    decoder.load_state_dict(model.decoder.state_dict())
    model.decoder = decoder.eval()
    return model, replace(found, net=net)


def _exchange_quantizer(model: CodecModel, found: ModelConfig, wanted: ModelConfig) -> bool:
    """Whether `wanted` differs in how the quantizer learns and searches only; if so, it does as asked."""
    other = wanted.quantizer
    quantizer = replace(found.quantizer, options=other.options, search_width=other.search_width)
    if replace(found, quantizer=quantizer) != wanted:
        return False
    fresh = build_quantizer(other, wanted.net.dim)
    try:
        fresh.load_state_dict(model.quantizer.state_dict())
    except RuntimeError:  # an option that adds weights
        return False
    fresh.load_codebooks({name: codebook.clone() for name, codebook in fresh.codebooks().items()})
    model.quantizer = fresh.eval()
    return True


def start(
    model: CodecModel, config: TrainConfig, sampler: Sampler, processes: Processes | None = None
) -> None:
    """Fit an untrained model to what it will see: linear codec first when asked for, then the codebooks.

    Leaves `model` in evaluation mode, the same on all processes.
    """
    processes = processes or Processes()
    if config.start not in UNTRAINED:
        return
    torch.manual_seed(config.seed)
    wav = _sample(config, sampler).to(next(model.parameters()).device)
    if isinstance(model.encoder, SpectralEncoder) and config.start == "linear":
        assert isinstance(model.decoder, SpectralDecoder)
        start_linear(model.encoder, model.decoder, wav)
    processes.share(model)
    model.eval()
    mine = wav[processes.rank :: processes.world_size]  # quantizers put the rows of all processes together
    with torch.no_grad():
        model.quantizer.initialize(torch.cat([model.encoder(part) for part in mine.split(CHUNK)]))
    processes.share(model)


def _sample(config: TrainConfig, sampler: Sampler) -> Tensor:
    """Draw what to fit to, [B, 1, L]; no training step draws from this generator."""
    rng = np.random.default_rng((config.seed, 2**31))
    wanted = math.ceil(START_SECONDS / (config.data.batch_size * config.data.segment_seconds))
    return torch.cat([sampler.batch(rng) for _ in range(min(wanted, MAX_BATCHES))])
