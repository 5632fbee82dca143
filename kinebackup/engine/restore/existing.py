"""What lies at the destination already: is it the file of the backup, and does it stay?

Owns: the comparison and ``--overwrite``. Does not know: who put it there, or what replaces it.
"""

import os
import stat as st
from collections.abc import Callable
from typing import Final, Literal

from msgspec.structs import replace

from kinebackup.engine.format.tree import Entry
from kinebackup.engine.metadata import Comparison, entry_of, matches
from kinebackup.engine.source import Found
from kinebackup.i18n import _
from kinebackup.model import Problem

_COARSE_TIMES_NS: Final = (100, 1000, 10**6, 10**7, 10**9, 2 * 10**9)
"""The steps in which file systems keep times that are not Linux's own: NTFS, FUSE, SMB, exFAT, NFS, FAT."""

Overwrite = Literal["never", "if-changed", "always"]


def is_as_saved(there: os.stat_result, entry: Entry, read_link: Callable[[], str]) -> bool:
    """Whether ``lstat`` shows the file of the backup: of files size and time, of links where they point."""
    if entry.type == "file":
        return matches(Comparison.ALREADY_RESTORED, entry, there) or any(
            matches(Comparison.ALREADY_RESTORED, replace(entry, mtime=entry.mtime // step * step), there)
            for step in _COARSE_TIMES_NS
        )
    found = entry_of(Found("there", there)) if not st.S_ISSOCK(there.st_mode) else None
    if found is None or (found.type, found.device) != (entry.type, entry.device):
        return False
    return entry.type != "symlink" or read_link() == entry.path_target


def stays(overwrite: Overwrite, *, as_saved: bool) -> bool:
    """Whether it is left alone."""
    return overwrite == "never" or (overwrite == "if-changed" and as_saved)


def left_alone(path: str) -> Problem:
    """The file of the backup did not come back, because another one is in its place."""
    return Problem("exists", f"/{path}", _("a file that differs from the backup is here already and was left alone"))
