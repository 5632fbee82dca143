"""Reading blobs out of packs.

Owns: trying every place of a blob, a few opened packs and segments at hand. Does not know: what the blobs are for.
"""

from collections import OrderedDict
from collections.abc import Callable

from kinebackup.engine.format import pack
from kinebackup.engine.format.constants import PACK, Kind
from kinebackup.engine.format.index import Location
from kinebackup.engine.format.layout import pack_path
from kinebackup.engine.format.seal import RecordOpener
from kinebackup.engine.repository.condition import Condition
from kinebackup.engine.repository.redundancy.healing import read_healed
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.errors import Damaged, KineError, NotFound
from kinebackup.i18n import _
from kinebackup.model import BlobId, FileName


class BlobReader:
    """Reads blobs, with a few segments at hand. One for each thread."""

    def __init__(
        self,
        repository: LoadedRepository,
        *,
        cache_bytes: int = 8 * 2**20,
        on_damage: Callable[[FileName, str], None] | None = None,
        looks_again: bool = True,
    ) -> None:
        """``on_damage`` is told of each pack that was held to be sound until a read of it failed, and why it did.
        ``looks_again``: what is not where the index said is looked for in what another process has listed since.
        """
        self._repository = repository
        self._looks_again = looks_again
        self._store = repository.store
        self._keys = repository.keys
        self._index = repository.index
        self._conditions = repository.conditions
        self._openers: OrderedDict[FileName, RecordOpener] = OrderedDict()
        self._segments: OrderedDict[tuple[FileName, int], bytes] = OrderedDict()
        self._room = cache_bytes
        self._on_damage = on_damage

    def read(self, kind: Kind, blob_id: BlobId) -> bytes | memoryview:
        """The blob's plaintext, authenticated and checked against its id; each place is tried.

        A pack of which a read fails is not relied upon from then on. Raises ``Damaged`` where the blob is nowhere, or
        no place of it is sound.
        """
        tables = len(self._index.tables)
        try:
            return self._read(kind, blob_id)
        except Damaged as error:
            absent = error.__cause__ is None or isinstance(error.__cause__, NotFound)
            if not absent or not self._looks_again or not self._repository.look_again(tables):
                raise
            return self._read(kind, blob_id)

    def _read(self, kind: Kind, blob_id: BlobId) -> bytes | memoryview:
        failure: KineError | None = None
        for location in self._index.locations(blob_id):
            if location.segment.kind != kind:
                failure = failure or Damaged(_("a blob is of another kind than asked for"))
                continue
            try:
                plain = self._read_healed(location)
            except (Damaged, NotFound) as error:
                wrong: KineError = error
            else:
                if self._keys.blob_id(kind, plain) == blob_id:
                    return plain
                wrong = Damaged(_("a blob is not what its id says"))
            failure = failure or wrong
            self._lower(location.pack, wrong.message)
        if failure is None:
            raise Damaged(_("a part of the backup is not on the drive any more"))
        raise Damaged(failure.message) from failure

    def _read_healed(self, location: Location) -> bytes | memoryview:
        path = pack_path(location.pack)
        plain = read_healed(self._store, path, lambda: self._read_at(location))
        if not self._store.is_on_drive(path):  # nothing is built upon what only memory has
            self._conditions.lower(location.pack)
        return plain

    def _lower(self, pack_name: FileName, reason: str) -> None:
        was_sound = self._conditions.of_pack(pack_name) is Condition.SOUND
        self._conditions.lower(pack_name)
        if was_sound and self._on_damage is not None:
            self._on_damage(pack_name, reason)

    def size_of(self, kind: Kind, blob_id: BlobId) -> int | None:
        """How many bytes the blob has by the index, whether it can be read or not; None where it is not listed."""
        return next((at.size for at in self._index.locations(blob_id) if at.segment.kind == kind), None)

    def _read_at(self, location: Location) -> bytes | memoryview:
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
        sealed = self._store.read(pack_path(location.pack), segment.offset, segment.sealed_size)
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
