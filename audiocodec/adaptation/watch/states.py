"""From scores to states: ok, warning, alert, with hysteresis so that a state does not flicker."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from audiocodec.adaptation.watch.scoring import Score

State = Literal["ok", "warning", "alert"]
STATES: tuple[State, ...] = ("ok", "warning", "alert")


class StateMachine:
    """Rises at once, falls when the last windows allow it."""

    def __init__(self, recovery_windows: int = 3) -> None:
        """A state is left for a lower one when no window of the last `recovery_windows` asks for it."""
        self._recent: deque[int] = deque([0], maxlen=recovery_windows)

    @property
    def state(self) -> State:
        """Now."""
        return STATES[max(self._recent)]

    def update(self, score: Score, changed: bool) -> State:
        """Take the score of a window, and whether the sequential test fired.

        An alert that has begun is kept up by any score above the warning threshold.
        """
        level = 2 if changed or score.value > score.alert else int(score.value > score.warning)
        if level == 1 and self.state == "alert":
            level = 2
        self._recent.append(level)
        return self.state
