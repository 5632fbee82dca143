"""How much lies in directories.

Owns: the counting. Does not know: which directories, or what for.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from kinebackup.engine.format.tree import Entry


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
