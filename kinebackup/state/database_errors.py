"""What an error of SQLite, or of the system, about the state database means.

Owns: the errors and their words; above all, which are troubles of this computer's own disk and no drive's fault. Does
not know: what was being done.
"""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kinebackup.errors import KineError, Locked
from kinebackup.i18n import _

_FULL_BELOW_BYTES: Final = 2**17  # SQLite needs some blocks of each of its three files


class StateDamaged(KineError):
    """The state database cannot be read. No backup is lost by it."""


class DiskTrouble(KineError):
    """This computer's own disk is full, read-only, or fails. The drives have nothing to do with it."""


@contextlib.contextmanager
def translating_errors(file: Path) -> Iterator[None]:
    """Turn SQLite's errors about the file into ones that a person can act on. Our own defects pass unchanged."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", None)  # absent where the module itself, not SQLite, refused
        match None if code is None else code & 0xFF:  # the rest are extended codes
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                raise damaged(file) from error
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                raise Locked(
                    _("another KineBackup keeps {file} busy").format(file=file), _("try again when it has finished")
                ) from error
            case sqlite3.SQLITE_FULL:
                raise disk_full() from error
            case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
                raise _trouble(file, str(error)) from error
        raise
    except OSError as error:
        raise disk_trouble(file, error) from error


def damaged(file: Path) -> StateDamaged:
    """Its content is not what KineBackup writes."""
    return StateDamaged(
        _("the memory of this computer is damaged: {file}").format(file=file),
        _(
            "the backups on the drives are not affected; move that file away, then run: "
            "kinebackup init --join DRIVE, and enroll the other drives again"
        ),
    )


def disk_trouble(file: Path, error: OSError) -> DiskTrouble:
    """What the system said of a file of this computer's."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full()
    if error.errno == errno.EROFS:
        return _disk_read_only()
    return _trouble(file, error.strerror or str(error))


def disk_full() -> DiskTrouble:
    """There is no room for what this computer must remember."""
    return DiskTrouble(
        _("this computer's disk is full"),
        _("make room on it; until then KineBackup cannot note on this computer what it does"),
    )


def _disk_read_only() -> DiskTrouble:
    return DiskTrouble(
        _("this computer's disk can only be read"),
        _("restart the computer, and have its disk checked if that does not help; KineBackup can note nothing on it"),
    )


def _trouble(file: Path, reason: str) -> DiskTrouble:
    """SQLite does not always say why a file could not be made or written: the file system does."""
    with contextlib.suppress(OSError):
        info = os.statvfs(file.parent)
        if info.f_flag & os.ST_RDONLY:
            return _disk_read_only()
        if info.f_bavail * info.f_frsize < _FULL_BELOW_BYTES or (info.f_files and not info.f_favail):
            return disk_full()
    return DiskTrouble(
        _("cannot read or write {file}: {reason}").format(file=file, reason=reason),
        _("run as the user who set KineBackup up (root, for a whole computer), and check that the disk is healthy"),
    )
