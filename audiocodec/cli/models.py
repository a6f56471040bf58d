"""`audiocodec models`."""

from __future__ import annotations

from dataclasses import asdict

from audiocodec import pretrained
from audiocodec.cli.parts import options
from audiocodec.cli.parts.output import Output


def models(json: options.Json = False, quiet: options.Quiet = False) -> None:
    """List the pretrained models.

    Example: audiocodec models --json
    """
    output = Output(json, quiet)
    known = pretrained.models()
    for name, entry in known.items():
        output.result({"name": name, **asdict(entry)})
    rows = [
        (
            f"{name} (default)" if entry.default else name,
            entry.sample_rate,
            f"{min(entry.bitrates):.0f} to {max(entry.bitrates):.0f} in {len(entry.bitrates)} steps",
            f"{entry.parameters / 1e6:.1f} M",
            entry.latency_ms,
            "yes" if entry.denoise else "",
            entry.licence,
        )
        for name, entry in known.items()
    ]
    output.table(("model", "sample rate", "bit/s", "parameters", "latency ms", "denoises", "licence"), rows)
    if not known:
        output.say("no pretrained model is installed")
