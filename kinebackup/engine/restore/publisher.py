"""Written files get their names once their bytes are on the disk.

Owns: the batch of whole files under temporary names, its bounds, and which name each gets. Does not know: contents.

Many files share one wait for the disk. A file that has its own name is whole, also after a power cut; an interrupted
restore leaves nothing that could pass for a restored file.
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain, groupby
from operator import attrgetter
from typing import Final, Literal

import msgspec

from kinebackup.engine.format.tree import Entry
from kinebackup.engine.restore.destination import Destination, Folder
from kinebackup.engine.restore.entry_writer import refused_by_destination, stops_restore
from kinebackup.engine.restore.names import refuses_name, substitute_name
from kinebackup.i18n import _
from kinebackup.model import Problem

BATCH_FILES: Final = 4096
BATCH_BYTES: Final = 256 * 2**20


class Target(msgspec.Struct, frozen=True):
    """The name that a file is to get. ``replaces``: what had it before this run is to go."""

    folder: Folder
    name: str
    replaces: bool


class Written(msgspec.Struct, frozen=True):
    """A whole file under a temporary name. ``path``: in the snapshot. ``sound``: it is what the entry says.

    A struct, as ``Target``, because each file makes one.
    """

    target: Target
    temporary: str
    entry: Entry
    path: str
    size: int
    sound: bool = True


class Publisher:
    """The files of one run that wait for their names. For several threads."""

    def __init__(
        self,
        destination: Destination,
        *,
        published: Callable[[Written, int, str], None],
        problem: Callable[[Problem], None],
    ) -> None:
        """``published`` hears of each file that has its name, with the open directory and that name."""
        self._destination = destination
        self._published = published
        self._problem = problem
        self._waiting: list[Written] = []
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, written: Written) -> None:
        """Raises ``OSError`` where the disk takes no more."""
        with self._lock:
            self._waiting.append(written)
            self._bytes += written.size
            if len(self._waiting) < BATCH_FILES and self._bytes < BATCH_BYTES:
                return
            batch = self._take()
        self._publish(batch)

    def flush(self) -> None:
        """The same for what waits. Raises ``OSError``."""
        with self._lock:
            batch = self._take()
        self._publish(batch)

    def discard(self) -> None:
        """Remove what waits: the run is over."""
        with self._lock:
            batch = self._take()
        self._remove(batch)

    def _take(self) -> list[Written]:
        batch, self._waiting, self._bytes = self._waiting, [], 0
        return batch

    def _publish(self, batch: list[Written]) -> None:
        if not batch:
            return
        left = iter(_side_by_side(batch))
        try:
            self._destination.sync({written.target.folder.device for written in batch})
            for at, files in groupby(left, _FOLDER):
                self._name_all(at, files)
        except BaseException:
            self._remove(left)
            raise

    def name(self, written: Written) -> None:
        """Give a file its name, whose bytes are on the disk. Raises ``OSError`` where the disk takes no more."""
        self._name_all(written.target.folder.at, (written,))

    def _name_all(self, folder: str, files: Iterable[Written]) -> None:
        """The same for files of one folder, which is opened once."""
        try:
            directory = self._destination.open(folder)
        except OSError as error:
            for written in files:
                self._refused(written, error)
            return
        try:
            for written in files:
                self._name(directory, written)
        finally:
            os.close(directory)

    def _name(self, directory: int, written: Written) -> None:
        try:
            if written.target.replaces:
                self._destination.replace(directory, written.temporary, written.target.name)
                name = written.target.name
                if name != written.entry.path_name:
                    self._problem(renamed(written.path, name, "earlier"))
            else:
                name = self._new_name(directory, written)
        except OSError as error:
            _unlink(directory, written.temporary)
            self._refused(written, error)
        else:
            self._published(written, directory, name)

    def _new_name(self, directory: int, written: Written) -> str:
        """Its own name; another one where that is taken, or impossible here."""
        own = written.target.name
        try:
            self._destination.name(directory, written.temporary, own)
        except OSError as error:
            is_taken = isinstance(error, FileExistsError)
            if not is_taken and not refuses_name(error):
                raise
            other = substitute_name(own)
            self._destination.name(directory, written.temporary, other)
            self._problem(renamed(written.path, other, "taken" if is_taken else "impossible"))
            return other
        if (real := altered_name(directory, own)) is not None:
            self._problem(renamed(written.path, real, "impossible"))
        return own

    def _refused(self, written: Written, error: OSError) -> None:
        if stops_restore(error):
            raise error
        self._problem(refused_by_destination(written.path, error))

    def _remove(self, batch: Iterable[Written]) -> None:
        for written in batch:
            with suppress(OSError):
                directory = self._destination.open(written.target.folder.at)
                try:
                    _unlink(directory, written.temporary)
                finally:
                    os.close(directory)


_FOLDER: Final = attrgetter("target.folder.at")


def _side_by_side(batch: Sequence[Written]) -> Iterable[Written]:
    """The files of each folder together, in their order; several threads have written them."""
    folders: dict[str, list[Written]] = {}
    for written in batch:
        folders.setdefault(written.target.folder.at, []).append(written)
    return chain.from_iterable(folders.values())


def altered_name(directory: int, name: str) -> str | None:
    """What the file system made of a name that has just been given: FAT drops the full stops at its end."""
    if not name.endswith((".", " ")) or name in os.listdir(directory):
        return None
    return name.rstrip(" .")


Why = Literal["taken", "impossible", "earlier"]


def renamed(path: str, name: str, why: Why) -> Problem:
    """A file or folder is there whole, under another name; "earlier": that an earlier run gave it."""
    text = {
        "taken": _("the same name is taken here; it was restored as {name}"),
        "impossible": _("this place cannot hold the name; it was restored as {name}"),
        "earlier": _("its own name cannot be had here; it is called {name}"),
    }[why]
    return Problem("renamed", f"/{path}", text.format(name=name))


def _unlink(directory: int, name: str) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=directory)
