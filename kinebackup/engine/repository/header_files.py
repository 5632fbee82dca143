"""The three copies of the header on a drive: reading, replacing and healing them.

Owns: the order in which copies are written, and which of them is believed. Does not know: what the slots in it open.
"""

from collections.abc import Sequence
from contextlib import suppress

from kinebackup.engine.format import header
from kinebackup.engine.format.constants import MAX_HEADER_BYTES
from kinebackup.engine.format.header import Header, UnlockedHeader
from kinebackup.engine.format.key_schedule import RepositoryKeys
from kinebackup.engine.format.layout import HEADER_COPIES, PACKS, SNAPSHOTS, TOP
from kinebackup.engine.repository.store import Store, Unlistable
from kinebackup.errors import Damaged, DriveFailed, NotFound
from kinebackup.i18n import _


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
    """Replace the three copies, last one first: at any instant at least two are whole, and old or new."""
    _write_copies(store, header.encode(new, keys), HEADER_COPIES)


def heal_header_copies(store: Store, unlocked: UnlockedHeader) -> tuple[str, ...]:
    """Write the newest copy over those that are damaged, missing, older or of another drive; returns their names.

    It completes an interrupted change of keys. A copy in whose place a folder with something in it stands stays as it
    is: the others are enough, and a verification tells of it.
    """
    found: dict[str, bytes] = {}
    for name in HEADER_COPIES:
        with suppress(NotFound, Damaged):
            found[name] = read_header_copy(store, name)
    known = unlocked.header
    for data, candidate in header.candidates(found.values()):
        with suppress(Damaged):
            header.authenticate(data, candidate, unlocked.master)
            if candidate.repository == known.repository and candidate.generation >= known.generation:
                worse = [name for name in reversed(HEADER_COPIES) if found.get(name) != data]
                return tuple(name for name in worse if _replaced(store, data, name))
    return ()


def _replaced(store: Store, data: bytes, name: str) -> bool:
    try:
        _write_copies(store, data, [name])
    except Damaged:
        return False
    return True


def _write_copies(store: Store, data: bytes, names: Sequence[str]) -> None:
    for name in reversed(names):
        pending = store.create()
        try:
            pending.write(data)
            pending.commit(name)
        except BaseException:
            pending.abandon()
            raise
        store.sync_directories([TOP])
