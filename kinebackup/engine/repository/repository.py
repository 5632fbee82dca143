"""A repository on a drive: its header, what it lists, reading its blobs.

Owns: opening and creating, the index as loaded, `BlobReader`. Does not know: how backups are made, or which are kept.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from kinebackup.engine.format import compression, header, index, pack, snapshot
from kinebackup.engine.format.constants import FRAME_BYTES, INDEX, MAX_HEADER_BYTES, MAX_SEALED_RECORD_BYTES, PACK, Kind
from kinebackup.engine.format.header import Header, UnlockedHeader
from kinebackup.engine.format.index import Index, IndexTable, Location
from kinebackup.engine.format.key_schedule import MasterKey, RepositoryKeys
from kinebackup.engine.format.keyring import Keyring, Secret
from kinebackup.engine.format.pack import Pack
from kinebackup.engine.format.seal import RecordOpener, open_single
from kinebackup.engine.format.snapshot import NamedSnapshot
from kinebackup.engine.repository.store import Store
from kinebackup.errors import Damaged, KineError, NotFound
from kinebackup.i18n import _
from kinebackup.model import BlobId, FileName, Problem

FOLDER = "KINEBACKUP"
HEADER_COPIES = ("header", "header.1", "header.2")
_DIRECTORIES = ("packs", "index", "snapshots", "damaged", "tmp")


def is_file_name(name: str) -> bool:
    """Whether a name in packs, index or snapshots is one of ours: 64 hexadecimal digits."""
    return len(name) == 64 and all(c in "0123456789abcdef" for c in name)


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
        if unreadable or store.list_files("snapshots") or store.subdirectories("packs"):
            raise Damaged(_("no copy of the drive's header can be read"), header.damaged_hint()) from unreadable
        raise NotFound(
            _("there is no KineBackup repository here"), _("prepare the drive with: kinebackup drive enroll")
        )
    return copies


def write_header(store: Store, new: Header, keys: RepositoryKeys) -> None:
    """Replace the three copies, last one first: at any instant at least two are whole, and old or new."""
    _write_copies(store, header.encode(new, keys), HEADER_COPIES)


def _write_copies(store: Store, data: bytes, names: Sequence[str]) -> None:
    for name in reversed(names):
        pending = store.create()
        try:
            pending.write(data)
            pending.commit(name)
        except BaseException:
            pending.abandon()
            raise
        store.sync_directories([""])


def prepare(repository: "Repository") -> list[Problem]:
    """Before a run that adds to the repository: all directories, nothing left of killed runs, a sound header.

    Returns what was healed. The caller holds the writer lock.
    """
    repository.store.make_directories(_DIRECTORIES)
    clear_temporary(repository)
    return heal_header(repository)


def clear_temporary(repository: "Repository") -> None:
    """Remove what killed runs left in ``tmp/``: packs of which half is written. The caller holds the writer lock."""
    for info in repository.store.list_files("tmp"):
        repository.store.remove(f"tmp/{info.name}")


def heal_header(repository: "Repository") -> list[Problem]:
    """Write the newest copy over those that are damaged, missing, older or of another drive; returns what was healed.

    It completes an interrupted change of keys. The caller holds the writer lock.
    """
    found: dict[str, bytes] = {}
    for name in HEADER_COPIES:
        with suppress(NotFound, Damaged):
            found[name] = read_header_copy(repository.store, name)
    newest: bytes | None = None
    for data, candidate in header.candidates(found.values()):
        with suppress(Damaged):
            header.authenticate(data, candidate, repository.unlocked.master)
            if candidate.repository == repository.id and candidate.generation >= repository.header.generation:
                newest = data
                break
    if newest is None:
        return []
    worse = [name for name in HEADER_COPIES if found.get(name) != newest]
    _write_copies(repository.store, newest, worse)
    return [Problem("healed", name, _("this copy of the header was written anew from a sound one")) for name in worse]


class Repository:
    """An unlocked repository. Reading never changes anything on the drive."""

    def __init__(self, store: Store, unlocked: UnlockedHeader) -> None:
        self.store = store
        self.unlocked = unlocked
        self.keys = unlocked.keys
        self.index = Index([])
        self.unlisted: list[Pack] = []
        self.damaged_names: set[str] = set()
        self.present: dict[FileName, int] = {}
        self.hidden_folders = 0  # of packs, that cannot be listed
        self.load_problems: list[Problem] = []
        self._loaded_index: frozenset[str] = frozenset()

    @classmethod
    def create(
        cls, store: Store, *, master: MasterKey, keyring: Keyring, repository: str, created: str
    ) -> "Repository":
        """A new, empty repository. ``repository``: 32 random hex digits. Raises ``KineError`` where one is there."""
        try:
            read_header_copies(store)
        except NotFound:
            pass
        else:
            raise KineError(
                _("this drive already has a KineBackup repository"), _("use it as it is, or take another drive")
            )
        store.make_directories(_DIRECTORIES)
        made = header.make(keyring, repository=repository, created=created)
        keys = RepositoryKeys.derive(master, bytes.fromhex(repository))
        write_header(store, made, keys)
        store.sync_directories([""])
        return cls(store, UnlockedHeader(header=made, master=master, keys=keys, slot=None))

    @classmethod
    def open(cls, store: Store, secret: Secret | MasterKey) -> "Repository":
        """Raises ``NotFound``, ``WrongKey`` or ``Damaged``. The index is not read yet: see ``load``."""
        return cls(store, header.unlock(read_header_copies(store), secret))

    @property
    def header(self) -> Header:
        return self.unlocked.header

    @property
    def id(self) -> str:
        return self.header.repository

    # -- what is on the drive ------------------------------------------------------------------------------------

    def list_packs(self) -> dict[FileName, int]:
        """Name and size of each pack on the drive."""
        return self._find_packs()[0]

    def _find_packs(self) -> tuple[dict[FileName, int], list[Problem]]:
        """The packs, and the folders that cannot be listed: what is in the others can still be restored."""
        found: dict[FileName, int] = {}
        problems: list[Problem] = []
        for sub in self.store.subdirectories("packs"):
            try:
                infos = self.store.list_files(f"packs/{sub}")
            except Damaged as error:
                problems.append(Problem("damaged", f"packs/{sub}", error.message))
                continue
            for info in infos:
                if is_file_name(info.name) and info.name[:2] == sub:
                    found[FileName(info.name)] = info.size
        return found, problems

    def list_names(self, directory: str) -> list[FileName]:
        """Files of ``index``, ``snapshots`` or ``damaged`` that are ours."""
        return [FileName(info.name) for info in self.store.list_files(directory) if is_file_name(info.name)]

    def load(self) -> list[Problem]:
        """Read the index, and the tables of packs that no index file lists. Returns what is damaged or missing."""
        self.present, problems = self._find_packs()
        self.hidden_folders = len(problems)
        self.damaged_names = set(self.list_names("damaged"))
        tables: list[IndexTable] = []
        loaded: set[str] = set()
        for name in self.list_names("index"):
            try:
                tables.append(self.read_index_file(name))
                loaded.add(name)
            except (Damaged, NotFound) as error:
                problems.append(Problem("damaged", f"index/{name}", error.message))
        listed = {p.name: p.size for table in tables for p in table.packs}
        self.unlisted = []
        for name in sorted(self.present.keys() - listed.keys()):
            try:
                self.unlisted.append(pack.read_table(self.store, self.keys, name))
            except (Damaged, NotFound) as error:
                problems.append(Problem("damaged", pack.path_of(name), error.message))
        for name, size in sorted(listed.items()):
            if name not in self.present:
                problems.append(Problem("missing", pack.path_of(name), _("a pack is not on the drive any more")))
            elif self.present[name] != size:
                problems.append(Problem("damaged", pack.path_of(name), _("a pack has another length than was written")))
        tables += [IndexTable(index.encode(group)) for group in index.grouped(self.unlisted)]
        for table in tables:
            table.set_usable(self.present, self.damaged_names)
        self.index = Index(tables)
        self.load_problems = problems
        self._loaded_index = frozenset() if problems or self.damaged_names else frozenset(loaded)
        return problems

    def has_all_of(self, parent: snapshot.Snapshot) -> bool:
        """Whether every blob that the snapshot refers to can be counted on, without looking up one of them.

        It was committed after all that it refers to was listed in the index files that it names. Where these are all
        still here and every pack that they list is here with its right length and has failed no check, nothing can be
        missing.
        """
        return bool(parent.index) and self._loaded_index.issuperset(parent.index)

    def read_index_file(self, name: FileName) -> IndexTable:
        """Raises ``Damaged`` or ``NotFound``."""
        data = self._read_named("index", name)
        return IndexTable(compression.decompress(open_single(self.keys, INDEX, data)), name)

    def _read_named(self, directory: str, name: FileName) -> bytes:
        path = f"{directory}/{name}"
        if self.store.size(path) > FRAME_BYTES + MAX_SEALED_RECORD_BYTES:  # before there is a buffer for it
            raise Damaged(_("it is longer than such a file may be"))
        data = self.store.read(path)
        if hashlib.sha256(data).hexdigest() != name:
            raise Damaged(_("its bytes are not those that its name stands for"))
        return data

    def read_snapshot(self, name: FileName) -> snapshot.Snapshot:
        """Raises ``Damaged`` or ``NotFound``."""
        return snapshot.unseal(self._read_named("snapshots", name), self.keys)

    def snapshots(self) -> tuple[list[NamedSnapshot], list[Problem]]:
        """All readable snapshots, oldest first, and the others as problems."""
        found: list[NamedSnapshot] = []
        problems: list[Problem] = []
        for name in self.list_names("snapshots"):
            try:
                found.append(NamedSnapshot(name, self.read_snapshot(name)))
            except (Damaged, NotFound) as error:
                problems.append(Problem("damaged", f"snapshots/{name}", error.message, (name,)))
        return sorted(found, key=lambda named: (named.snapshot.time, named.id)), problems

    def find_snapshot(self, text: str) -> NamedSnapshot:
        """The snapshot of that id or unique prefix of it, or the newest one for ``latest``.

        Raises ``NotFound`` with the list of those known.
        """
        known, problems = self.snapshots()
        if text == "latest":
            found = [s for s in known if not s.snapshot.suspicious][-1:] or known[-1:]
        else:
            found = [s for s in known if text and s.id.startswith(text)]
        if len(found) == 1:
            return found[0]
        if not found and any(text and text in p.snapshots[0][: len(text)] for p in problems):
            raise Damaged(_("that snapshot's file is damaged"), _("use another one: kinebackup snapshots"))
        listing = ", ".join(f"{s.id[:12]} ({s.snapshot.time[:16].replace('T', ' ')})" for s in known[-20:])
        what = _("several snapshots begin with {name}") if found else _("no snapshot is called {name}")
        raise NotFound(
            what.format(name=repr(text)),
            _("the snapshots of this drive are: {listing}").format(listing=listing)
            if listing
            else _("this drive has no snapshot yet"),
        )


class BlobReader:
    """Reads blobs, with a few segments at hand. One for each thread."""

    def __init__(self, repository: Repository, *, cache_bytes: int = 8 * 2**20) -> None:
        self._store = repository.store
        self._keys = repository.keys
        self._index = repository.index
        self._openers: OrderedDict[FileName, RecordOpener] = OrderedDict()
        self._segments: OrderedDict[tuple[FileName, int], bytes] = OrderedDict()
        self._room = cache_bytes

    def read(self, kind: Kind, blob_id: BlobId) -> bytes | memoryview:
        """The blob's plaintext, authenticated and checked against its id; each place is tried.

        Raises ``Damaged`` where the blob is nowhere, or no place of it is sound.
        """
        failure: KineError | None = None
        for location in self._index.locations(blob_id):
            try:
                plain = self._read_at(location, kind)
            except (Damaged, NotFound) as error:
                failure = failure or error
                continue
            if self._keys.blob_id(kind, plain) == blob_id:
                return plain
            failure = failure or Damaged(_("a blob is not what its id says"))
        raise Damaged(failure.message if failure else _("a part of the backup is not on the drive any more"))

    def _read_at(self, location: Location, kind: Kind) -> bytes | memoryview:
        if location.segment.kind != kind:
            raise Damaged("a blob is of another kind than asked for")
        plain = self._segment(location)
        if location.size == len(plain):
            return plain
        return memoryview(plain)[location.offset : location.offset + location.size]

    def _segment(self, location: Location) -> bytes:
        key = (location.pack, location.segment.record)
        plain = self._segments.get(key)
        if plain is not None:
            self._segments.move_to_end(key)
            return plain
        segment = location.segment
        sealed = self._store.read(pack.path_of(location.pack), segment.offset, segment.sealed_size)
        plain = pack.open_segment(self._opener(location), segment, sealed)
        if location.size < len(plain):  # others will ask for their part of it
            self._segments[key] = plain
            self._room -= len(plain)
            while self._room < 0 and len(self._segments) > 1:
                self._room += len(self._segments.popitem(last=False)[1])
        return plain

    def _opener(self, location: Location) -> RecordOpener:
        opener = self._openers.get(location.pack)
        if opener is None:
            opener = RecordOpener(self._keys, PACK, location.salt)
            self._openers[location.pack] = opener
            if len(self._openers) > 64:
                self._openers.popitem(last=False)
        return opener


def with_keyring(repository: Repository, keyring: Keyring) -> None:
    """Write the drive's header anew with these slots. The caller holds the writer lock."""
    new = header.make(keyring, repository=repository.id, created=repository.header.created)
    write_header(repository.store, new, repository.keys)
    repository.unlocked = msgspec.structs.replace(repository.unlocked, header=new)
