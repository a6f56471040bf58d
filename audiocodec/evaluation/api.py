"""`audiocodec.evaluate`: how well codecs hold up, as a table, or as a folder of results with a report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from audiocodec.errors import MissingPackageError
from audiocodec.evaluation.benchmark import Benchmark, plan, with_own_names
from audiocodec.evaluation.coders import Coder, ModelCoder
from audiocodec.evaluation.conditions import Condition, find_conditions
from audiocodec.evaluation.peers import open_peers
from audiocodec.evaluation.recordings import (
    Recording,
    as_recordings,
    choose,
    open_sources,
    read_recordings,
    with_rooms,
)
from audiocodec.evaluation.results import check_folder, describe_run, prepare_folder, write_results
from audiocodec.evaluation.rows import Row, require_pandas, to_frame
from audiocodec.evaluation.tasks import Setup
from audiocodec.metrics import choose_metrics
from audiocodec.report.page import check_installed
from audiocodec.work import Backend

if TYPE_CHECKING:
    import pandas as pd

    from audiocodec.codec import Codec
    from audiocodec.effects import Sources
    from audiocodec.metrics import Metric

DEFAULT_METRICS = ("pesq_wb", "stoi", "estoi", "si_sdr", "mel_distance", "log_spectral_distance")

Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Progress = Callable[[str, float], AbstractContextManager[Callable[[float], None]]]
"""Shows a step, by its title and total; gives a function that takes how much is done."""


@dataclass(frozen=True)
class EvaluationConfig:
    """What codecs are tested on, and how.

    Attributes:
        files: sound files, a folder, or a manifest, whose noise and rooms are used as well.
        conditions: names such as "street_10db", files of conditions or names of those that come with the
            package (quick, default, full), or conditions themselves.
        bitrates: bit/s; none: 1500, 3000 and 6000 where a model has them.
        metrics: names in METRICS, or metrics that `metrics.word_error_metric` makes.
        split: of a manifest or folder; None: all of it.
        noise: a folder of noise; the names of its folders or files are its types.
        rooms: a folder of room responses.
        has_clean: whether the files are clean; if not, nothing but transparency is scored.
        limit: number of files to use, spread over speakers; None: all.
        limit_seconds: only the start of each file is used; None: all of it.
        timeout_seconds: a row that takes longer fails.
    """

    files: Files
    conditions: Sequence[str | Condition] = ("clean",)
    bitrates: Sequence[float] = ()
    metrics: Sequence[str | Metric] = DEFAULT_METRICS
    split: str | None = None
    noise: str | os.PathLike[str] | None = None
    rooms: str | os.PathLike[str] | None = None
    has_clean: bool = True
    limit: int | None = None
    limit_seconds: float | None = None
    timeout_seconds: float = 300.0


class Results(NamedTuple):
    """Results of a run.

    Attributes:
        rows: of every file, condition, codec and bitrate.
        frame: the same as a table.
        about: everything about the run that is not in its rows, as plain values.
    """

    rows: list[Row]
    frame: pd.DataFrame
    about: dict[str, Any]


def evaluate(
    codec: Codec | Sequence[Codec],
    files: Files,
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
        files: sound files, a folder or a manifest.
        conditions: names, files or conditions; see `EvaluationConfig`.
        bitrates: bit/s; none: 1500, 3000 and 6000 where a model has them.
        peers: other codecs to compare with, such as "opus" or "name=command {in} {out} {kbps}".
        metrics: names in METRICS, or metrics; None: DEFAULT_METRICS.
        split: of a manifest or folder; None: all of it.
        noise: a folder of noise; the names of its folders or files are its types.
        has_clean: whether the files are clean; if not, nothing but transparency is scored.
        jobs: number of processes; with 1 everything is computed in this process.

    Returns:
        A table with the columns of `audiocodec.evaluation.rows`; a row that failed says why in `error`.

    Raises:
        AudioCodecError: a file, condition or metric does not exist; lists what there is.
        MissingPackageError: pandas, or what a metric needs, is not installed.
    """
    config = EvaluationConfig(files, conditions, bitrates, metrics or DEFAULT_METRICS, split, noise,
                              has_clean=has_clean)  # fmt: skip
    others, _ = open_peers((spec, ()) for spec in peers)
    codecs = codec if isinstance(codec, Sequence) else [codec]
    benchmark = prepare([*map(ModelCoder, codecs), *others], config)
    rows = benchmark.run(Backend("here" if jobs == 1 else "local", jobs))
    return to_frame(rows, benchmark.setup.metrics)


@contextmanager
def no_progress(title: str, total: float) -> Generator[Callable[[float], None]]:
    """Show nothing."""
    yield lambda done: None


def prepare(coders: Iterable[Coder], config: EvaluationConfig, progress: Progress = no_progress) -> Benchmark:
    """Read recordings, noise and conditions, and decide on all rows.

    `coders` may be a generator: it is read after all other checks, because models take long to load.

    Raises:
        AudioCodecError: a file, condition or metric does not exist; lists what there is.
    """
    require_pandas()
    metrics = choose_metrics(config.metrics)
    recordings, data = _recordings(config.files, config.split)
    named = (("noise", config.noise), ("rir", config.rooms))
    folders = [(kind, Path(folder)) for kind, folder in named if folder is not None]
    sources = open_sources(data, config.split, recordings, folders)
    conditions = find_conditions(config.conditions, sources, config.noise is not None, config.has_clean)
    codecs = with_own_names(coders)
    sources, skipped = _with_simulated_rooms(sources, conditions, progress)
    setup = Setup(codecs, metrics, sources, config.has_clean, config.limit_seconds, config.timeout_seconds)
    with progress("trying conditions", len(conditions)) as show:
        benchmark = plan(setup, choose(recordings, config.limit), conditions, config.bitrates, show)
    return replace(benchmark, skipped={**benchmark.skipped, **skipped})


def evaluate_to_folder(
    folder: Path,
    coders: Iterable[Coder],
    config: EvaluationConfig,
    backend: Backend,
    *,
    skipped: Mapping[str, str] | None = None,
    formats: Sequence[str] = ("html",),
    resume: bool = False,
    force: bool = False,
    progress: Progress = no_progress,
    warn: Callable[[str, str], None] = lambda name, text: None,
) -> Results:
    """Score codecs and write rows.parquet, rows.csv, summary.json and reports; rows are kept as they come.

    Args:
        folder: of the results; it is made after all checks.
        coders: what is compared; as for `prepare`.
        config: on what.
        backend: where the work is done.
        skipped: codecs that cannot be run here, with the reason.
        formats: of reports: html, md.
        resume: go on with the rows in the folder; those that failed are computed again.
        force: replace the results in the folder.
        progress: shows how far each step is.
        warn: takes a name and a warning about it.

    Raises:
        AudioCodecError: a file, condition, metric or package is missing, or the folder has results.
    """
    check_folder(folder, resume=resume, force=force)
    if "html" in formats:
        check_installed()
    started, busy = time.monotonic(), _processor_seconds()
    benchmark = prepare(coders, config, progress)
    benchmark = replace(benchmark, skipped={**benchmark.skipped, **(skipped or {})})
    prepare_folder(folder, resume=resume, force=force)
    _warn_of_skipped(benchmark.skipped, warn)
    reused: list[int] = []
    with progress("rows", len(benchmark)) as bar:

        def show(done: int) -> None:
            if resume and not reused and not done:
                warn(str(folder), "has no finished row of this run to continue from; all rows are computed")
            reused.append(done)
            bar(done)

        rows = benchmark.run(backend, folder, show)
    about = {
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "data": str(config.files),
        "reused_rows": reused[0],
        "elapsed_seconds": time.monotonic() - started,
        "processor_seconds": None if backend.kind == "ray" else _processor_seconds(busy),
        "workers": backend.jobs,
        **describe_run(benchmark, rows),
    }
    frame = to_frame(rows, benchmark.setup.metrics)
    write_results(folder, frame, about, formats, benchmark)
    return Results(rows, frame, about)


def _warn_of_skipped(skipped: Mapping[str, str], warn: Callable[[str, str], None]) -> None:
    by_reason: dict[str, list[str]] = {}
    for name, reason in skipped.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        warn(", ".join(names), f"skipped: {reason}")


def cache_folder() -> Path:
    """Where things that can be made again are kept, by the XDG base directory specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "audiocodec"


def _recordings(files: Files, split: str | None) -> tuple[list[Recording], Path | None]:
    if isinstance(files, Sequence) and not isinstance(files, str):
        return as_recordings([Path(file) for file in files]), None
    path = Path(files)
    return read_recordings(path, split), path


def _with_simulated_rooms(
    sources: Sources, conditions: Sequence[Condition], progress: Progress
) -> tuple[Sources, dict[str, str]]:
    """The sources with simulated rooms, if a condition wants them; else why there are none."""
    if not any(condition.wants_simulated_rooms for condition in conditions):
        return sources, {}
    try:
        with progress("simulating rooms", 1.0) as show:
            return with_rooms(sources, cache_folder(), show), {}
    except MissingPackageError as error:
        return sources, {"simulated rooms": str(error)}


def _processor_seconds(before: float | None = 0.0) -> float | None:
    """Processor seconds of this process and its children less those `before`; None where unknown."""
    times = os.times()
    spent = times.user + times.system + times.children_user + times.children_system
    return spent - before if os.name == "posix" and before is not None else None
