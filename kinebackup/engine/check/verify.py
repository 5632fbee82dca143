"""Reading what is on the drive and authenticating it, to the last byte.

Owns: which parts of a drive are read, and what a failure affects. Does not know: when a check is due, what was checked
before, or how a pack is judged (pack_checker.py).

Nothing is believed that memory holds: headers, index files and snapshots are read from the drive itself, too. What is
damaged and can be healed is damage all the same, and is followed as it was, so that only what is lost is called lost.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from kinebackup.engine.findings import problem_of
from kinebackup.engine.format import header
from kinebackup.engine.format.layout import HEADER_COPIES, REMOVALS, SNAPSHOTS, index_path, pack_path, parity_path
from kinebackup.engine.format.snapshot import NamedSnapshot
from kinebackup.engine.pack_checker import PackChecker, PackResult
from kinebackup.engine.repository.blob_index import listing_of
from kinebackup.engine.repository.condition import Condition
from kinebackup.engine.repository.damage_markers import remove_markers, set_markers, set_parity_markers
from kinebackup.engine.repository.header_files import read_header_copy
from kinebackup.engine.repository.inventory import (
    MissingPack,
    UnlistableFolder,
    UnreadableIndexFile,
    names_to_try,
    read_named,
)
from kinebackup.engine.repository.redundancy.lost_files import parity_names
from kinebackup.engine.repository.redundancy.parity_state import ParityFound, ParityState, state_of_parity
from kinebackup.engine.repository.references import ReferenceWalk, Trace, trace
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.engine.repository.snapshot_list import SnapshotFiles
from kinebackup.errors import Damaged, Locked, NotFound
from kinebackup.i18n import _
from kinebackup.model import BlobId, CancelToken, FileName, Monitor, Problem, VerifyReport, counting, only_healable

WORKERS = 2
MAX_AFFECTED = 1000


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one verification may read; None is no limit."""

    duration_s: float | None = None
    size_bytes: int | None = None


class DriveChanged(Locked):
    """Another process changed the drive meanwhile: what seems wrong may only be new, and must be looked at again.

    ``passed``: the packs that were read, and are sound whatever else happens. ``bytes_read``: how much that was.
    """

    def __init__(self, passed: Sequence[FileName], bytes_read: int) -> None:
        super().__init__(
            _("another KineBackup changed the drive during the verification, so nothing can be said"),
            _("wait until it has finished, and verify again"),
        )
        self.passed = tuple(passed)
        self.bytes_read = bytes_read


@dataclass(slots=True)
class _Progress:
    bytes_read: int = 0
    checked: int = 0
    failed: list[PackResult] = field(default_factory=list)
    passed: list[FileName] = field(default_factory=list)
    parity: dict[FileName, ParityFound] = field(default_factory=dict)  # of the files that are sound


class Verification:
    """One run over a repository whose index is loaded."""

    def __init__(
        self,
        repository: LoadedRepository,
        order: Sequence[FileName],
        budget: Budget,
        on_checked: Callable[[FileName, bool], None],
        *,
        cancel: CancelToken,
        monitor: Monitor,
    ) -> None:
        """``order``: the packs to read, most urgent first. ``on_checked`` is called for each one, in this thread."""
        self._repository = repository
        self._order = list(order)
        self._budget = budget
        self._on_checked = on_checked
        self._cancel = cancel
        self._monitor = monitor
        self._problems: list[Problem] = []
        self._healed: set[FileName] = set()
        self._progress = _Progress()
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def run(self, elapsed_s: Callable[[], float], noticed: Sequence[Problem] = ()) -> VerifyReport:
        """``noticed``: what is known to be wrong beside what the drive shows.

        Raises ``DriveFailed``, ``Cancelled`` or ``DriveChanged``.
        """
        began = elapsed_s()
        self._check_headers()
        self._repository.removals()
        self._check_small_files()
        files = self._repository.snapshots_anew()
        for unreadable in files.unreadable:
            self._report(problem_of(unreadable))
        doubtful = self._repository.conditions.doubtful
        walk = ReferenceWalk(self._repository, self._cancel, self._report)
        for named in reversed(files.readable):
            walk.add(named)
        # Where a folder's list does not open, its pack is read first: what else is wrong there is known by that.
        urgent = sorted(self._repository.conditions.doubtful - doubtful)
        self._order = [*urgent, *(name for name in self._order if name not in urgent)]
        total = sum(self._repository.packs.get(name, 0) for name in self._order)
        self._monitor.phase("verify", files=len(self._order), size_bytes=self._budget.size_bytes or total)
        self._read_packs(began, elapsed_s)
        self._conclude(files, walk, noticed)
        return VerifyReport(
            result="failed" if counting(self._problems) else "ok",
            complete=self._progress.checked == len(self._order),
            bytes_read=self._progress.bytes_read,
            packs_checked=self._progress.checked,
            packs_total=len(self._order),
            duration_s=elapsed_s() - began,
            problems=tuple(self._problems),
            healable=only_healable(self._problems),
            protected=self._count(ParityState.SOUND),
            unprotected=self._count(ParityState.MISSING) + self._count(ParityState.DAMAGED),
            survives_bytes=min(self._survivable(), default=None),
        )

    def _count(self, state: ParityState) -> int:
        return sum(each.state is state for each in self._progress.parity.values())

    def _survivable(self) -> list[int]:
        return [each.survives_bytes for each in self._progress.parity.values() if each.survives_bytes is not None]

    def _report(self, problem: Problem) -> None:
        """The monitor hears of it at the end: only then is it known that no other process made it look so."""
        self._problems.append(problem)

    def _forget_cached(self, paths: Iterable[str]) -> None:
        """What memory remembers of these files proves nothing about the drive."""
        for path in paths:
            with suppress(Damaged, NotFound):  # whoever reads it says so
                self._repository.store.drop_cache(path)

    def _check_small_files(self) -> None:
        """Index files, snapshots and removal records, as they lie on the drive. A damaged one is healed, in memory, and
        told with the others that were; what cannot be is told by whoever reads it next.
        """
        store = self._repository.store
        tables = [table.name for table in self._repository.index.tables if table.name is not None]
        paths = [index_path(name) for name in tables]
        for directory in (SNAPSHOTS, REMOVALS):
            paths += [f"{directory}/{name}" for name in names_to_try(store.bare, directory)[0]]
        self._forget_cached(paths)
        for path in paths:
            name = FileName(path.rpartition("/")[2])
            try:
                data = read_named(store.bare, path)
            except (Damaged, NotFound) as error:
                if not store.heal(path) and name in tables:
                    self._report(self._told_of(UnreadableIndexFile(name, error.message)))
            else:
                self._progress.parity[name] = state_of_parity(store.bare, name, data)

    def _check_headers(self) -> None:
        self._forget_cached(HEADER_COPIES)
        repository = self._repository
        newest = header.encode(repository.header, repository.keys)
        for name in HEADER_COPIES:
            try:
                data = read_header_copy(repository.store, name)
                if data == newest:
                    continue
                found = header.decode(data)
                header.authenticate(data, found, repository.unlocked.master)
            except (Damaged, NotFound) as error:
                self._report(Problem("damaged", name, error.message, healable=True))
                continue
            if found == repository.header:
                continue  # the same, written by another program
            if found.repository != repository.id:
                message = _("this copy of the header is that of another drive")
                self._report(Problem("damaged", name, message, healable=True))
            else:
                message = _("this copy of the header is older than the others")
                self._report(Problem("rolled-back", name, message, healable=True))

    def _read_packs(self, began: float, elapsed_s: Callable[[], float]) -> None:
        queue = iter(self._order)

        def next_pack() -> FileName | None:
            with self._lock:
                spent, read = elapsed_s() - began, self._progress.bytes_read
                over_time = self._budget.duration_s is not None and spent >= self._budget.duration_s
                over_bytes = self._budget.size_bytes is not None and read >= self._budget.size_bytes
                enough = self._progress.checked > 0 and (over_time or over_bytes)  # always at least one pack
                return None if enough or self._error or self._cancel.cancelled else next(queue, None)

        def work() -> None:
            checker = PackChecker(self._repository)
            try:
                while (name := next_pack()) is not None:
                    self._note(checker.check(name))
            except BaseException as error:  # noqa: BLE001 - raised by the caller's thread
                self._error = self._error or error

        threads = [threading.Thread(target=work, name=f"verify-{n}", daemon=True) for n in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _note(self, result: PackResult) -> None:
        with self._lock:
            self._progress.bytes_read += result.bytes_read
            self._progress.checked += 1
            if result.ok:
                self._progress.passed.append(result.name)
                self._progress.parity[result.name] = result.parity
            else:
                self._progress.failed.append(result)
        self._monitor.advance(files=1, size_bytes=result.bytes_read)

    def _conclude(self, files: SnapshotFiles, walk: ReferenceWalk, noticed: Sequence[Problem]) -> None:
        """Remember and mark, also after a cancellation, because what was read was read; then explain."""
        progress, marked = self._progress, self._repository.inventory.marked
        for name in progress.passed:
            self._on_checked(name, True)
        if self._seems_wrong(files, walk) and self._repository.has_changed():
            raise DriveChanged(progress.passed, progress.bytes_read)
        for result in progress.failed:
            self._on_checked(result.name, False)
        bad = {result.name for result in progress.failed} | {each.name for each in files.unreadable if each.is_damage}
        good = {*progress.passed, *(named.id for named in files.readable)}
        set_markers(self._repository.store, bad - marked)
        set_parity_markers(self._repository.store, self._with_damaged_parity())
        remove_markers(self._repository.store, good & marked)
        if self._error is not None:
            raise self._error
        self._cancel.check()  # to explain takes its time, and nobody waits for it any more
        self._explain(files.readable, walk, noticed)
        for problem in self._problems:
            self._monitor.problem(problem)

    def _seems_wrong(self, files: SnapshotFiles, walk: ReferenceWalk) -> bool:
        found = self._repository.inventory.findings or self._progress.failed or files.unreadable
        parity = self._with_damaged_parity() or self._without_parity()
        return bool(
            found or self._problems or walk.missing or walk.unreadable or self._repository.store.healed or parity
        )

    def _with_damaged_parity(self) -> list[FileName]:
        return sorted(name for name, each in self._progress.parity.items() if each.state is ParityState.DAMAGED)

    def _without_parity(self) -> list[FileName]:
        """None where no file has any: who wrote the drive made none."""
        states = {name: each.state for name, each in self._progress.parity.items()}
        if all(state is ParityState.MISSING for state in states.values()) and not self._has_any_parity():
            return []
        return sorted(name for name, state in states.items() if state is ParityState.MISSING)

    def _has_any_parity(self) -> bool:
        """That of a damaged file, or one that is damaged itself, says as well that the writer makes some."""
        return any(names for _sub, names in parity_names(self._repository.store.bare))

    def _explain(self, snapshots: Sequence[NamedSnapshot], walk: ReferenceWalk, noticed: Sequence[Problem]) -> None:
        """Name each pack that failed or is gone with the snapshots that it affects, then each file."""
        losses = self._losses()
        lost = {blob for blobs in losses.values() for blob in blobs if self._is_lost(blob)}
        found = trace(self._repository, snapshots, lost | walk.missing | walk.unreadable)
        healed = trace(self._repository, snapshots, self._read_by_parity())
        index = self._repository.index

        def affected(name: FileName) -> tuple[str, ...]:
            # What a pack held that neither an index file nor its own table lists is among what is listed nowhere.
            return found.affected_by(losses.get(name) or (walk.missing if index.listed_size(name) is None else ()))

        for problem in noticed:
            self._report(problem)
        self._report_healed()
        for finding in self._repository.inventory.findings:
            if isinstance(finding, UnreadableIndexFile | UnlistableFolder):
                self._report(self._told_of(finding))
            elif not (isinstance(finding, MissingPack) and finding.pack in self._order):  # else it was looked for
                self._report_pack(finding.pack, problem_of(finding, affected(finding.pack)))
        for result in self._progress.failed:
            needed_by = healed.affected_by(result.lost) if result.healable else affected(result.name)
            problem = Problem("damaged", pack_path(result.name), result.message, needed_by, healable=result.healable)
            self._report_pack(result.name, problem)
        self._report_files(found)

    def _told_of(self, finding: UnreadableIndexFile | UnlistableFolder) -> Problem:
        """An index file without parity is written anew all the same, where each pack says by itself what is in it."""
        known = isinstance(finding, UnreadableIndexFile) and not finding.refused
        return replace(problem_of(finding), healable=known and self._repository.inventory.knows_every_pack)

    def _losses(self) -> dict[FileName, frozenset[BlobId]]:
        """What cannot be had from each pack that failed, or that is gone."""
        conditions, index = self._repository.conditions, self._repository.index
        losses: dict[FileName, frozenset[BlobId]] = {}
        for name in index.packs():
            if conditions.of_pack(name) is Condition.LOST and (listed := listing_of(index, name)) is not None:
                losses[name] = frozenset(place.id for place in listed.places)
        for result in self._progress.failed:
            if result.healable:
                conditions.lower(result.name)
            else:
                losses[result.name] = result.lost
                conditions.lose(result.name, result.lost)
        return losses

    def _read_by_parity(self) -> set[BlobId]:
        """What only damaged packs have that can be healed."""
        of_blob, failed = self._repository.conditions.of_blob, self._progress.failed
        blobs = {blob for result in failed if result.healable for blob in result.lost}
        return {blob for blob in blobs if of_blob(blob) is not Condition.SOUND}

    def _report_healed(self) -> None:
        """What was read by parity since the drive was opened, but packs of which more is known; and damaged parity."""
        failed = {pack_path(result.name) for result in self._progress.failed}
        for healed in self._repository.store.healed:
            if healed.path not in failed:
                name = healed.path.rpartition("/")[2]
                needed_by = (name,) if healed.path.startswith(SNAPSHOTS) else ()
                message = _("it is damaged or gone; its parity file still gives it back")
                self._report(Problem("damaged", healed.path, message, needed_by, healable=True))
        for name in self._with_damaged_parity():
            message = _("this parity file is damaged: it would not heal what it belongs to")
            self._report(Problem("damaged", parity_path(name), message, healable=True))
        for name in self._without_parity()[:MAX_AFFECTED]:
            message = _("this parity file is not there: what it belongs to could not be healed")
            self._report(Problem("missing", parity_path(name), message, healable=True))

    def _is_lost(self, blob_id: BlobId) -> bool:
        return self._repository.conditions.of_blob(blob_id) is Condition.LOST

    def _report_pack(self, name: FileName, problem: Problem) -> None:
        """Damage that an earlier verification reported, and a backup has mended since, is a note: nothing would be
        missing. The pack itself stays as it is until a prune removes it.
        """
        if problem.snapshots or self._repository.conditions.of_damage(name) is not Condition.HEALED:
            self._report(problem)
        elif name not in self._healed:
            self._healed.add(name)
            message = _("damaged, and saved again since")
            self._report(Problem("healed", problem.path, message))

    def _report_files(self, found: Trace) -> None:
        text = _("damaged on the drive; the next backup saves it again if it still exists")
        for path, names in sorted(found.paths.items())[:MAX_AFFECTED]:
            self._report(Problem("damaged", path, text, tuple(names)))
