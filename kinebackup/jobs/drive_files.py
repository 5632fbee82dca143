"""What lies beside the repository for the people and programs of later: how to read it without KineBackup.

Owns: which files these are, and putting them on a drive. Does not know: what is in the repository.
"""

from importlib import resources

from kinebackup.archive.store import Store
from kinebackup.errors import KineError

NAMES = ("LISEZMOI.txt", "README.txt", "recover.py", "FORMAT.md")


def write_drive_files(store: Store) -> None:
    """Bring them up to date. Raises ``DriveFailed``."""
    changed = False
    for name in NAMES:
        data = (resources.files("kinebackup.recover") / name).read_bytes()
        if _current(store, name) != data:
            pending = store.create()
            try:
                pending.write(data)
                pending.commit(name)
            except BaseException:
                pending.abandon()
                raise
            changed = True
    if changed:
        store.sync_directories([""])


def _current(store: Store, name: str) -> bytes | None:
    try:
        return store.read(name)
    except KineError:
        return None
