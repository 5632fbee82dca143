"""Files that nobody may change: they get their flags once they are as they were.

Owns: which files of a run those are. Does not know: the flags (``engine/inode_flags.py``).
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from kinebackup.engine.format.tree import Entry
from kinebackup.engine.restore.attributes import Refused, apply_flags
from kinebackup.engine.restore.destination import Destination


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    folder: str
    name: str
    entry: Entry


class ProtectedFiles:
    """Of one run. For several threads."""

    def __init__(self, destination: Destination, refused: Callable[[str, Refused], None]) -> None:
        """``refused`` hears of each path whose flags could not be set."""
        self._destination = destination
        self._refused = refused
        self._files: list[_File] = []
        self._lock = threading.Lock()

    def note(self, path: str, folder: str, name: str, entry: Entry) -> None:
        """The file has this name in that folder of the destination."""
        if entry.flags:
            with self._lock:
                self._files.append(_File(path, folder, name, entry))

    def finish(self) -> None:
        """Nothing can be done to them after this: no further name, no other time."""
        for file in self._files:

            def refused(what: Refused, path: str = file.path) -> None:
                self._refused(path, what)

            try:
                with self._destination.opened_file(file.folder, file.name) as fd:
                    apply_flags(file.entry, fd, refused)
            except OSError as error:
                refused(Refused("flags", error.strerror or ""))
