"""The copies of the header on a drive: reading, replacing and healing them.

Owns: the order in which copies are written, and which of them is believed. Does not know: what the slots in it open.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from kinebackup.engine.format import header
from kinebackup.engine.format.constants import MAX_HEADER_BYTES
from kinebackup.engine.format.header import Header, UnlockedHeader
from kinebackup.engine.format.key_schedule import RepositoryKeys
from kinebackup.engine.format.layout import (
    FIRST_HEADERS,
    HEADER_COPIES,
    PACKS,
    PARITY,
    SNAPSHOTS,
    SPREAD_HEADER,
)
from kinebackup.engine.repository.store import Store, Unlistable
from kinebackup.errors import Damaged, DriveFailed, NotFound
from kinebackup.i18n import _

_TOGETHER_NS: Final = 60 * 10**9


def read_header_copy(store: Store, name: str) -> bytes:
    """One copy; of a file that is too long to be one, no more than shows it. Raises ``NotFound`` or ``Damaged``."""
    return store.read(name, 0, min(store.size(name), MAX_HEADER_BYTES + 1))


def read_header_copies(store: Store) -> list[bytes]:
    """The header copies that can be read.

    Raises ``NotFound`` where the folder holds no repository at all, ``Damaged`` where it holds one without its header.
    """
    copies: list[bytes] = []
    unreadable: Damaged | None = None
    for name in HEADER_COPIES:
        try:
            copies.append(read_header_copy(store, name))
        except NotFound:
            continue
        except Damaged as error:
            unreadable = error
    if not copies:
        if unreadable and isinstance(unreadable.__cause__, PermissionError):
            raise DriveFailed(
                _("this account may not read the files of the drive"), _("run the command with: sudo")
            ) from unreadable
        if unreadable or _holds_backups(store):
            raise Damaged(_("no copy of the drive's header can be read"), header.damaged_hint()) from unreadable
        raise NotFound(
            _("there is no KineBackup repository here"), _("prepare the drive with: kinebackup drive enroll")
        )
    return copies


def _holds_backups(store: Store) -> bool:
    try:
        return bool(store.list_files(SNAPSHOTS) or store.subdirectories(PACKS))
    except Unlistable:
        return True


def read_headers(store: Store) -> list[Header]:
    """What the copies say, the most credible first; not authenticated, for no key is needed. Raises as the above."""
    return [found for _data, found in header.candidates(read_header_copies(store))]


def write_header(store: Store, new: Header, keys: RepositoryKeys) -> None:
    """Replace all copies, last one first: at any instant all but one are whole, and old or new.

    Where something else stands in the place of the parity folder, the three first copies are all there are.
    """
    data = header.encode(new, keys)
    with suppress(Damaged):
        store.make_directories([PARITY])
        _write_copies(store, data, [SPREAD_HEADER])
    _write_copies(store, data, FIRST_HEADERS)


def heal_header_copies(store: Store, unlocked: UnlockedHeader) -> tuple[str, ...]:
    """Write the newest copy over those that are damaged, missing, older or of another drive; returns their names.

    It completes an interrupted change of keys. Where no copy is the drive's own, all are written by what opened
    it. A copy that cannot be written stays as it is: the others are enough, and a verification tells of it.
    """
    found: dict[str, bytes] = {}
    for name in HEADER_COPIES:
        with suppress(NotFound, Damaged):
            found[name] = read_header_copy(store, name)
    data = _newest(found.values(), unlocked)
    if SPREAD_HEADER not in found:
        with suppress(Damaged):
            store.make_directories([PARITY])
    worse = [name for name in reversed(HEADER_COPIES) if found.get(name) != data]
    return tuple(name for name in worse if _replaced(store, data, name))


def _newest(copies: Iterable[bytes], unlocked: UnlockedHeader) -> bytes:
    known = unlocked.header
    with suppress(Damaged):  # none is a header
        for data, candidate in header.candidates(copies):
            with suppress(Damaged):
                header.authenticate(data, candidate, unlocked.master)
                if candidate.repository == known.repository and candidate.generation >= known.generation:
                    return data
    return header.encode(known, unlocked.keys)


def renew_spread_copy(store: Store, unlocked: UnlockedHeader) -> bool:
    """Write the copy in the parity folder again where it was written together with the others, or is none of them.

    On many drives what is written within a minute lies side by side, and one bad place would take all copies.
    """
    data = _newest([], unlocked)
    with suppress(NotFound, Damaged):
        data = read_header_copy(store, FIRST_HEADERS[0])
        there = read_header_copy(store, SPREAD_HEADER)
        if there == data and _written_ns(store, SPREAD_HEADER) - _written_ns(store, FIRST_HEADERS[0]) > _TOGETHER_NS:
            return False
    with suppress(Damaged):
        store.make_directories([PARITY])
    return _replaced(store, data, SPREAD_HEADER)


def _written_ns(store: Store, path: str) -> int:
    folder, _slash, name = path.rpartition("/")
    return next((info.written_ns for info in store.list_files(folder) if info.name == name), 0)


def _replaced(store: Store, data: bytes, name: str) -> bool:
    try:
        _write_copies(store, data, [name])
    except Damaged:
        return False
    return True


def _write_copies(store: Store, data: bytes, names: Sequence[str]) -> None:
    for name in reversed(names):
        pending = store.create(apart=len(data))
        try:
            pending.write(data)
            pending.commit(name)
        except BaseException:
            pending.abandon()
            raise
        store.sync_directories([name.rpartition("/")[0]])
