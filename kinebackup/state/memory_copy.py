"""A copy in memory of a SQLite file that cannot be opened where it lies, because nothing can be written beside it.

Owns: making it, with what SQLite has not yet moved into the file. Does not know: what the database holds.
"""

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_IN_MEMORY: Final = "/dev/shm"  # noqa: S108 - RAM-backed; the copy lies in a 0700 folder


def copy_in_memory(file: Path, places: Sequence[str] = (_IN_MEMORY, "")) -> sqlite3.Connection:
    """The database as it is now, to be read and written and then forgotten. Raises ``OSError`` or ``sqlite3.Error``.

    ``places``: where SQLite may put the files that it needs for a moment; empty: the folder for temporary files.
    """
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        for place in places:
            with contextlib.suppress(OSError):
                _copy_by_files(file, place, copy)
                return copy
        # Nowhere is there room: the file as it stands, without what the last run that was cut off left beside it.
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?immutable=1", uri=True)) as as_it_is:
            as_it_is.backup(copy)
    except BaseException:
        copy.close()
        raise
    return copy


def _copy_by_files(file: Path, place: str, copy: sqlite3.Connection) -> None:
    with tempfile.TemporaryDirectory(prefix="kinebackup-", dir=place or None) as folder:
        there = shutil.copyfile(file, Path(folder) / "state.db")
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(f"{file}-wal", f"{there}-wal")
        with contextlib.closing(sqlite3.connect(there)) as source:
            source.backup(copy)
