"""The one judgement of what can be relied on: of a pack, a blob, a snapshot.

Owns: what each state means, and lowering it when a read fails. Does not know: what follows from a state: backup,
verification, prune and restore each decide that by themselves, from the same judgement.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from kinebackup.engine.repository.blob_index import Index, listing_of
from kinebackup.engine.repository.inventory import Inventory, UnreadablePack
from kinebackup.model import BlobId, FileName


class Condition(StrEnum):
    """From the best to the worst, but for *healed*, which is damage that costs nothing."""

    SOUND = "sound"  # there, with its listed length, and no read of it has failed: a backup builds upon it
    DOUBTFUL = "doubtful"  # a read failed, once: perhaps a loose cable. Not built upon, still tried, never given up
    DAMAGED = "damaged"  # a verification said so, or its length is wrong. Not built upon, still tried, may be given up
    LOST = "lost"  # not on the drive
    HEALED = "healed"  # damaged, and whatever a snapshot needs of it has been saved again elsewhere


_ORDER = {Condition.SOUND: 0, Condition.DOUBTFUL: 1, Condition.DAMAGED: 2, Condition.LOST: 3, Condition.HEALED: 2}


class Conditions:
    """Of one loaded repository. Safe for several threads; a state only ever gets worse while the repository is open."""

    def __init__(self, index: Index, inventory: Inventory, packs: Mapping[FileName, int]) -> None:
        """``packs``: name and size of those that are on the drive, kept up to date by its owner."""
        self._index = index
        self._packs = packs
        self._marked = inventory.marked
        self._doubtful = {found.pack for found in inventory.findings if isinstance(found, UnreadablePack)}
        self._doubtful |= inventory.healed  # nothing is built upon what only memory has
        self._unreadable: dict[FileName, frozenset[BlobId]] = {}
        self.lowered = False  # whether a read has failed since the repository was loaded
        for table in index.tables:
            table.rely_on(packs, self._marked | self._doubtful)

    def of_pack(self, name: FileName) -> Condition:
        """Whether what lies in a pack can be relied on; never *healed* (see ``of_damage``)."""
        size = self._packs.get(name)
        if size is None:
            return Condition.LOST
        if name in self._marked or self._index.listed_size(name) not in (None, size):
            return Condition.DAMAGED
        return Condition.DOUBTFUL if name in self._doubtful else Condition.SOUND

    def judge_again(self) -> None:
        """Packs have come and gone, and the index has grown."""
        for table in self._index.tables:
            table.rely_on(self._packs, self._marked | self._doubtful)

    @property
    def doubtful(self) -> frozenset[FileName]:
        """Packs of which a read has failed while the repository was open, or whose table could not be read."""
        return frozenset(self._doubtful)

    def of_blob(self, blob_id: BlobId) -> Condition:
        """The best that can be said of any of its places; *lost* where it has none that could be read."""
        best = Condition.LOST
        for location in self._index.locations(blob_id):
            if blob_id in self._unreadable.get(location.pack, ()):
                continue
            best = min(best, self.of_pack(location.pack), key=_ORDER.__getitem__)
        return best

    def of_damage(self, pack: FileName) -> Condition:
        """Of a pack that was found damaged: *healed* where a verification had reported it before and a backup has put
        any of its blobs elsewhere since, for since it is marked none relies on it. Slow: for damage only.
        """
        if pack not in self._marked:
            return self.of_pack(pack)
        listed = listing_of(self._index, pack)
        if listed is None:
            return Condition.HEALED  # nothing refers to a pack that no index file lists
        elsewhere = (at.pack != pack for place in listed.places for at in self._index.locations(place.id))
        return Condition.HEALED if any(elsewhere) else Condition.DAMAGED

    def lower(self, pack: FileName) -> None:
        """A read of that pack has failed: it is not relied on any more, from this moment on."""
        if pack not in self._doubtful:
            self._doubtful.add(pack)
            self.lowered = True
            for table in self._index.tables:
                table.stop_relying_on(pack)

    def lose(self, pack: FileName, blobs: Iterable[BlobId]) -> None:
        """The pack was read to its end, and these blobs cannot be had from it."""
        self.lower(pack)
        self._unreadable[pack] = frozenset(blobs)
