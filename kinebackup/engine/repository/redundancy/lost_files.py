"""Files that are not on the drive any more, while their copy in ``parity/`` is.

Owns: finding them, and telling their kind by their first bytes. Does not know: which of them somebody removed on
purpose, or what is done about the others.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from kinebackup.engine.format import parity
from kinebackup.engine.format.constants import INDEX, REMOVAL, SNAPSHOT
from kinebackup.engine.format.layout import (
    INDEX as INDEX_DIRECTORY,
)
from kinebackup.engine.format.layout import (
    PARITY,
    PARITY_SUFFIX,
    REMOVALS,
    SNAPSHOTS,
    is_file_name,
    pack_directory,
    parity_path,
)
from kinebackup.engine.repository.store import Store, Unlistable
from kinebackup.errors import Damaged, NotFound
from kinebackup.model import FileName

_DIRECTORY_OF: Final = {bytes(INDEX): INDEX_DIRECTORY, bytes(SNAPSHOT): SNAPSHOTS, bytes(REMOVAL): REMOVALS}


def find_lost_files(store: Store) -> dict[str, tuple[FileName, ...]]:
    """By directory, the index files, snapshots and removal records that are only in ``parity/``.

    A pack is not among them: the index says which should be there. Raises ``DriveFailed``.
    """
    found: dict[str, list[FileName]] = {directory: [] for directory in _DIRECTORY_OF.values()}
    protected = {sub: names for sub, names in parity_names(store) if names}
    small = {name for directory in found for name in _names(store, directory)} if protected else set()
    for name in _orphans(store, protected, small):
        directory = _DIRECTORY_OF.get(_type_of(store, name))
        if directory is not None:
            found[directory].append(name)
    return {directory: tuple(names) for directory, names in found.items()}


def parity_names(store: Store) -> Iterator[tuple[str, set[str]]]:
    """The names of the files that have a parity file, by the first two digits that they have in common."""
    try:
        folders = store.subdirectories(PARITY)
    except Unlistable:
        folders = [f"{number:02x}" for number in range(256)]
    for sub in folders:
        names = (name.removesuffix(PARITY_SUFFIX) for name in _names(store, f"{PARITY}/{sub}"))
        yield sub, {name for name in names if is_file_name(name) and name[:2] == sub}


def _orphans(store: Store, protected: Mapping[str, set[str]], small: set[str]) -> Iterator[FileName]:
    """``small``: the names of all files but packs."""
    for sub, names in protected.items():
        left = names - small
        if left:
            yield from map(FileName, sorted(left.difference(_names(store, pack_directory(sub)))))


def _names(store: Store, directory: str) -> list[str]:
    try:
        return [info.name for info in store.list_files(directory)]
    except Unlistable as error:
        return [info.name for info in error.found]


def _type_of(store: Store, name: FileName) -> bytes:
    """The letter of the sealed file that this is the parity file of; empty where it is no copy, or damaged."""
    path = parity_path(name)
    try:
        return parity.type_in_copy(lambda at, size: store.read(path, at, size))
    except (Damaged, NotFound):
        return b""
