"""Encode, decode and score one recording at a time, and the means over many: what `roundtrip` reports."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from audiocodec.bitstream import ContainerReader
from audiocodec.errors import MetricError
from audiocodec.metrics import METRICS

if TYPE_CHECKING:
    from audiocodec.codec import Codec

T = TypeVar("T")
Wav = NDArray[np.float32]

USUAL_METRICS = ("pesq_wb", "stoi")
SPEEDS = ("encode_rtf", "decode_rtf")


def score(
    reference: Wav, estimate: Wav, sample_rate: int, metrics: Sequence[str] = USUAL_METRICS
) -> dict[str, Any]:
    """Scores of [C, L] against [C, L], means over channels; `errors` says why one is None."""
    means: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name in metrics:
        values: list[float] = []
        for original, decoded in zip(reference, estimate, strict=True):
            try:
                values.append(METRICS[name](original, decoded, sample_rate))
            except MetricError as error:
                errors[name] = str(error)
        means[name] = float(np.mean(values)) if values else None
    return {**means, "errors": {name: why for name, why in errors.items() if means[name] is None}}


def run_timed(
    encode: Callable[[], T], decode: Callable[[T], Wav], on_cpu: bool = True
) -> tuple[T, Wav, float, float]:
    """What `encode` gives, what `decode` makes of it, and the seconds each of them took.

    They are processor seconds, which do not depend on what else the machine does; on a GPU, where those say
    nothing, seconds of the clock.
    """
    clock = time.process_time if on_cpu else time.perf_counter
    started = clock()
    coded = encode()
    encoded = clock()
    decoded = decode(coded)
    return coded, decoded, encoded - started, clock() - encoded


def time_roundtrip(
    codec: Codec, wav: Wav, sample_rate: int, bitrate: float | None = None, denoise: bool = False
) -> tuple[bytes, Wav, float, float]:
    """`run_timed` of a `.nac` file in memory, of samples [L] or [C, L]; the decoded samples are [C, L]."""
    return run_timed(
        lambda: codec.compress(wav, sample_rate, bitrate, denoise=denoise),
        lambda data: codec.decompress(data)[0],
        codec.device.type == "cpu",
    )


def roundtrip(
    codec: Codec,
    wav: Wav,
    sample_rate: int,
    bitrate: float | None = None,
    metrics: Sequence[str] = USUAL_METRICS,
    denoise: bool = False,
) -> tuple[Wav, dict[str, Any]]:
    """Encode and decode samples [C, L]: the decoded samples, and facts, scores and speeds by name."""
    seconds = wav.shape[1] / sample_rate
    data, decoded, encode_seconds, decode_seconds = time_roundtrip(codec, wav, sample_rate, bitrate, denoise)
    return decoded, {
        **ContainerReader(io.BytesIO(data)).describe(),
        **score(wav, decoded, sample_rate, metrics),
        "encode_rtf": encode_seconds / seconds,
        "decode_rtf": decode_seconds / seconds,
    }


def summarize(
    rows: Sequence[dict[str, Any]], failed: int, metrics: Sequence[str], imitated: Sequence[str]
) -> dict[str, Any]:
    """Means over all rows, and for each number of quantizers; a missing score is left out of its mean.

    `imitated` are scores that losses of the model imitate; those among `metrics` are named.
    """
    numbers = sorted({row["num_quantizers"] for row in rows})
    by_bitrate = [
        {"num_quantizers": n, **_means([row for row in rows if row["num_quantizers"] == n], metrics)}
        for n in numbers
    ]
    return {
        "summary": True,
        "failed": failed,
        **_means(rows, metrics),
        "imitated": [name for name in metrics if name in imitated],
        "by_bitrate": by_bitrate,
    }


def _means(rows: Sequence[dict[str, Any]], metrics: Sequence[str]) -> dict[str, Any]:
    bitrates = {row["nominal_bitrate"] for row in rows}
    return {
        "files": len({row["file"] for row in rows}),
        "seconds": sum(row["seconds"] for row in rows),
        "nominal_bitrate": bitrates.pop() if len(bitrates) == 1 else None,
        **{
            name: _mean([row[name] for row in rows if row[name] is not None])
            for name in ("bitrate", *metrics, *SPEEDS)
        },
        "scored": sum(all(row[name] is not None for name in metrics) for row in rows),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
