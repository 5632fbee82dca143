"""What an error of the operating system on a drive means: the file's damage, a drive that failed, or that has gone.

Owns: this judgement and its words. Does not know: how files are opened (store.py).

The rule: a failure of reading or listing one file is damage of that file, whatever its number, as long as the drive
gives anything else; the others are read, and every command goes on. Where the drive gives nothing any more, it has
gone or is dying, and nothing is said of any file: *drive failed*. A failure of writing is always the drive's.
"""

import contextlib
import errno
from collections.abc import Callable, Iterator

from kinebackup.errors import Damaged, DriveFailed, DriveFull, NotFound, WriteRefused
from kinebackup.i18n import _

_ABSENT = {errno.ENOENT, errno.ENOTDIR}
# While reading: this computer has no memory or no file descriptor left. That is no drive's fault, and no damage.
_OURS = {errno.ENOMEM, errno.EMFILE, errno.ENFILE}


@contextlib.contextmanager
def drive_errors(
    path: str, answers: Callable[[], bool] | None = None, *, after_write: Callable[[], bool] | None = None
) -> Iterator[None]:
    """Turn errors of the operating system into ours; the path is relative to the repository, so it tells nothing.

    ``answers``: given where something is read. Whatever failed is then damage of that one file, as long as the drive
    still answers; where it does not, it has gone, and nothing is known of any file.

    ``after_write``: the same question, given where something is written: a drive that still answers has not been pulled
    out, it fails.
    """
    try:
        yield
    except OSError as error:
        if after_write is not None and error.errno == errno.EIO and after_write():
            told = does_not_answer(error, path)
            raise WriteRefused(told.message, told.hint) from error
        if answers is None or error.errno in _OURS:
            raise translate(error, path) from error
        if answers():  # some file systems show an empty folder where they can read nothing
            if error.errno in _ABSENT:
                raise translate(error, path) from error
            raise Damaged(_("{path} cannot be read from the drive").format(path=path)) from error
        raise does_not_answer(error, path) from error


def does_not_answer(error: OSError, path: str) -> DriveFailed:
    """Nothing can be had from the drive any more."""
    return DriveFailed(
        _("the drive does not answer as it should ({path}: {reason})").format(path=path, reason=error.strerror),
        _("unplug it, plug it in again, and run: kinebackup verify; replace it if this happens again"),
    )


def translate(error: OSError, path: str) -> NotFound | DriveFailed:
    """What an ``OSError`` on the drive means to the person."""
    match error.errno:
        case number if number in _ABSENT:
            return NotFound(_("the drive has no {path}").format(path=path))
        case errno.ENOSPC | errno.EDQUOT:
            return DriveFull(
                _("the drive is full"), _("remove old backups with: kinebackup prune; or use a larger drive")
            )
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return DriveFailed(
                _("the drive cannot be written to ({path}: {reason})").format(path=path, reason=error.strerror),
                _("check its write-protection switch, or run a file system check on it"),
            )
        case errno.EIO | errno.ENODEV | errno.ENXIO | errno.ESHUTDOWN | errno.ESTALE:
            return does_not_answer(error, path)
        case _:
            return DriveFailed(
                _("the drive refused an operation ({path}: {reason})").format(path=path, reason=error.strerror),
                _("run: kinebackup verify"),
            )
