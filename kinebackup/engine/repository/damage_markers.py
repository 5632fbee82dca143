"""The empty files that say that a pack or snapshot failed a verification (FORMAT.md §11).

Owns: setting and removing them, without the writer lock: a verification only reads, and may run on a read-only drive,
where a marker is neither possible nor needed. Does not know: what is damaged.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress

from kinebackup.engine.format.layout import DAMAGED, marker_path, parity_marker_path
from kinebackup.engine.repository.files import write_file
from kinebackup.engine.repository.store import Store
from kinebackup.errors import KineError
from kinebackup.model import FileName


def set_markers(store: Store, names: Collection[FileName]) -> None:
    """Tell later runs not to rely on these. Never raises for a drive that cannot be written to."""
    _set(store, [marker_path(name) for name in names])


def set_parity_markers(store: Store, names: Collection[FileName]) -> None:
    """Tell the next backup to make the parity files of these anew. Never raises, likewise."""
    _set(store, [parity_marker_path(name) for name in names])


def _set(store: Store, paths: Sequence[str]) -> None:
    with suppress(KineError):
        store.make_directories([DAMAGED])
    for path in paths:
        with suppress(KineError):  # each by itself: a backup that begins meanwhile clears tmp/
            write_file(store, path, b"")


def remove_markers(store: Store, names: Collection[FileName]) -> None:
    """These are sound, or gone. Never raises for a drive that cannot be written to."""
    _remove(store, [marker_path(name) for name in names])


def remove_parity_markers(store: Store, names: Collection[FileName]) -> None:
    """The same of the parity files of these."""
    _remove(store, [parity_marker_path(name) for name in names])


def _remove(store: Store, paths: Sequence[str]) -> None:
    if not paths:
        return
    with suppress(KineError):
        for path in paths:
            store.remove(path)
        store.sync_directories([DAMAGED])
