"""Counts: of directories of a snapshot, and of a run.

Owns: the counting. Does not know: who counts, or what for.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from kinebackup.engine.format.tree import Entry
from kinebackup.engine.source import Found
from kinebackup.model import Problem


@dataclass(slots=True)
class TreeCounts:
    """``others`` are links, fifos and devices; ``bytes`` is the sum of the files' sizes."""

    files: int = 0
    dirs: int = 0
    others: int = 0
    bytes: int = 0

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "TreeCounts":
        """Of these entries alone, not of what lies below them."""
        files = dirs = size = total = 0
        for entry in entries:
            total += 1
            if entry.type == "file":
                files += 1
                size += entry.size
            elif entry.type == "dir":
                dirs += 1
        return cls(files, dirs, total - files - dirs, size)

    def __iadd__(self, other: "TreeCounts") -> "TreeCounts":
        self.files += other.files
        self.dirs += other.dirs
        self.others += other.others
        self.bytes += other.bytes
        return self


@dataclass(slots=True)
class BackupStats:
    """Of a run: ``files`` to ``bytes`` are of the new snapshot, the other numbers compare it with the parent.

    ``files_lost``: how many the sources have that are not in the new snapshot as they are now; ``files_gone``: how many
    of these the parent had, and the new snapshot has not at all. A thing that is no file counts as one where it lacks.

    ``always_rescan``, ``changed_dirs``: see ``changes.TrackingResult``. ``dropped``: by source, how many files turned
    out to be unreadable after they had been counted.
    """

    files: int = 0
    dirs: int = 0
    others: int = 0
    bytes: int = 0
    new: int = 0
    changed: int = 0
    unmodified: int = 0
    removed: int = 0
    bytes_read: int = 0
    files_lost: int = 0
    files_gone: int = 0
    files_by_source: dict[str, int] = field(default_factory=dict)
    uids: set[int] = field(default_factory=set)
    gids: set[int] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    always_rescan: set[str] = field(default_factory=set)
    changed_dirs: set[str] = field(default_factory=set)

    def note_owners(self, names: Iterable[Found]) -> None:
        """Whose names the snapshot is to have, so that a restore finds them on another computer."""
        for found in names:
            self.uids.add(found.stat.st_uid)
            self.gids.add(found.stat.st_gid)
