"""Whether a drive is to be replaced, from what was found wrong on it and when.

Owns: the thresholds. Does not know: how damage is found, what is said of it, or whether it was healed again.

What is known of drives, and why the thresholds are these, is in decision 39. All times are aware.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final, Literal

from kinebackup.model import Health
from kinebackup.policy.schedule import local_day

REMEMBERED: Final = timedelta(days=365)
"""What was found longer ago says nothing any more."""

DAYS_TO_REPLACE: Final = 2
"""A drive on which something new was found wrong on so many days goes on failing."""

PLACES_TO_REPLACE: Final = 5
"""So many places that were found wrong at once are no accident."""

FaultKind = Literal[
    "healable",  # damaged, and its parity gave it back
    "lost",  # damaged beyond that
    "refused",  # the drive did not take what was written to it, and still answered
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One file of a drive that was found wrong, once, however often it was met until it was mended."""

    found: datetime
    kind: FaultKind


def recent(faults: Sequence[Fault], now: datetime) -> list[Fault]:
    """Those that count. One of a time still to come was found by a clock that was wrong: it counts."""
    return [fault for fault in faults if now - fault.found <= REMEMBERED]


def judge_health(faults: Sequence[Fault], *, now: datetime, zone: tzinfo) -> Health:
    """``zone``: of the practice, whose days are counted. "watch": something was found, and nobody need do anything."""
    counted = recent(faults, now)
    if not counted:
        return "good"
    days = {local_day(fault.found, zone) for fault in counted}
    if (
        any(fault.kind != "healable" for fault in counted)
        or len(days) >= DAYS_TO_REPLACE
        or len(counted) >= PLACES_TO_REPLACE
    ):
        return "replace"
    return "watch"
