"""Which drift measure predicts the loss of PESQ and STOI? How many alerts are false, how late are true ones?

    python tools/studies/drift.py CORPUS/manifest.csv -o runs/drift.json --picture docs/images/drift.png

The same recordings of the `valid` split go through conditions (noise, rooms, bands, levels, clipping). For
each, the measures of one window are put beside what coding costs there more than in clean speech, each
against what went in. False alarms are counted on clean speech of the `test` split, of which neither the
baseline nor what it takes for chance knows a speaker; delays with a monitor as it is by default.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from refresh import RATE, ROOM, TELEPHONE, Corpus
from scipy.stats import pearsonr, spearmanr
from two_sample import classifier_test

import audiocodec
from audiocodec.adaptation.drift import Baseline, find_baseline
from audiocodec.adaptation.drift.null import TWO_SIDED
from audiocodec.adaptation.refresh.acceptance import PESQ, STOI, score
from audiocodec.adaptation.refresh.sound import SoundClips
from audiocodec.adaptation.statistics.recordings import Frames, encode_frames, statistics_of
from audiocodec.adaptation.watch import Monitor, MonitorOptions
from audiocodec.codec import Codec
from audiocodec.process import compute_in_one_thread


def _noise(kind: str, snr_db: float) -> dict[str, Any]:
    return {"noise": kind, "effects": [{"kind": "noise", "snr_db": snr_db}]}


def _one(kind: str, **options: Any) -> dict[str, Any]:
    return {"effects": [{"kind": kind, **options}]}


CLEAN = "clean"
CONDITIONS: dict[str, dict[str, Any]] = {
    CLEAN: {"effects": []},
    **{
        f"{kind} {snr:g} dB": _noise(kind, snr)
        for kind in ("rain", "sea_waves", "crackling")
        for snr in (20.0, 10.0, 0.0)
    },
    **{
        f"white {snr:g} dB": _one("colored_noise", snr_db=snr, colors=["white"]) for snr in (30.0, 20.0, 10.0)
    },
    "room": {"effects": [ROOM]},
    "room, rain 10 dB": {"noise": "rain", "effects": [ROOM, {"kind": "noise", "snr_db": 10.0}]},
    **{f"up to {high} Hz": _one("bandlimit", high_hz=float(high)) for high in (6000, 4000, 2000)},
    "telephone": {"effects": TELEPHONE},
    "20 dB softer": _one("gain", gain_db=-20.0),
    "40 dB softer": _one("gain", gain_db=-40.0),
    "clipped 10 dB": _one("clipping", below_peak_db=10.0),
    "clipped 20 dB": _one("clipping", below_peak_db=20.0),
}
SCORED = (PESQ, STOI)
RESAMPLES = 2000
CLEAN_SECONDS, AFTER_SECONDS = 60.0, 120.0
OFFSETS = (0.0, 15.0)
Found = dict[str, Any]


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="made once, then only shown")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--model", default="speech-16k")
    parser.add_argument("--bitrate", type=float, default=6000.0)
    parser.add_argument("--pieces", type=int, default=8)
    given = parser.parse_args()
    compute_in_one_thread()
    if not given.output.is_file():
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps(study(given)), encoding="utf-8")
    found = json.loads(given.output.read_text(encoding="utf-8"))
    show(found)
    if given.picture is not None:
        draw(found, given.picture)


def study(given: argparse.Namespace) -> Found:
    """Measures, losses, false alarms and delays."""
    codec, baseline = audiocodec.load(given.model, "cpu"), find_baseline(given.model)
    corpus = Corpus(given.manifest, "valid")
    rows: Found = {}
    frames: dict[str, Frames] = {}
    for name, spec in CONDITIONS.items():
        sound = corpus.sound({"speech": "librispeech", **spec}, False, 1e9, given.pieces)
        frames[name] = _frames(codec, sound, given.bitrate)
        rows[name] = _measures(codec, baseline, frames[name])
        scored = score(codec, sound.clips, given.bitrate)
        rows[name] |= {key: float(np.nanmean(scored.values[key])) for key in SCORED}
        sys.stderr.write(f"{name}: PESQ {rows[name][PESQ]:.2f}\n")
    held_out = Corpus(given.manifest, "test")
    speech = {
        kind: held_out.sound({"effects": [], "speech": kind}, False, 1e9, 1000)
        for kind in ("", "librispeech")
    }
    clean = {kind: _frames(codec, sound, given.bitrate) for kind, sound in speech.items()}
    alarms = [
        false_alarms(codec, baseline, clean[kind], given.bitrate, seconds, rate) | {"speech": kind or "all"}
        for kind in clean
        for seconds in (10.0, 30.0)
        for rate in (0.01, 0.05)
    ]
    before = clean["librispeech"]
    delays = {name: delay(codec, baseline, before, after, given.bitrate) for name, after in frames.items()}
    return {
        "bitrate": given.bitrate,
        "pieces": given.pieces,
        "rows": rows,
        "alarms": alarms,
        "delays": delays,
    }


def _frames(codec: Codec, sound: SoundClips, bitrate: float) -> Frames:
    return Frames.join(list(encode_frames(codec, [(clip.wav[None], RATE) for clip in sound.clips], bitrate)))


def _measures(codec: Codec, baseline: Baseline, frames: Frames) -> Found:
    rng = np.random.default_rng(0)
    found: Found = dict(baseline.compare(statistics_of(codec, [frames], rng)).table())
    told = classifier_test(baseline.statistics.reservoir.vectors, frames.latents.t().numpy(), rng)
    return {**found, "classifier": told.accuracy}


def false_alarms(
    codec: Codec, baseline: Baseline, frames: Frames, bitrate: float, seconds: float, rate: float
) -> Found:
    """Windows of clean speech above the threshold for an alert, without a sequential test."""
    options = MonitorOptions(window_seconds=seconds, false_alarm_rate=rate, sequential="none")
    monitor = Monitor(codec, baseline, bitrate, options)
    reports = monitor.update(frames.latents[None], frames.codes[None])
    above = sum((r.score or 0.0) > (r.alert_threshold or np.inf) for r in reports)
    return {"seconds": seconds, "stated": rate, "windows": len(reports), "alarms": int(above)}


def delay(
    codec: Codec, baseline: Baseline, before: Frames, after: Frames, bitrate: float
) -> list[float | None]:
    """Seconds from a switch to the end of the first window that alerts, for each offset; None: never."""
    rate = codec.model.frame_rate
    found: list[float | None] = []
    for offset in OFFSETS:
        switch = CLEAN_SECONDS + offset
        parts = before.around(0, round(switch * rate)), after.around(0, round(AFTER_SECONDS * rate))
        whole = Frames.join(parts)
        reports = Monitor(codec, baseline, bitrate).update(whole.latents[None], whole.codes[None])
        ends = [r.end_seconds - switch for r in reports if r.state == "alert" and r.end_seconds > switch]
        found.append(ends[0] if ends else None)
    return found


def correlations(found: Found) -> dict[str, dict[str, tuple[float, float, float, float]]]:
    """By measure and score: Spearman's rho with the loss, its 95 % bootstrap interval, and Pearson's r."""
    rows: dict[str, Found] = {name: row for name, row in found["rows"].items() if name != CLEAN}
    clean = found["rows"][CLEAN]
    table: dict[str, dict[str, tuple[float, float, float, float]]] = {}
    for measure in [name for name in clean if name not in SCORED]:
        values = np.array([_size(measure, row[measure]) for row in rows.values()])
        table[measure] = {}
        for key in SCORED:
            losses = np.array([clean[key] - row[key] for row in rows.values()])
            rng = np.random.default_rng(0)
            draws = [rng.integers(len(values), size=len(values)) for _ in range(RESAMPLES)]
            drawn = [_rho(values[draw], losses[draw]) for draw in draws]
            low, high = np.nanquantile(drawn, [0.025, 0.975])
            linear = float(np.asarray(pearsonr(values, losses)).flat[0])
            table[measure][key] = (_rho(values, losses), float(low), float(high), linear)
    return table


def _rho(values: NDArray[np.float64], losses: NDArray[np.float64]) -> float:
    return float(np.asarray(spearmanr(values, losses)).flat[0])


def _size(measure: str, value: float) -> float:
    """How far a measure is from no drift; ratios by their logarithm, on either side."""
    if measure in ("usage", "perplexity"):
        return abs(float(np.log(max(value, 1e-9))))
    return abs(value) if measure in TWO_SIDED else value


def show(found: Found) -> None:
    """Print tables in Markdown."""
    write = sys.stdout.write
    table = correlations(found)
    write(
        "| measure | rho, loss of PESQ (95 %) | r | rho, loss of STOI (95 %) | r |\n|---|--:|--:|--:|--:|\n"
    )
    for measure in sorted(table, key=lambda name: -table[name][PESQ][0]):
        cells = [f"{t[0]:+.2f} ({t[1]:+.2f} to {t[2]:+.2f}) | {t[3]:+.2f}" for t in table[measure].values()]
        write(f"| `{measure}` | {' | '.join(cells)} |\n")
    write("\n| clean speech | window | stated | windows | alarms |\n|---|--:|--:|--:|--:|\n")
    for row in found["alarms"]:
        share = f"{row['alarms']} ({100 * row['alarms'] / max(row['windows'], 1):.0f} %)"
        write(
            f"| {row['speech']} | {row['seconds']:g} s | {row['stated']:g} | {row['windows']} | {share} |\n"
        )
    write("\n| condition | PESQ | STOI | relative_error | js | w2 | delay |\n|---|--:|--:|--:|--:|--:|---|\n")
    for name, row in found["rows"].items():
        late = ", ".join("none" if d is None else f"{d:.0f} s" for d in found["delays"][name])
        numbers = " | ".join(f"{row[key]:.2f}" for key in (*SCORED, "relative_error", "js", "w2"))
        write(f"| {name} | {numbers} | {late} |\n")


def draw(found: Found, path: Path) -> None:
    """Rank correlations of all measures, and the conditions under the best of them."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    table = correlations(found)
    order = sorted(table, key=lambda name: table[name][PESQ][0])
    figure, axes = plt.subplots(1, 2, figsize=(12, 5.5))
    for number, key in enumerate(SCORED):
        places = np.arange(len(order)) + 0.16 * (1 - 2 * number)
        rho = np.array([table[name][key][:3] for name in order])
        axes[0].hlines(places, rho[:, 1], rho[:, 2], color=f"C{number}", lw=2)
        axes[0].plot(rho[:, 0], places, "o", color=f"C{number}", label=f"loss of {key.split('_')[0].upper()}")
    axes[0].set_yticks(range(len(order)), order)
    axes[0].axvline(0, color="gray", lw=0.8)
    axes[0].set_xlabel("Spearman's rho over the conditions, 95 % interval")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="upper center", ncols=2, frameon=False)
    best, clean = order[-1], found["rows"][CLEAN][PESQ]
    for name, row in found["rows"].items():
        axes[1].plot(row[best], clean - row[PESQ], "o", color="C0", ms=4)
        axes[1].annotate(
            name, (row[best], clean - row[PESQ]), fontsize=7, xytext=(3, 3), textcoords="offset points"
        )
    axes[1].set_xlabel(best)
    axes[1].set_ylabel("PESQ lost against clean speech")
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
