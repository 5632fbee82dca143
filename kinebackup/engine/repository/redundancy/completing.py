"""The end of a run that writes: every file of the drive has its parity file, and every parity file its own.

Owns: what is lacking, what is made of it in one run, what is swept. Does not know: the form of parity, or healing.

A run that was cut off, or a drive that was full, leaves files without parity; somebody may have deleted one; a
verification may have found one bad, and marked it. None of that is remembered: what lies there is compared by name and
length, which costs some milliseconds.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.layout import (
    DAMAGED,
    INDEX,
    PARITY,
    REMOVALS,
    SNAPSHOTS,
    is_file_name,
    pack_path,
    parity_path,
)
from kinebackup.engine.format.parity import HEAD_BYTES, MAX_FILE_BYTES, columns_of, is_copy, size_of
from kinebackup.engine.repository.damage_markers import remove_parity_markers, set_markers
from kinebackup.engine.repository.redundancy.parity_writer import UnsoundFile
from kinebackup.engine.repository.repository import WritableRepository
from kinebackup.engine.repository.store import FileInfo, Store, Unlistable
from kinebackup.errors import Damaged, NotFound
from kinebackup.i18n import _, ngettext
from kinebackup.model import CancelToken, FileName, Problem

MOST_BYTES: Final = 4 * 2**30
"""Read in one run for the sake of parity that earlier ones owe: some minutes of a slow drive."""

_SUFFIX: Final = ".xor"


@dataclass(frozen=True, slots=True)
class _Protected:
    """A file that is to have parity. ``size`` in bytes."""

    path: str
    size: int

    @property
    def name(self) -> FileName:
        return FileName(self.path.rpartition("/")[2])

    def could_be(self, parity_bytes: int) -> bool:
        """Whether its parity file may be of that length."""
        return any(parity_bytes == size_of(self.size, columns_of(self.size, is_copy=each)) for each in (True, False))


def complete_parity(
    repository: WritableRepository, cancel: CancelToken, *, sweep: bool = False, most_bytes: int = MOST_BYTES
) -> tuple[Problem, ...]:
    """Write what this run owes, then what earlier ones owe, up to ``most_bytes`` read, until somebody asks to stop.

    ``sweep``: whatever belongs to no file goes; it is known that nothing is lost. Else a copy stays, by which a lost
    file may come back. Returns what is to be told: no room, more to be made, files that turned out to be damaged,
    and what stood in the place of files that are there again.
    """
    repository.parity.settle(cancel)
    there, whole = parity_files(repository.store)
    wanted = {each.name: each for each in _protected(repository)}
    if whole and not repository.inventory.has_unlistable_folders:
        _sweep(repository, [name for name in there if name not in wanted], everything=sweep)
    marked = _marked(repository.store)
    lacking = [
        each
        for name, each in wanted.items()
        if name in marked or name not in there or not there[name].is_file or not each.could_be(there[name].size)
    ]
    problems, left = _make(repository, lacking, cancel, most_bytes) if lacking else ((), 0)
    problems = (*map(_set_aside, repository.store.set_aside), *problems)
    repository.parity.sync()
    remove_parity_markers(repository.store, [name for name in marked if name not in wanted])
    if repository.parity.has_no_room:
        return (*problems, _no_room())
    return (*problems, _more_to_be_made(left)) if left else problems


def parity_files(store: Store) -> tuple[dict[FileName, FileInfo], bool]:
    """What bears the name of a parity file, by the name of the file that it belongs to; False: there may be more."""
    found: dict[FileName, FileInfo] = {}
    whole = True
    try:
        folders = store.subdirectories(PARITY)
    except Unlistable:
        return found, False
    for folder in folders:
        try:
            infos = store.list_files(f"{PARITY}/{folder}")
        except Unlistable as error:
            infos, whole = error.found, False
        for info in infos:
            name = info.name.removesuffix(_SUFFIX)
            if info.name.endswith(_SUFFIX) and is_file_name(name) and name[:2] == folder:
                found[FileName(name)] = info
    return found, whole


def _protected(repository: WritableRepository) -> Iterator[_Protected]:
    """The small ones first: everything hangs on them."""
    for directory in (INDEX, SNAPSHOTS, REMOVALS):
        try:
            infos = repository.store.list_files(directory)
        except Unlistable as error:
            infos = error.found
        for info in infos:
            if is_file_name(info.name) and info.is_file and 0 < info.size <= MAX_FILE_BYTES:
                yield _Protected(f"{directory}/{info.name}", info.size)
    for name, size in repository.packs.items():
        if 0 < size <= MAX_FILE_BYTES:
            yield _Protected(pack_path(name), size)


def _marked(store: Store) -> set[FileName]:
    """Parity files that a verification found bad."""
    return {FileName(name.removesuffix(_SUFFIX)) for name in _markers(store) if name.endswith(_SUFFIX)}


def _markers(store: Store) -> set[FileName]:
    try:
        infos = store.list_files(DAMAGED)
    except Unlistable as error:
        infos = error.found
    return {FileName(info.name) for info in infos}


def _sweep(repository: WritableRepository, orphans: list[FileName], *, everything: bool) -> None:
    """Without its file, parity of columns is of no use; a copy is all that is left of one that was lost."""
    repository.parity.remove([name for name in orphans if everything or not _is_copy(repository.store, name)])


def _is_copy(store: Store, name: FileName) -> bool:
    with suppress(Damaged, NotFound):
        return bool(is_copy(store.read(parity_path(name), 0, HEAD_BYTES)))
    return False


def _make(
    repository: WritableRepository, lacking: list[_Protected], cancel: CancelToken, most_bytes: int
) -> tuple[tuple[Problem, ...], int]:
    """Returns what is to be told, and for how many files there was no time."""
    data = _data_packs(repository)
    known_bad = repository.inventory.marked | repository.inventory.damaged_index_files
    known_bad |= {each.name for each in repository.snapshots().unreadable}
    told = _markers(repository.store)  # by this run; one that could not be read once may be sound all the same
    problems: list[Problem] = []
    read = 0
    # Half of what is free stays free: else the next backup would have to take it away again.
    room = repository.store.free_bytes() // 2
    lacking = [each for each in lacking if each.name not in known_bad]  # of these no parity can be made
    for number, each in enumerate(lacking):
        as_copy = each.name not in data
        room -= size_of(each.size, columns_of(each.size, is_copy=as_copy))
        if cancel.cancelled or read >= most_bytes or room < 0 or repository.parity.has_no_room:
            return tuple(problems), len(lacking) - number
        read += each.size
        try:
            made = repository.parity.write(each.path, is_copy=as_copy)
        except UnsoundFile as error:
            if each.name not in told:
                problems.append(Problem("damaged", each.path, error.message))
                set_markers(repository.store, [each.name])
            continue
        except Damaged as error:
            problems.append(Problem("damaged", parity_path(each.name), error.message))
            continue
        if made:
            remove_parity_markers(repository.store, [each.name])
    return tuple(problems), 0


def _data_packs(repository: WritableRepository) -> set[FileName]:
    """The packs that get columns; any other file gets a copy. One that no table lists is taken for one of data."""
    data: set[FileName] = set()
    listed: set[FileName] = set()
    for table in repository.index.tables:
        of_data = {pack for pack, *_rest, kind in table.raw_segments() if kind == Kind.DATA}
        data |= {table.packs[number].name for number in of_data}
        listed |= {each.name for each in table.packs}
    return data | (repository.packs.keys() - listed)


def _set_aside(path: str) -> Problem:
    text = _("a folder stood in the place of a file of the drive; the file is back, and the folder has this name now")
    return Problem("healed", path, text)


def _no_room() -> Problem:
    text = _("all was saved, but the drive has no room left for what repairs it when a part of it is damaged")
    return Problem("redundancy", PARITY, text)


def _more_to_be_made(count: int) -> Problem:
    text = ngettext(
        "{count} file of the drive cannot be repaired yet if it is damaged; the next backups see to it",
        "{count} files of the drive cannot be repaired yet if they are damaged; the next backups see to it",
        count,
    )
    return Problem("redundancy", PARITY, text.format(count=count))
