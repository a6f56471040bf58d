"""One row a file x condition x codec x bitrate: columns of the table, and the files that rows are written to.

A metric has up to three columns, named after what is compared:

- output and input of the codec (`pesq_wb_input`, `si_sdr`): transparency, how much coding changed;
- output and clean original (`pesq_wb_clean`, `si_sdr_clean`): what a listener gets of the speech;
- input and clean original (`pesq_wb_uncoded`): what the condition did, without a codec.

A value that could not be computed is missing, and `errors` has the reason under the column's name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from audiocodec.errors import InputError, require
from audiocodec.metrics import METRICS, Metric
from audiocodec.storage import Journal, replacing, try_lock

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
"""A row as it travels: only the columns that have a value; `errors` is a mapping."""

Reference = Literal["input", "clean", "uncoded"]
Better = Literal["higher", "lower", "zero", ""]

ALWAYS = ("pesq_wb", "stoi", "si_sdr", "mel_distance")
"""Metrics that have columns in every table, asked for or not."""
ROWS_NAME = "rows.jsonl"
"""Rows as they come, so that a run that was killed goes on from those that are done."""
MAX_INTEGER = 1 << 62
DISTANCES = frozenset({"si_sdr"})
"""Scores that are named like a distance although higher is better."""


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Attributes:
        name: as in the files.
        dtype: pandas type; missing values are None, NaN or NA.
        unit: empty where there is none.
        meaning: one sentence.
        better: which way is better; "zero" for a signed change, empty where the question makes no sense.
    """

    name: str
    dtype: str
    unit: str
    meaning: str
    better: Better = ""


COLUMNS: tuple[Column, ...] = (
    Column("file", "string", "", "The recording, as the manifest names it, or below the folder given."),
    Column("speaker", "string", "", "Who speaks, from the manifest; the file itself where unknown."),
    Column("language", "string", "", "Language, from the manifest; empty when unknown."),
    Column("source", "string", "", "The corpus the file comes from, from the manifest."),
    Column("seconds", "float64", "s", "Length of the audio that was coded."),
    Column("sample_rate", "Int64", "Hz", "Sample rate of the recording; everything is scored at this rate."),
    Column("condition", "string", "", "Name of the condition, such as street_10db."),
    Column("kind", "string", "", "Family of the condition: clean, noise, room, room_noise, gain, ..."),
    Column("group", "string", "", "The condition without its SNR, such as street: one curve over snr_db."),
    Column("snr_db", "float64", "dB", "Signal-to-noise ratio over active speech; missing without noise."),
    Column("codec", "string", "", "Name of the model or of the other codec."),
    Column("peer", "boolean", "", "Whether the codec is not a model of this package."),
    Column("model", "string", "", "Name of the model; missing for other codecs."),
    Column("model_id", "string", "", "Identity of the model, as in files; missing for other codecs."),
    Column("codebook", "string", "", "Identity of its codebooks, as in files; missing for other codecs."),
    Column("nominal_bitrate", "float64", "bit/s", "Bitrate that was asked for."),
    Column("bitrate", "float64", "bit/s", "8 * bytes / seconds, measured.", "lower"),
    Column(
        "payload_bitrate",
        "float64",
        "bit/s",
        "Coded bits / seconds, without headers: compare codecs by this.",
        "lower",
    ),
    Column(
        "nominal_bits",
        "boolean",
        "",
        "Whether bits are those asked for, as the codec does not say what it used.",
    ),
    Column(
        "bytes", "Int64", "byte", "Size of the compressed file, or of its payload where there is no file."
    ),
    Column("encode_rtf", "float64", "", "Processor seconds to encode one second of audio.", "lower"),
    Column("decode_rtf", "float64", "", "Processor seconds to decode one second of audio.", "lower"),
    Column(
        "token_flip_rate",
        "float64",
        "",
        "Share of codes that differ from those of the clean signal.",
        "lower",
    ),
    Column(
        "perplexity", "float64", "", "Perplexity of the codes of this file, mean over quantizers.", "higher"
    ),
    Column(
        "usage",
        "float64",
        "",
        "Share of codebook entries that appear in this file, mean over quantizers.",
        "higher",
    ),
    Column(
        "quantization_error",
        "float64",
        "",
        "Share of the energy of the latents that is lost by quantizing.",
        "lower",
    ),
    Column("flips_by_stage", "object", "", "token_flip_rate of each quantizer, a list."),
    Column("perplexity_by_stage", "object", "", "perplexity of each quantizer, a list."),
    Column("usage_by_stage", "object", "", "usage of each quantizer, a list."),
    Column("error", "string", "", "Why the row has no scores at all; missing when it has scores."),
    Column("errors", "string", "", "JSON object: why each missing column is missing; {} when none is."),
)
"""Columns of every row; `columns` puts those of metrics in front of `error`."""

_MEANINGS: dict[Reference, str] = {
    "input": "Decoded audio compared with the input of the codec.",
    "clean": "Decoded audio compared with the clean original.",
    "uncoded": "Input of the codec compared with the clean original: the condition alone.",
}
_ALONE: dict[Reference, str] = {
    "input": "Decoded audio, scored without a reference.",
    "uncoded": "Input of the codec, scored without a reference.",
}


def column_name(metric: Metric, reference: Reference) -> str:
    """Name of the column that holds `metric` against `reference`: bare for a distance to the input.

    Scores where higher is better, other than SI-SDR, say `_input`; a score without reference is bare too.
    """
    bare = metric.better != "higher" or metric.needs == "none" or metric.name in DISTANCES
    return metric.name if reference == "input" and bare else f"{metric.name}_{reference}"


def metric_columns(metric: Metric) -> tuple[Column, ...]:
    """The columns of one metric."""
    meanings = _ALONE if metric.needs == "none" else _MEANINGS
    return tuple(
        Column(column_name(metric, reference), "float64", metric.unit, meaning, metric.better)
        for reference, meaning in meanings.items()
    )


def columns(metrics: Iterable[Metric] = ()) -> tuple[Column, ...]:
    """All columns in order; of the metrics those that are always there, and `metrics`."""
    wanted = {metric.name: metric for metric in (*(METRICS[name] for name in ALWAYS), *metrics)}
    scores = [column for metric in wanted.values() for column in metric_columns(metric)]
    return (*COLUMNS[:-2], *scores, *COLUMNS[-2:])


def to_frame(rows: Sequence[Row], metrics: Iterable[Metric] = ()) -> pd.DataFrame:
    """The table of `rows`, every column there and of its type, in the order of `columns`."""
    chosen = columns(metrics)
    table = {column.name: [_cell(row, column) for row in rows] for column in chosen}
    return require_pandas().DataFrame(table).astype({column.name: column.dtype for column in chosen})


def _cell(row: Mapping[str, Any], column: Column) -> Any:
    value = row.get(column.name)
    if column.name == "errors":
        return json.dumps(value or {}, sort_keys=True)
    if isinstance(value, str):  # a name may hold bytes that are no text
        return value.encode("utf-8", "backslashreplace").decode()
    if value is None:
        return math.nan if column.dtype == "float64" else None
    return value


def write_rows(frame: pd.DataFrame, folder: Path) -> None:
    """Write rows.parquet and rows.csv, each complete or not at all; lists are JSON in the CSV."""
    for name in ("rows.parquet", "rows.csv"):
        with replacing(folder / name) as part:
            if name.endswith("parquet"):
                frame.to_parquet(part, index=False)
            else:
                lists = [name for name in frame.columns if name.endswith("_by_stage")]
                frame.assign(**{name: frame[name].map(_as_json) for name in lists}).to_csv(part, index=False)


def _as_json(value: Any) -> str:
    return "" if value is None else json.dumps(list(value))


def require_pandas() -> Any:
    """Import pandas with the engine that writes Parquet.

    Raises:
        MissingPackageError: one of them is not installed.
    """
    install = "'audiocodec[evaluate]'"
    require("pyarrow", "a table", install)
    return require("pandas", "a table", install)


def row_key(facts: Any) -> str:
    """Identity of a row: a digest of everything that decides what is in it (plain values)."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True, default=str)
    return sha256(text.encode()).hexdigest()[:24]


@contextmanager
def open_rows(folder: Path) -> Generator[tuple[dict[str, Row], Callable[[str, Row], None]]]:
    """Rows of a run that was ended, by their keys, and a function that adds a row: key, row.

    The file has a line {"key", "row"} for each. Keys change with the configuration, so that a row of another
    one is never taken for one of this. Nobody else can open the rows of this folder meanwhile.

    Raises:
        InputError: another run writes here, or the folder cannot be written.
    """
    path = folder / ROWS_NAME
    try:
        file = path.open("ab")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another -o") from error
    with file:
        if not try_lock(file.fileno()):
            raise InputError(f"{folder}: another evaluation is writing here; choose another -o")
        journal = Journal(path, _keyed_row, finite=False)
        yield dict(journal.entries), lambda key, row: journal.append({"key": key, "row": row})


def _keyed_row(entry: dict[str, Any]) -> tuple[str, Row]:
    key, row = entry["key"], entry["row"]
    wrong = [name for name, value in row.items() if not _fits(name, value)]
    if not isinstance(key, str) or wrong:
        raise ValueError(f"{', '.join(wrong) or 'key'} of the wrong kind")
    return key, row


def _fits(name: str, value: Any) -> bool:
    """Whether a value can stand in a column; those that are not known are scores."""
    if name == "errors":
        return isinstance(value, dict)
    if name.endswith("_by_stage"):
        return value is None or isinstance(value, list)
    kind = next((column.dtype for column in COLUMNS if column.name == name), "float64")
    if value is None or kind == "string":
        return value is None or isinstance(value, str)
    if kind == "boolean" or isinstance(value, bool):
        return isinstance(value, bool)
    whole = isinstance(value, int) and abs(value) < MAX_INTEGER
    return whole or (kind == "float64" and isinstance(value, float))
