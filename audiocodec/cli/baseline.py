"""`audiocodec baseline`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from audiocodec.audio import find_audio
from audiocodec.cli.parts import options
from audiocodec.cli.parts.batch import check_new, check_there
from audiocodec.cli.parts.codecs import check_named, codec_for
from audiocodec.cli.parts.output import Output

Target = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="File to write (.safetensors).")]
HeldOut = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="DIR|FILE",
        help="Other audio of the same kind, to measure how much windows differ by chance.",
    ),
]
Name = Annotated[str, typer.Option(metavar="NAME", help="Name of the environment.")]
Windows = Annotated[int, typer.Option(min=50, metavar="N", help="Number of random windows of each length.")]


def baseline(
    inputs: options.Inputs,
    out: Target,
    held_out: HeldOut = None,
    name: Name = "clean",
    model: options.Model = None,
    codebook: options.Codebook = None,
    store: options.Store = None,
    windows: Windows = 200,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Describe audio of one kind, so that `monitor` can tell when other audio differs from it.

    Example: audiocodec baseline hall/ -o hall.safetensors --name hall
    """
    from audiocodec.adaptation.drift import make_baseline, save_baseline
    from audiocodec.adaptation.statistics import recordings

    check_new(out, force)
    check_named(model, None, store)
    check_there([*inputs, *(held_out or ())])
    output = Output(json, quiet)
    files, apart = find_audio(inputs), find_audio(held_out or ())
    codec = codec_for(model, device, codebook, store)
    with output.progress("baseline", 2) as show:
        made = make_baseline(
            codec,
            recordings(files, show),
            recordings(apart),
            rng=np.random.default_rng(seed),
            name=name,
            null_windows=windows,
            facts={"model": codec.name, "files": len(files), "held_out_files": len(apart)},
            progress=lambda share: show(1 + share),
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    save_baseline(out, made, overwrite=force)
    seconds, lengths = made.statistics.seconds, [n / made.statistics.frame_rate for n in made.null.lengths]
    record = {
        "file": str(out),
        "name": name,
        "model_id": made.model_id,
        "codebook_id": made.codebook_id,
        "seconds": seconds,
        "window_seconds": lengths,
        "bytes": out.stat().st_size,
    }
    output.result(
        record, f"{out}: {seconds:.0f} s of audio; windows of {lengths[0]:.0f} to {lengths[-1]:.0f} s"
    )
    output.finish()
