"""Which snapshot of each drive the journal continues from, and when everything is looked at all the same.

Owns: that memory, for as long as the daemon runs, and the audit of the journal. Does not know: how changes are noticed,
or how a backup follows them.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from kinebackup.change_journal.journal import ChangeJournal, Cursor
from kinebackup.engine import Changes, ChangesSince, Source, TrackingResult
from kinebackup.i18n import _
from kinebackup.model import BackupReport, Problem

FULL_SCAN_EVERY: Final = timedelta(days=7)
MOST_RESCANNED: Final = 20_000  # directories; looking at more of them each time is no better than looking at all
_MOST_TOLD: Final = 20

log = logging.getLogger("kinebackup.journal")


@dataclass(frozen=True, slots=True)
class _KnownSnapshot:
    """What is known of a drive's last good snapshot. ``mark``: before its walk began."""

    snapshot: str
    mark: Cursor
    always_rescan: frozenset[str]
    full_scan_at: datetime


@dataclass(frozen=True, slots=True)
class TrackedBackup:
    """For one backup. ``since``: what to follow; None: look at everything. ``known``: what the journal claims."""

    repository: str
    mark: Cursor
    kept: _KnownSnapshot | None
    since: ChangesSince | None
    known: Changes | None


class JournalCursors:
    """For all drives, as long as one journal is in use. One backup at a time."""

    def __init__(self, journal: ChangeJournal) -> None:
        self._journal = journal
        self._kept: dict[str, _KnownSnapshot] = {}

    def begin(self, repository: str, sources: Sequence[Source], now: datetime) -> TrackedBackup | None:
        """Call it before the walk begins. None: the journal does not watch these sources."""
        if not all(self._journal.watches(source) for source in sources):
            return None
        mark = self._journal.cursor()
        kept = self._kept.get(repository)
        known = self._changes(kept) if kept is not None else None
        if kept is None or known is None:
            return TrackedBackup(repository, mark, kept, None, None)
        is_due = not timedelta() <= now - kept.full_scan_at < FULL_SCAN_EVERY
        return TrackedBackup(repository, mark, kept, None if is_due else ChangesSince(kept.snapshot, known), known)

    def _changes(self, kept: _KnownSnapshot) -> Changes | None:
        known = self._journal.changes_since(kept.mark)
        if known is not None:
            for path in kept.always_rescan:
                known.touch(path)
        return known

    def end(self, tracked: TrackedBackup, report: BackupReport, trail: TrackingResult, now: datetime) -> list[Problem]:
        """The snapshot is on the drive. Returns what the journal had missed."""
        missed = self._missed(tracked, trail)
        if missed:
            log.error("the journal missed changes in %d directories; it is not used any more", len(missed))
            self._journal.disable(_("the change journal missed a change: each backup looks at all files again"))
            self._kept.clear()
            return [Problem("journal", path, _missed_text()) for path in missed[:_MOST_TOLD]]
        self._keep(tracked, report, trail, now)
        return []

    def _missed(self, tracked: TrackedBackup, trail: TrackingResult) -> list[str]:
        """Everything was looked at although the journal knew what had changed: was it right?"""
        kept = tracked.kept
        if kept is None or tracked.known is None or trail.followed or trail.parent != kept.snapshot:
            return []
        suspects = [path for path in trail.changed_dirs if not tracked.known.covers(path)]
        # What changed while the walk was under way has been heard of since.
        later = self._changes(kept) if suspects else None
        return sorted(path for path in suspects if later is not None and not later.covers(path))

    def _keep(self, tracked: TrackedBackup, report: BackupReport, trail: TrackingResult, now: datetime) -> None:
        if report.snapshot is None or report.suspicious:
            return  # the snapshot before it is still the one to compare with
        if not tracked.mark.epoch or len(trail.always_rescan) > MOST_RESCANNED:
            self._kept.pop(tracked.repository, None)
            return
        full_scan_at = tracked.kept.full_scan_at if trail.followed and tracked.kept else now
        self._kept[tracked.repository] = _KnownSnapshot(
            report.snapshot, tracked.mark, trail.always_rescan, full_scan_at
        )


def _missed_text() -> str:
    return _("the change journal had missed a change in this folder; it is saved now. Please report this defect")
