"""How fast work goes, and how long it will take: from what was done in the last seconds."""

from __future__ import annotations

import time
from collections import deque

WINDOW = 10.0  # Seconds that are looked back: a machine that has become slower is told within them,
AT_LEAST = 1.0  # and of work, before anything is said.


class Pace:
    """Is told how much is done, now and then, and says the rate and the time left.

    What was done before the first call took no time, so work that was found done does not count.

    Example:
        pace = Pace()
        pace.mark(job.done)
        pace.left(job.total)  # seconds, or None while nobody can know
    """

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def mark(self, done: int) -> None:
        """So much is done now."""
        now = time.monotonic()
        while len(self._marks) > 2 and now - self._marks[1][0] > WINDOW:
            self._marks.popleft()
        self._marks.append((now, done))

    @property
    def rate(self) -> float | None:
        """Done in a second; None before there is something to go by."""
        if len(self._marks) < 2:
            return None
        (since, before), (now, done) = self._marks[0], self._marks[-1]
        return (done - before) / (now - since) if now - since >= AT_LEAST and done > before else None

    def left(self, total: int) -> float | None:
        """Seconds until so much is done."""
        rate = self.rate
        return None if rate is None else max(0.0, (total - self._marks[-1][1]) / rate)


def duration(seconds: float) -> str:
    """As one says it: "12 s", "3 min", "2 h 10 min"."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
