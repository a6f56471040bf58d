"""Scores of a model on held-out recordings, in each environment of its training, computed while it trains."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from audiocodec.coding import encode_latents
from audiocodec.errors import MetricError, MissingPackageError
from audiocodec.metrics import METRICS as ALL_METRICS
from audiocodec.metrics import perplexity, pesq_wb, si_sdr, stoi, usage
from audiocodec.training.augment import held_out_scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from audiocodec.model import CodecModel
    from audiocodec.training.augment import Augmenter
    from audiocodec.training.config import TrainConfig
    from audiocodec.training.engine.processes import Processes

METRICS = {"pesq_wb": pesq_wb, "stoi": stoi, "si_sdr": si_sdr}
"""What is scored, of every clip."""
JUDGES = {name: ALL_METRICS[name] for name in ("frame_lock", "distillmos", "dnsmos_p808")}
"""What no loss imitates, where installed; of a few plain clips, as it takes some seconds for each."""
logger = logging.getLogger(__name__)
SAMPLED = 2
"""Clips of each environment that are kept to listen to."""


class Clip(NamedTuple):
    """A held-out recording as the model meets it.

    Attributes:
        wav: what it hears [L].
        target: what it is to give back [L], and is scored against.
        environment: what happened to it; empty for nothing.
        denoise: whether the denoising switch is on.
    """

    wav: NDArray[np.float32]
    target: NDArray[np.float32]
    environment: str = ""
    denoise: bool = False


@dataclass
class Validation:
    """What a validation found.

    Attributes:
        scores: means over clips, named `metric/quantizers` or `metric/quantizers/environment`; of each stage
            n `perplexity/n` and `usage/n`; and `unscored`, how many could not be computed.
        counts: how often each entry of each stage was chosen, [K] each, without noise.
        sounds: to listen to, [L] each: `clip/input`, `clip/target` where it differs, `clip/quantizers`.
    """

    scores: dict[str, float] = field(default_factory=dict[str, float])
    counts: list[NDArray[np.int64]] = field(default_factory=list["NDArray[np.int64]"])
    sounds: dict[str, NDArray[np.float32]] = field(default_factory=dict[str, "NDArray[np.float32]"])


def validation_clips(
    config: TrainConfig, clips: Sequence[NDArray[np.float32]], augmenter: Augmenter | None
) -> list[Clip]:
    """Held-out recordings as they are, then in each environment of the recipe.

    A denoising switch is on in environments. Those with a target of their own come a second time with it off,
    as NAME-off, where the input is to come back; and some of the plain ones with it on, as clean-on.

    Raises:
        InputError: the recordings of noise and rooms cannot be read.
    """
    plain = [Clip(wav, wav) for wav in clips]
    if augmenter is None:
        return plain
    scenes = held_out_scenes(augmenter, config.augment, config.data.manifest, clips)
    switched = augmenter.denoise_probability is not None
    placed = [(name, scene) for name, found in scenes.items() for scene in found]
    noisy = [Clip(scene.wav, scene.target, name, switched) for name, scene in placed]
    if not switched:
        return plain + noisy
    off = [Clip(s.wav, s.wav, f"{name}-off") for name, s in placed if not np.array_equal(s.target, s.wav)]
    count = max(len(found) for found in scenes.values()) if scenes else 0
    return plain + noisy + off + [Clip(wav, wav, "clean-on", True) for wav in clips[:count]]


def score_names(
    prefixes: Sequence[int], environments: Sequence[str] = ("",), judged: bool = False
) -> list[str]:
    """Names of the scores that `validate` gives, without environment also for 0 quantizers, and of JUDGES."""
    return [
        _score_name(metric, prefix, environment)
        for environment in environments
        for prefix in ([*prefixes] if environment else [*prefixes, 0])
        for metric in (METRICS if environment or not judged else [*METRICS, *JUDGES])
    ]


def say_what_is_missing() -> None:
    """Name in the log the judges that are not installed, and what brings them."""
    missing = [name for name, judge in JUDGES.items() if not judge.installed]
    if missing:
        logger.warning(
            "validation does without %s: pip install 'audiocodec[scores]' brings them", ", ".join(missing)
        )


@torch.no_grad()
def validate(
    model: CodecModel,
    clips: Sequence[Clip],
    prefixes: Sequence[int],
    processes: Processes,
    judge_clips: int = 0,
) -> Validation:
    """Mean PESQ-WB, STOI and SI-SDR in dB at each number of quantizers, and 0 for none at all (unquantized).

    JUDGES that are installed hear the first `judge_clips` of the clips without environment too. A clip that a
    metric cannot score (silence) is left out of that mean and counted as `unscored`. Each process takes a
    share of the clips; all get the whole result, but the sounds of their own share.
    """
    environments = list(dict.fromkeys(clip.environment for clip in clips))
    names = score_names(prefixes, environments, judged=judge_clips > 0)  # the same on all machines
    tally = _Tally(names, model.quantizer.codebook_sizes)
    sounds: dict[str, NDArray[np.float32]] = {}
    for number, clip in enumerate(clips):
        if number % processes.world_size == processes.rank:
            decoded, codes = _pass(model, clip, prefixes)
            nth = sum(other.environment == clip.environment for other in clips[:number])
            judges = JUDGES if not clip.environment and nth < judge_clips else {}
            installed = {name: judge for name, judge in judges.items() if judge.installed}
            tally.add(clip, decoded, METRICS | installed, model.sample_rate)
            tally.count(clip, codes)
            if nth < SAMPLED:
                sounds |= _sounds(f"{clip.environment or 'plain'}-{nth}", clip, decoded)
    tally.gather(processes)
    return Validation(tally.scores(), tally.counts, sounds)


class _Tally:
    """Sums over clips, which can be added up over processes."""

    def __init__(self, names: Sequence[str], codebook_sizes: Sequence[int]) -> None:
        self.sums, self.numbers = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
        self.counts = [np.zeros(size, np.int64) for size in codebook_sizes]
        self.unscored = 0.0

    def add(
        self,
        clip: Clip,
        decoded: Mapping[int, NDArray[np.float32]],
        metrics: Mapping[str, Callable[..., float]],
        rate: int,
    ) -> None:
        """Score what became of a clip, [L] by number of quantizers."""
        for prefix, wav in decoded.items():
            for metric, score in metrics.items():
                name = _score_name(metric, prefix, clip.environment)
                try:
                    self.sums[name] += score(clip.target, wav, rate)
                    self.numbers[name] += 1
                except (MetricError, MissingPackageError):  # no judge may end a training
                    self.unscored += 1

    def count(self, clip: Clip, codes: NDArray[np.int64]) -> None:
        """Count the codes [N, T] of a clip, unless it is in an environment."""
        if not clip.environment:
            for stage, row in zip(self.counts, codes, strict=False):
                stage += np.bincount(row, minlength=len(stage))

    def gather(self, processes: Processes) -> None:
        """Add up over all processes."""
        numbers = [*self.sums.values(), *self.numbers.values(), self.unscored]
        flat = np.concatenate([numbers, *self.counts])
        flat = processes.sum(torch.from_numpy(flat)).numpy()
        sums, numbers, unscored, counts = np.split(flat, np.cumsum([len(self.sums), len(self.sums), 1]))
        self.sums = dict(zip(self.sums, sums.tolist(), strict=True))
        self.numbers = dict(zip(self.numbers, numbers.tolist(), strict=True))
        self.unscored = float(unscored[0])
        ends = np.cumsum([len(stage) for stage in self.counts])[:-1]
        self.counts = [stage.round().astype(np.int64) for stage in np.split(counts, ends)]

    def scores(self) -> dict[str, float]:
        scores = {name: total / self.numbers[name] for name, total in self.sums.items() if self.numbers[name]}
        for number, stage in enumerate(self.counts):
            if stage.any():
                codes = np.repeat(np.arange(len(stage)), stage)
                scores[f"perplexity/{number}"] = perplexity(codes, len(stage))
                scores[f"usage/{number}"] = usage(codes, len(stage))
        return scores | {"unscored": self.unscored}


def _pass(
    model: CodecModel, clip: Clip, prefixes: Sequence[int]
) -> tuple[dict[int, NDArray[np.float32]], NDArray[np.int64]]:
    """Decoded wav [L] by number of quantizers, and the codes [N, T] of the most."""
    latents = encode_latents(model, clip.wav, model.sample_rate, clip.denoise)
    wanted = [*prefixes] if clip.environment else [*prefixes, 0]
    decoded: dict[int, NDArray[np.float32]] = {}
    codes = model.quantizer.encode(latents, max(prefixes))
    for prefix in wanted:
        quantized = model.quantizer.decode(model.quantizer.encode(latents, prefix)) if prefix else latents
        wav = model.render(quantized, None, prefix or None)[0, 0, model.delay : model.delay + len(clip.wav)]
        decoded[prefix] = wav.float().cpu().numpy()
    return decoded, codes[0].cpu().numpy()


def _sounds(
    name: str, clip: Clip, decoded: Mapping[int, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    sounds = {f"{name}/input": clip.wav}
    if clip.target is not clip.wav:
        sounds[f"{name}/target"] = clip.target
    return sounds | {f"{name}/{prefix}": wav for prefix, wav in decoded.items() if prefix}


def _score_name(metric: str, prefix: int, environment: str) -> str:
    return f"{metric}/{prefix}/{environment}" if environment else f"{metric}/{prefix}"
