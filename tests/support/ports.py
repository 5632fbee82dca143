"""What tests give the product in place of chance and of time.

Owns: random bytes from a seed, a clock, a calendar and a stopwatch that move only when they are told or asked. Does not
know: what is built with them.
"""

import hashlib
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


class Dice:
    """Random bytes from a seed: the same in each run of a test, never twice within one. For several threads."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode("utf-8")
        self._thrown = 0
        self._lock = threading.Lock()

    def __call__(self, size: int) -> bytes:
        with self._lock:
            self._thrown += 1
            return hashlib.shake_256(self._seed + self._thrown.to_bytes(8, "big")).digest(size)


class Calendar:
    """Each look at it is one day later. It begins after all files were made, so that unchanged files can be trusted."""

    def __init__(self) -> None:
        self._today = datetime(2040, 1, 1, tzinfo=UTC)

    def next_day(self) -> datetime:
        self._today += timedelta(days=1)
        return self._today


class Stopwatch:
    """Seconds that pass only when asked for: every look takes one."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def __call__(self) -> float:
        self._seconds += 1.0
        return self._seconds


@dataclass
class Clock:
    """Stands still until it is set."""

    now: datetime = datetime(2040, 1, 2, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)
