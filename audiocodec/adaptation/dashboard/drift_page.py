"""The drift page: one HTML file that shows a timeline, and needs no network and no scripts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audiocodec.adaptation.dashboard.timeline import CodebookEvent, Timeline, Window
from audiocodec.report.page import render
from audiocodec.report.plots import COLORS, GRAY, draw
from audiocodec.storage import new_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Lines = Mapping[str, Sequence[float | None]]
"""Name -> one value a window."""

CHARTS: tuple[tuple[str, dict[str, str], float | None], ...] = (
    (
        "Quantization error, as a multiple of the baseline's",
        {"relative to the latents": "relative_error", "absolute": "error"},
        1.0,
    ),
    (
        "Use of codebook entries, as a multiple of the baseline's",
        {"usage": "usage", "perplexity": "perplexity"},
        1.0,
    ),
    ("Entropy of the codes, difference from the baseline in bits", {"entropy": "entropy"}, 0.0),
    (
        "Distribution of the codes, divergence from the baseline in bits",
        {"Jensen-Shannon": "js", "Kullback-Leibler": "kl", "Jensen-Shannon of code pairs": "bigram_js"},
        None,
    ),
    (
        "Latents, distance from the baseline in standard deviations",
        {"Gaussian W2": "w2", "sliced W2": "sliced_w2", "difference of means": "mean_shift"},
        None,
    ),
)
"""Title, measures by label, and the value without drift where one is known."""
HEAT_MAPS = {
    "js": "Jensen-Shannon divergence by quantizer",
    "relative_error": "Relative error by quantizer, as a multiple of the baseline's",
}
LATEST_ALERTS = 20
MAX_ENVIRONMENTS = 40
"""More are not told apart in the legend."""
STATE_COLORS = {"ok": "#3a8f5d", "warning": "#d19a1d", "alert": "#c8392c", "silent": "#c9ccd1"}
_STATE_CLASSES = {"ok": "good", "warning": "warn", "alert": "bad"}
WIDTH, LINES_HEIGHT, STRIP_HEIGHT = 800, 105, 46


def write_page(path: str | os.PathLike[str], timeline: Timeline, *, overwrite: bool = False) -> None:
    """Write the page to a file, whole or not at all.

    Raises:
        InputError: the file is there already, or cannot be written.
        MissingPackageError: matplotlib or Jinja is not installed.
    """
    with new_file(path, overwrite) as temporary:
        temporary.write_text(build_page(timeline), encoding="utf-8")


def build_page(timeline: Timeline) -> str:
    """The page as text."""
    windows = timeline.windows
    grouped = -(-timeline.total // len(windows))
    environments = _environment_colors(windows)
    return render(
        "drift.html",
        title="Codebook drift",
        span=f"{_time(windows[0].time)} to {_time(windows[-1].time)} UTC, {timeline.total} windows",
        column=f"{grouped} windows, drawn in the state of the worst" if grouped > 1 else "one window",
        tiles=_tiles(timeline),
        states=list(STATE_COLORS.items()),
        environments=list(environments.items())[:MAX_ENVIRONMENTS],
        chart=_chart(timeline, environments),
        tables=(
            (
                "Latest alerts",
                ("Time", "Score", "Decisive measure", "Relative error", "Environment", "Sources"),
                _alert_rows(windows),
            ),
            ("Codebook events", ("Number", "Time", "Event", "Codebook", "Reason"), _event_rows(timeline)),
        ),
    )


def _tiles(timeline: Timeline) -> list[tuple[str, str, str]]:
    """Value, meaning and class of each number at the top."""
    last = timeline.windows[-1]
    judged = next((window for window in reversed(timeline.windows) if window.score is not None), last)
    return [
        (last.state.capitalize() if last.state != "ok" else "OK", "state now", _STATE_CLASSES[last.state]),
        (_show(judged.score), f"latest score; alert above {_show(judged.alert)}", ""),
        (str(timeline.alerts), f"windows in alert, {100 * timeline.alerts / timeline.total:.0f} %", ""),
        (_duration(timeline.seconds), "of audio monitored", ""),
        (judged.environment or "-", "environment now", ""),
        (last.codebook_id[:8], f"codebook in use; the baseline is {last.baseline}", ""),
    ]


def _alert_rows(windows: Sequence[Window]) -> list[tuple[str, ...]]:
    alerts = [window for window in windows if window.in_alert]
    return [
        (
            _time(window.time),
            _show(window.score),
            window.decisive,
            _show(window.measures.get("relative_error")),
            window.environment or "-",
            ", ".join(source.rsplit("/", 1)[-1] for source in window.sources[:4]),
        )
        for window in reversed(alerts[-LATEST_ALERTS:])
    ]


def _event_rows(timeline: Timeline) -> list[tuple[str, ...]]:
    return [
        (str(number), _time(event.time), event.kind, event.codebook_id[:12], event.text)
        for number, event in reversed(list(enumerate(timeline.events, 1)))
    ]


def _environment_colors(windows: Sequence[Window]) -> dict[str, str]:
    names = dict.fromkeys(window.environment for window in windows if window.environment)
    known = [name for name in names if name != "unknown"]
    colors = {name: COLORS[number % (len(COLORS) - 1)] for number, name in enumerate(known)}
    return colors | ({"unknown": COLORS[-1]} if "unknown" in names else {})


def _chart(timeline: Timeline, environments: Mapping[str, str]) -> str:
    """All that has values, over the same windows."""
    windows = timeline.windows
    lines = list(_line_charts(windows))
    maps = {
        name: title for name, title in HEAT_MAPS.items() if any(window.stages.get(name) for window in windows)
    }
    heights = [STRIP_HEIGHT, *[LINES_HEIGHT] * len(lines), *[LINES_HEIGHT] * len(maps)]

    def paint(figure: Figure) -> None:
        column = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
        panels: list[Axes] = list(column[:, 0])
        _paint_states(panels[0], timeline, environments)
        for axes, (title, values, guides) in zip(panels[1:], lines, strict=False):
            _paint_lines(axes, title, values, guides)
            for start, stop, _ in _runs(["alert" if window.in_alert else "" for window in windows]):
                axes.axvspan(start, stop, color=STATE_COLORS["alert"], alpha=0.09, linewidth=0)
        for axes, (name, title) in zip(panels[1 + len(lines) :], maps.items(), strict=True):
            _paint_stages(axes, title, [window.stages.get(name, ()) for window in windows])
        for axes in panels:
            axes.set_xlim(0, len(windows))
            axes.grid(visible=False, axis="x")
            for position in {event.position for event in timeline.events if event.changes_codebook}:
                axes.axvline(position, color="#1c2128", linestyle=":", linewidth=1)
        labels = _time_labels(windows)
        panels[-1].set_xticks([number + 0.5 for number, _ in labels], [label for _, label in labels])

    return draw("Drift over time", WIDTH, sum(heights) + 20 * len(heights) + 20, paint)


def _line_charts(windows: Sequence[Window]) -> Iterator[tuple[str, Lines, dict[str, tuple[float, str]]]]:
    """Title, lines, and level lines (label -> value and color) of each chart that has values."""
    judged = next((window for window in reversed(windows) if window.alert is not None), None)
    levels = {"alert": judged.alert, "warning": judged.warning} if judged is not None else {}
    thresholds = {name: (value, STATE_COLORS[name]) for name, value in levels.items() if value is not None}
    scores: Lines = {"score": [window.score for window in windows]}
    charts = [("Drift score, in spreads of the measures without drift", scores, thresholds)]
    for title, measures, without_drift in CHARTS:
        values = {
            label: [window.measures.get(name) for window in windows] for label, name in measures.items()
        }
        charts.append((title, values, {} if without_drift is None else {"baseline": (without_drift, GRAY)}))
    for title, values, guides in charts:
        known = {label: line for label, line in values.items() if any(value is not None for value in line)}
        if known:
            yield title, known, guides


def _paint_states(axes: Axes, timeline: Timeline, environments: Mapping[str, str]) -> None:
    """States above, environments below, numbers of codebook events on top."""
    windows = timeline.windows
    axes.set_title("State and environment", pad=16 if timeline.events else None)
    states = ["silent" if window.silent else window.state for window in windows]
    for names, colors, bottom in (
        (states, STATE_COLORS, 1.1),
        ([w.environment for w in windows], environments, 0.0),
    ):
        runs = _runs(names)
        spans = [(start, stop - start) for start, stop, _ in runs]
        axes.broken_barh(spans, (bottom, 0.9), facecolors=[colors[name] for _, _, name in runs], linewidth=0)
    for number, event in _spaced(timeline.events, len(windows) / 40):
        axes.annotate(
            str(number),
            (event.position, 2),
            (0, 3),
            textcoords="offset points",
            ha="center",
            annotation_clip=False,
        )
    axes.set_ylim(0, 2)
    axes.set_yticks([0.45, 1.55], ["environment", "state"])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _spaced(events: Sequence[CodebookEvent], distance: float) -> Iterator[tuple[int, CodebookEvent]]:
    """Events that change the codebook, with their numbers, without those too close to the one before."""
    last = -np.inf
    for number, event in enumerate(events, 1):
        if event.changes_codebook and event.position - last >= distance:
            last = event.position
            yield number, event


def _paint_lines(axes: Axes, title: str, lines: Lines, guides: Mapping[str, tuple[float, str]]) -> None:
    axes.set_title(title)
    for number, (label, line) in enumerate(lines.items()):
        values = np.array([np.nan if value is None else value for value in line], dtype=np.float64)
        places = np.arange(len(values)) + 0.5
        # A value between gaps has no line: it gets a dot.
        gaps = np.isnan(np.concatenate([[np.nan], values, [np.nan]]))
        alone = np.flatnonzero(gaps[:-2] & gaps[2:]).tolist()
        axes.plot(
            places, values, color=COLORS[number], label=label, linewidth=1.3, marker=".", markevery=alone
        )
    for label, (value, color) in guides.items():
        axes.axhline(value, color=color, linestyle="--", linewidth=1)
        axes.annotate(
            label,
            (1, value),
            (4, 0),
            ("axes fraction", "data"),
            "offset points",
            va="center",
            color=color,
            annotation_clip=False,
        )
    if len(lines) > 1:
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=len(lines),
            frameon=False,
            borderpad=0.1,
            handlelength=1.2,
        )


def _paint_stages(axes: Axes, title: str, columns: Sequence[Sequence[float]]) -> None:
    """A row a quantizer, a column a window; darker is larger."""
    values: NDArray[np.float64] = np.full((max(map(len, columns)), len(columns)), np.nan)
    for at, column in enumerate(columns):
        values[: len(column), at] = column
    low, high = np.nanquantile(values, [0.02, 0.98])
    axes.set_title(f"{title}; darker is larger, from {low:.2g} to {high:.2g}")
    axes.imshow(
        values, cmap="Blues", vmin=low, vmax=max(high, low + 1e-9), aspect="auto", interpolation="none",
        extent=(0, len(columns), len(values) + 0.5, 0.5),
    )  # fmt: skip
    axes.set_yticks(range(1, len(values) + 1, max(1, len(values) // 4)))
    axes.grid(visible=False)


def _runs(names: Sequence[str]) -> list[tuple[int, int, str]]:
    """(start, stop, name) of equal neighbors that have a name."""
    runs: list[tuple[int, int, str]] = []
    for at, name in enumerate(names):
        if runs and runs[-1][2] == name:
            runs[-1] = (runs[-1][0], at + 1, name)
        else:
            runs.append((at, at + 1, name))
    return [run for run in runs if run[2]]


def _time_labels(windows: Sequence[Window]) -> list[tuple[int, str]]:
    """At most eight windows with their time; the day only where it changes."""
    step, day, labels = max(1, -(-len(windows) // 8)), "", list[tuple[int, str]]()
    for at in range(0, len(windows), step):
        moment = _time(windows[at].time)
        labels.append((at, moment[11:16] if moment[:10] == day else moment[5:16]))
        day = moment[:10]
    return labels


def _time(time: str) -> str:
    return time[:19].replace("T", " ")


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
