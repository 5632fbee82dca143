"""The values of one backup: what is asked for, what it works with, what it gives.

Owns: these values. Does not know: the steps, which are ``backup.py``'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kinebackup.engine.backup.met_damage import MetDamage
from kinebackup.engine.backup.parent.changes import ChangesSince, TrackingResult
from kinebackup.engine.backup.parent.directory import WINDOW_SIZE, WindowSize
from kinebackup.engine.backup.parent.trust import NO_TRUST, Trust
from kinebackup.engine.environment import Environment
from kinebackup.engine.format.snapshot import NamedSnapshot, Snapshot
from kinebackup.engine.repository.pack_pipeline import PackPipeline
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.engine.source import Source
from kinebackup.model import BackupReport, CancelToken, FileName, Monitor


@dataclass(frozen=True, slots=True)
class BackupRequest:
    """What to save, and from where. ``shrink_share``: fewer files than that share of the last ones are suspicious.

    ``unproven``: packs that were neither written nor verified for so long that nothing new relies on them unread.
    ``since``: what a journal knows, to be relied on where the parent is the snapshot that it speaks of. ``compare``:
    tell in the ``TrackingResult`` which directories are not as the parent has them. ``remembered_sequence``: the
    highest that this computer has seen on the drive, which may have been put back to an older state since.
    """

    sources: Sequence[Source]
    host: str
    machine: str
    drive: str
    program: str
    started_at: datetime
    accept_shrink: bool = False
    read_back: bool = True
    shrink_share: float = 0.5
    remembered_sequence: int = 0
    unproven: frozenset[FileName] = frozenset()
    since: ChangesSince | None = None
    compare: bool = False
    window: WindowSize = WINDOW_SIZE


@dataclass(frozen=True, slots=True)
class BackupOutcome:
    """A backup that was taken, and what the next one can build upon.

    ``packs_checked``: packs that were read to their end, and whether they are sound.
    """

    report: BackupReport
    tracking: TrackingResult
    packs_checked: Mapping[FileName, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BackupRun:
    """What does not change from the beginning of a run to its end. ``pipeline`` None: a preview, which only looks.

    ``sequence``: that of the snapshot which the run makes. ``met``: damage of the drive that it comes across.
    """

    repository: LoadedRepository
    request: BackupRequest
    world: Environment
    parent: NamedSnapshot | None
    sequence: int
    met: MetDamage
    pipeline: PackPipeline | None
    cancel: CancelToken
    monitor: Monitor

    @property
    def trust(self) -> Trust:
        """Which times of the parent's entries say that nothing was written since it read them."""
        return _trust_of(self.parent.snapshot) if self.parent else NO_TRUST

    def trust_of(self, sequence: int) -> Trust:
        """The same of the snapshot of this computer from which the parent carried something; none where it is gone."""
        known = (named.snapshot for named in self.repository.snapshots().readable)
        own = [s for s in known if s.sequence == sequence and s.machine == self.request.machine]
        return min(map(_trust_of, own), key=lambda trust: trust.fine_before_ns, default=NO_TRUST)

    @property
    def parent_is_whole(self) -> bool:
        """Whether every blob of the parent can be counted on; else each is looked up in the index."""
        return self.parent is not None and self.repository.has_all_of(self.parent.snapshot)


def _trust_of(snapshot: Snapshot) -> Trust:
    return Trust.of_run(int(snapshot.taken_at.timestamp() * 1e9))
