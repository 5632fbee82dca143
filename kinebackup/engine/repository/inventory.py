"""What lies on a drive beside what should lie there, as reading the index showed it.

Owns: the walk over packs, index files and markers, and each thing that it finds amiss, as a value. Does not know: the
words for it (findings.py), or what is done about it.
"""

import errno
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from kinebackup.engine.format import compression
from kinebackup.engine.format.constants import FRAME_BYTES, INDEX, MAX_SEALED_RECORD_BYTES
from kinebackup.engine.format.index import IndexTable
from kinebackup.engine.format.key_schedule import RepositoryKeys
from kinebackup.engine.format.layout import DAMAGED, PACKS, REMOVALS, SNAPSHOTS, index_path, is_file_name, pack_path
from kinebackup.engine.format.layout import INDEX as INDEX_DIRECTORY
from kinebackup.engine.format.pack import Pack
from kinebackup.engine.format.seal import open_single
from kinebackup.engine.repository.pack_writer import read_pack_table
from kinebackup.engine.repository.redundancy.healing import HealingStore, read_healed
from kinebackup.engine.repository.store import FileInfo, Store, Unlistable, not_a_file, unlistable
from kinebackup.errors import Damaged, NotFound
from kinebackup.i18n import _
from kinebackup.model import FileName


class MissingPack(msgspec.Struct, frozen=True):
    """An index file lists the pack; it is not on the drive."""

    pack: FileName


class ResizedPack(msgspec.Struct, frozen=True):
    """The pack is on the drive with another length than the index lists."""

    pack: FileName


class UnreadablePack(msgspec.Struct, frozen=True):
    """No index file lists the pack, and its own table cannot be read; or something else stands in its place."""

    pack: FileName
    reason: str


class UnreadableIndexFile(msgspec.Struct, frozen=True):
    """What it listed is known from other index files, or from the tables of the packs.

    ``refused``: the drive gave an error instead of the bytes, which may be sound, and come another time.
    """

    name: FileName
    reason: str
    refused: bool = False


class UnlistableFolder(msgspec.Struct, frozen=True):
    """What is in the other folders can still be restored, and what is named elsewhere can still be tried."""

    path: str
    reason: str


Finding = MissingPack | ResizedPack | UnreadablePack | UnreadableIndexFile | UnlistableFolder


@dataclass(frozen=True, slots=True)
class Inventory:
    """A drive as it was when its index was read.

    ``packs``: name and size in bytes of each pack that is there; ``written_ns``: when, as the file system says.
    ``unlisted``: those that no index file lists, by their own tables. ``marked``: packs and snapshots that failed an
    earlier verification. ``tables``: the index files that could be read. ``names``: what bears a name of ours in the
    other directories. ``healed``: packs that are not on the drive, or not as long as they were, and are read by parity.
    """

    packs: Mapping[FileName, int]
    tables: tuple[IndexTable, ...]
    unlisted: tuple[Pack, ...]
    marked: frozenset[FileName]
    findings: tuple[Finding, ...]
    names: Mapping[str, frozenset[FileName]]
    written_ns: Mapping[FileName, int]
    healed: frozenset[FileName] = frozenset()

    @property
    def missing_packs(self) -> tuple[FileName, ...]:
        return tuple(found.pack for found in self.findings if isinstance(found, MissingPack))

    @property
    def damaged_index_files(self) -> frozenset[FileName]:
        """Those whose bytes were read, and are wrong."""
        return frozenset(f.name for f in self.findings if isinstance(f, UnreadableIndexFile) and not f.refused)

    @property
    def refused_index_files(self) -> frozenset[FileName]:
        """Those that the drive did not give. They may list what nothing else does."""
        return frozenset(f.name for f in self.findings if isinstance(f, UnreadableIndexFile) and f.refused)

    @property
    def knows_every_pack(self) -> bool:
        """Whether what lies in each pack that is there is known, by an index file that was read or its own table."""
        return not any(isinstance(found, UnreadablePack | UnlistableFolder) for found in self.findings)

    @property
    def has_unlistable_folders(self) -> bool:
        """Whether packs or snapshots may be there that nobody can see."""
        return any(isinstance(found, UnlistableFolder) for found in self.findings)

    def is_known(self, finding: Finding) -> bool:
        """Whether an earlier verification has reported it: that pack is marked."""
        return isinstance(finding, ResizedPack | UnreadablePack) and finding.pack in self.marked


def take_inventory(store: HealingStore, keys: RepositoryKeys) -> Inventory:
    """Read every index file, and the tables of packs that none of them lists. Raises ``DriveFailed``.

    What parity heals is no finding: it can be read.
    """
    infos, findings = find_packs(store)
    packs = {name: info.size for name, info in infos.items()}
    names = {each: _names_found(store, each, findings) for each in (INDEX_DIRECTORY, DAMAGED, SNAPSHOTS, REMOVALS)}
    tables: list[IndexTable] = []
    for name in names[INDEX_DIRECTORY]:
        try:
            tables.append(read_index_file(store, keys, name))
        except (Damaged, NotFound) as error:
            findings.append(UnreadableIndexFile(name, error.message, refused=_is_refusal(error)))
    tables += _lost_tables(store, keys, packs, tables)
    listed = {pack.name: pack.size for table in tables for pack in table.packs}
    odd = {found.pack for found in findings if isinstance(found, UnreadablePack)}
    amiss = {*odd, *(name for name, size in listed.items() if packs.get(name) != size)}
    healed = {name for name in sorted(amiss) if store.heal(pack_path(name))}
    packs |= {name: store.size(pack_path(name)) for name in healed}
    findings = [found for found in findings if not (isinstance(found, UnreadablePack) and found.pack in healed)]
    unlisted: list[Pack] = []
    for name in sorted(packs.keys() - listed.keys()):
        try:
            unlisted.append(read_healed(store, pack_path(name), partial(read_pack_table, store, keys, name)))
        except (Damaged, NotFound) as error:
            findings.append(UnreadablePack(name, error.message))
    for name, size in sorted(listed.items()):
        if name in odd - healed:
            continue
        if name not in packs:
            findings.append(MissingPack(name))
        elif packs[name] != size:
            findings.append(ResizedPack(name))
    return Inventory(
        packs,
        tuple(tables),
        tuple(unlisted),
        frozenset(names[DAMAGED]),
        tuple(findings),
        _sets(names),
        {name: info.written_ns for name, info in infos.items()},
        frozenset(name for name in healed if not store.is_on_drive(pack_path(name))),
    )


def _lost_tables(
    store: HealingStore, keys: RepositoryKeys, packs: Mapping[FileName, int], tables: Sequence[IndexTable]
) -> list[IndexTable]:
    """Index files that are gone and are needed; not those that others replaced, and whose parity a killed run left."""
    listed = {pack.name for table in tables for pack in table.packs}
    found: list[IndexTable] = []
    for name in store.lost_files(INDEX_DIRECTORY):
        data = store.copy_of(index_path(name))
        if data is None or any(table.name == name for table in tables):
            continue
        try:
            table = _table_of(data, keys, name)
        except Damaged:
            continue
        names = {pack.name for pack in table.packs}
        there = all(pack in packs or store.has_parity(pack_path(pack)) for pack in names)  # else it was removed
        if there and not names <= listed and store.heal(index_path(name)):
            listed |= names
            found.append(table)
    return found


def _is_refusal(error: Damaged | NotFound) -> bool:
    """Whether the drive gave no bytes; not that other ones are there, or something that is no file."""
    cause = error.__cause__  # the store keeps what the system said
    return isinstance(cause, OSError) and cause.errno not in (errno.ENOENT, errno.ELOOP, errno.EISDIR)


def find_packs(store: Store) -> tuple[dict[FileName, FileInfo], list[Finding]]:
    """Each pack that is there, the folders that cannot be listed, and what stands in the place of a pack."""
    packs: dict[FileName, FileInfo] = {}
    findings: list[Finding] = []
    try:
        folders, whole = store.subdirectories(PACKS), True
    except Unlistable as error:  # each of them may be there all the same
        findings.append(UnlistableFolder(PACKS, error.message))
        folders, whole = [f"{number:02x}" for number in range(256)], False
    for sub in folders:
        try:
            infos = store.list_files(f"{PACKS}/{sub}")
        except Unlistable as error:
            infos = error.found
            if whole:
                findings.append(UnlistableFolder(f"{PACKS}/{sub}", error.message))
        for info in infos:
            if not is_file_name(info.name) or info.name[:2] != sub:
                continue
            name = FileName(info.name)
            if info.is_file:
                packs[name] = info
            else:
                findings.append(UnreadablePack(name, not_a_file(pack_path(name))))
    return packs, findings


def list_names(store: Store, directory: str) -> list[FileName]:
    """What bears a name of ours in ``index``, ``snapshots``, ``removals`` or ``damaged``. Raises ``Unlistable``."""
    return _ours(store.list_files(directory))


def names_to_try(store: Store, directory: str) -> tuple[list[FileName], bool]:
    """The same; of a directory that cannot be listed to its end, what could be, and False."""
    try:
        return list_names(store, directory), True
    except Unlistable as error:
        return _ours(error.found), False


def _sets(names: Mapping[str, list[FileName]]) -> dict[str, frozenset[FileName]]:
    """Markers are set by whoever reads: they tell nothing of a writer."""
    return {directory: frozenset(found) for directory, found in names.items() if directory != DAMAGED}


def has_changed(store: Store, then: Inventory) -> bool:
    """Whether packs, index files, snapshots or removal records came or went since."""
    if find_packs(store)[0].keys() | then.healed != then.packs.keys():
        return True
    return any(set(names_to_try(store, directory)[0]) != names for directory, names in then.names.items())


def _names_found(store: Store, directory: str, findings: list[Finding]) -> list[FileName]:
    names, whole = names_to_try(store, directory)
    if not whole:
        findings.append(UnlistableFolder(directory, unlistable(directory)))
    return names


def _ours(infos: list[FileInfo]) -> list[FileName]:
    return [FileName(info.name) for info in infos if is_file_name(info.name)]


def other_bytes() -> str:
    """What is said of a file that is named after its content, and holds another one."""
    return _("its bytes are not those that its name stands for")


def read_named(store: Store, path: str) -> bytes:
    """An index file or snapshot whose bytes are those that its name stands for. Raises ``Damaged`` or ``NotFound``."""
    if store.size(path) > FRAME_BYTES + MAX_SEALED_RECORD_BYTES:  # before there is a buffer for it
        raise Damaged(_("it is longer than such a file may be"))
    data = store.read(path)
    if hashlib.sha256(data).hexdigest() != path.rpartition("/")[2]:
        raise Damaged(other_bytes())
    return data


def read_index_file(store: HealingStore, keys: RepositoryKeys, name: FileName) -> IndexTable:
    """Raises ``Damaged`` or ``NotFound``."""
    path = index_path(name)
    return read_healed(store, path, lambda: _table_of(read_named(store, path), keys, name))


def _table_of(data: bytes, keys: RepositoryKeys, name: FileName) -> IndexTable:
    return IndexTable(compression.decompress(open_single(keys, INDEX, data)), name)
