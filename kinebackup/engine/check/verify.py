"""Reading what is on the drive and authenticating it, to the last byte.

Owns: the checks and what a failure affects. Does not know: when a check is due, or what was
checked before.

A pack passes only if its bytes hash to its name, its table and every segment authenticate, and every blob has the id
under which it is listed. A pack that does not hash to its name is judged as a restore would read it: by what the index
says of it.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from kinebackup.engine.format import header, pack
from kinebackup.engine.format.constants import PACK
from kinebackup.engine.format.layout import HEADER_COPIES, pack_path
from kinebackup.engine.format.pack import BlobPlace, Segment
from kinebackup.engine.format.seal import RecordOpener
from kinebackup.engine.format.snapshot import NamedSnapshot
from kinebackup.engine.repository.blob_index import Listing, listing_of
from kinebackup.engine.repository.condition import Condition
from kinebackup.engine.repository.damage_markers import remove_markers, set_markers
from kinebackup.engine.repository.findings import problem_of
from kinebackup.engine.repository.header_files import read_header_copy
from kinebackup.engine.repository.inventory import MissingPack, UnlistableFolder, UnreadableIndexFile, other_bytes
from kinebackup.engine.repository.references import ReferenceWalk, Trace, trace
from kinebackup.engine.repository.repository import LoadedRepository, SnapshotFiles
from kinebackup.errors import Damaged, NotFound
from kinebackup.i18n import _, ngettext
from kinebackup.model import BlobId, CancelToken, FileName, Monitor, Problem, VerifyReport, counting

WORKERS = 2
MAX_PACK_BYTES = 2**30  # thirty times what a writer makes: a longer file is no pack, and must not cost that memory
MAX_AFFECTED = 1000


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one verification may read; None is no limit."""

    duration_s: float | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class PackResult:
    """``lost``: blobs of the pack that cannot be had from it."""

    name: FileName
    ok: bool
    bytes_read: int
    message: str = ""
    lost: frozenset[BlobId] = frozenset()


@dataclass(slots=True)
class _Progress:
    bytes_read: int = 0
    checked: int = 0
    failed: list[PackResult] = field(default_factory=list)
    passed: list[FileName] = field(default_factory=list)


class PackChecker:
    """Reads whole packs into one buffer. One for each thread."""

    def __init__(self, repository: LoadedRepository) -> None:
        self._repository = repository
        self._buffer = bytearray()

    def check(self, name: FileName) -> PackResult:
        """Never raises for what is wrong with the pack itself."""
        store, path = self._repository.store, pack_path(name)
        try:
            size = store.size(path)
            if size > MAX_PACK_BYTES:
                return self._failed(name, 0, _("it is longer than a pack is"))
            if len(self._buffer) < size:
                self._buffer = bytearray(size)
            view = memoryview(self._buffer)[:size]
            store.drop_cache(path)  # a check of what memory remembers proves nothing about the drive
            got = store.read_into(path, 0, view)
        except (Damaged, NotFound) as error:
            return self._failed(name, 0, error.message)
        return self._judge(name, view[:got])

    def _judge(self, name: FileName, data: memoryview) -> PackResult:
        if hashlib.sha256(data).hexdigest() != name:
            listed = listing_of(self._repository.index, name)
            return self._judge_changed(name, data, listed) if listed else self._judge_unlisted(name, data)
        try:
            table = pack.parse_table(lambda at, size: _slice(data, at, size), len(data), self._repository.keys, name)
        except Damaged as error:
            return self._failed(name, len(data), error.message)
        bad = self._bad_segments(table.salt, dict(enumerate(table.segments)), table.places(), data)
        if not bad:
            return PackResult(name, ok=True, bytes_read=len(data))
        lost = frozenset(place.id for place in table.places() if place.segment in bad)
        return PackResult(name, False, len(data), _parts_damaged(len(bad), len(table.segments)), lost)

    def _judge_changed(self, name: FileName, data: memoryview, listed: Listing) -> PackResult:
        bad = self._bad_segments(listed.salt, listed.segments, listed.places, data)
        message = _parts_damaged(len(bad), len(listed.segments))
        lost = frozenset(place.id for place in listed.places if place.segment in bad)
        return PackResult(name, False, len(data), message if bad else _("its bytes changed outside its contents"), lost)

    def _judge_unlisted(self, name: FileName, data: memoryview) -> PackResult:
        return self._failed(name, len(data), other_bytes())

    def _bad_segments(
        self, salt: bytes, segments: Mapping[int, Segment], places: Iterable[BlobPlace], data: memoryview
    ) -> set[int]:
        """``places``: those of one segment side by side."""
        keys = self._repository.keys
        opener = RecordOpener(keys, PACK, salt)
        bad: set[int] = set()
        for record, group in groupby(places, key=attrgetter("segment")):
            segment = segments[record]
            try:
                plain = memoryview(_open(opener, segment, data))
            except Damaged:
                bad.add(record)
                continue
            for place in group:
                if keys.blob_id(segment.kind, plain[place.offset : place.offset + place.size]) != place.id:
                    bad.add(record)
        return bad

    def _failed(self, name: FileName, size: int, message: str) -> PackResult:
        """A pack of which nothing can be had."""
        listed = listing_of(self._repository.index, name)
        lost = frozenset(place.id for place in listed.places) if listed else frozenset[BlobId]()
        return PackResult(name, ok=False, bytes_read=size, message=message, lost=lost)


def _parts_damaged(bad: int, total: int) -> str:
    text = ngettext("{count} of its {total} parts is damaged", "{count} of its {total} parts are damaged", bad)
    return text.format(count=bad, total=total)


def _slice(data: memoryview, at: int, size: int) -> bytes:
    if at < 0 or at + size > len(data):
        raise Damaged(_("a pack is shorter than it should be"))
    return bytes(data[at : at + size])


def _open(opener: RecordOpener, segment: Segment, data: memoryview) -> bytes:
    return pack.open_segment(opener, segment, data[segment.offset : segment.offset + segment.sealed_size])


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

        Raises ``DriveFailed`` or ``Cancelled``.
        """
        began = elapsed_s()
        self._check_headers()
        files = self._repository.snapshots()
        for unreadable in files.unreadable:
            self._report(problem_of(unreadable))
        walk = ReferenceWalk(self._repository, self._cancel, self._report)
        for named in reversed(files.readable):
            walk.add(named)
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
        )

    def _report(self, problem: Problem) -> None:
        self._problems.append(problem)
        self._monitor.problem(problem)

    def _check_headers(self) -> None:
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
                self._report(Problem("damaged", name, error.message))
                continue
            if found == repository.header:
                continue  # the same, written by another program
            if found.repository != repository.id:
                self._report(Problem("damaged", name, _("this copy of the header is that of another drive")))
            else:
                self._report(Problem("rolled-back", name, _("this copy of the header is older than the others")))

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
            else:
                self._progress.failed.append(result)
        self._monitor.advance(files=1, size_bytes=result.bytes_read)

    def _conclude(self, files: SnapshotFiles, walk: ReferenceWalk, noticed: Sequence[Problem]) -> None:
        """Remember and mark, also after a cancellation, because what was read was read; then explain."""
        progress, marked = self._progress, self._repository.inventory.marked
        for name in progress.passed:
            self._on_checked(name, True)
        for result in progress.failed:
            self._on_checked(result.name, False)
        bad = {result.name for result in progress.failed} | {each.name for each in files.unreadable}
        good = {*progress.passed, *(named.id for named in files.readable)}
        set_markers(self._repository.store, bad - marked)
        remove_markers(self._repository.store, good & marked)
        if self._error is not None:
            raise self._error
        self._cancel.check()  # to explain takes its time, and nobody waits for it any more
        self._explain(files.readable, walk, noticed)

    def _explain(self, snapshots: Sequence[NamedSnapshot], walk: ReferenceWalk, noticed: Sequence[Problem]) -> None:
        """Name each pack that failed or is gone with the snapshots that it affects, then each file."""
        losses = self._losses()
        lost = {blob for blobs in losses.values() for blob in blobs if self._is_lost(blob)}
        found = trace(self._repository, snapshots, lost | walk.missing | walk.unreadable)
        index = self._repository.index

        def affected(name: FileName) -> tuple[str, ...]:
            # What a pack held that neither an index file nor its own table lists is among what is listed nowhere.
            return found.affected_by(losses.get(name) or (walk.missing if index.listed_size(name) is None else ()))

        for problem in noticed:
            self._report(problem)
        for finding in self._repository.inventory.findings:
            if isinstance(finding, UnreadableIndexFile | UnlistableFolder):
                self._report(problem_of(finding))
            elif not (isinstance(finding, MissingPack) and finding.pack in self._order):  # else it was looked for
                self._report_pack(finding.pack, problem_of(finding, affected(finding.pack)))
        for result in self._progress.failed:
            problem = Problem("damaged", pack_path(result.name), result.message, affected(result.name))
            self._report_pack(result.name, problem)
        self._report_files(found)

    def _losses(self) -> dict[FileName, frozenset[BlobId]]:
        """What cannot be had from each pack that failed, or that is gone."""
        conditions, index = self._repository.conditions, self._repository.index
        losses: dict[FileName, frozenset[BlobId]] = {}
        for name in index.packs():
            if conditions.of_pack(name) is Condition.LOST and (listed := listing_of(index, name)) is not None:
                losses[name] = frozenset(place.id for place in listed.places)
        for result in self._progress.failed:
            losses[result.name] = result.lost
            conditions.lose(result.name, result.lost)
        return losses

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
