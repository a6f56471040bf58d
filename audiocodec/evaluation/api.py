"""`audiocodec.evaluate`: how well codecs hold up, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec.errors import ConfigError
from audiocodec.evaluation.coders import Coder, ModelCoder, PeerCoder
from audiocodec.evaluation.conditions import Condition, as_recorded, conditions_folder, read_conditions
from audiocodec.evaluation.plan import DEFAULT_METRICS, open_coders, plan
from audiocodec.evaluation.recordings import Recording, as_recordings, open_sources, read_recordings
from audiocodec.evaluation.rows import require_pandas, to_frame
from audiocodec.evaluation.tasks import Setup
from audiocodec.metrics import choose_metrics
from audiocodec.work import Backend

if TYPE_CHECKING:
    import os

    import pandas as pd

    from audiocodec.codec import Codec
    from audiocodec.effects import Sources
    from audiocodec.metrics import Metric


def evaluate(
    codec: Codec | Sequence[Codec],
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    conditions: Sequence[str | Condition] = ("clean",),
    bitrates: Sequence[float] = (),
    *,
    peers: Sequence[str] = (),
    metrics: Sequence[str | Metric] | None = None,
    split: str | None = None,
    noise: str | os.PathLike[str] | None = None,
    has_clean: bool = True,
    jobs: int = 1,
) -> pd.DataFrame:
    """Score codecs on `files` under conditions: a row a file x condition x codec x bitrate.

    Args:
        codec: one, or several.
        files: sound files, a folder, or a manifest, whose `split` is used, and whose noise and rooms.
        conditions: names such as "street_10db", files of conditions or names of those that come with the
            package (quick, default, full), or conditions themselves.
        bitrates: bit/s; none: 1500, 3000 and 6000 where a model has them.
        peers: other codecs to compare with, such as "opus" or "name=command {in} {out} {kbps}".
        metrics: names in METRICS, or others such as `metrics.word_error_metric` makes; None: the usual ones.
        split: of a manifest or folder; None: all of it.
        noise: a folder of noise; the names of its folders or files are its types.
        has_clean: whether the files are clean; if not, nothing is scored against them but transparency.
        jobs: processes; with 1 all is done in this one.

    Returns:
        A table with the columns of `audiocodec.evaluation.rows`; what failed says so in `error`.

    Raises:
        AudioCodecError: something asked for is not there; says what there is.
        MissingPackageError: pandas, or what a metric needs, is not installed.
    """
    require_pandas()
    recordings, data = _recordings(files, split)
    folders = [] if noise is None else [("noise", Path(noise))]
    sources = open_sources(data, split, recordings, folders)
    codecs = codec if isinstance(codec, Sequence) else [codec]
    wanted: list[Coder] = [*(ModelCoder(one) for one in codecs), *(PeerCoder(spec) for spec in peers)]
    coders, _ = open_coders(wanted)
    setup = Setup(coders, choose_metrics(DEFAULT_METRICS if metrics is None else metrics), sources, has_clean)
    chosen = find_conditions(conditions, sources, own_noise=noise is not None, has_clean=has_clean)
    benchmark = plan(setup, recordings, chosen, bitrates)
    rows = benchmark.run(Backend("here" if jobs == 1 else "local", jobs))
    return to_frame(rows, setup.metrics)


def _recordings(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], split: str | None
) -> tuple[list[Recording], Path | None]:
    if isinstance(files, Sequence) and not isinstance(files, str):
        return as_recordings([Path(file) for file in files]), None
    path = Path(files)
    return read_recordings(path, split), path


def find_conditions(
    wanted: Sequence[str | Condition], sources: Sources, own_noise: bool = False, has_clean: bool = True
) -> list[Condition]:
    """Conditions by their names, or by the names or paths of files of them.

    Raises:
        ConfigError: a name is not known; lists what there is.
    """
    if not has_clean and list(wanted) in ([], ["clean"]):
        return [as_recorded()]
    types = sources.types("noise")
    own = types if own_noise else []
    found: dict[str, Condition] = {}
    for entry in wanted:
        for condition in [entry] if isinstance(entry, Condition) else _by_name(entry, types, own):
            found.setdefault(condition.name, condition)
    return list(found.values())


def _by_name(name: str, types: Sequence[str], own_types: Sequence[str]) -> list[Condition]:
    sets = sorted(path.stem for path in conditions_folder().glob("*.yaml"))
    if name in sets or Path(name).is_file():
        return read_conditions(name, types, own_types)
    known = {one.name: one for one in read_conditions("full", types, own_types)}
    if name not in known:
        raise ConfigError(
            f"{name}: no such file or condition; name a YAML file, one of {', '.join(sets)},"
            f" or a condition of full: {', '.join(known)}"
        )
    return [known[name]]
