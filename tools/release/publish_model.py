"""Turn a trained model into one that comes with the package, and enter it into `pretrained/index.json`.

Usage: python tools/release/publish_model.py runs/speech-16k/model --name speech-16k --licence CC-BY-4.0
           --description "English speech" [--default] [--root pretrained] [--audio FILE]

Writes `pretrained/NAME/` with the weights in 16 bits, the configuration, and `golden.safetensors`: two
seconds of sound, their codes and what they decode to, which the tests compare. `CARD.md` is written by hand.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from audiocodec import audio, pretrained
from audiocodec.checkpoint import CONFIG_NAME, WEIGHTS_NAME, load_model, save_model
from audiocodec.codec import Codec, load
from audiocodec.pretrained import INDEX_NAME, INDEX_VERSION, PretrainedEntry, sha256

REPOSITORY = Path(__file__).parents[2]
GOLDEN_NAME = "golden.safetensors"
GOLDEN_SECONDS = 2.0
MAX_BYTES = 64_000_000


def golden(codec: Codec, wav: NDArray[np.float32], file: Path) -> None:
    """Write what this machine makes of `wav` [1, L] at the model's rate."""
    encoded = codec.encode(wav, codec.sample_rate)
    decoded, _ = codec.decode(encoded)
    tensors = {"wav": wav, "codes": encoded.codes, "decoded": decoded}
    # safetensors writes the memory of an array, whatever its strides say.
    file.write_bytes(save({key: np.ascontiguousarray(value) for key, value in tensors.items()}))


def sample(path: Path, sample_rate: int) -> NDArray[np.float32]:
    """The first channel of GOLDEN_SECONDS out of the middle of a sound file, [1, L] at `sample_rate`."""
    found = audio.info(path)
    length = min(found.length, round(GOLDEN_SECONDS * found.sample_rate))
    wav, _ = audio.read(path, (found.length - length) // 2, length)
    return audio.resample(wav[:1], found.sample_rate, sample_rate)


def entry(codec: Codec, folder: Path, licence: str, description: str, default: bool) -> PretrainedEntry:
    """Describe a published folder."""
    files = {name: sha256(folder / name) for name in (WEIGHTS_NAME, CONFIG_NAME, GOLDEN_NAME)}
    return PretrainedEntry(
        folder=folder.name,
        files=files,
        model_id=codec.model_id,
        codebook_id=codec.codebook_id,
        sample_rate=codec.sample_rate,
        bitrates=codec.bitrates,
        parameters=sum(tensor.numel() for tensor in codec.model.state_dict().values()),
        latency_ms=1000 * codec.model.latency / codec.sample_rate,
        licence=licence,
        description=description,
        default=default,
        denoise=codec.model.can_denoise,
    )


def write_index(root: Path, name: str, new: PretrainedEntry) -> None:
    """Enter a model, in place of one of the same name; only one is the default."""
    known = pretrained.models(root)
    if new.default:
        known = {other: replace(old, default=False) for other, old in known.items()}
    known[name] = new
    index = {"version": INDEX_VERSION, "models": {key: asdict(known[key]) for key in sorted(known)}}
    (root / INDEX_NAME).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def publish(
    checkpoint: Path, folder: Path, source: Path, licence: str, description: str, default: bool
) -> None:
    """Write the folder, load it again as a user would, and enter it into the index."""
    model, config, metadata = load_model(checkpoint)
    save_model(folder, model, config, {**metadata, "name": folder.name, "licence": licence}, half=True)
    size = (folder / WEIGHTS_NAME).stat().st_size
    if size > MAX_BYTES:
        raise SystemExit(f"{folder / WEIGHTS_NAME} has {size} bytes, at most {MAX_BYTES} are published")
    codec = load(folder, device="cpu")
    golden(codec, sample(source, codec.sample_rate), folder / GOLDEN_NAME)
    write_index(folder.parent, folder.name, entry(codec, folder, licence, description, default))
    print(f"{folder}: {size} bytes, model {codec.model_id[:32]}, codebook {codec.codebook_id[:32]}")


def main() -> None:
    """Parse and publish."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--licence", required=True)
    parser.add_argument("--description", default="")
    parser.add_argument("--default", action="store_true")
    parser.add_argument("--root", type=Path, default=REPOSITORY / "pretrained")
    parser.add_argument("--audio", type=Path, default=REPOSITORY / "tests" / "data" / "ls_2033_001.flac")
    a = parser.parse_args()
    publish(a.checkpoint, a.root / a.name, a.audio, a.licence, a.description, a.default)


if __name__ == "__main__":
    main()
