"""Before a new claim relies on a pack that nobody has read for long, the pack is read: a bit may have rotted since.

Owns: reading such a pack once in a run, and what each turned out to be. Does not know: which packs nobody has read for
long (jobs/backup.py), or how content is saved again.

Files that did not change are not asked for here: that would read the whole drive in each backup, which is what
verifications do, a part at a time.
"""

import threading

from kinebackup.engine.backup.met_damage import MetDamage
from kinebackup.engine.pack_checker import PackChecker
from kinebackup.engine.repository.condition import Condition
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.model import BlobId, FileName


class PackProof:
    """Of one run. Safe for several threads. ``checked``: what was read, and whether it was sound."""

    def __init__(self, repository: LoadedRepository, unproven: frozenset[FileName], met: MetDamage) -> None:
        """``unproven``: packs that were neither written nor verified within the configured time."""
        self.checked: dict[FileName, bool] = {}
        self._repository = repository
        self._unproven = unproven
        self._met = met
        self._lock = threading.Lock()
        self._checker = PackChecker(repository)

    def holds(self, blob_id: BlobId) -> bool:
        """Whether a place of the blob can be relied on: in a pack that is proven, or that proves sound now."""
        sound = [
            at.pack
            for at in self._repository.index.locations(blob_id)
            if self._repository.conditions.of_pack(at.pack) is Condition.SOUND
        ]
        return any(pack not in self._unproven for pack in sound) or any(self._is_sound(pack) for pack in sound)

    def _is_sound(self, pack: FileName) -> bool:
        with self._lock:  # who comes second waits for what the first one learns
            known = self.checked.get(pack)
            if known is not None:
                return known
            result = self._checker.check(pack)
            self.checked[pack] = result.ok
            if not result.ok:
                self._repository.conditions.lose(pack, result.lost)
                self._met.pack(pack, result.message)
            return result.ok
