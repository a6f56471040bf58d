"""Scores of a model on held-out recordings while it trains, and which of its checkpoints are best."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from audiocodec.coding import encode_latents
from audiocodec.config import check_names
from audiocodec.errors import ConfigError, MetricError, MissingPackageError
from audiocodec.metrics import METRICS as ALL_METRICS
from audiocodec.metrics import perplexity, pesq_wb, si_sdr, stoi, usage
from audiocodec.training.augment import held_out_scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from audiocodec.model import CodecModel
    from audiocodec.training.augment import AugmentConfig, Augmenter
    from audiocodec.training.processes import Processes

METRICS = {"pesq_wb": pesq_wb, "stoi": stoi, "si_sdr": si_sdr}
"""Scores of every clip."""
JUDGES = {name: ALL_METRICS[name] for name in ("frame_lock", "distillmos", "dnsmos_p808")}
"""Scores that no loss imitates, if installed; of a few clips without noise, as each takes some seconds."""
USUAL_WEIGHTS = {"distillmos": 1.0, "dnsmos_p808": 1.0, "pesq_wb": 0.5, "frame_lock": -0.1}
"""Weights of the best score if a recipe names none: two scores that no loss imitates, half of one that a loss
may imitate, and 10 dB of a buzz at the frame rate cost one point of opinion."""
logger = logging.getLogger(__name__)
SAMPLED = 2
"""Clips of each environment that are kept to listen to."""


class ValidationClip(NamedTuple):
    """A held-out recording, as it is or in an environment.

    Attributes:
        wav: input of the model [L].
        target: what the output should be [L], and is scored against.
        environment: name of the environment; empty for a recording as it is.
        denoise: whether the denoising switch is on.
    """

    wav: NDArray[np.float32]
    target: NDArray[np.float32]
    environment: str = ""
    denoise: bool = False


@dataclass
class Validation:
    """Results of a validation.

    Attributes:
        scores: means over clips, named `metric/quantizers` or `metric/quantizers/environment`; for each stage
            n `perplexity/n` and `usage/n`; and `unscored`, the number of scores that could not be computed.
        counts: how often each entry of each stage was chosen in clips without noise, [K] each.
        sounds: to listen to, [L] each: `clip/input`, `clip/target` if it differs, `clip/quantizers`.
    """

    scores: dict[str, float] = field(default_factory=dict[str, float])
    counts: list[NDArray[np.int64]] = field(default_factory=list["NDArray[np.int64]"])
    sounds: dict[str, NDArray[np.float32]] = field(default_factory=dict[str, "NDArray[np.float32]"])


def validation_clips(
    clips: Sequence[NDArray[np.float32]], augmenter: Augmenter | None, augment: AugmentConfig, manifest: str
) -> list[ValidationClip]:
    """Held-out recordings as they are, then in each environment of the recipe.

    A denoising switch is on in environments. Those whose target is not the input are repeated with the switch
    off, as NAME-off, with the input as target; and some recordings as they are with it on, as clean-on.

    Raises:
        InputError: the recordings of noise and rooms cannot be read.
    """
    plain = [ValidationClip(wav, wav) for wav in clips]
    if augmenter is None:
        return plain
    scenes = held_out_scenes(augmenter, augment, manifest, clips)
    switched = augmenter.denoise_probability is not None
    placed = [(name, scene) for name, several in scenes.items() for scene in several]
    noisy = [ValidationClip(scene.wav, scene.target, name, switched) for name, scene in placed]
    if not switched:
        return plain + noisy
    off = [
        ValidationClip(s.wav, s.wav, f"{name}-off")
        for name, s in placed
        if not np.array_equal(s.target, s.wav)
    ]
    count = max((len(several) for several in scenes.values()), default=0)
    return plain + noisy + off + [ValidationClip(wav, wav, "clean-on", True) for wav in clips[:count]]


def score_names(
    prefixes: Sequence[int], environments: Sequence[str] = ("",), judged: bool = False
) -> list[str]:
    """Names of the scores that `validate` gives; `judged` includes those of JUDGES.

    Clips without environment are also scored for 0 quantizers, which is without quantizing.
    """
    return [
        _score_name(metric, prefix, environment)
        for environment in environments
        for prefix in ([*prefixes] if environment else [*prefixes, 0])
        for metric in (METRICS if environment or not judged else [*METRICS, *JUDGES])
    ]


def warn_of_missing_judges() -> None:
    """Name the judges that are not installed, and the package to install."""
    missing = [name for name, judge in JUDGES.items() if not judge.installed]
    if missing:
        logger.warning(
            "validation leaves out %s; to have them: pip install 'audiocodec[scores]'", ", ".join(missing)
        )


@torch.no_grad()
def validate(
    model: CodecModel,
    clips: Sequence[ValidationClip],
    prefixes: Sequence[int],
    processes: Processes,
    judge_clips: int = 0,
) -> Validation:
    """Mean PESQ-WB, STOI and SI-SDR in dB at each number of quantizers, and 0 for none at all (unquantized).

    JUDGES that are installed score the first `judge_clips` clips without environment. A clip that a metric
    cannot score (silence) is left out of that mean and counted as `unscored`. Each process takes a share of
    the clips; all get the whole result, but only the sounds of their own share.
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
        clip: ValidationClip,
        decoded: Mapping[int, NDArray[np.float32]],
        metrics: Mapping[str, Callable[..., float]],
        rate: int,
    ) -> None:
        """Score the decoded versions of a clip, [L] by number of quantizers."""
        for prefix, wav in decoded.items():
            for metric, score in metrics.items():
                name = _score_name(metric, prefix, clip.environment)
                try:
                    self.sums[name] += score(clip.target, wav, rate)
                    self.numbers[name] += 1
                except (MetricError, MissingPackageError):  # no judge may end a training
                    self.unscored += 1

    def count(self, clip: ValidationClip, codes: NDArray[np.int64]) -> None:
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
    model: CodecModel, clip: ValidationClip, prefixes: Sequence[int]
) -> tuple[dict[int, NDArray[np.float32]], NDArray[np.int64]]:
    """Decoded wav [L] by number of quantizers, and the codes [N, T] of the largest number."""
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
    name: str, clip: ValidationClip, decoded: Mapping[int, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    sounds = {f"{name}/input": clip.wav}
    if clip.target is not clip.wav:
        sounds[f"{name}/target"] = clip.target
    return sounds | {f"{name}/{prefix}": wav for prefix, wav in decoded.items() if prefix}


def _score_name(metric: str, prefix: int, environment: str) -> str:
    return f"{metric}/{prefix}/{environment}" if environment else f"{metric}/{prefix}"


def best_weights(
    given: Mapping[str, float] | str, judge_clips: int, prefixes: Sequence[int], environments: Sequence[str]
) -> dict[str, float]:
    """Weights of the scores whose sum says which checkpoints are best, by the names of a validation.

    `given` are the weights of a recipe or the name of one score; without any, USUAL_WEIGHTS of the scores
    that can be computed here, with the largest number of quantizers.

    Raises:
        ConfigError: a score is named that a validation of these prefixes and environments does not give.
        MissingPackageError: a package that a score needs is not installed.
    """
    weights = dict.fromkeys([given] if given else [], 1.0) if isinstance(given, str) else dict(given)
    if not weights:
        judges = {name for name, judge in JUDGES.items() if judge_clips and judge.installed}
        computed = {*METRICS, *judges}
        return {f"{n}/{prefixes[-1]}": weight for n, weight in USUAL_WEIGHTS.items() if n in computed}
    for name in weights:
        judge = JUDGES.get(name.split("/")[0])
        if judge is not None and not judge_clips:
            raise ConfigError(
                f"best_score names {name!r}, but judge_clips is 0; set judge_clips=4, or leave the score out"
            )
        if judge is not None:
            judge.check_installed()
    check_names("best_score", weights, set(score_names(prefixes, environments, judged=True)))
    return weights


def best_score(scores: Mapping[str, float], weights: Mapping[str, float]) -> float | None:
    """Weighted sum of the scores of a validation; a missing score counts 0. None if all are missing."""
    terms = [weight * scores[name] for name, weight in weights.items() if name in scores]
    return sum(terms) if terms else None
