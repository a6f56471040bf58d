"""Every codec at every bitrate under every condition: doing what is not done yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from audiocodec.evaluation.journal import Journal
from audiocodec.evaluation.rows import Row
from audiocodec.evaluation.schedule import Schedule
from audiocodec.evaluation.tasks import Setup, Unit
from audiocodec.work import Backend

Show = Callable[[int], None]
"""Told how many rows are done."""


@dataclass(frozen=True)
class Benchmark:
    """What is to be done.

    Attributes:
        setup: what all units share.
        units: a recording under a condition each.
        keys: identity of each row, by number of the unit and what of its work.
        skipped: codecs and conditions that cannot be run here, with the reason.
    """

    setup: Setup
    units: tuple[Unit, ...]
    keys: dict[tuple[int, int, float], str]
    skipped: dict[str, str] = field(default_factory=dict[str, str])

    def __len__(self) -> int:
        """Rows there will be."""
        return len(self.keys)

    def run(self, backend: Backend, folder: Path | None = None, show: Show = lambda done: None) -> list[Row]:
        """Do what is not done yet, and give the rows of all of it in order.

        With a `folder`, rows are kept there as they come, and those of an earlier run with the same
        configuration are taken from there. Rows that failed are done again.
        """
        if folder is None:
            return self._run(backend, {}, lambda key, row: None, show)
        with Journal(folder) as journal:
            done = {key: row for key, row in journal.rows.items() if "error" not in row}
            return self._run(backend, done, journal.append, show)

    def _run(
        self, backend: Backend, done: dict[str, Row], keep: Callable[[str, Row], None], show: Show
    ) -> list[Row]:
        rows = {key: done[key] for key in self.keys.values() if key in done}
        numbers = {(unit.recording, unit.condition): number for number, unit in enumerate(self.units)}

        def record(unit: Unit, found: Sequence[Row]) -> None:
            number = numbers[unit.recording, unit.condition]
            for work, row in zip(unit.work, found, strict=True):
                key = self.keys[number, *work]
                rows[key] = row
                keep(key, row)
            show(len(rows))

        show(len(rows))
        Schedule(self.setup, self._left(rows), record).run(backend)
        return [rows[key] for key in self.keys.values()]

    def _left(self, rows: dict[str, Row]) -> list[Unit]:
        """Units with what of their work is not done; long ones first, so that none is left to the end."""
        left: list[Unit] = []
        for number, unit in enumerate(self.units):
            work = tuple(one for one in unit.work if self.keys[number, *one] not in rows)
            if work:
                left.append(replace(unit, work=work))
        return sorted(left, key=lambda unit: -unit.recording.stat()[0])
