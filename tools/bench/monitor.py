"""Measure what monitoring costs: the processor time of the monitor of a stream, divided by that of encoding.

    python tools/bench/monitor.py [--model speech-16k] [--seconds 120] [--repeats 3] AUDIO...

Both are measured in the same run, so that a busy machine slows both. Prints JSON: processor seconds for
each second of audio, and the share at each `sample_every` as the median over the repeats with its range. All
work of the monitor counts, also the thresholds that it computes with the first window.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np

import audiocodec
from audiocodec import audio
from audiocodec.adaptation.drift import find_baseline
from audiocodec.adaptation.drift.baseline import load_baseline
from audiocodec.adaptation.watch import Monitor, MonitoredStream, MonitorOptions
from audiocodec.process import compute_in_one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiocodec.adaptation.drift import Baseline
    from audiocodec.codec import Codec

BLOCK_SECONDS = 0.1


def encode(stream: Any, wav: NDArray[np.float32], rate: int) -> float:
    """Push everything in blocks of 0.1 s; gives processor seconds."""
    block = round(BLOCK_SECONDS * rate)
    start = time.process_time()
    for position in range(0, wav.shape[1], block):
        stream.push(wav[:, position : position + block])
    stream.flush()
    return time.process_time() - start


class TimedStream(MonitoredStream):
    """A monitored stream that knows the processor seconds of its monitor."""

    monitor_seconds = 0.0

    def _judge(self) -> None:
        start = time.process_time()
        super()._judge()
        self.monitor_seconds += time.process_time() - start


def measure(
    codec: Codec, baseline: Baseline, wav: NDArray[np.float32], rate: int, repeats: int
) -> dict[str, Any]:
    """All values of `sample_every` in turns."""
    encoding: list[float] = []
    shares: dict[int, list[float]] = {1: [], 4: [], 8: []}
    for turn in range(repeats + 1):
        for every, found in shares.items():
            monitor = Monitor(codec, baseline, options=MonitorOptions(sample_every=every))
            stream = TimedStream(codec, monitor, rate)
            plain = encode(stream, wav, rate) - stream.monitor_seconds
            if turn:  # the first warms up
                encoding.append(plain)
                found.append(stream.monitor_seconds / plain)
    return {
        "encoding": round(float(np.median(encoding)) * rate / wav.shape[1], 4),
        "overhead": {
            f"every {every}": [round(float(q), 4) for q in np.quantile(found, [0.0, 0.5, 1.0])]
            for every, found in shares.items()
        },
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("audio", nargs="+")
    parser.add_argument("--model", default="speech-16k")
    parser.add_argument("--baseline")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    compute_in_one_thread()
    codec = audiocodec.load(options.model, device="cpu")
    baseline = load_baseline(options.baseline) if options.baseline else find_baseline(options.model)
    parts = [audio.resample(*audio.read(path)[:2], codec.sample_rate) for path in options.audio]
    wav = np.concatenate([part[:1] for part in parts], axis=1)
    wav = np.tile(wav, int(options.seconds * codec.sample_rate / wav.shape[1]) + 1)
    wav = wav[:, : round(options.seconds * codec.sample_rate)]
    print(json.dumps(measure(codec, baseline, wav, codec.sample_rate, options.repeats)))


if __name__ == "__main__":
    main()
