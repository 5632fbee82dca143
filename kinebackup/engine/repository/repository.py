"""A repository in four degrees, each a type: opened, loaded, locked, and writable, which is locked and loaded.

Owns: what may be done in each. Does not know: how backups are made, or which are kept.

Nothing is read of the index before it is loaded, and nothing is written without the lock, because only the type that
has it has the method.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec

from kinebackup.engine.format import features, header, index, snapshot
from kinebackup.engine.format.header import Header, UnlockedHeader
from kinebackup.engine.format.index import IndexTable
from kinebackup.engine.format.key_schedule import MasterKey
from kinebackup.engine.format.keyring import Keyring, Secret
from kinebackup.engine.format.layout import (
    DAMAGED,
    DIRECTORIES,
    INDEX,
    PACKS,
    PARITY,
    REMOVALS,
    SNAPSHOTS,
    TMP,
    is_file_name,
    pack_directory,
    pack_path,
    snapshot_path,
)
from kinebackup.engine.format.pack import Pack
from kinebackup.engine.format.snapshot import NamedSnapshot
from kinebackup.engine.format.snapshot_order import ANYONE, Whose, newest
from kinebackup.engine.repository.blob_index import Index
from kinebackup.engine.repository.condition import Conditions
from kinebackup.engine.repository.header_files import (
    heal_header_copies,
    read_header_copies,
    renew_spread_copy,
    write_header,
)
from kinebackup.engine.repository.inventory import (
    Inventory,
    find_packs,
    has_changed,
    list_names,
    names_to_try,
    read_index_file,
    read_named,
    take_inventory,
)
from kinebackup.engine.repository.lock import WriterLock
from kinebackup.engine.repository.redundancy.giving_way import GivingWayStore
from kinebackup.engine.repository.redundancy.healing import healing
from kinebackup.engine.repository.redundancy.identity import unlock_drive
from kinebackup.engine.repository.redundancy.parity_writer import ParityWriter
from kinebackup.engine.repository.snapshot_list import Removals, SnapshotFiles, SnapshotList
from kinebackup.engine.repository.store import PendingFile, Store, Unlistable, unlistable
from kinebackup.errors import Damaged, KineError, NotFound
from kinebackup.i18n import _
from kinebackup.model import FileName, HealedFile


class Repository:
    """Opened and unlocked; its index has not been read. Reading never changes anything on the drive."""

    def __init__(self, store: Store, unlocked: UnlockedHeader) -> None:
        self.store = healing(store)
        self.unlocked = unlocked
        self.keys = unlocked.keys
        self._list = SnapshotList(self.store, self.keys)

    @classmethod
    def open(cls, store: Store, secret: Secret | MasterKey, elsewhere: Sequence[bytes] = ()) -> "Repository":
        """``elsewhere``: headers to try too. Raises ``NotFound``, ``WrongKey``, ``Damaged`` or ``NeedsNewer``."""
        unlocked = unlock_drive(store, secret, elsewhere)
        features.check_reading(unlocked.header.features_needed_to_read)
        return Repository(store, unlocked)

    @property
    def header(self) -> Header:
        return self.unlocked.header

    @property
    def id(self) -> str:
        return self.header.repository

    @property
    def healed(self) -> tuple[HealedFile, ...]:
        """What was damaged on the drive and came back by its parity, since it was opened."""
        return self.store.healed

    def load(self) -> "LoadedRepository":
        """Read the index, and the tables of packs that no index file lists. Raises ``DriveFailed``."""
        return LoadedRepository(self.store, self.unlocked, take_inventory(self.store, self.keys))

    def list_packs(self) -> dict[FileName, int]:
        """Name and size of each pack that is on the drive now."""
        return {name: info.size for name, info in find_packs(self.store)[0].items()}

    def list_names(self, directory: str) -> list[FileName]:
        """What bears a name of ours in ``index``, ``snapshots``, ``removals`` or ``damaged``. Raises ``Damaged``."""
        return list_names(self.store, directory)

    def read_snapshot(self, name: FileName) -> snapshot.Snapshot:
        """From its file, whatever was read before. Raises ``Damaged`` or ``NotFound``."""
        return snapshot.unseal(read_named(self.store, snapshot_path(name)), self.keys)

    def snapshots(self) -> SnapshotFiles:
        """Every snapshot that was on the drive when somebody asked first, and what this process has done to them since.

        Ask as often as you like: each file is read once. What another process does a loaded repository sees when it
        looks again.
        """
        return self._list.snapshots()

    def snapshots_anew(self) -> SnapshotFiles:
        """The same, and every file is read again."""
        self._list.forget_snapshots()
        return self._list.snapshots()

    def removals(self) -> Removals:
        """What the removal records say; see ``snapshots``."""
        return self._list.removals()

    def is_gone(self, snapshot_id: FileName) -> bool:
        """Whether that snapshot has been removed since it was read."""
        names, whole = names_to_try(self.store, SNAPSHOTS)
        return whole and snapshot_id not in {*names, *self.store.lost_files(SNAPSHOTS)}

    def find_snapshot(self, text: str, whose: Whose = ANYONE) -> NamedSnapshot:
        """The snapshot of that id or unique prefix of it, or the newest one for ``latest``.

        Raises ``NotFound`` with the list of those known, or of the computers where the named one has none here.
        """
        files = self.snapshots()
        known = whose.among(files.readable)
        if text == "latest":
            latest = newest(known, whose)
            found = [latest] if latest else []
        else:
            found = [s for s in known if text and s.id.startswith(text)]
            if not found and not files.whole and is_file_name(text):
                return NamedSnapshot(FileName(text), self.read_snapshot(FileName(text)))
        if len(found) == 1:
            return found[0]
        closed = [each for each in files.unreadable if text and each.name.startswith(text)]
        if not found and closed:
            if not closed[0].is_damage:
                self.read_snapshot(closed[0].name)  # says what it needs
            raise Damaged(_("that snapshot's file is damaged"), _("use another one: kinebackup snapshots"))
        if not found and not files.whole:
            raise Damaged(
                unlistable(SNAPSHOTS),
                _("run a file system check on the drive; the full id of a backup still opens it"),
            )
        listing = ", ".join(f"{s.id[:12]} ({s.snapshot.time[:16].replace('T', ' ')})" for s in known[-20:])
        what = _("several snapshots begin with {name}") if found else _("no snapshot is called {name}")
        raise NotFound(
            what.format(name=repr(text)),
            _("the snapshots of this drive are: {listing}").format(listing=listing)
            if listing
            else _("this drive has no snapshot yet"),
        )


class LoadedRepository(Repository):
    """Its index has been read: blobs can be found, and it is known what can be relied on.

    ``packs``: name and size in bytes of those that are on the drive.
    """

    def __init__(self, store: Store, unlocked: UnlockedHeader, inventory: Inventory) -> None:
        super().__init__(store, unlocked)
        self.inventory = inventory
        self.packs: dict[FileName, int] = dict(inventory.packs)
        rebuilt = [IndexTable(index.encode(group)) for group in index.grouped(inventory.unlisted)]
        self.index = Index([*inventory.tables, *rebuilt])
        self.conditions = Conditions(self.index, inventory, self.packs)
        self._looking = threading.Lock()
        self._seen_index_files = set(inventory.names[INDEX])
        whole = not inventory.findings and not inventory.marked
        self._relied_upon = frozenset(table.name for table in inventory.tables) if whole else frozenset()

    def look_again(self, tables: int) -> bool:
        """Read what another process has added to the index since: a prune writes elsewhere what it keeps of a pack.
        Its snapshots are seen by the next to ask.

        ``tables``: how many the index had when something was not found. False where it has no more now.
        """
        self._list.look_again()
        with self._looking:
            if len(self.index.tables) > tables:  # another thread was quicker
                return True
            found: list[IndexTable] = []
            for name in names_to_try(self.store, INDEX)[0]:
                if name not in self._seen_index_files:
                    self._seen_index_files.add(name)
                    with suppress(Damaged, NotFound):
                        found.append(read_index_file(self.store, self.keys, name))
            if found:
                there = self.list_packs()
                self.packs.update(there)
                for gone in self.packs.keys() - there.keys():
                    del self.packs[gone]
                self.index.extend(found)
                self.conditions.judge_again()
            return bool(found)

    def has_changed(self) -> bool:
        """Whether another process has changed the drive since the index was read."""
        if has_changed(self.store, self.inventory):
            return True
        with suppress(KineError):
            newest = header.unlock(read_header_copies(self.store), self.unlocked.master).header
            return newest.repository == self.id and newest.generation > self.header.generation
        return False

    def again(self) -> "LoadedRepository":
        """The same repository as it is now. Raises what ``open`` raises."""
        known = self.unlocked
        elsewhere = [header.encode(known.header, known.keys)] if known.elsewhere else []
        return Repository.open(self.store.anew(), known.master, elsewhere).load()

    def has_all_of(self, parent: snapshot.Snapshot) -> bool:
        """Whether every blob that the snapshot refers to can be counted on, without looking up one of them.

        It was committed after all that it refers to was listed in the index files that it names. Where these are all
        still here and every pack that they list is here with its right length and has failed no check, nothing can be
        missing.
        """
        return bool(parent.index) and not self.conditions.lowered and self._relied_upon.issuperset(parent.index)


class LockedRepository(Repository):
    """The writer lock is held: the header may be changed, and what killed runs left removed."""

    def __init__(self, store: GivingWayStore, unlocked: UnlockedHeader, lock: WriterLock) -> None:
        super().__init__(store, unlocked)
        self._lock = lock
        self.parity = ParityWriter(store)

    def learn_features(self) -> None:
        """A header that was made again elsewhere does not say what the drive needs: its snapshots do (FORMAT.md §1).

        Raises ``NeedsNewer``; then nothing has been written, no header either.
        """
        files = self.snapshots()
        for newer in (each for each in files.unreadable if not each.is_damage):
            raise features.not_to_be_written(newer.reason)  # who knows what else it says
        named = [each.snapshot for each in files.readable]
        to_read = features.together(each.features_needed_to_read for each in named)
        to_write = features.together(each.features_needed_to_write for each in named)
        features.check_writing(to_write)
        known = msgspec.structs.replace(self.header, features_needed_to_read=to_read, features_needed_to_write=to_write)
        self.unlocked = msgspec.structs.replace(self.unlocked, header=known)

    def load(self) -> "WritableRepository":
        """See ``Repository.load``. What is damaged and can be healed is written anew.

        Raises ``NeedsNewer`` where a snapshot must not see this program write; then nothing has been written.
        """
        for named in self.snapshots().readable:
            features.check_writing(named.snapshot.features_needed_to_write)
        self.store.begin_rewriting()
        inventory = take_inventory(self.store, self.keys)
        loaded = WritableRepository(self.store, self.unlocked, inventory, self._lock, self.parity)
        loaded._list = self._list  # read once
        return loaded

    def prepare(self) -> tuple[str, ...]:
        """Before a run that adds: all directories, nothing left of killed runs, a sound header.

        Returns the names of the header copies that were healed.
        """
        for each in DIRECTORIES:
            try:
                self.store.make_directories([each])
            except Damaged:  # something else is in its place
                if each not in (DAMAGED, REMOVALS, PARITY):  # a run that adds can do without these
                    raise
        self.clear_temporary()
        return self.heal_header()

    def clear_temporary(self) -> None:
        """Remove what killed runs left in ``tmp/``: packs of which half is written."""
        try:
            found = self.store.list_files(TMP)
        except Unlistable as error:
            found = error.found
        for info in found:
            with suppress(Damaged):  # what is no file, and not ours
                self.store.remove(f"{TMP}/{info.name}")

    def heal_header(self) -> tuple[str, ...]:
        """Make all copies equal again, by the newest sound one; the names of those written."""
        return heal_header_copies(self.store, self.unlocked)

    def renew_spread_header(self) -> None:
        """At the end of a run that added: the copy that lies away from the others is written later than these."""
        renew_spread_copy(self.store, self.unlocked)

    @contextmanager
    def changing_snapshots(self) -> Iterator[None]:
        """Snapshots or removal records are written or removed: however that ends, who asks next sees what is there."""
        try:
            yield
        finally:
            self._list.list_again()

    def write_header(self) -> None:
        """Write this header to all copies."""
        write_header(self.store, self.header, self.keys)

    def write_keyring(self, keyring: Keyring) -> None:
        """Give the drive these key slots, and leave the former ones nowhere on it."""
        new = msgspec.structs.replace(
            header.make(keyring, repository=self.id, created=self.header.created),
            features_needed_to_read=self.header.features_needed_to_read,
            features_needed_to_write=self.header.features_needed_to_write,
        )
        write_header(self.store, new, self.keys)
        self.clear_temporary()  # a run that was killed may have left a copy there
        self.unlocked = msgspec.structs.replace(self.unlocked, header=new)


class WritableRepository(LockedRepository, LoadedRepository):
    """Locked and loaded: packs, index files and snapshots may be added and removed.

    What it holds is kept in step with the drive by these methods alone. ``unlisted``: packs that are on the drive and
    in no index file yet.
    """

    def __init__(
        self, store: Store, unlocked: UnlockedHeader, inventory: Inventory, lock: WriterLock, parity: ParityWriter
    ) -> None:
        LoadedRepository.__init__(self, store, unlocked, inventory)
        self._lock = lock
        self.parity = parity
        self.unlisted: list[Pack] = list(inventory.unlisted)

    def look_again(self, tables: int) -> bool:
        """Nobody else writes."""
        return False

    def place_pack(self, file: PendingFile, pack: Pack) -> str:
        """Make a pack durable whose bytes are all written; returns its path. It does not count yet."""
        directory = pack_directory(pack.name)
        self.store.make_directories([directory])
        file.commit(pack_path(pack.name))
        self.store.sync_directories([directory, PACKS])
        return pack_path(pack.name)

    def count_pack(self, pack: Pack) -> None:
        """From now on the pack is there, and is listed by the next index file."""
        self.packs[pack.name] = pack.size
        self.unlisted.append(pack)

    def count_snapshot(self, made: NamedSnapshot) -> None:
        """It was written, and has been read again from the drive."""
        self._list.add(made.id, made.snapshot)

    def add_table(self, table: IndexTable) -> None:
        """An index file has been written that lists packs which were unlisted."""
        self.index.add(table)

    def forget_packs(self, names: Sequence[FileName]) -> None:
        """These packs are not on the drive any more."""
        for name in names:
            self.packs.pop(name, None)
        # Else a repacking run would list, with its own packs, those of an interrupted run that have just gone.
        self.unlisted = [pack for pack in self.unlisted if pack.name in self.packs]
