"""The empty files that say that a pack or snapshot failed a verification (FORMAT.md §11).

Owns: setting and removing them, without the writer lock: a verification only reads, and may run on a read-only drive,
where a marker is neither possible nor needed. Does not know: what is damaged.
"""

from collections.abc import Collection
from contextlib import suppress

from kinebackup.engine.format.layout import DAMAGED, marker_path
from kinebackup.engine.repository.files import write_file
from kinebackup.engine.repository.store import Store
from kinebackup.errors import KineError
from kinebackup.model import FileName


def set_markers(store: Store, names: Collection[FileName]) -> None:
    """Tell later runs not to rely on these. Never raises for a drive that cannot be written to."""
    with suppress(KineError):
        store.make_directories([DAMAGED])
    for name in names:
        with suppress(KineError):  # each by itself: a backup that begins meanwhile clears tmp/
            write_file(store, marker_path(name), b"")


def remove_markers(store: Store, names: Collection[FileName]) -> None:
    """These are sound, or gone. Never raises for a drive that cannot be written to."""
    if not names:
        return
    with suppress(KineError):
        for name in names:
            store.remove(marker_path(name))
        store.sync_directories([DAMAGED])
