"""The folders of a restore: each is made or found on the way down, and finished when all else is done.

Owns: which folder of the destination stands for one of the snapshot, and which of them get the saved mode and times.
Does not know: files.

A folder that was there before keeps what it has; one that still was as an earlier run had left it is left so again.
"""

import os
from collections.abc import Callable

import msgspec

from kinebackup.engine.format.tree import Entry
from kinebackup.engine.metadata import Comparison, matches
from kinebackup.engine.place import Opened
from kinebackup.engine.restore.attributes import Refused, apply, apply_flags
from kinebackup.engine.restore.destination import Destination, Folder
from kinebackup.engine.restore.entry_writer import refused_by_destination, stops_restore
from kinebackup.engine.restore.names import refuses_name, substitute_name
from kinebackup.engine.restore.owners import Owners
from kinebackup.engine.restore.publisher import altered_name, renamed
from kinebackup.engine.restore.records import Records
from kinebackup.i18n import _
from kinebackup.model import Problem


class _Entered(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """``made``: by this run; else it was as saved before."""

    path: bytes
    at: bytes
    entry: Entry
    made: bool


class Folders:
    """Of one run."""

    def __init__(
        self, destination: Destination, owners: Owners, *, as_root: bool, problem: Callable[[Problem], None]
    ) -> None:
        """``as_root``: owners can be set."""
        self._destination = destination
        self._owners = owners
        self._as_root = as_root
        self._problem = problem
        self._entered = Records(_Entered)

    def enter(self, above: Folder, path: str, entry: Entry) -> Folder | None:
        """The folder at the destination for one of the snapshot; None where there is none to be had.

        Raises ``OSError`` where the disk takes no more.
        """
        was_as_saved = False

        def is_as_saved(there: os.stat_result) -> bool:
            nonlocal was_as_saved
            was_as_saved = matches(Comparison.RESTORED_FOLDER, entry, there)
            return was_as_saved

        try:
            folder = self._make(above, path, entry.path_name, is_as_saved)
        except FileExistsError:
            self._problem(Problem("exists", f"/{path}", _("something else is in the place of this folder")))
            return None
        except OSError as error:
            if stops_restore(error):
                raise
            self._problem(refused_by_destination(path, error))
            return None
        if folder.made or was_as_saved:
            own = msgspec.structs.replace(entry, tree=[])  # what is in it is not asked for any more
            self._entered.add(_Entered(os.fsencode(path), os.fsencode(folder.at), own, folder.made))
        return folder

    def _make(self, above: Folder, path: str, name: str, is_as_saved: Callable[[os.stat_result], bool]) -> Folder:
        """By its own name; by another one where that is taken, or impossible here."""
        own, other = above.name_of(name), substitute_name(name)
        try:
            folder = self._destination.make(above, own, is_as_saved)
        except OSError as error:
            is_taken = isinstance(error, FileExistsError)
            if own == other or (above.had(own) if is_taken else not refuses_name(error)):
                raise
            folder = self._destination.make(above, other, is_as_saved)
            self._problem(renamed(path, other, "taken" if is_taken else "impossible"))
            return folder
        if own != name:
            self._problem(renamed(path, own, "earlier"))
        elif name.endswith((".", " ")) and (real := self._altered_name(above, name)) is not None:
            self._problem(renamed(path, real, "impossible"))
        return folder

    def _altered_name(self, above: Folder, name: str) -> str | None:
        directory = self._destination.open(above.at)
        try:
            return altered_name(directory, name)
        finally:
            os.close(directory)

    def finish(self) -> None:
        """Modes and times, the deepest first: writing into a folder would change its time again."""
        for entered in reversed(self._entered):
            try:
                fd = self._destination.open(os.fsdecode(entered.at))
            except OSError as error:
                self._problem(_metadata(entered, not_opened(error)))
                continue
            try:
                if entered.made:
                    self._apply(entered, fd)
                elif not matches(Comparison.RESTORED_FOLDER, entered.entry, os.fstat(fd)):
                    self._as_before(entered, Opened(fd))
            finally:
                os.close(fd)

    def _apply(self, entered: _Entered, fd: int) -> None:
        def refused(what: Refused) -> None:
            self._problem(_metadata(entered, what.text))

        apply(self._owners.here(entered.entry), Opened(fd), as_root=self._as_root, refused=refused)
        apply_flags(entered.entry, fd, refused)

    def _as_before(self, entered: _Entered, place: Opened) -> None:
        """The mode and time that it had, and no more: files were put in it."""
        try:
            place.chmod(entered.entry.mode)
            place.set_mtime(entered.entry.mtime)
        except OSError as error:
            self._problem(_metadata(entered, Refused("time", error.strerror or "").text))


def _metadata(entered: _Entered, text: str) -> Problem:
    return Problem("metadata", f"/{os.fsdecode(entered.path)}", text)


def not_opened(error: OSError) -> str:
    """For people."""
    return _("the destination's folder cannot be opened ({reason})").format(reason=error.strerror)
