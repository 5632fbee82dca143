"""The journal of changes in the daemon: it watches the sources, and backups follow it.

Owns: the journal's life, from one configuration to the next. Does not know: how changes are noticed
(change_journal/journal.py), which snapshot of a drive it continues from (change_journal/cursors.py), or in which
process the backup runs (spawn.py).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kinebackup.change_journal.cursors import JournalCursors
from kinebackup.change_journal.journal import ChangeJournal, JournalStatus
from kinebackup.change_journal.tracking import TrackedBackup
from kinebackup.config import Config
from kinebackup.engine import TrackingResult
from kinebackup.model import BackupReport, Problem
from kinebackup.practice.world import World
from kinebackup.sources.folder import FolderSource

log = logging.getLogger("kinebackup.daemon")


@dataclass(frozen=True, slots=True)
class _Use:
    """What is watched now."""

    config: Config
    journal: ChangeJournal
    cursors: JournalCursors
    sources: tuple[FolderSource, ...]


class JournalTracking:
    """Implements ``ChangeTracking``. ``make`` makes the sources of a configuration, and their journal."""

    def __init__(self, make: Callable[[Config], tuple[tuple[FolderSource, ...], ChangeJournal]], world: World) -> None:
        self._make = make
        self._world = world
        self._use: _Use | None = None
        self._begun_with: JournalCursors | None = None  # of the backup that is under way

    def use(self, config: Config) -> None:
        """Watch the sources of that configuration; where they are those of before, go on."""
        if self._use is not None and self._use.config.sources == config.sources:
            self._use = replace(self._use, config=config)
            return
        self.stop()
        if not config.sources:
            return
        sources, journal = self._make(config)
        journal.start()
        self._use = _Use(config, journal, JournalCursors(journal), sources)

    def stop(self) -> None:
        """Watch no more."""
        if self._use is not None:
            self._use.journal.stop()
            self._use = None

    def status(self) -> JournalStatus:
        """For ``status``."""
        return self._use.journal.status() if self._use is not None else JournalStatus("off")

    def begin(self, repository: str) -> TrackedBackup | None:
        """See ``ChangeTracking``."""
        use = self._use
        if use is None:
            return None
        status = use.journal.status()
        if status.message:
            log.warning("this backup looks at every file: %s; %s", status.message, status.hint)
        self._begun_with = use.cursors
        return use.cursors.begin(repository, use.sources, self._world.now())

    def end(self, tracked: TrackedBackup, report: BackupReport, result: TrackingResult) -> Sequence[Problem]:
        """See ``ChangeTracking``. Another journal that watches by now knows nothing of what this backup saw."""
        use = self._use
        if use is None or use.cursors is not self._begun_with:
            return ()
        return use.cursors.end(tracked, report, result, self._world.now())
