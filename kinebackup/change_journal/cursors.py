"""The last snapshot of each drive with the journal's cursor before it, and when a full scan is due.

Owns: these cursors, in memory only, and the audit of the journal. Does not know: how changes are recorded, or how a
backup uses them.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from kinebackup.change_journal.journal import ChangeJournal, Cursor
from kinebackup.change_journal.tracking import TrackedBackup
from kinebackup.engine import Changes, ChangesSince, Source, TrackingResult
from kinebackup.i18n import _
from kinebackup.model import BackupReport, Problem

FULL_SCAN_EVERY: Final = timedelta(days=7)
MOST_RESCANNED: Final = 20_000  # directories; beyond that a full scan costs no more
_MOST_TOLD: Final = 20

log = logging.getLogger("kinebackup.journal")


@dataclass(frozen=True, slots=True)
class _KnownSnapshot:
    """A drive's last good snapshot. ``cursor``: the journal's before its scan began."""

    snapshot: str
    cursor: Cursor
    always_rescan: frozenset[str]
    full_scan_at: datetime


@dataclass(frozen=True, slots=True)
class _Begun:
    """A backup that has begun: the journal's cursor before its scan, and the snapshot that it continues from."""

    cursor: Cursor
    base: _KnownSnapshot | None


class JournalCursors:
    """For all drives, as long as one journal is used. One backup at a time."""

    def __init__(self, journal: ChangeJournal) -> None:
        self._journal = journal
        self._last: dict[str, _KnownSnapshot] = {}
        self._begun: dict[str, _Begun] = {}

    def begin(self, repository: str, sources: Sequence[Source], now: datetime) -> TrackedBackup | None:
        """See ``ChangeTracking``. None: the journal does not watch these sources."""
        if not all(self._journal.watches(source) for source in sources):
            return None
        cursor, base = self._journal.cursor(), self._last.get(repository)
        self._begun[repository] = _Begun(cursor, base)
        known = self._changes(base) if base is not None else None
        if base is None or known is None:
            return TrackedBackup(repository, None, None)
        is_due = not timedelta() <= now - base.full_scan_at < FULL_SCAN_EVERY
        return TrackedBackup(repository, None if is_due else ChangesSince(base.snapshot, known), known)

    def _changes(self, base: _KnownSnapshot) -> Changes | None:
        known = self._journal.changes_since(base.cursor)
        if known is not None:
            for path in base.always_rescan:
                known.touch(path)
        return known

    def end(
        self, tracked: TrackedBackup, report: BackupReport, result: TrackingResult, now: datetime
    ) -> Sequence[Problem]:
        """See ``ChangeTracking``. Returns what the journal had missed."""
        begun = self._begun.pop(tracked.repository)
        missed = self._missed(begun, tracked, result)
        if missed:
            log.error("the journal missed changes in %d directories; it is not used any more", len(missed))
            self._journal.disable(_("the change journal missed a change: each backup looks at all files again"))
            self._last.clear()
            return [Problem("journal", path, _missed_text()) for path in missed[:_MOST_TOLD]]
        self._keep(begun, tracked.repository, report, result, now)
        return []

    def _missed(self, begun: _Begun, tracked: TrackedBackup, result: TrackingResult) -> list[str]:
        """The audit: a full scan found these directories changed, and the journal had not told them."""
        base = begun.base
        if base is None or tracked.known is None or result.followed or result.parent != base.snapshot:
            return []
        suspects = [path for path in result.changed_dirs if not tracked.known.covers(path)]
        # Changes during the scan were recorded since.
        later = self._changes(base) if suspects else None
        return sorted(path for path in suspects if later is not None and not later.covers(path))

    def _keep(
        self, begun: _Begun, repository: str, report: BackupReport, result: TrackingResult, now: datetime
    ) -> None:
        if report.snapshot is None or report.suspicious:
            return  # the snapshot before it is still the one to compare with
        if not begun.cursor.epoch or len(result.always_rescan) > MOST_RESCANNED:
            self._last.pop(repository, None)
            return
        full_scan_at = begun.base.full_scan_at if result.followed and begun.base else now
        self._last[repository] = _KnownSnapshot(report.snapshot, begun.cursor, result.always_rescan, full_scan_at)


def _missed_text() -> str:
    return _("the change journal had missed a change in this folder; it is saved now. Please report this defect")
