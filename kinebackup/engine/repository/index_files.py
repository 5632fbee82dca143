"""The index files of a repository: writing, merging, and bringing them back in step with the packs.

Owns: which index files there are. Does not know: how a repository came to lose files, or how lost content is saved
again (the next backup does that by itself: what is in no sound pack counts as unknown).
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Final

from kinebackup.engine.format import compression, index
from kinebackup.engine.format.constants import INDEX, SALT_BYTES
from kinebackup.engine.format.index import LARGE_BLOBS, IndexTable, merge
from kinebackup.engine.format.layout import INDEX as INDEX_DIRECTORY
from kinebackup.engine.format.layout import index_path, marker_path, pack_directory, pack_path
from kinebackup.engine.format.seal import seal_single
from kinebackup.engine.repository.files import write_file
from kinebackup.engine.repository.repository import WritableRepository
from kinebackup.errors import Damaged
from kinebackup.model import Entropy, FileName

MAX_INDEX_FILES: Final = 6  # more are merged at the end of a run: each costs a look-up for every blob


def write_index(repository: WritableRepository, plain: bytes, entropy: Entropy) -> FileName:
    """Write an index file of that plaintext; returns its name."""
    data = seal_single(repository.keys, INDEX, entropy(SALT_BYTES), compression.compress(plain))
    name = FileName(hashlib.sha256(data).hexdigest())
    write_file(repository.store, index_path(name), data)
    repository.parity.owe_copy(index_path(name), data)
    return name


def list_packs_in_index(repository: WritableRepository, entropy: Entropy) -> None:
    """Write index files for the packs that none lists yet: those of this run, and of one that was interrupted."""
    # Mostly one group; after the loss of all index files, as many as the whole drive needs.
    for group in index.grouped(repository.unlisted):
        plain = index.encode(group)
        repository.add_table(IndexTable(plain, write_index(repository, plain, entropy)))
    repository.unlisted = []


def replace_index(repository: WritableRepository, keep: Collection[FileName], entropy: Entropy) -> None:
    """Write the whole index anew, of these packs alone; the old files go when the new ones are durable.

    One that the drive refused to read goes too: it lists packs that go now, and a prune begins only where every pack is
    known without it.
    """
    obsolete = repository.list_names(INDEX_DIRECTORY)
    written = {write_index(repository, plain, entropy) for plain in merge(repository.index.tables, keep)}
    _remove(repository, (name for name in obsolete if name not in written))


def drop_packs(repository: WritableRepository, packs: Sequence[FileName], entropy: Entropy) -> None:
    """Take packs that nothing needs out of the index, then off the drive."""
    if not packs:
        return
    replace_index(repository, repository.packs.keys() - set(packs), entropy)
    repository.parity.remove(packs)
    for name in packs:
        repository.store.remove(pack_path(name))
        repository.store.remove(marker_path(name))
    repository.forget_packs(packs)
    repository.store.sync_directories(sorted({pack_directory(name) for name in packs}))


def merge_index(repository: WritableRepository, entropy: Entropy, *, large_blobs: int = LARGE_BLOBS) -> None:
    """Replace many index files by few. The old ones go only when the new ones are durable.

    Files of ``large_blobs`` or more stay as they are, where all files are known: a day's few blobs are not worth
    writing the index of a million files.
    """
    if repository.inventory.has_unlistable_folders:  # there may be more of them
        return
    names = _not_refused(repository)
    if len(names) <= MAX_INDEX_FILES:
        return
    tables = repository.index.tables
    small = {table.name: table for table in tables if table.name is not None and table.count < large_blobs}
    large = {table.name for table in tables if table.name is not None and table.count >= large_blobs}
    obsolete = [name for name in names if name not in large]
    if not all(name in small for name in obsolete):  # a damaged one among them: all are written anew
        obsolete = names
    elif len(obsolete) < 2:
        return
    else:
        tables = [small[name] for name in obsolete]
    # What this run has loaded and listed is all there is to list: packs of a damaged index file were among the
    # unlisted ones, and are listed by now.
    packs = {listed.name for table in tables for listed in table.packs}
    written = {write_index(repository, plain, entropy) for plain in merge(tables, packs)}
    _remove(repository, (name for name in obsolete if name not in written))


def forget_lost_files(repository: WritableRepository, entropy: Entropy) -> None:
    """After a run: list only packs that are there, and drop the index files that could not be read.

    Nothing is lost by it: a pack that turns up again is known by its own table, and so is everything that a damaged
    index file listed. The run has listed all packs that no index file listed before. An index file that the drive
    refused to read stays: that may pass, and nobody knows what is in it.
    """
    inventory = repository.inventory
    obsolete = set(inventory.damaged_index_files)
    missing = inventory.missing_packs
    if missing and not inventory.has_unlistable_folders:  # such a folder may hold them
        obsolete |= set(_not_refused(repository))
        for plain in merge(repository.index.tables, repository.packs):
            obsolete.discard(write_index(repository, plain, entropy))
        for name in missing:
            with suppress(Damaged):
                repository.store.remove(marker_path(name))
    _remove(repository, obsolete)


def _not_refused(repository: WritableRepository) -> list[FileName]:
    refused = repository.inventory.refused_index_files
    return [name for name in repository.list_names(INDEX_DIRECTORY) if name not in refused]


def _remove(repository: WritableRepository, names: Iterable[FileName]) -> None:
    gone = list(names)
    repository.parity.remove(gone)
    for name in gone:
        with suppress(Damaged):  # something that is no file stands in its place: it is reported each time
            repository.store.remove(index_path(name))
    if gone:
        repository.store.sync_directories([INDEX_DIRECTORY])
