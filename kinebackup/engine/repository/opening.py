"""Opening a repository, to read it or as its only writer.

Owns: the one place that takes the lock and opens, or makes a repository. Does not know: whose keys they are.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kinebackup.engine.format import features, header
from kinebackup.engine.format.header import UnlockedHeader
from kinebackup.engine.format.key_schedule import MasterKey, RepositoryKeys
from kinebackup.engine.format.keyring import Keyring, Secret
from kinebackup.engine.format.layout import DIRECTORIES, TOP
from kinebackup.engine.repository.header_files import read_header_copies, write_header
from kinebackup.engine.repository.lock import LockHolder, WriterLock
from kinebackup.engine.repository.redundancy.giving_way import GivingWayStore
from kinebackup.engine.repository.redundancy.identity import unlock_drive
from kinebackup.engine.repository.repository import LockedRepository
from kinebackup.engine.repository.store import FolderStore, Store
from kinebackup.errors import KineError, NotFound
from kinebackup.i18n import _


@contextlib.contextmanager
def open_store(root: str) -> Iterator[FolderStore]:
    """The files of a repository, to be read. ``root``: its KINEBACKUP directory. Raises ``NotFound``."""
    with contextlib.closing(FolderStore(root)) as store:
        yield store


@dataclass(frozen=True, slots=True)
class LockedStore:
    """The files of a repository, which nobody else writes to as long as this is held."""

    store: GivingWayStore
    lock: WriterLock

    @property
    def left_by(self) -> LockHolder | None:
        """Who held the lock before and ended without letting go of it."""
        return self.lock.stale

    def open(self, secret: Secret | MasterKey, elsewhere: Sequence[bytes] = ()) -> LockedRepository:
        """``elsewhere``: headers to try besides the drive's copies.

        Raises ``NotFound``, ``WrongKey``, ``NeedsNewer``, or ``Damaged``, also where the header is good to read only.
        """
        unlocked = unlock_drive(self.store, secret, elsewhere)
        if unlocked.altered:
            raise header.changed_by_somebody()
        features.check_reading(unlocked.header.features_needed_to_read)
        features.check_writing(unlocked.header.features_needed_to_write)
        repository = LockedRepository(self.store, unlocked, self.lock)
        if unlocked.elsewhere:
            repository.learn_features()
        return repository

    def create(self, *, master: MasterKey, keyring: Keyring, repository: str, created: str) -> LockedRepository:
        """A new, empty repository. ``repository``: 32 random hex digits. Raises ``KineError`` where one is there."""
        try:
            read_header_copies(self.store)
        except NotFound:
            pass
        else:
            raise KineError(
                _("this drive already has a KineBackup repository"), _("use it as it is, or take another drive")
            )
        self.store.make_directories(DIRECTORIES)
        made = self.assume(master=master, keyring=keyring, repository=repository, created=created)
        write_header(self.store, made.header, made.keys)
        self.store.sync_directories([TOP])
        return made

    def assume(self, *, master: MasterKey, keyring: Keyring, repository: str, created: str) -> LockedRepository:
        """The repository of that id as its header would say it, whatever header is there: to give it one again."""
        made = header.make(keyring, repository=repository, created=created)
        keys = RepositoryKeys.derive(master, bytes.fromhex(repository))
        return LockedRepository(self.store, UnlockedHeader(header=made, master=master, keys=keys, slot=None), self.lock)


@contextlib.contextmanager
def lock_store(root: str, holder: LockHolder, store: Store | None = None) -> Iterator[LockedStore]:
    """Become the only writer of the repository in that KINEBACKUP directory. Raises ``Locked`` or ``NotFound``.

    ``store``: another way to its files, where one is meant.
    """
    with contextlib.closing(FolderStore(root)) as folder, WriterLock(root, holder) as lock:
        yield LockedStore(GivingWayStore(store or folder), lock)
