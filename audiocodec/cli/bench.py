"""`audiocodec bench`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiocodec.cli.evaluate import (
    Bitrates,
    LyraModels,
    Models,
    PeerCommands,
    PeerModels,
    Peers,
    parse_bitrates,
    parse_peer_models,
    parse_peers,
)
from audiocodec.cli.parts import options
from audiocodec.cli.parts.codecs import check_named
from audiocodec.cli.parts.output import Output, failure
from audiocodec.errors import AudioCodecError

if TYPE_CHECKING:
    from audiocodec.evaluation.coders import Coder
    from audiocodec.evaluation.speed import Wav

COLUMNS = ("codec", "asked bit/s", "bit/s", "encode x", "decode x", "both x", "peak MB")
SAMPLE_RATE = 16000
PROGRAM_SECONDS = 120.0

Sound = Annotated[
    Path | None,
    typer.Argument(metavar="[INPUT]", help="Sound file to code; default: synthetic sound like speech."),
]
Seconds = Annotated[float, typer.Option(min=0.5, max=600.0, metavar="SECONDS", help="Length of the sound.")]
Repeats = Annotated[int, typer.Option(min=1, metavar="N", help="Number of runs; the best one counts.")]


def bench(
    sound: Sound = None,
    model: Models = None,
    bitrates: Bitrates = None,
    peers: Peers = None,
    peer: PeerCommands = None,
    peer_model: PeerModels = None,
    lyra_models: LyraModels = None,
    seconds: Seconds = 10.0,
    repeats: Repeats = 3,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure speed and memory of codecs side by side, each in a process of its own with one thread.

    Speed (x) is seconds of audio per second of processor time: higher is faster. It is the best of several
    runs; a first run for warming up does not count. The speed of a program includes its start. Of a command
    given with --peer, only the speed of encoding and decoding together is known. Memory is the peak resident
    set size, Python included; that of programs is not known.

    Example: audiocodec bench --peers opus,codec2 --bitrates 3000,6000
    """
    from audiocodec.evaluation.benchmark import usual_bitrates, with_own_names
    from audiocodec.evaluation.coders import ModelCoder
    from audiocodec.evaluation.peers import open_peers

    output = Output(json, quiet)
    for name in model or ():
        check_named(name)
    peer_options = parse_peer_models(peer_model or (), lyra_models, PROGRAM_SECONDS)
    others, missing = open_peers(parse_peers(peers, peer or ()), peer_options)
    wanted = parse_bitrates(bitrates)
    wav, sample_rate = _sound(sound, seconds)
    models = [ModelCoder(name, "cpu") for name in model or (None,)]
    asked = wanted or usual_bitrates(models[0].codec.bitrates)
    coders = with_own_names([*models, *others])
    for name, reason in missing.items():
        output.warn(name, f"skipped: {reason}")
    work = [(coder, bitrate) for coder in coders for bitrate in coder.bitrates_near(asked)]
    rows = _measure(work, wav, sample_rate, repeats, output)
    output.table(COLUMNS, [_cells(row) for row in rows])
    output.result(_about(wav, sample_rate, repeats))
    output.finish()


def _sound(file: Path | None, seconds: float) -> tuple[Wav, int]:
    """One channel of at most `seconds`."""
    from audiocodec import audio
    from audiocodec.evaluation.speed import speech_like

    if file is None:
        return speech_like(seconds, SAMPLE_RATE), SAMPLE_RATE
    info = audio.info(file)
    wav, sample_rate = audio.read(file, 0, min(info.length, round(seconds * info.sample_rate)))
    return wav[0], sample_rate


def _measure(
    work: Sequence[tuple[Coder, float]], wav: Wav, sample_rate: int, repeats: int, output: Output
) -> list[dict[str, Any]]:
    from audiocodec.evaluation.speed import measure_apart

    rows: list[dict[str, Any]] = []
    with output.progress("codecs", len(work)) as show:
        for done, (coder, bitrate) in enumerate(work, 1):
            try:
                speed = measure_apart(coder, wav, sample_rate, bitrate, repeats)
            except AudioCodecError as error:
                output.error(f"{coder.name} at {bitrate:g} bit/s", failure(error, ""))
            else:
                rows.append({"codec": coder.name, **coder.identity, **asdict(speed)})
                output.result(rows[-1])
            show(done)
    return rows


def _cells(row: dict[str, Any]) -> list[Any]:
    """A line of the table: whole numbers, and speeds with three digits."""
    speeds = [row[name] for name in ("encode_speed", "decode_speed", "speed")]
    return [
        row["codec"],
        round(row["bitrate"]),
        round(row["payload_bitrate"]),
        *(None if speed is None else float(f"{speed:.3g}") for speed in speeds),
        None if row["peak_mb"] is None else round(row["peak_mb"]),
    ]


def _about(wav: Wav, sample_rate: int, repeats: int) -> dict[str, Any]:
    """What the numbers hold for."""
    from audiocodec.evaluation.results import environment

    seconds = len(wav) / sample_rate
    return {"summary": True, "seconds": seconds, "sample_rate": sample_rate, "threads": 1, "repeats": repeats,
            **environment()}  # fmt: skip
