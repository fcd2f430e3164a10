"""Wall time of the parts of a step."""

from __future__ import annotations

import time


class StepClock:
    """Started once per step; each lap adds the time since the last one to a part's, at the cost of one clock call."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}  # of this step, by part
        self._last = time.perf_counter()

    def start(self) -> None:
        """Forget the last step."""
        self.seconds = {}
        self._last = time.perf_counter()

    def lap(self, part: str) -> None:
        """What ran since `start` or the last lap was `part`."""
        now = time.perf_counter()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._last
        self._last = now
