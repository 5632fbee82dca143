"""Folders that only this user may enter, for what must not stay: copies of databases, files of a restore test.

Owns: their names, making one, and removing those of a process that was killed. Does not know: what lies in them.
"""

import os
import re
import shutil
import tempfile
from contextlib import suppress


def make_private_folder(place: str, prefix: str, pid: int) -> str:
    """A new one in that place, by the process of that number. Raises ``OSError``."""
    return tempfile.mkdtemp(prefix=f"{prefix}{pid}-", dir=place)


def sweep(place: str, prefix: str) -> None:
    """Remove those of the prefix whose processes have ended without removing them: they may hold plaintext."""
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            found = re.match(rf"{re.escape(prefix)}(\d+)-", entry.name)
            if found and entry.stat(follow_symlinks=False).st_uid == os.geteuid() and not _runs(int(found[1])):
                shutil.rmtree(entry.path, ignore_errors=True)


def _runs(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")
