"""Deciding what is to be done: which codecs, bitrates, metrics and conditions there are here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiocodec.audio import stamp
from audiocodec.errors import BitrateError, InputError, PeerUnavailable
from audiocodec.evaluation.benchmark import Benchmark, Show
from audiocodec.evaluation.coders import Coder, ModelCoder, PeerCoder
from audiocodec.evaluation.conditions import Condition, as_recorded, runnable
from audiocodec.evaluation.journal import row_key
from audiocodec.evaluation.peers.program import split_command
from audiocodec.evaluation.tasks import Setup, Unit

if TYPE_CHECKING:
    from audiocodec.evaluation.recordings import Recording

DEFAULT_METRICS = ("pesq_wb", "stoi", "estoi", "si_sdr", "mel_distance", "log_spectral_distance")
USUAL_BITRATES = (1500.0, 3000.0, 6000.0)


def plan(
    setup: Setup,
    recordings: Sequence[Recording],
    conditions: Sequence[Condition],
    bitrates: Sequence[float] = (),
    show: Show = lambda done: None,
) -> Benchmark:
    """Decide on all rows; what cannot be run here is left out with its reason.

    Raises:
        InputError: no recording, or two have one name; a BitrateError, when a model has no such bitrate.
        ConfigError: no condition can be made here.
    """
    if not recordings:
        raise InputError("no recordings to evaluate; give some files, a folder or a manifest")
    names = [recording.name for recording in recordings]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{twice} is listed twice; give each recording once")
    if not setup.has_clean and not conditions:
        conditions = [as_recorded()]
    conditions, skipped = runnable(conditions, setup.sources, show)
    work = _work(setup.coders, bitrates)
    units = tuple(Unit(recording, condition, work) for recording in recordings for condition in conditions)
    keys = dict(_keys(setup, units))
    return Benchmark(setup, units, keys, skipped)


def open_coders(coders: Iterable[Coder]) -> tuple[tuple[Coder, ...], dict[str, str]]:
    """Tell the codecs that can be run here from peers that cannot, with the reason.

    Raises:
        AudioCodecError: a model cannot be loaded, or a peer is not known.
    """
    able: list[Coder] = []
    missing: dict[str, str] = {}
    for coder in coders:
        try:
            name = coder.name
        except PeerUnavailable as error:
            missing[coder.spec if isinstance(coder, PeerCoder) else "?"] = str(error)
            continue
        if any(name == other.name for other in able):
            if not isinstance(coder, ModelCoder):
                raise InputError(f"the codec {name} is given twice; give it once, with all its bitrates")
            which = coder.source if isinstance(coder.source, str) else coder.codec.model_id[:8]
            coder.label = f"{name} ({which})"
        able.append(coder)
    return tuple(able), missing


def usual_bitrates(codec_bitrates: Sequence[float]) -> tuple[float, ...]:
    """The usual bitrates that a ladder has; its highest without any."""
    return tuple(rate for rate in USUAL_BITRATES if rate in codec_bitrates) or (codec_bitrates[-1],)


def _work(coders: Sequence[Coder], bitrates: Sequence[float]) -> tuple[tuple[int, float], ...]:
    ladders = [coder.codec.bitrates for coder in coders if isinstance(coder, ModelCoder)]
    asked = tuple(bitrates) or tuple(sorted({rate for ladder in ladders for rate in usual_bitrates(ladder)}))
    work: list[tuple[int, float]] = []
    for number, coder in enumerate(coders):
        own = asked
        if not bitrates and isinstance(coder, ModelCoder):
            own = usual_bitrates(coder.codec.bitrates)
        try:
            work += [(number, rate) for rate in coder.bitrates_near(own)]
        except BitrateError as error:
            raise BitrateError(f"{coder.name}: {error}") from error
    if not work:
        raise InputError("no codec to evaluate; name a model, or a peer that is installed")
    return tuple(work)


def _keys(setup: Setup, units: Sequence[Unit]) -> Iterable[tuple[tuple[int, int, float], str]]:
    clips: dict[str, list[tuple[str | int, ...]]] = {}
    for clip in setup.sources.clips:
        clips.setdefault(clip.kind, []).append((clip.type, clip.name, clip.speaker, *stamp(clip.path)))
    pools = {kind: row_key(found) for kind, found in clips.items()}
    shared = {
        "version": version("audiocodec"),
        "metrics": sorted(metric.name + metric.setting for metric in setup.metrics),
        "has_clean": setup.has_clean,
        "limit_seconds": setup.limit_seconds,
    }
    coders = [{"name": coder.name, **coder.identity, **_spec(coder)} for coder in setup.coders]
    for number, unit in enumerate(units):
        condition = unit.condition
        facts: dict[str, Any] = {
            **shared,
            "file": [unit.recording.name, *unit.recording.stat()],
            "people": [unit.recording.speaker, unit.recording.language, unit.recording.source],
            "condition": [
                condition.name,
                condition.kind,
                condition.group,
                repr(condition.environment.effects),
            ],
            "clips": {kind: pools.get(kind, "") for kind in condition.pools},
        }
        for coder, bitrate in unit.work:
            yield (number, coder, bitrate), row_key({**facts, "coder": coders[coder], "bitrate": bitrate})


def _spec(coder: Coder) -> dict[str, Any]:
    """How a peer was asked for, and its weights, or program and files, as they lie there now."""
    if not isinstance(coder, PeerCoder):
        return {}
    folder = coder.options.folders.get(coder.name)
    words = split_command(coder.name, coder.spec.partition("=")[2]) if "=" in coder.spec else []
    files = [Path(word) for word in words] if folder is None else sorted(folder.glob("*"))
    return {"spec": coder.spec, "files": [(str(file), *stamp(file)) for file in files]}
