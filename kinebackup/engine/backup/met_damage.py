"""Damage of the drive that a backup meets: from that moment on nothing relies on it, and nobody has to find it again.

Owns: marking and reporting each pack or snapshot once. Does not know: what was read of it, or how it is saved again:
what lies in no sound pack counts as unknown, and the sources are asked for it.
"""

import threading

from kinebackup.engine.findings import problem_of
from kinebackup.engine.repository.condition import Condition
from kinebackup.engine.repository.damage_markers import set_markers
from kinebackup.engine.repository.inventory import UnreadablePack
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.engine.repository.snapshot_list import SnapshotFiles, UnreadableSnapshot
from kinebackup.model import FileName, Monitor, Problem


class MetDamage:
    """Of one run. Safe for several threads. ``problems``: what was met, in order."""

    def __init__(self, repository: LoadedRepository, monitor: Monitor, *, mark: bool) -> None:
        """``mark``: tell later runs too; a preview writes nothing."""
        self.problems: list[Problem] = []
        self._repository = repository
        self._monitor = monitor
        self._mark = mark
        self._known: set[FileName] = set()
        self._lock = threading.Lock()

    def pack(self, name: FileName, reason: str) -> None:
        """A read of a pack that was held to be sound has failed."""
        self._note(name, UnreadablePack(name, reason))

    def snapshots(self, files: SnapshotFiles) -> None:
        """Those that do not open and that no verification has reported yet."""
        for found in files.unreadable:
            if found.condition is Condition.DOUBTFUL:
                self._note(found.name, found)

    def _note(self, name: FileName, found: UnreadablePack | UnreadableSnapshot) -> None:
        with self._lock:
            if name in self._known:
                return
            self._known.add(name)
            problem = problem_of(found)
            self.problems.append(problem)
        if self._mark:
            set_markers(self._repository.store, [name])
        self._monitor.problem(problem)
