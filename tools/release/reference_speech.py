"""Make the clean speech that comes with the package: `pretrained/reference-speech`.

    python tools/release/reference_speech.py CORPUS/manifest.csv

Takes the LibriSpeech files of the `valid` split (CC BY 4.0; no speaker of which any model was trained on), a
piece of each speaker, cut at the nearest pause, and writes Ogg Opus at about 48 kbit/s with credits beside
them.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import soundfile

from audiocodec import audio, pretrained
from audiocodec.adaptation.refresh.sound import FOLDER, SAMPLE_RATE

SECONDS = 7.0
SKIPPED_SECONDS = 0.5
COMPRESSION = 0.75
"""Of libsndfile: about 48 kbit/s for 16 kHz mono."""
CREDITS = """# Clean reference speech

What a refreshed codebook must still code as well as before: pieces of LibriSpeech (V. Panayotov, G. Chen, D.
Povey, S. Khudanpur, "Librispeech: an ASR corpus based on public domain audio books", ICASSP 2015), licence CC
BY 4.0, https://www.openslr.org/12. Changed: cut to about {seconds:g} s, coded with Opus. No speaker here was
trained on. Made by `python tools/release/reference_speech.py`.

| file | speaker | seconds |
|---|---|--:|
"""


def main(manifest: Path) -> None:
    """Write the pieces, one a speaker."""
    target = pretrained.data_folder() / FOLDER
    target.mkdir(exist_ok=True)
    lines: list[str] = []
    done: set[str] = set()
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["path"])
    for row in rows:
        chosen = (row["kind"], row["split"], row["source"]) == ("speech", "valid", "librispeech")
        if not chosen or row["speaker"] in done or float(row["seconds"]) < SECONDS:
            continue
        done.add(row["speaker"])
        wav, rate = audio.read(manifest.parent / row["path"])
        piece = cut(audio.resample(wav[:1], rate, SAMPLE_RATE)[0])
        name = f"{row['speaker']}.opus"
        soundfile.write(
            target / name, piece, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=COMPRESSION
        )
        lines.append(f"| {name} | {row['speaker']} | {len(piece) / SAMPLE_RATE:.1f} |\n")
    (target / "CREDITS.md").write_text(CREDITS.format(seconds=SECONDS) + "".join(lines), encoding="utf-8")
    total = sum(path.stat().st_size for path in target.glob("*.opus"))
    sys.stdout.write(f"{target}: {len(lines)} pieces, {total} bytes\n")


def cut(wav: np.ndarray) -> np.ndarray:
    """About SECONDS of wav [L], ending at the quietest tenth of a second within the last one."""
    start, block = round(SKIPPED_SECONDS * SAMPLE_RATE), SAMPLE_RATE // 10
    part = wav[start : start + round(SECONDS * SAMPLE_RATE)]
    blocks = part[len(part) - 10 * block :].reshape(10, block)
    quietest = int(np.square(blocks).sum(axis=1).argmin())
    return part[: len(part) - (9 - quietest) * block]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
