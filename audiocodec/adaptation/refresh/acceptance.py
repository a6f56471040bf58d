"""Whether a candidate may replace the codebooks in use: paired tests on sound that neither was fitted to."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from audiocodec.bitstream import ContainerReader
from audiocodec.checkpoint import identify_codebooks
from audiocodec.codec import Codec, EncodedAudio
from audiocodec.coding import encode_latents
from audiocodec.errors import InputError, MetricError, RegistryError
from audiocodec.metrics import mel_distance, pesq_wb, stage_perplexity, stage_usage, stoi

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from audiocodec.adaptation.refresh.sound import SoundClip, SoundClips
    from audiocodec.codec import Codec


PESQ, STOI, MEL, ERROR, BYTES = "pesq_wb", "stoi", "mel_distance", "quantization_error", "bytes"
SCORES = (PESQ, STOI, MEL, ERROR, BYTES)
"""In the order of tables."""
BETTER: Mapping[str, int] = {PESQ: 1, STOI: 1, MEL: -1, ERROR: -1, BYTES: -1}
"""Sign of an improvement."""
_SOUND_SCORES = {PESQ: pesq_wb, STOI: stoi, MEL: mel_distance}


@dataclass(frozen=True, eq=False)
class Scored:
    """Pieces of sound after coding.

    Attributes:
        names: of the pieces.
        values: [n] of each score, NaN where it cannot be computed.
        usage: share of the entries of each stage that were used.
        perplexity: of the codes of each stage.
    """

    names: tuple[str, ...]
    values: dict[str, NDArray[np.float64]]
    usage: tuple[float, ...]
    perplexity: tuple[float, ...]


class _OneRevision:
    """A store of one revision that is in no store yet."""

    def __init__(self, codebooks: Mapping[str, Tensor]) -> None:
        self.codebooks, self.codebook_id = codebooks, identify_codebooks(codebooks)

    def get(self, codebook_id: str) -> Mapping[str, Tensor]:
        if not self.codebook_id.startswith(codebook_id):
            raise RegistryError(f"codebook {codebook_id} is not the one that is tried out")
        return self.codebooks


def with_codebooks(codec: Codec, codebooks: Mapping[str, Tensor]) -> Codec:
    """The same codec with codebooks, and where it has one a map, that are in no store; it is not changed."""
    single = _OneRevision(codebooks)
    origin = Codec(codec.model, codec.config, codec.metadata, codec.device, single)
    return origin.with_codebook(single.codebook_id)


def score(
    codec: Codec,
    clips: Sequence[SoundClip],
    bitrate: float | None,
    progress: Callable[[float], None] = lambda share: None,
) -> Scored:
    """Encode to bytes, decode, and compare with what went in.

    `quantization_error` is the squared error of the latents over their variance. PESQ and STOI need speech.

    Raises:
        BitrateError: the codec does not offer `bitrate`.
    """
    columns: dict[str, list[float]] = {name: [] for name in SCORES}
    codes: list[NDArray[np.int64]] = []
    for number, clip in enumerate(clips, 1):
        values, clip_codes = _score_clip(codec, clip, bitrate)
        codes.append(clip_codes)
        for name in SCORES:
            columns[name].append(values[name])
        progress(number / len(clips))
    joined = np.concatenate(codes, axis=2)
    sizes = codec.model.quantizer.codebook_sizes[: joined.shape[1]]
    return Scored(
        tuple(clip.name for clip in clips),
        {name: np.array(column) for name, column in columns.items()},
        stage_usage(joined, sizes),
        stage_perplexity(joined, sizes),
    )


def _score_clip(
    codec: Codec, clip: SoundClip, bitrate: float | None
) -> tuple[dict[str, float], NDArray[np.int64]]:
    data = codec.compress(clip.wav, clip.sample_rate, bitrate)
    reader = ContainerReader(io.BytesIO(data))
    packets = [packet for _, packet in reader.packets()]
    codes = np.concatenate(packets, axis=2)  # [1, N, T]
    decoded, _ = codec.decode(
        EncodedAudio(codes, codec.header(clip.sample_rate, 1, bitrate, length=len(clip.wav)))
    )
    values = {BYTES: float(len(data)), ERROR: _latent_error(codec, clip, codes)}
    for name, metric in _SOUND_SCORES.items():
        try:
            values[name] = metric(clip.wav, decoded[0], clip.sample_rate)
        except MetricError:
            values[name] = float("nan")
    return values, codes


@torch.inference_mode()
def _latent_error(codec: Codec, clip: SoundClip, codes: NDArray[np.int64]) -> float:
    latents = encode_latents(codec.model, clip.wav, clip.sample_rate)[..., : codes.shape[2]]
    quantized = codec.model.quantizer.decode(torch.from_numpy(codes).to(latents.device))
    variance = (latents - latents.mean(dim=2, keepdim=True)).square().sum()
    return float((latents - quantized).square().sum() / variance.clamp(min=1e-12))


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
    environment: SoundClips,
    clean: SoundClips,
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
    result: Any = wilcoxon(change, zero_method="zsplit", method="approx")
    return float(result.pvalue)


def _no_gain(criterion: str, comparisons: Mapping[str, Comparison]) -> str:
    """Why the environment does not gain; "" when it does."""
    score, error = comparisons[criterion], comparisons[ERROR]
    ends = [end for end in (score.low, score.high) if end is not None]
    if score.change is None or not ends:
        return f"too few pieces of the environment could be scored ({score.pairs})"
    worst = min(end * BETTER[criterion] for end in ends)
    if worst <= 0:
        return f"no certain gain in the environment: {criterion} {_signed(score.change)} ({_interval(score)})"
    if error.change is not None and error.change > 0:
        return f"the quantization error of the environment grows by {error.change:.4f}"
    return ""


def _clean_loss(comparisons: Mapping[str, Comparison], tolerance: float) -> str:
    """Why clean speech loses too much; "" when it does not."""
    change = comparisons[PESQ].change
    if change is None:
        return "PESQ finds no speech in what was given as clean speech"
    if change < -tolerance:
        return f"clean speech loses {-change:.3f} PESQ, tolerated are {tolerance:g}"
    return ""


def _signed(value: float | None) -> str:
    return "unknown" if value is None or math.isnan(value) else f"{value:+.3f}"


def _interval(comparison: Comparison) -> str:
    return f"{_signed(comparison.low)} to {_signed(comparison.high)}"
