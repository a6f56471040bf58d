"""What a refresh gives back: environments x methods, fitted on some recordings and judged on others.

    python tools/studies/refresh.py CORPUS/manifest.csv -o runs/refresh --model speech-16k --split test
    python tools/studies/refresh_report.py runs/refresh/rows.jsonl -o docs/images/refresh.png

It can be stopped and started again. Every environment x method is one line of rows.jsonl, with the scores
of every piece of sound. The row of method `present` also has the environment that `encode --codebook auto`
would choose for each piece by its 6 s of sound. Codebooks of one environment only (`*_all`) are for pieces
that are taken for it. Speech is fitted on the `valid` split and judged on `--split`; noises are
those of `--split`, half of the recordings of a type to fit, the other half to judge. `--split valid` is for
tuning: speech to fit is then of the `train` split.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import audiocodec
from audiocodec import audio
from audiocodec.adaptation.drift import Baseline, find_baseline, make_baseline
from audiocodec.adaptation.refresh.acceptance import SCORES, score, with_codebooks
from audiocodec.adaptation.refresh.candidate import RefreshOptions, refresh
from audiocodec.adaptation.refresh.refine import Refining, encode_clips
from audiocodec.adaptation.refresh.sound import SoundClip, SoundClips, clean_reservoir
from audiocodec.adaptation.registry import round_changes
from audiocodec.adaptation.registry.revision_files import StoredCodebooks, identify, pack, to_arrays
from audiocodec.adaptation.statistics import collect
from audiocodec.adaptation.watch import EnvironmentBook
from audiocodec.codec import Codec
from audiocodec.corpus import Recording
from audiocodec.effects import Sources, build_chain
from audiocodec.errors import InputError
from audiocodec.losses.reconstruction import RefreshLoss
from audiocodec.process import compute_in_one_thread

RATE = 16000
PIECE_SECONDS = 6.0
ROOM = {"kind": "room"}
TELEPHONE = [{"kind": "bandlimit", "low_hz": 300, "high_hz": 3400}, {"kind": "tandem", "codecs": ["mulaw"]}]
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "unchanged": {"speech": "librispeech", "effects": []},
    "telephone": {"effects": TELEPHONE},
    "telephone_elsewhere": {"speech": "librispeech", "judged": "other", "effects": TELEPHONE},
    "rain_5db": {"noise": "rain", "effects": [{"kind": "noise", "snr_db": 5.0}]},
    "rain_0db": {"noise": "rain", "effects": [{"kind": "noise", "snr_db": 0.0}]},
    "waves_5db": {"noise": "sea_waves", "effects": [{"kind": "noise", "snr_db": 5.0}]},
    "fire_0db": {"noise": "crackling", "effects": [{"kind": "noise", "snr_db": 0.0}]},
    "room": {"effects": [ROOM]},
    "far_field": {"noise": "rain", "effects": [ROOM, {"kind": "noise", "snr_db": 10.0}]},
    "languages": {"speech": "other", "effects": []},
    "music": {"speech": "music", "effects": []},
}
METHODS: dict[str, dict[str, Any]] = {
    "kmeans": {"method": "kmeans", "fraction": 0.25},
    "gradient": {"method": "gradient", "fraction": 0.25},
    "online": {"method": "online", "fraction": 0.25},
    "kmeans_all": {"method": "kmeans", "fraction": 1.0},
    "gradient_all": {"method": "gradient", "fraction": 1.0},
    "adapter": {"method": "none", "adapter": True},
    "kmeans_adapter": {"method": "kmeans", "fraction": 0.25, "adapter": True},
    "gradient_all_adapter": {"method": "gradient", "fraction": 1.0, "adapter": True},
}
PRESENT, DECODER = "present", "decoder"
Row = dict[str, Any]


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", default="speech-16k")
    parser.add_argument("--split", choices=["valid", "test"], default="test")
    parser.add_argument("--environments", default=",".join(ENVIRONMENTS))
    parser.add_argument("--methods", default=",".join([*METHODS, DECODER]))
    parser.add_argument("--bitrate", type=float, default=6000.0)
    parser.add_argument("--fit-seconds", type=float, default=400.0)
    parser.add_argument("--pieces", type=int, default=24, help="of each environment to judge")
    parser.add_argument("--clean-pieces", type=int, default=24, help="of clean speech to judge")
    parser.add_argument("--steps", type=int, default=80, help="of gradient methods")
    given = parser.parse_args()
    for name, known in ((given.environments, ENVIRONMENTS), (given.methods, (*METHODS, DECODER))):
        unknown = set(name.split(",")) - set(known)
        if unknown:
            parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    compute_in_one_thread()
    study(given)


def study(given: argparse.Namespace) -> None:
    """Make the rows that are missing."""
    codec = audiocodec.load(given.model, "cpu")
    corpus = Corpus(given.manifest, given.split)
    given.output.mkdir(parents=True, exist_ok=True)
    path = given.output / "rows.jsonl"
    clean_fit = corpus.sound({"effects": [], "speech": "librispeech"}, True, 100.0, 10_000)
    clean_judged = corpus.sound({"effects": [], "speech": "librispeech"}, False, 1e9, given.clean_pieces)
    for name in given.environments.split(","):
        spec = ENVIRONMENTS[name]
        fitted = corpus.sound(spec, True, given.fit_seconds, 10_000)
        judged = corpus.sound(spec, False, 1e9, given.pieces)
        for method in [PRESENT, *given.methods.split(",")]:
            done = {_key(row): row for row in read_rows(path)}
            own = (codec.model_id, name, method, given.bitrate)
            if own in done:
                continue
            started = time.process_time()
            other, facts, sent = codec, dict[str, Any](), 0
            if method == PRESENT:
                facts = {
                    "picked": picked(codec, given.model, name, (clean_fit, fitted), (judged, clean_judged))
                }
            else:
                try:
                    other, facts, sent = candidate(
                        codec, method, fitted, clean_fit, given.steps, given.bitrate
                    )
                except InputError as error:  # too little sound for all entries
                    sys.stdout.write(f"{name} {method}: left out, {error}\n")
                    continue
            row: Row = {"model": codec.model_id, "name": codec.name, "environment": name, "method": method}
            row |= {"bitrate": given.bitrate, "split": given.split, "steps": given.steps}
            row |= {"fit": facts, "sent_bytes": sent, "fit_seconds": round(time.process_time() - started, 1)}
            row["environment_scores"] = scores(other, judged, given.bitrate)
            # What the present codebooks make of clean speech is the same in every environment.
            same = [key for key in done if method == PRESENT and (key[0], *key[2:]) == (own[0], *own[2:])]
            row["clean_scores"] = (
                done[same[0]]["clean_scores"] if same else scores(other, clean_judged, given.bitrate)
            )
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            sys.stdout.write(f"{name} {method}: {row['fit_seconds']} s\n")
            sys.stdout.flush()


def _key(row: Row) -> tuple[str, str, str, float]:
    return row["model"], row["environment"], row["method"], row["bitrate"]


def scores(codec: Codec, sound: SoundClips, bitrate: float) -> Row:
    """Scores of every piece, and how much of the codebooks they use."""
    found = score(codec, sound.clips, bitrate)
    values: Row = {key: [None if np.isnan(v) else float(v) for v in found.values[key]] for key in SCORES}
    return {**values, "usage": float(np.mean(found.usage)), "perplexity": float(np.mean(found.perplexity))}


def picked(
    codec: Codec,
    model: str,
    name: str,
    fitted: tuple[SoundClips, SoundClips],
    judged: tuple[SoundClips, SoundClips],
) -> dict[str, list[str | None]]:
    """The environment told for each piece of clean speech and of environment `name`; None: unknown.

    `fitted` are clean speech, which only serves a model that has no baseline, and the environment.
    """
    try:
        clean = find_baseline(model)
    except InputError:
        clean = _describe(codec, fitted[0], "clean")
    book = EnvironmentBook(codec.model_id, known=[clean, _describe(codec, fitted[1], name)])
    told: list[list[str | None]] = [[], []]
    for sound, names in zip(judged, told, strict=True):
        for clip in sound.clips:
            window = collect(codec, [(clip.wav[None], RATE)], rng=np.random.default_rng(0))
            long_enough = clip.seconds >= max(known.shortest_seconds for known in book.baselines)
            names.append(book.recognize(window).name if long_enough else None)
    return {"environment_scores": told[0], "clean_scores": told[1]}


def _describe(codec: Codec, sound: SoundClips, name: str) -> Baseline:
    wavs = [(clip.wav[None], RATE) for clip in sound.clips]
    rng = np.random.default_rng(0)
    return make_baseline(codec, wavs, rng=rng, name=name, null_seconds=(5.0, 10.0), null_windows=100)


def candidate(
    codec: Codec, method: str, sound: SoundClips, clean: SoundClips, steps: int, bitrate: float
) -> tuple[Codec, dict[str, Any], int]:
    """A codec refreshed by a method, what was done, and bytes for the receiver."""
    refining = Refining(steps=steps)
    options = RefreshOptions(refining=refining, **METHODS["kmeans_all" if method == DECODER else method])
    found = refresh(codec, sound, clean, options, clean_latents=clean_reservoir(codec.name, codec.model_id))
    own = codec.model.quantizer.codebooks()
    tensors = round_changes(own, found.tensors)
    refreshed = with_codebooks(codec, tensors)
    base = to_arrays(own)
    sent = len(pack(codec.model_id, to_arrays(tensors), StoredCodebooks(identify(base), base, 0))[0])
    if method == DECODER:
        retrain_decoder(refreshed, sound, replace(refining, steps=2 * steps), bitrate)
        sent += 2 * sum(weight.numel() for weight in refreshed.model.decoder.parameters())
    return refreshed, found.facts, sent


def retrain_decoder(
    codec: Codec, sound: SoundClips, options: Refining, bitrate: float, rate: float = 2e-4
) -> None:
    """The upper bound: the decoder learns the environment too, and must be sent (16 bits a weight)."""
    model = codec.model
    model.decoder = copy.deepcopy(model.decoder)
    loss, rng = RefreshLoss(model.sample_rate), torch.Generator().manual_seed(0)
    heard, stages = encode_clips(model, sound.clips), model.num_quantizers_for(bitrate)
    frames = round(options.excerpt_seconds * model.frame_rate)
    optimizer = torch.optim.AdamW(model.decoder.parameters(), lr=rate)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=options.steps)
    for _ in range(options.steps):
        latents, wavs = list[torch.Tensor](), list[torch.Tensor]()
        for _ in range(options.batch):
            lesson = heard[int(torch.randint(len(heard), (), generator=rng))]
            start = int(torch.randint(max(1, len(lesson.latents) - frames + 1), (), generator=rng))
            places = (start + torch.arange(frames)) % len(lesson.latents)
            latents.append(lesson.latents[places].t())
            wavs.append(lesson.wav.view(-1, model.hop_length)[places].flatten())
        with torch.no_grad():
            quantized = model.quantizer.decode(model.quantizer.encode(torch.stack(latents), stages))
        decoded = model.decoder(quantized)[:, 0, model.delay :]
        optimizer.zero_grad()
        loss(decoded, torch.stack(wavs)[:, : decoded.shape[1]]).backward()
        torch.nn.utils.clip_grad_norm_(model.decoder.parameters(), 1.0)
        optimizer.step()
        rates.step()


class Corpus:
    """Speech, noise, rooms and music of a corpus, divided into what is fitted to and what is judged on."""

    def __init__(self, manifest: Path, split: str) -> None:
        """`split` gives what is judged, and noise and rooms; speech to fit is of the split before it."""
        with manifest.open(newline="", encoding="utf-8") as file:
            self.rows = sorted(csv.DictReader(file), key=lambda row: row["path"])
        self.root, self.split = manifest.parent, split
        self.fit_split = {"valid": "train", "test": "valid"}[split]

    def sound(self, spec: dict[str, Any], fit: bool, seconds: float, pieces: int) -> SoundClips:
        """Recordings in an environment, at most so many seconds and pieces, each with noise of its own."""
        chain = build_chain(spec["effects"])
        sources = self._sources(spec.get("noise", ""), fit)
        rng = np.random.default_rng(int(fit))
        clips = list[SoundClip]()
        kind = spec.get("speech", "")
        for row, wav in self._recordings(kind if fit else spec.get("judged", kind), fit):
            if len(clips) >= pieces or sum(clip.seconds for clip in clips) >= seconds:
                break
            try:
                drawn = chain.draw(rng, len(wav), RATE, sources, row["speaker"])
                heard = chain.apply(wav, RATE, drawn, sources)
            except InputError:  # an SNR of silence
                continue
            heard = heard * np.float32(min(1.0, 0.99 / max(float(np.abs(heard).max()), 1e-9)))
            clips.append(SoundClip(row["path"], row["path"], heard.astype(np.float32), RATE))
        return SoundClips(tuple(clips), {})

    def _recordings(self, kind: str, fit: bool) -> Iterator[tuple[dict[str, str], np.ndarray]]:
        """One piece of each recording; twice over where `fit`, so that speech meets more noise."""
        split = self.fit_split if fit else self.split
        if kind == "music":
            music = [row for row in self.rows if row["kind"] == "music"]
            found = [row for number, row in enumerate(music) if number % 2 == int(fit)]
        else:
            found = [row for row in self.rows if row["kind"] == "speech" and row["split"] == split]
        if kind == "other":
            found = [row for row in found if row["language"] != "en"]
        elif kind == "librispeech":
            found = [row for row in found if row["source"] == "librispeech"]
        np.random.default_rng(0).shuffle(found)  # type: ignore[arg-type]
        for start in (0.0, PIECE_SECONDS) if fit else (0.0,):
            for row in found:
                wav, rate = audio.read(self.root / row["path"])
                wav = audio.resample(wav.mean(axis=0, keepdims=True), rate, RATE)[0]
                wav = wav[round(start * RATE) :][: round(PIECE_SECONDS * RATE)]
                if len(wav) >= 2 * RATE and np.abs(wav).max() > 1e-2:
                    yield row, wav

    def _sources(self, noise: str, fit: bool) -> Sources:
        noises = [
            r for r in self.rows if (r["kind"], r["split"]) == ("noise", self.split) and noise in r["path"]
        ]
        rooms = [row for row in self.rows if (row["kind"], row["split"]) == ("rir", self.split)]
        chosen = [row for number, row in enumerate(noises) if number % 2 == int(fit)] + rooms
        return Sources(
            [Recording(r["path"], self.root / r["path"], kind=r["kind"], type=r["kind"]) for r in chosen]
        )


def read_rows(path: Path) -> list[Row]:
    """Rows so far; a last line that was cut off is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


if __name__ == "__main__":
    main()
