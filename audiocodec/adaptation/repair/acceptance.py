"""Whether a candidate may replace the codebooks in use: paired tests on sound that neither was fitted to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiocodec.adaptation.repair.scoring import BETTER, ERROR, MEL, PESQ, SCORES, Scored, score
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiocodec.adaptation.repair.sound import Sound
    from audiocodec.codec import Codec

RESAMPLES = 4000
"""Of the bootstrap: enough that the ends of a 95 % interval move by 2 % of its width."""
FEWEST_PAIRS = 5
"""With fewer, no interval is given, and nothing is decided by the score."""


@dataclass(frozen=True)
class Acceptance:
    """What a candidate must reach.

    Attributes:
        bitrate: of the codec, bit/s; None: the highest.
        clean_tolerance: PESQ that clean speech may lose in the mean.
        confidence: of the intervals.
        seed: of the bootstrap.
    """

    bitrate: float | None = None
    clean_tolerance: float = 0.02
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.5 < self.confidence < 1 or not self.clean_tolerance >= 0:
            raise InputError(
                f"confidence {self.confidence} and clean_tolerance {self.clean_tolerance}: allowed are"
                " 0.5 to 1, and 0 or more"
            )


@dataclass(frozen=True)
class Comparison:
    """One score before and after, over the same pieces of sound.

    Attributes:
        pairs: pieces for which both are known.
        before: mean with the codebooks in use.
        after: mean with the candidate.
        change: mean of the differences.
        low: lower end of the bootstrap interval of the mean change; None with too few pairs.
        high: its upper end.
        p_value: of Wilcoxon's signed-rank test, two-sided; None with too few pairs.
    """

    pairs: int
    before: float | None
    after: float | None
    change: float | None
    low: float | None
    high: float | None
    p_value: float | None


@dataclass(frozen=True)
class Verdict:
    """What came out, and why.

    Attributes:
        accepted: whether the candidate may be used.
        reason: one sentence.
        criterion: score that decided about the environment.
        environment: comparisons by score on held-out sound of the environment.
        clean: the same on clean speech.
        usage: mean share of the entries in use in the environment, before and after.
        perplexity: mean perplexity of a stage likewise.
        bitrate: at which all was coded.
    """

    accepted: bool
    reason: str
    criterion: str
    environment: dict[str, Comparison]
    clean: dict[str, Comparison]
    usage: tuple[float, float]
    perplexity: tuple[float, float]
    bitrate: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def judge(
    present: Codec,
    candidate: Codec,
    environment: Sound,
    clean: Sound,
    options: Acceptance,
    progress: Callable[[float], None] = lambda share: None,
) -> Verdict:
    """Code held-out sound with both and decide; see `decide`.

    Raises:
        InputError: there is nothing to judge with; BitrateError.
    """
    for what, sound in (("the environment", environment), ("clean speech", clean)):
        if len(sound.clips) < FEWEST_PAIRS:
            raise InputError(
                f"{len(sound.clips)} pieces of {what} to judge with; give at least {FEWEST_PAIRS}"
            )
    rounds = ((present, environment), (candidate, environment), (present, clean), (candidate, clean))

    def run(number: int) -> Scored:
        codec, sound = rounds[number]
        return score(codec, sound.clips, options.bitrate, lambda share: progress((number + share) / 4))

    bitrate = present.model.bitrates[-1] if options.bitrate is None else options.bitrate
    return decide(run(0), run(1), run(2), run(3), options, bitrate)


def decide(
    before: Scored,
    after: Scored,
    clean_before: Scored,
    clean_after: Scored,
    options: Acceptance,
    bitrate: float,
) -> Verdict:
    """Accept what gains in the environment and does not cost clean speech more than the tolerance.

    A gain is an interval of the mean change of PESQ above zero, with no more quantization error; where PESQ
    hears no speech in most pieces, the mel distance takes its place. Clean speech is judged by the mean
    change of its PESQ.
    """
    environment = compare_all(before, after, options)
    clean = compare_all(clean_before, clean_after, options)
    criterion = PESQ if environment[PESQ].pairs >= max(FEWEST_PAIRS, len(before.names) / 2) else MEL
    reasons = [
        reason
        for reason in (_no_gain(criterion, environment), _clean_loss(clean, options.clean_tolerance))
        if reason
    ]
    gained = environment[criterion]
    reason = "; ".join(reasons) or (
        f"{criterion} {_signed(gained.change)} in the environment, clean speech"
        f" {_signed(clean[PESQ].change)} PESQ"
    )
    return Verdict(
        not reasons,
        reason,
        criterion,
        environment,
        clean,
        (float(np.mean(before.usage)), float(np.mean(after.usage))),
        (float(np.mean(before.perplexity)), float(np.mean(after.perplexity))),
        bitrate,
    )


def compare_all(before: Scored, after: Scored, options: Acceptance) -> dict[str, Comparison]:
    """Every score of the same pieces, before and after.

    Raises:
        InputError: they are not the same pieces.
    """
    if before.names != after.names:
        raise InputError("scores of different pieces of sound cannot be compared; score the same with both")
    return {name: compare(before.values[name], after.values[name], options) for name in SCORES}


def compare(before: NDArray[np.float64], after: NDArray[np.float64], options: Acceptance) -> Comparison:
    """Compare pairs [n]; those with NaN are left out.

    The interval is the bootstrap's percentile interval of the mean (Efron 1979), the test Wilcoxon's.
    """
    known = np.isfinite(before) & np.isfinite(after)
    before, after = before[known], after[known]
    if not len(before):
        return Comparison(0, None, None, None, None, None, None)
    change = after - before
    low = high = p_value = None
    if len(change) >= FEWEST_PAIRS:
        rng = np.random.default_rng(options.seed)
        means = change[rng.integers(len(change), size=(RESAMPLES, len(change)))].mean(axis=1)
        tail = (1 - options.confidence) / 2
        low, high = (float(end) for end in np.quantile(means, [tail, 1 - tail]))
        p_value = _wilcoxon(change)
    return Comparison(
        len(change), float(before.mean()), float(after.mean()), float(change.mean()), low, high, p_value
    )


def _wilcoxon(change: NDArray[np.float64]) -> float:
    from scipy.stats import wilcoxon

    if not np.any(change):
        return 1.0
    found: Any = wilcoxon(change, zero_method="zsplit", method="approx")
    return float(found.pvalue)


def _no_gain(criterion: str, found: Mapping[str, Comparison]) -> str:
    """Why the environment does not gain; "" when it does."""
    score, error = found[criterion], found[ERROR]
    ends = [end for end in (score.low, score.high) if end is not None]
    if score.change is None or not ends:
        return f"too few pieces of the environment could be scored ({score.pairs})"
    worst = min(end * BETTER[criterion] for end in ends)
    if worst <= 0:
        return f"no certain gain in the environment: {criterion} {_signed(score.change)} ({_interval(score)})"
    if error.change is not None and error.change > 0:
        return f"the quantization error of the environment grows by {error.change:.4f}"
    return ""


def _clean_loss(found: Mapping[str, Comparison], tolerance: float) -> str:
    """Why clean speech loses too much; "" when it does not."""
    change = found[PESQ].change
    if change is None:
        return "PESQ finds no speech in what was given as clean speech"
    if change < -tolerance:
        return f"clean speech loses {-change:.3f} PESQ, tolerated are {tolerance:g}"
    return ""


def _signed(value: float | None) -> str:
    return "unknown" if value is None or math.isnan(value) else f"{value:+.3f}"


def _interval(found: Comparison) -> str:
    return f"{_signed(found.low)} to {_signed(found.high)}"
