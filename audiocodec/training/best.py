"""Which checkpoints of a run are best: by a weighted sum of scores of the validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiocodec.config import check_names
from audiocodec.errors import ConfigError
from audiocodec.training.validation import JUDGES, METRICS, score_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from audiocodec.training.config import TrainConfig

USUAL = {"distillmos": 1.0, "dnsmos_p808": 1.0, "pesq_wb": 0.5, "frame_lock": -0.1}
"""Weights where a recipe names none: two opinions that no loss imitates, half of one that a loss may imitate,
and 10 dB of a buzz at the frame rate against a point of opinion."""


def best_weights(
    config: TrainConfig, prefixes: Sequence[int], environments: Sequence[str]
) -> dict[str, float]:
    """Weights of the scores by which checkpoints of a recipe are kept, by their names in a validation.

    Without any in the recipe they are USUAL with the most quantizers, as far as they can be computed here.

    Raises:
        ConfigError: a score is named that a validation of these prefixes and environments does not give.
        MissingPackageError: what a score needs is not installed.
    """
    given = config.best_score
    weights = dict.fromkeys([given] if given else [], 1.0) if isinstance(given, str) else dict(given)
    if not weights:
        judges = {name for name, judge in JUDGES.items() if config.judge_clips and judge.installed}
        return {f"{name}/{prefixes[-1]}": USUAL[name] for name in USUAL if name in {*METRICS, *judges}}
    for name in weights:
        judge = JUDGES.get(name.split("/")[0])
        if judge is not None and not config.judge_clips:
            raise ConfigError(
                f"best_score names {name!r}, but judge_clips is 0; give judge_clips=4, or leave it out"
            )
        if judge is not None:
            judge.check_installed()
    check_names("best_score", weights, set(score_names(prefixes, environments, judged=True)))
    return weights


def best_score(scores: Mapping[str, float], weights: Mapping[str, float]) -> float | None:
    """The weighted sum of what a validation found; what it could not score counts 0. None without any."""
    found = [weight * scores[name] for name, weight in weights.items() if name in scores]
    return sum(found) if found else None
