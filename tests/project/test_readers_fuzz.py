"""Every reader of files from outside, given files that are damaged or made to harm it.

What comes out is a result or an exception of ours, in bounded memory. Mutations know the formats: numbers and
texts of JSON are replaced, hash chains and checksums made right again, sizes forged. Seeds are printed with
what fails: `mutate(KIND, data, random.Random(f"{reader}-{round}"))` gives the file again.
"""

import gzip
import hashlib
import io
import json
import logging
import math
import random
import re
import shutil
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from audiocodec import audio, pretrained
from audiocodec.adaptation.dashboard import WatchCollector, build_page, read_timeline
from audiocodec.adaptation.drift import load_baseline, make_baseline, save_baseline
from audiocodec.adaptation.registry import Registry, export_revision, import_bundle, round_changes
from audiocodec.adaptation.registry.bundle import read_bundle, read_public_key
from audiocodec.adaptation.statistics import collect
from audiocodec.adaptation.statistics.statistics import load_statistics, save_statistics
from audiocodec.adaptation.watch import EnvironmentBook, Monitor, MonitorOptions, monitor_file
from audiocodec.bitstream import open_container
from audiocodec.checkpoint import load_model
from audiocodec.cli import codebooks
from audiocodec.corpus.cuts import is_cuts, read_cuts
from audiocodec.corpus.layouts import find_corpus
from audiocodec.corpus.manifest import Recording, read_recordings
from audiocodec.corpus.prepare import MEASURED, _Scan
from audiocodec.corpus.shards import read_shard
from audiocodec.errors import AudioCodecError
from audiocodec.evaluation.conditions import read_conditions
from audiocodec.evaluation.recordings import read_recordings as read_judged
from audiocodec.evaluation.rows import ROWS_NAME, open_rows, to_frame
from audiocodec.model import ModelConfig, QuantizerConfig
from audiocodec.nn.spectral import SpectralConfig
from audiocodec.storage import plain
from audiocodec.tokens import load_tokens, save_tokens
from audiocodec.training.api import load_recipe
from audiocodec.training.config import TrainConfig
from audiocodec.training.data.config import DataConfig
from audiocodec.training.data.shard_sampler import _Places
from audiocodec.training.data.store import SampleStore
from audiocodec.training.log import _drop_after
from audiocodec.training.loop import Trainer

SHORT, LONG = 40, 1500
MAX_GROWTH = 600 << 20
"""Bytes that a reader may take while it reads any of these files, all of which are small."""

# ---------------------------------------------------------------------------------------------- mutations

TOKEN = re.compile(rb'"(?:[^"\\\n]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null')
PAIR = re.compile(rb'"(?:[^"\\\n]|\\.)*":\s?(?:"(?:[^"\\\n]|\\.)*"|-?[\d.eE+-]+|true|false|null)')
HOSTILE = [
    b"Infinity", b"-Infinity", b"NaN", b"1e400", b"-1e400", b"1e300", b"1e-400", b"9" * 25, b"9" * 400,
    b"9" * 5000, b"-1", b"0", b"-0.0", b"0.5", b"2147483648", b"18446744073709551616", b"null", b"true",
    b"false", b"[]", b"{}", b"[[[[1]]]]", b"[" * 2000 + b"]" * 2000, b'{"a":' * 2000 + b"1" + b"}" * 2000,
    b'"yesterday"', b'""', b'"\\u0000"', b'"\\ud800"', b'"\\udce9"', b'"' + b"x" * 5000 + b'"', b'"../../x"',
    b"[1,2,3]", b'["a",null,-1]', b'{"name":1}', b'"0000-00-00T00:00:00Z"', b'"1e9"', b'"' + b"0" * 64 + b'"',
]  # fmt: skip
YAML = [
    b"*a", b"&a [*a]", b"!!timestamp x", b"!!bool x", b"!!int ''", b"!!float x", b"!!binary x", b"!!set {a}",
    b"!!python/object:os.system x", b".inf", b".nan", b"1e400", b"9" * 400, b"9" * 5000, b"-1", b"null",
    b"[]", b"{}", b"[" * 1500, b"? [a]", b"<<: [1]", b"0o9", b"1:99999999999", b"2001-99-99", b"'", b"|",
    b"- -", b"\x00", b"\xff", b"[a, [b, {c: d}]]",
]  # fmt: skip
SIZES = [
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x00",
    b"\x01\x00\x00\x00",
    b"\x00\x00\x00\x80",
]


def damage(data: bytes, rng: random.Random) -> bytes:
    """Bits, bytes, cuts and copies."""
    data = bytearray(data or b"\0")
    place = rng.randrange(len(data))
    match rng.randrange(7):
        case 0:
            for _ in range(rng.choice((1, 1, 2, 16))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 1:
            del data[place:]
        case 2:
            del data[place : place + rng.choice((1, 4, 100))]
        case 3:
            data[place:place] = rng.randbytes(rng.choice((1, 8, 300)))
        case 4:
            data[place : place + 4] = rng.choice(SIZES)
        case 5:
            data[place:place] = data[rng.randrange(len(data)) :][:500]
        case _:
            data[place : place + 8] = b"\xff" * 8 if rng.random() < 0.5 else bytes(8)
    return bytes(data)


def reword(data: bytes, rng: random.Random, hostile: list[bytes] = HOSTILE) -> bytes:
    """Replace a number, text or other value of JSON; or give one twice."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        if rng.random() < 0.1 and (pairs := list(PAIR.finditer(data))):
            pair = rng.choice(pairs)
            twice = pair[0].partition(b":")[0] + b":" + rng.choice(hostile) + b","
            data = data[: pair.start()] + twice + data[pair.start() :]
        elif found := list(TOKEN.finditer(data)):
            token = rng.choice(found)
            data = data[: token.start()] + rng.choice(hostile) + data[token.end() :]
    return data


def any_of(*ways: Callable[[bytes, random.Random], bytes]) -> Callable[[bytes, random.Random], bytes]:
    return lambda data, rng: rng.choice(ways)(data, rng)


def lines(data: bytes, rng: random.Random) -> bytes:
    """Move, double, cut or reword lines."""
    rows = data.splitlines(keepends=True) or [b""]
    place = rng.randrange(len(rows))
    match rng.randrange(5):
        case 0:
            rows.insert(rng.randrange(len(rows)), rows[place])
        case 1:
            rows[place] = rows[place][: rng.randrange(len(rows[place]) + 1)]
        case 2:
            rows.insert(place, b" " * (3 << 20) + b"\n")
        case 3:
            rows.insert(place, rng.choice(HOSTILE) + b"\n")
        case _:
            rows[place] = reword(rows[place], rng)
    return b"".join(rows)


def safetensors(data: bytes, rng: random.Random) -> bytes:
    """Reword the header, or what our own entry in it says; its size is right again."""
    size = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + size], data[8 + size :]
    if rng.random() < 0.7:
        fields = json.loads(header)
        metadata = fields.get("__metadata__", {})
        name = rng.choice(sorted(metadata) or [""])
        metadata[name] = reword(metadata.get(name, "{}").encode(), rng).decode("utf-8", "replace")
        header = json.dumps({**fields, "__metadata__": metadata}).encode()
    else:
        header = reword(header, rng)
    if rng.random() < 0.2:
        body = damage(body, rng)
    return len(header).to_bytes(8, "little") + header + body


def bundle(data: bytes, rng: random.Random) -> bytes:
    """Reword the header of a .nacbook, or a file in it; size and checksum are right again."""
    size = int.from_bytes(data[5:9], "little")
    header, body = data[9 : 9 + size], data[9 + size : -32]
    if rng.random() < 0.8:
        header = reword(header, rng)
    else:
        body = any_of(damage, safetensors)(body, rng)
    start = data[:5] + len(header).to_bytes(4, "little") + header + body
    return start + hashlib.sha256(start).digest()


def chained(data: bytes, rng: random.Random) -> bytes:
    """Reword an event of a store's log, and make the chain of hashes right again."""
    rows, before = [], b"0" * 64
    target = rng.randrange(len(data.splitlines()))
    for number, row in enumerate(data.splitlines()):
        start = row[: -len(b',"hash":"') - 66]
        if number == target:
            start = reword(start, rng)
        start = re.sub(rb'"previous":"[0-9a-f]{64}"', b'"previous":"%s"' % before, start)
        before = hashlib.sha256(start).hexdigest().encode()
        rows.append(start + b',"hash":"' + before + b'"}\n')
    return b"".join(rows)


def zipped(data: bytes, rng: random.Random) -> bytes:
    """Forge sizes and kinds of members, or repack them with other headers."""
    if rng.random() < 0.4:
        data = bytearray(data)
        entries = [found.start() for found in re.finditer(b"PK\x01\x02", data)]
        place = rng.choice(entries) + rng.choice((6, 8, 10, 16, 20, 24, 28, 30, 42))
        data[place : place + 4] = rng.choice(SIZES)
        return bytes(data)
    packed, kind = io.BytesIO(), rng.choice((0, 8, 8, 12, 14))
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w", kind) as new:
        members = old.namelist()
        target = rng.choice(members)
        for name in members:
            content = old.read(name)
            if name == target:
                content = rng.choice((_reshaped, damage, _bomb))(content, rng)
            new.writestr(name, content)
            if rng.random() < 0.02:
                with warnings.catch_warnings(action="ignore"):
                    new.writestr(name, content)
    return packed.getvalue()


def _reshaped(content: bytes, rng: random.Random) -> bytes:
    """Another shape or type in the header of a .npy member."""
    kinds = [b"'<i8'", b"'|O'", b"'<U99999999'", b"'<f8'", b"'>u2'", b"'|V0'", b"[('a','<i4')]", b"'<M8[s]'"]
    shapes = [
        b"()",
        b"(-1,)",
        b"(99999999999,)",
        b"(1, 8, 1048576)",
        b"(0,)",
        b"(2,) * 9",
        b"(" * 900,
        b"None",
    ]
    if rng.random() < 0.5:
        return re.sub(rb"'descr': '[^']*'", lambda _: b"'descr': " + rng.choice(kinds), content)
    return re.sub(rb"'shape': \([^)]*\)", lambda _: b"'shape': " + rng.choice(shapes), content)


def _bomb(content: bytes, rng: random.Random) -> bytes:
    shape = b"(1, 8, %d)" % rng.choice((1 << 20, 1 << 22, 1 << 25))
    header = re.sub(rb"'shape': \([^)]*\)", lambda _: b"'shape': " + shape, content[:128])
    return header + bytes(16 << 20)


def yaml(data: bytes, rng: random.Random) -> bytes:
    """Replace, double or bend values of YAML."""
    rows = data.splitlines(keepends=True)
    place = rng.randrange(len(rows))
    row = rows[place]
    if rng.random() < 0.2:
        rows.insert(rng.randrange(len(rows)), row)
    elif b":" in row:
        rows[place] = row.partition(b":")[0] + b": " + rng.choice(YAML) + b"\n"
    else:
        rows[place] = rng.choice(YAML) + b"\n"
    return b"".join(rows)


def csv(data: bytes, rng: random.Random) -> bytes:
    cells = [
        b'"',
        b"\0",
        b"," * 50,
        b"x" * 200_000,
        b"\r",
        b"\xff",
        b"path",
        b'"a\nb"',
        "\u2028".encode(),
        b"",
    ]
    parts = re.split(rb"([,\n])", data)
    parts[rng.randrange(len(parts))] = rng.choice(cells)
    return b"".join(parts)


def gzipped(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.3:
        return damage(data, rng)
    if rng.random() < 0.1:
        return gzip.compress(b'{"type": "MonoCut"' + b" " * (64 << 20), 1)
    return gzip.compress(any_of(damage, lines, reword)(gzip.decompress(data), rng), 1)


def tarred(data: bytes, rng: random.Random) -> bytes:
    """Forge a header of a tar file; its checksum is right again."""
    data = bytearray(data)
    places = [at for at in range(0, len(data), 512) if data[at + 257 : at + 262] == b"ustar"]
    at = rng.choice(places)
    field = rng.choice(((0, 100), (124, 12), (124, 12), (156, 1), (157, 100), (345, 155)))
    values = [
        b"\x80" + b"\xff" * 11,
        b"\xff" * 12,
        b"77777777777\0",
        b"0\0",
        b"-1\0",
        b"xLKSgVN5"[:1],
        b"\xff\xfe",
    ]
    value = rng.choice(values)[: field[1]] if rng.random() < 0.8 else rng.randbytes(field[1])
    data[at + field[0] : at + field[0] + len(value)] = value
    head = bytes(data[at : at + 148]) + b" " * 8 + bytes(data[at + 156 : at + 512])
    data[at + 148 : at + 156] = b"%06o\0 " % sum(head)
    return bytes(data)


JSON = any_of(damage, reword, reword)
LINES = any_of(damage, reword, lines)

# ------------------------------------------------------------------------------------------------ readers


@dataclass(frozen=True)
class Reader:
    """A reader of files from outside.

    Attributes:
        make: writes a good file into a folder and gives its path.
        read: reads the file, and does with it what is done with what was read.
        mutate: the ways in which the file is changed.
    """

    make: Callable[[Path, "Models"], Path]
    read: Callable[[Path, "Models"], Any]
    mutate: Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Models:
    """What is needed to make files: a model and sound."""

    folder: Path
    codec: Any
    voice: Callable[..., Any]

    def sound(self, seconds: float, seed: int = 0) -> list[tuple[Any, int]]:
        return [(self.voice(seconds, seed=seed), 16000)]


def put(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def make_tokens(folder: Path, models: Models) -> Path:
    save_tokens(folder / "a.npz", models.codec.encode(models.voice(0.2), 16000))
    return folder / "a.npz"


def make_statistics(folder: Path, models: Models) -> Path:
    collected = collect(models.codec, models.sound(1.0), rng=np.random.default_rng(0))
    save_statistics(folder / "a.safetensors", collected)
    return folder / "a.safetensors"


def make_a_baseline(folder: Path, models: Models) -> Path:
    wavs = [sound for seed in range(4) for sound in models.sound(8.0, seed)]
    null, rng = {"null_seconds": (2.0,), "null_windows": 50}, np.random.default_rng(0)
    soundfile.write(folder / "talk.wav", models.voice(5.0).T, 16000)
    path = folder / "a.safetensors"
    save_baseline(path, make_baseline(models.codec, wavs, wavs, rng=rng, **null))
    return path


def read_environments(path: Path, models: Models) -> None:
    baseline = load_baseline(path)
    book = EnvironmentBook(models.codec.model_id, path.parent)
    if book.baselines:
        monitor = Monitor(models.codec, baseline, None, MonitorOptions(window_seconds=2.0), book)
        for report in (*monitor_file(models.codec, monitor, path.with_name("talk.wav")), *monitor.flush()):
            json.dumps(plain(report.as_json()), allow_nan=False)


MODEL = "ab" * 32


def make_store(folder: Path) -> Registry:
    registry = Registry(folder, clock=lambda: 1.7e9, actor="tester")
    own = {"a.codebook": torch.arange(64.0).reshape(16, 4), "b.codebook": torch.ones(4, 4)}
    parent = registry.baseline(MODEL, own, model="made-up").codebook_id
    new = round_changes(registry.get(parent), {name: codebook + 0.01 for name, codebook in own.items()})
    facts = {"statistics": {"before": 1.5}, "verdict": {"accepted": True}, "environment": "hall"}
    registry.publish(MODEL, new, parent, reason="fit", **facts)
    return registry


def use_store(registry: Registry) -> None:
    """All that commands ask of a store."""
    registry.verify()
    for revision in registry.revisions():
        json.dumps(revision.as_json(), allow_nan=False)
        codebooks._row(revision, "")
        codebooks._facts(revision, "")
    registry.active(MODEL)
    for event in registry.log():
        json.dumps(event.as_json(), allow_nan=False)
    for _, identity in registry.files.listing():
        registry.get(identity)


def make_bundle(folder: Path, models: Models) -> Path:
    registry = make_store(folder / "store")
    export_revision(registry, registry.revisions()[-1].codebook_id, folder / "a.nacbook", full=True)
    shutil.rmtree(folder / "store")
    return folder / "a.nacbook"


def read_and_import_bundle(path: Path, models: Models) -> None:
    read_bundle(path)
    store = path.parent / "taken"
    try:
        import_bundle(Registry(store), path)
    finally:
        if store.exists():
            findings = Registry(store).verify()
            shutil.rmtree(store)
            assert not [finding for finding in findings if finding.level == "error"], findings


def make_log(folder: Path, models: Models) -> Path:
    registry = make_store(folder)
    registry.activate(registry.revisions()[-1].codebook_id, reason="new hall")
    put(folder / "monitor.jsonl", json.dumps(window(0)) + "\n")
    return folder / "log.jsonl"


def read_store(path: Path, models: Models) -> None:
    registry = Registry(path.parent)
    registry.verify()
    list(WatchCollector([], registry).collect())
    build_page(read_timeline([path.parent / "monitor.jsonl"], registry))
    use_store(registry)


def make_revision(folder: Path, models: Models) -> Path:
    registry = make_store(folder)
    last = registry.revisions()[-1]
    return registry.files.path(MODEL, last.codebook_id)


def window(number: int) -> dict[str, Any]:
    return {
        "time": f"2026-11-21T10:00:{number:02}.000+00:00", "event": "window", "number": number,
        "start_seconds": 30.0 * number, "end_seconds": 30.0 * number + 30, "state": "alert", "silent": False,
        "score": 4.5, "warning_threshold": 2.0, "alert_threshold": 3.0, "decisive": "w2",
        "measures": {"relative_error": 1.5, "js": 0.2, "w2": 0.5}, "stages": {"js": [0.1, 0.3]},
        "environment": {"name": None, "nearest": "clean"}, "sources": ["a.wav"], "codebook_id": "ab" * 32,
        "baseline": "clean",
    }  # fmt: skip


def make_monitor_log(folder: Path, models: Models) -> Path:
    rows = [window(number) for number in range(4)]
    return put(folder / "monitor.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def read_monitor_log(path: Path, models: Models) -> None:
    list(WatchCollector([path]).collect())
    build_page(read_timeline([path], columns=3))


def make_rows(folder: Path, models: Models) -> Path:
    with open_rows(folder) as (_, append):
        for number in range(3):
            errors = {"pesq_wb_input": "too short"}
            row = {
                "file": f"{number}.wav",
                "seconds": 1.5,
                "sample_rate": 16000,
                "peer": False,
                "stoi_input": 0.5,
            }
            append(f"{number:024x}", {**row, "usage_by_stage": [0.5, 0.25], "errors": errors})
    return folder / ROWS_NAME


def read_rows(path: Path, models: Models) -> None:
    with open_rows(path.parent) as (rows, _):
        to_frame(list(rows.values()))


def make_scan(folder: Path, models: Models) -> Path:
    files = [put(folder / f"{number}.wav", "x") for number in range(3)]
    scan = _Scan(folder / "m.jsonl")
    for file in files:
        result = dict.fromkeys(sorted(MEASURED), 1.5)
        scan.journal.append({"file": str(file), "stamp": [*audio.stamp(file)], "result": result})
    return scan.path


def read_scan(path: Path, models: Models) -> None:
    files = [Recording(f"{n}.wav", path.parent / f"{n}.wav") for n in range(3)]
    for result in _Scan(path.parent / "m.jsonl").known(files).values():
        assert set(result) == MEASURED
        assert all(math.isfinite(value) for value in result.values())


def make_training_log(folder: Path, models: Models) -> Path:
    rows = [{"group": "train", "step": step, "total": 1.5 / step, "mel": None} for step in range(1, 5)]
    rows.append({"group": "valid", "step": 4, "pesq_wb/all/clean": 2.5})
    return put(folder / "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def read_training_log(path: Path, models: Models) -> None:
    _drop_after(path, 3)


def make_manifest(name: str) -> Callable[[Path, Models], Path]:
    def make(folder: Path, models: Models) -> Path:
        rows = [{"path": f"{n}.wav", "split": "train", "speaker": f"s{n}", "seconds": 1.5} for n in range(4)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        if name.endswith("csv"):
            text = "".join(",".join(map(str, row)) + "\n" for row in (rows[0], *(r.values() for r in rows)))
        return put(folder / name, text)

    return make


def read_lists(path: Path, models: Models) -> None:
    for read in (read_recordings, read_judged):
        for recording in read(path):
            assert str(recording.path)


def make_cuts(folder: Path, models: Models) -> Path:
    lhotse = pytest.importorskip("lhotse")
    source = lhotse.audio.AudioSource("file", [0], "a.wav")
    recording = lhotse.Recording("a", [source], 16000, 64000, 4.0)
    said = [lhotse.SupervisionSegment("s", "a", 0.0, 2.0, speaker="anna")]
    cuts = [lhotse.MonoCut(f"a{n}", n * 1.0, 1.0, 0, said, recording=recording) for n in range(3)]
    lhotse.CutSet.from_cuts(cuts).to_file(folder / "cuts.jsonl.gz")
    return folder / "cuts.jsonl.gz"


def make_shard(folder: Path, models: Models) -> Path:
    with tarfile.open(folder / "a.tar", "w") as tar:
        for number in range(3):
            for suffix, content in ((".json", b'{"speaker": "anna"}'), (".wav", b"sound" * 100)):
                member = tarfile.TarInfo(f"x{number}{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return folder / "a.tar"


def make_model(folder: Path, models: Models) -> Path:
    return Path(shutil.copy(models.folder / "model.safetensors", folder / "a.safetensors"))


def make_checkpoint(folder: Path, models: Models) -> Path:
    for number, split in enumerate(("train", "valid")):
        (folder / "sound" / split).mkdir(parents=True)
        soundfile.write(folder / "sound" / split / "a.wav", models.voice(2.0, seed=number).T, 16000)
    sizes = {"encoder_channels": 16, "encoder_blocks": 1, "decoder_channels": 16, "decoder_blocks": 1}
    quantizer = QuantizerConfig(num_quantizers=2, codebook_size=16)
    config = TrainConfig(
        model=ModelConfig(net=SpectralConfig(dim=8, **sizes), quantizer=quantizer),
        data=DataConfig(str(folder / "sound"), str(folder / "cache"), segment_seconds=0.5, batch_size=1),
        autocast="none",
        prefix_choices=(1, 2),
        validate_seconds=0,
        judge_clips=0,
    )
    TRAINERS[folder] = Trainer(config, folder / "run")
    TRAINERS[folder].step()
    return TRAINERS[folder].save()


TRAINERS: dict[Path, Trainer] = {}


def make_recipe(folder: Path, models: Models) -> Path:
    text = "name: a\nsteps: 100\ndata:\n  manifest: x\n  batch_size: 2\noptim:\n  learning_rate: 1e-4\n"
    return put(folder / "a.yaml", text + "loss:\n  weights: {mel: 1.0}\nprefix_choices: [1, 2]\n")


def make_conditions(folder: Path, models: Models) -> Path:
    text = "conditions:\n  clean: {}\n  '{type}':\n    each:\n      type: [a, b]\n      snr_db: [20, 10]\n"
    return put(
        folder / "a.yaml", text + "    effects:\n    - {kind: noise, types: ['{type}'], snr_db: '{snr_db}'}\n"
    )


def make_corpus(folder: Path, models: Models) -> Path:
    return Path(shutil.copy(Path(__file__).parents[2] / "recipes/corpora/vctk.yaml", folder / "a.yaml"))


def make_index(folder: Path, models: Models) -> Path:
    return Path(shutil.copy(pretrained.data_folder() / "index.json", folder / "index.json"))


def make_key(folder: Path, models: Models) -> Path:
    key = pytest.importorskip(
        "cryptography.hazmat.primitives.asymmetric.ed25519"
    ).Ed25519PrivateKey.generate()
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return put(folder / "a.pem", key.public_key().public_bytes(serialization.Encoding.PEM, info))


def make_places(folder: Path, models: Models) -> Path:
    return put(folder / "a.jsonl", "[1, 0, 512, 3]\n\n[2, 1, 1024, 0]\n")


def make_cache(name: str) -> Callable[[Path, Models], Path]:
    def make(folder: Path, models: Models) -> Path:
        soundfile.write(folder / "a.wav", models.voice(0.1).T, 16000)
        SampleStore([Recording("a.wav", folder / "a.wav")], 16000, folder, jobs=1)
        return next(folder.glob(f"*.{name}"))

    return make


def read_cache(path: Path, models: Models) -> None:
    SampleStore([Recording("a.wav", path.parent / "a.wav")], 16000, path.parent, jobs=1).segment(0, 0, 9)


def make_nac(folder: Path, models: Models) -> Path:
    return put(folder / "a.nac", models.codec.compress(models.voice(1.0), 16000))


def read_nac(path: Path, models: Models) -> None:
    with open_container(path) as reader:
        for _ in reader.packets("skip"):
            pass


def make_wav(folder: Path, models: Models) -> Path:
    soundfile.write(folder / "a.wav", models.voice(0.2).T, 16000, subtype="PCM_16")
    return folder / "a.wav"


READERS = {
    "tokens": Reader(make_tokens, lambda path, _: load_tokens(path), any_of(damage, zipped, zipped)),
    "statistics": Reader(make_statistics, lambda path, _: load_statistics(path), any_of(damage, safetensors)),
    "baseline": Reader(make_a_baseline, read_environments, any_of(damage, safetensors, safetensors)),
    "bundle": Reader(make_bundle, read_and_import_bundle, any_of(damage, bundle, bundle, bundle)),
    "store log": Reader(make_log, read_store, any_of(damage, lines, chained, chained, chained)),
    "revision": Reader(
        make_revision, lambda p, _: use_store(Registry(p.parents[2])), any_of(damage, safetensors)
    ),
    "monitor log": Reader(make_monitor_log, read_monitor_log, any_of(LINES, reword)),
    "evaluation rows": Reader(make_rows, read_rows, LINES),
    "scan": Reader(make_scan, read_scan, LINES),
    "training log": Reader(make_training_log, read_training_log, LINES),
    "jsonl manifest": Reader(make_manifest("a.jsonl"), read_lists, LINES),
    "csv manifest": Reader(make_manifest("a.csv"), read_lists, any_of(damage, csv)),
    "cuts": Reader(make_cuts, lambda path, _: is_cuts(path) and read_cuts(path), gzipped),
    "shard": Reader(make_shard, lambda path, _: list(read_shard(path)), any_of(damage, tarred, tarred)),
    "model": Reader(make_model, lambda path, _: load_model(path), any_of(damage, safetensors)),
    "checkpoint": Reader(
        make_checkpoint,
        lambda path, _: TRAINERS[path.parents[1]].load(path),
        any_of(damage, safetensors, safetensors),
    ),
    "recipe": Reader(make_recipe, lambda path, _: load_recipe(path), any_of(damage, yaml, yaml)),
    "conditions": Reader(
        make_conditions, lambda path, _: read_conditions(path, ["a"]), any_of(damage, yaml, yaml)
    ),
    "corpus": Reader(make_corpus, lambda path, _: find_corpus(str(path)), any_of(damage, yaml, yaml)),
    "index": Reader(make_index, lambda path, _: pretrained.models(path.parent), JSON),
    "key": Reader(make_key, lambda path, _: read_public_key(path), damage),
    "places": Reader(make_places, lambda path, _: _Places(path).before(5), LINES),
    "cache about": Reader(make_cache("about.json"), read_cache, JSON),
    "cache lengths": Reader(make_cache("lengths.npy"), read_cache, any_of(damage, _reshaped)),
    "cache samples": Reader(make_cache("samples.npy"), read_cache, any_of(damage, _reshaped)),
    "nac": Reader(make_nac, read_nac, damage),
    "wav": Reader(make_wav, lambda path, _: audio.read(path), damage),
}

# ------------------------------------------------------------------------------------------------- tests


@pytest.fixture(scope="module")
def models(tiny_folder, codec, voice):
    return Models(tiny_folder, codec, voice)


@pytest.fixture(autouse=True)
def quiet():
    """What is logged of damage is looked at elsewhere."""
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        yield
    logging.disable(logging.NOTSET)


def memory(name: str) -> int:
    """Bytes of this process, now (VmRSS) or at most (VmHWM)."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) << 10


def fuzz(name: str, folder: Path, models: Models, rounds: int) -> None:
    reader = READERS[name]
    path = reader.make(folder, models)
    good = path.read_bytes()
    reader.read(path, models)
    linux = sys.platform == "linux"
    if linux:
        Path("/proc/self/clear_refs").write_text("5")  # the most so far is what is used now
    before = memory("VmRSS") if linux else 0
    for number in range(rounds):
        path.write_bytes(reader.mutate(good, random.Random(f"{name}-{number}")))
        try:
            reader.read(path, models)
        except AudioCodecError:
            pass
        except Exception as error:
            raise AssertionError(f"{name}-{number}: {type(error).__name__}") from error
        if linux:
            assert memory("VmHWM") - before < MAX_GROWTH, f"{name}-{number}"


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_refused_in_our_words(name, tmp_path, models):
    fuzz(name, tmp_path, models, SHORT // 4 if name == "monitor log" else SHORT)  # each draws a page


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_damaged_files_are_refused_in_our_words(name, tmp_path, models):
    fuzz(name, tmp_path, models, LONG)


def test_every_mutation_changes_something():
    rng = random.Random(0)
    for mutate, data in (
        (damage, b"abcdef"),
        (reword, b'{"a": 1}'),
        (lines, b"1\n2\n"),
        (csv, b"a,b\n1,2\n"),
    ):
        assert any(mutate(data, rng) != data for _ in range(5))
