"""What a backup asks of whoever tracks the changes of the sources, and tells when it is done.

Owns: the contract. Does not know: who tracks changes, and how. In the daemon that is its journal
(daemon/change_tracking.py); in the process of a job it is what the daemon sent along (worker/process.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from kinebackup.engine import Changes, ChangesSince, TrackingResult
from kinebackup.model import BackupReport, Problem


@dataclass(frozen=True, slots=True)
class TrackedBackup:
    """For one backup. ``since``: what to follow; None: look at everything. ``known``: what is claimed to have changed,
    which such a look is compared with; None where nothing is.
    """

    repository: str
    since: ChangesSince | None
    known: Changes | None


class ChangeTracking(Protocol):
    """One backup at a time."""

    def begin(self, repository: str) -> TrackedBackup | None:
        """Call it before the walk begins. None: nobody tracks these sources."""

    def end(self, tracked: TrackedBackup, report: BackupReport, result: TrackingResult) -> Sequence[Problem]:
        """The snapshot is on the drive. Returns the changes that had been missed."""
