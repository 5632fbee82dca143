"""Which header is that of a drive, where its copies and others that were given do not agree (FORMAT.md §3).

Owns: the proof by a sealed file, and the choice. Does not know: where the headers come from.

What a master key opens is one practice; which of its repositories a drive holds, only a file that was sealed for it
proves. So a header from elsewhere, an altered one, or one of several may name the repository, and never has the last
word.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

from kinebackup.engine.format import header
from kinebackup.engine.format.constants import INDEX, SNAPSHOT, FileType
from kinebackup.engine.format.header import UnlockedHeader
from kinebackup.engine.format.key_schedule import MasterKey, RepositoryKeys
from kinebackup.engine.format.keyring import Secret
from kinebackup.engine.format.layout import INDEX as INDEX_FOLDER
from kinebackup.engine.format.layout import SNAPSHOTS, index_path, snapshot_path
from kinebackup.engine.format.seal import open_single
from kinebackup.engine.repository.header_files import read_header_copies
from kinebackup.engine.repository.inventory import find_packs, names_to_try, read_named
from kinebackup.engine.repository.pack_writer import read_pack_table
from kinebackup.engine.repository.store import Store
from kinebackup.errors import Damaged, NotFound
from kinebackup.i18n import _
from kinebackup.model import FileName

_TRIED: Final = 500
"""Of each kind at most so many files: of a drive of another practice, none of a hundred thousand opens."""

_Opens = Callable[[RepositoryKeys], object]


def unlock_drive(store: Store, secret: Secret | MasterKey, elsewhere: Sequence[bytes] = ()) -> UnlockedHeader:
    """The drive's header: one of its copies, or one from ``elsewhere`` where none of these is right for its files.

    Raises ``NotFound`` where there is no repository, ``WrongKey`` where nothing opens, ``Damaged``.
    """
    try:
        copies = read_header_copies(store)
    except Damaged:
        if not elsewhere:
            raise
        copies = []
    return _choose(store, header.openings(copies, secret, elsewhere))


def _choose(store: Store, found: Sequence[UnlockedHeader]) -> UnlockedHeader:
    best = found[0]
    own = not (best.altered or best.elsewhere)
    repositories = {each.header.repository: each.keys for each in reversed(found)}
    if own and len(repositories) == 1:
        return best
    proven = _proven(store, list(reversed(repositories.items())))
    if proven is not None:
        return next(each for each in found if each.header.repository == proven)
    if own:  # a drive that holds nothing yet, or nothing that can be read
        return best
    raise Damaged(
        _("nothing on this drive shows that this header is its own"),
        _("another drive's key export does not open it; see the labels in that file, or use your other drive"),
    )


def _proven(store: Store, candidates: Sequence[tuple[str, RepositoryKeys]]) -> str | None:
    """The repository of which a sealed file on the drive opens."""
    for opens in _sealed_files(store):
        for repository, keys in candidates:
            with suppress(Damaged, NotFound):
                opens(keys)
                return repository
    return None


def _sealed_files(store: Store) -> Iterator[_Opens]:
    """For each file what authenticates it with the keys that it is called with; the smallest files first."""

    def single(path: str, kind: FileType) -> _Opens:
        return lambda keys: open_single(keys, kind, read_named(store, path))

    def pack(name: FileName) -> _Opens:
        return lambda keys: read_pack_table(store, keys, name)

    for name in names_to_try(store, SNAPSHOTS)[0][:_TRIED]:
        yield single(snapshot_path(name), SNAPSHOT)
    for name in names_to_try(store, INDEX_FOLDER)[0][:_TRIED]:
        yield single(index_path(name), INDEX)
    for name in islice(find_packs(store)[0], _TRIED):
        yield pack(name)
