"""What watching costs: processor time of a monitored stream over that of a plain one, in turns.

    python tools/bench_monitor.py [--model speech-16k] [--seconds 60] [--repeats 5] AUDIO...

Prints JSON: processor seconds for each second of audio, plain and watched at each `sample_every`, and their
ratio as the median over the turns with its range.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import audiocodec
from audiocodec import audio
from audiocodec.adaptation.drift import find_baseline
from audiocodec.adaptation.drift.baseline_file import load_baseline
from audiocodec.adaptation.watch import Monitor, MonitoredStream, MonitorOptions

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


def measure(
    codec: Codec, baseline: Baseline, wav: NDArray[np.float32], rate: int, repeats: int
) -> dict[str, Any]:
    """Plain and watched in turns."""
    seconds = wav.shape[1] / rate
    plain: list[float] = []
    watched: dict[int, list[float]] = {1: [], 4: [], 8: []}
    for turn in range(repeats + 1):
        times = {0: encode(codec.stream_encoder(rate), wav, rate)}
        for every in watched:
            monitor = Monitor(codec, baseline, options=MonitorOptions(sample_every=every))
            times[every] = encode(MonitoredStream(codec, monitor, rate), wav, rate)
        if turn:  # the first warms up
            plain.append(times[0])
            for every, found in watched.items():
                found.append(times[every])
    ratios = {every: np.array(found) / np.array(plain) for every, found in watched.items()}
    return {
        "plain": float(np.median(plain)) / seconds,
        "overhead": {
            f"every {every}": [round(float(q), 4) for q in np.quantile(ratio - 1, [0.0, 0.5, 1.0])]
            for every, ratio in ratios.items()
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
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    codec = audiocodec.load(options.model, device="cpu")
    baseline = load_baseline(options.baseline) if options.baseline else find_baseline(options.model)
    parts = [audio.resample(*audio.read(path)[:2], codec.sample_rate) for path in options.audio]
    wav = np.concatenate([part[:1] for part in parts], axis=1)
    wav = np.tile(wav, int(options.seconds * codec.sample_rate / wav.shape[1]) + 1)
    wav = wav[:, : round(options.seconds * codec.sample_rate)]
    print(json.dumps(measure(codec, baseline, wav, codec.sample_rate, options.repeats)))


if __name__ == "__main__":
    main()
