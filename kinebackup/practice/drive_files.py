"""The files beside the repository that show people of later years how to read it without KineBackup.

Owns: which files these are, and putting them on a drive. Does not know: what is in the repository.
"""

import contextlib
import os
from importlib import resources

from kinebackup.engine import FolderStore, Store, layout
from kinebackup.errors import KineError


def write_drive_files(root: str) -> None:
    """Bring those of a KINEBACKUP directory up to date. Raises ``DriveFailed``.

    Anyone may read them, even somebody who has only found the drive.
    """
    with contextlib.closing(FolderStore(root)) as store:
        _write(store)


def _write(store: FolderStore) -> None:
    changed = False
    for name in layout.FOR_PEOPLE:
        data = (resources.files("kinebackup.recover") / name).read_bytes()
        if _beginning(store, name, len(data) + 1) != data:
            pending = store.create()
            try:
                pending.write(data)
                pending.commit(name)
                with contextlib.suppress(OSError):  # file systems without permissions let everyone read
                    os.chmod(os.path.join(store.root, name), 0o644)
            except BaseException:
                pending.abandon()
                raise
            changed = True
    if changed:
        store.sync_directories([""])


def _beginning(store: Store, name: str, size: int) -> bytes | None:
    try:
        return store.read(name, 0, min(size, store.size(name)))
    except KineError:
        return None
