"""Files that nobody may change: they get their flags once they are as they were.

Owns: which files of a run those are. Does not know: the flags (``engine/inode_flags.py``).
"""

import os
import threading
from collections.abc import Callable
from functools import partial

import msgspec

from kinebackup.engine.format.tree import Entry
from kinebackup.engine.restore.attributes import Refused, apply_flags
from kinebackup.engine.restore.destination import Destination
from kinebackup.engine.restore.records import Records


class _File(msgspec.Struct, frozen=True, array_like=True, gc=False):
    path: bytes
    folder: bytes
    name: bytes
    entry: Entry


class ProtectedFiles:
    """Of one run. For several threads."""

    def __init__(self, destination: Destination, refused: Callable[[str, Refused], None]) -> None:
        """``refused`` hears of each path whose flags could not be set."""
        self._destination = destination
        self._refused = refused
        self._files = Records(_File)
        self._lock = threading.Lock()

    def note(self, path: str, folder: str, name: str, entry: Entry) -> None:
        """The file has this name in that folder of the destination."""
        if entry.flags:
            file = _File(os.fsencode(path), os.fsencode(folder), os.fsencode(name), entry)
            with self._lock:
                self._files.add(file)

    def finish(self) -> None:
        """Nothing can be done to them after this: no further name, no other time."""
        for part in self._files.parts():
            for file in part:
                self._finish(file)

    def _finish(self, file: _File) -> None:
        refused = partial(self._refused, os.fsdecode(file.path))
        try:
            with self._destination.opened_file(os.fsdecode(file.folder), os.fsdecode(file.name)) as fd:
                apply_flags(file.entry, fd, refused)
        except OSError as error:
            refused(Refused("flags", error.strerror or ""))
