"""One recording under one condition, coded by every codec at every bitrate: the task of a worker.

The degraded sound, its latents and the codes of the clean original are computed once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from audiocodec import audio
from audiocodec.errors import MetricError, PeerError, explain
from audiocodec.evaluation.coders import Coder, Codes, Decoded, ModelCoder, Wav
from audiocodec.evaluation.rows import Reference, Row, column_name
from audiocodec.metrics.codebook import quantization_error, stage_perplexity, stage_usage, token_flip_rate

if TYPE_CHECKING:
    from audiocodec.corpus import Recording
    from audiocodec.effects import Sources
    from audiocodec.evaluation.conditions import Condition
    from audiocodec.metrics import Metric

SetLimit = Callable[[float], None]
"""Takes, before each step, the number of seconds after which it counts as hanging."""
TIMED_SECONDS = 10.0
"""Recordings longer than this have a time limit that is longer in proportion."""


@dataclass(frozen=True)
class Setup:
    """What all units of a run share; sent to each worker once.

    Attributes:
        coders: the codecs that are compared.
        sources: noise, talkers for babble, and room responses.
        has_clean: whether the recordings are clean originals; if not, nothing is scored against them.
        limit_seconds: only the start of a longer recording is used; None: all of it.
        timeout_seconds: time limit for one row of a recording of up to `TIMED_SECONDS`.
    """

    coders: tuple[Coder, ...]
    metrics: tuple[Metric, ...]
    sources: Sources
    has_clean: bool = True
    limit_seconds: float | None = None
    timeout_seconds: float = 300.0


@dataclass(frozen=True)
class Unit:
    """A recording, a condition, and pairs of codec (its number in `Setup.coders`) and bitrate to compute."""

    recording: Recording
    condition: Condition
    work: tuple[tuple[int, float], ...]


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class CodecInput:
    """One recording under one condition, as the codecs get it.

    Attributes:
        original: [L] as read, mono.
        wav: [L] what goes into the codecs.
        clean: [L] the clean original at the level it has in `wav`; None without one.
        sample_rate: Hz.
        identity: SHA-256 of the file.
    """

    original: Wav
    wav: Wav
    clean: Wav | None
    sample_rate: int
    identity: str

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.wav) / self.sample_rate

    @cached_property
    def degraded(self) -> bool:
        """Whether the condition changed more than the level."""
        return self.clean is not None and not np.array_equal(self.clean, self.wav)


def score_unit(setup: Setup, unit: Unit, set_limit: SetLimit = lambda seconds: None) -> list[Row]:
    """Compute a row for each codec and bitrate of the unit; a row that fails says why."""
    head = _head(unit)
    set_limit(setup.timeout_seconds)
    try:
        source = make_input(setup, unit)
        limit_seconds = setup.timeout_seconds * max(1.0, source.seconds / TIMED_SECONDS)
        set_limit(limit_seconds)
        shared = _shared(setup, source)
    except Exception as error:
        return [failed_row(unit, setup, work, explain(error), stage="input") for work in unit.work]
    head |= {"seconds": source.seconds, "sample_rate": source.sample_rate}
    latents: dict[int, Any] = {}
    rows: list[Row] = []
    for work in unit.work:
        set_limit(limit_seconds)
        try:
            row = _row(setup, source, work, shared, latents)
        except Exception as error:
            row = failed_row(unit, setup, work, explain(error), stage="codec")
        rows.append(head | row)
    return rows


def make_input(setup: Setup, unit: Unit) -> CodecInput:
    """Read a recording and degrade it.

    Raises:
        InputError: the file cannot be read, or the condition is not defined for it.
    """
    recording = unit.recording
    info = audio.info(recording.path)
    wanted = info.length
    if setup.limit_seconds is not None:
        wanted = min(wanted, max(1, round(setup.limit_seconds * info.sample_rate)))
    wav, sample_rate = audio.read(recording.path, 0, None if wanted == info.length else wanted)
    (original,) = np.concatenate(list(audio.mono([wav], recording.path)))
    with recording.path.open("rb") as file:
        digest = sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    identity = digest.hexdigest()
    if unit.condition.changes_nothing:
        return CodecInput(original, original, original if setup.has_clean else None, sample_rate, identity)
    speaker = recording.speaker or recording.name
    scene = unit.condition.apply(original, sample_rate, identity, setup.sources, speaker)
    return CodecInput(original, scene.wav, scene.target if setup.has_clean else None, sample_rate, identity)


def failed_row(unit: Unit, setup: Setup, work: tuple[int, float], reason: str, stage: str) -> Row:
    """A row without scores; `stage`, input or codec, is what failed."""
    coder = setup.coders[work[0]]
    return {**_head(unit), **_codec(coder, work[1]), "error": reason, "stage": stage}


def _head(unit: Unit) -> Row:
    recording, condition = unit.recording, unit.condition
    return {
        "file": recording.name,
        "speaker": recording.speaker or recording.name,
        "language": recording.language,
        "source": recording.source,
        "condition": condition.name,
        "kind": condition.kind,
        "group": condition.group,
        "snr_db": condition.snr_db,
    }


def _codec(coder: Coder, bitrate: float) -> Row:
    return {"codec": coder.name, "nominal_bitrate": bitrate, **coder.identity}


def _shared(setup: Setup, source: CodecInput) -> Row:
    """What the condition did, with no codec: the same for all rows of the unit."""
    row: Row = {"errors": {}}
    for metric in setup.metrics:
        if metric.needs == "none" or source.degraded:
            _score(row, metric, "uncoded", source.clean, source.wav, source.sample_rate)
    return row


def _row(
    setup: Setup, source: CodecInput, work: tuple[int, float], shared: Row, latents: dict[int, Any]
) -> Row:
    number, bitrate = work
    coder = setup.coders[number]
    decoded = coder.code(source.wav, source.sample_rate, bitrate)
    _check(decoded, source, coder.name)
    row: Row = {
        **_codec(coder, bitrate),
        **shared,
        "errors": dict(shared["errors"]),
        "bitrate": 8 * decoded.size / source.seconds,
        "payload_bitrate": decoded.payload_bits / source.seconds,
        "nominal_bits": decoded.nominal_bits,
        "bytes": decoded.size,
        "encode_rtf": decoded.encode_seconds / source.seconds,
        "decode_rtf": decoded.decode_seconds / source.seconds,
    }
    for metric in setup.metrics:
        _score(row, metric, "input", source.wav, decoded.wav, source.sample_rate)
        if source.clean is None or metric.needs == "none":
            continue
        if source.degraded:
            _score(row, metric, "clean", source.clean, decoded.wav, source.sample_rate)
        else:
            scored, same = column_name(metric, "input"), column_name(metric, "clean")
            part = row if scored in row else row["errors"]
            part[same] = part[scored]
    if isinstance(coder, ModelCoder) and decoded.codes is not None:
        if number not in latents:
            latents[number] = coder.latents(source.wav, source.sample_rate)
        _code_statistics(row, coder, decoded.codes, source, bitrate, latents[number])
    return row


def _check(decoded: Decoded, source: CodecInput, name: str) -> None:
    if decoded.wav.shape != source.wav.shape:
        raise PeerError(f"{name} returned {decoded.wav.shape} samples for {source.wav.shape}")
    if not np.isfinite(decoded.wav).all():
        raise PeerError(f"{name} returned samples that are not finite numbers")


def _score(
    row: Row, metric: Metric, reference: Reference, original: Wav | None, estimate: Wav, sample_rate: int
) -> None:
    """Put a score into the row, or the reason why there is none."""
    column = column_name(metric, reference)
    try:
        value = metric(original, estimate, sample_rate)
        if not np.isfinite(value):
            raise MetricError(f"came out as {value}: there is no difference, or nothing in common")
        row[column] = float(value)
    except Exception as error:
        row["errors"][column] = explain(error)


def _code_statistics(
    row: Row, coder: ModelCoder, codes: Codes, source: CodecInput, bitrate: float, latents: Any
) -> None:
    sizes = coder.codec.model.quantizer.codebook_sizes[: len(codes)]
    statistics: dict[str, Callable[[], Sequence[float]]] = {
        "perplexity": lambda: stage_perplexity(codes, sizes),
        "usage": lambda: stage_usage(codes, sizes),
    }
    if source.clean is not None:
        original = codes
        if source.wav is not source.original:
            original = coder.clean_codes(source.original, source.sample_rate, bitrate, source.identity)
        statistics["token_flip_rate"] = lambda: [
            token_flip_rate(a[None], b[None]) for a, b in zip(original, codes, strict=True)
        ]
    for name, compute in statistics.items():
        by_stage = "flips_by_stage" if name == "token_flip_rate" else f"{name}_by_stage"
        try:
            row[by_stage] = [float(value) for value in compute()]
            row[name] = float(np.mean(row[by_stage]))
        except MetricError as error:
            row["errors"][name] = str(error)
    try:
        length = min(latents.shape[1], codes.shape[1])
        row["quantization_error"] = quantization_error(
            latents[:, :length], coder.quantized(codes)[:, :length]
        )
    except MetricError as error:
        row["errors"]["quantization_error"] = str(error)
