"""Seafile and its virtual drive, SeaDrive.

Owns: their files. Does not know: other services.
"""

from collections.abc import Iterator
from typing import Final

from kinebackup.drives.clouds.description import CloudService, SyncedFolder
from kinebackup.drives.clouds.home import Home, column

_WORKTREES: Final = "SELECT value FROM RepoProperty WHERE key = 'worktree'"


def _in_home(home: Home) -> Iterator[SyncedFolder]:
    """seafile.ini is one line: the data directory. The libraries are in its repo.db, or by default beside it."""
    for ini in (*home.dot_files(".ccnet/seafile.ini"), *home.dot_files("ccnet/seafile.ini")):
        text = home.system.read_text(ini)
        if text is None:
            continue
        data_dir = home.expand(text.strip())
        database = f"{data_dir}/repo.db"
        for worktree in column(home.system, database, _WORKTREES):
            yield SyncedFolder("Seafile", home.expand(worktree), database)
        for folder in ("Seafile", "seafile"):
            yield SyncedFolder("Seafile", home.expand(folder), ini)
        if not home.system.exists(database):
            yield SyncedFolder("Seafile", home.path, ini, certain=False)


SERVICES: Final = (
    CloudService("Seafile", in_home=_in_home),
    CloudService("SeaDrive", filesystems=frozenset({"fuse.seadrive"})),
)
