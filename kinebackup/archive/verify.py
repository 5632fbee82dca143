"""Reading what is on the drive and authenticating it, to the last byte.

Owns: the checks and what a failure affects; ``damaged/`` markers. Does not know: when a check is due, or what was checked before.

A pack passes only if its bytes hash to its name, its table and every segment authenticate, and every blob has the id under which it is
listed: that is all that a restore relies on.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from kinebackup.archive import header, pack
from kinebackup.archive.format import PACK
from kinebackup.archive.pack import Pack, Segment
from kinebackup.archive.references import ReferenceWalk, blobs_of_pack, files_using
from kinebackup.archive.repository import HEADER_COPIES, Repository
from kinebackup.archive.seal import RecordOpener
from kinebackup.archive.snapshot import NamedSnapshot
from kinebackup.errors import Damaged, KineError, NotFound
from kinebackup.model import BlobId, CancelToken, FileName, Monitor, Problem, VerifyReport

WORKERS = 2
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

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._buffer = bytearray()

    def check(self, name: FileName) -> PackResult:
        """Never raises for what is wrong with the pack itself."""
        store, path = self._repository.store, pack.path_of(name)
        try:
            size = store.size(path)
            if len(self._buffer) < size:
                self._buffer = bytearray(size)
            view = memoryview(self._buffer)[:size]
            store.drop_cache(path)  # a check of what memory remembers proves nothing about the drive
            got = store.read_into(path, 0, view)
        except (Damaged, NotFound) as error:
            return self._failed(name, 0, error.message, None)
        return self._judge(name, view[:got])

    def _judge(self, name: FileName, data: memoryview) -> PackResult:
        right_digest = hashlib.sha256(data).hexdigest() == name
        try:
            table = pack.parse_table(lambda at, size: _slice(data, at, size), len(data), self._repository.keys, name)
        except Damaged as error:
            return self._failed(name, len(data), error.message, data)
        bad = self._bad_segments(table, data)
        if right_digest and not bad:
            return PackResult(name, ok=True, bytes_read=len(data))
        lost = frozenset(place.id for place in table.places() if place.segment in bad)
        text = (
            f"{len(bad)} of {len(table.segments)} parts are damaged"
            if bad
            else "its bytes changed outside its contents"
        )
        return PackResult(name, ok=False, bytes_read=len(data), message=text, lost=lost)

    def _bad_segments(self, table: Pack, data: memoryview) -> set[int]:
        keys = self._repository.keys
        opener = RecordOpener(keys, PACK, table.salt)
        bad: set[int] = set()
        plain, current = b"", -1
        for place in table.places():
            segment = table.segments[place.segment]
            if place.segment != current:
                current = place.segment
                try:
                    plain = _open(opener, segment, data)
                except Damaged:
                    bad.add(current)
            if current not in bad:
                part = memoryview(plain)[place.offset : place.offset + place.size]
                if keys.blob_id(segment.kind, part) != place.id:
                    bad.add(current)
        return bad

    def _failed(self, name: FileName, size: int, message: str, data: memoryview | None) -> PackResult:
        """A pack without a usable table: the index says what should be in it, and each segment is tried by the index's salt."""
        lost: set[BlobId] = set()
        segments: dict[int, Segment] = {}
        salt = b""
        for table in self._repository.index.tables:
            for listed in table.packs:
                if listed.name == name:
                    salt = listed.salt
            segments |= {s.record: s for s in table.segments_of([name])[name]}
        good: set[int] = set()
        if salt and data is not None:
            opener = RecordOpener(self._repository.keys, PACK, salt)
            for record, segment in segments.items():
                with suppress(Damaged):
                    _open(opener, segment, data)
                    good.add(record)
        for blob_id, record in blobs_of_pack(self._repository.index, name):
            if record not in good:
                lost.add(blob_id)
        return PackResult(name, ok=False, bytes_read=size, message=message, lost=frozenset(lost))


def _slice(data: memoryview, at: int, size: int) -> bytes:
    if at < 0 or at + size > len(data):
        raise Damaged("a pack is shorter than it should be")
    return bytes(data[at : at + size])


def _open(opener: RecordOpener, segment: Segment, data: memoryview) -> bytes:
    return pack.open_segment(opener, segment, data[segment.offset : segment.offset + segment.sealed_size])


class Verification:
    """One run over a repository whose index is loaded."""

    def __init__(
        self,
        repository: Repository,
        order: Sequence[FileName],
        budget: Budget,
        on_checked: Callable[[FileName, bool], None],
        *,
        cancel: CancelToken,
        monitor: Monitor,
    ) -> None:
        """``order``: the packs to read, most urgent first. ``on_checked`` hears of each one, from this thread."""
        self._repository = repository
        self._order = list(order)
        self._budget = budget
        self._on_checked = on_checked
        self._cancel = cancel
        self._monitor = monitor
        self._problems: list[Problem] = []
        self._progress = _Progress()
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def run(self, load_problems: Sequence[Problem], elapsed_s: Callable[[], float]) -> VerifyReport:
        """``load_problems``: what ``Repository.load`` reported. Raises ``DriveFailed`` or ``Cancelled``."""
        began = elapsed_s()
        for problem in load_problems:
            self._report(problem)
        self._check_headers()
        snapshots, unreadable = self._repository.snapshots()
        for problem in unreadable:
            self._report(problem)
        self._check_references(snapshots)
        total = sum(self._repository.present.get(name, 0) for name in self._order)
        self._monitor.phase("verify", files=len(self._order), size_bytes=self._budget.size_bytes or total)
        self._read_packs(began, elapsed_s)
        self._conclude(snapshots)
        return VerifyReport(
            result="failed" if self._problems else "ok",
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
                data = repository.store.read(name)
                if data != newest:
                    header.authenticate(data, header.decode(data), repository.unlocked.master)
                    self._report(Problem("rolled-back", name, "a copy of the header is older than the others"))
            except (Damaged, NotFound) as error:
                self._report(Problem("damaged", name, error.message))

    def _check_references(self, snapshots: Sequence[NamedSnapshot]) -> None:
        """Every blob that a snapshot needs is listed somewhere; that it is also sound, the packs show."""
        walk = ReferenceWalk(self._repository, self._cancel, self._report)
        for named in reversed(snapshots):
            walk.add(named)

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

    def _conclude(self, snapshots: Sequence[NamedSnapshot]) -> None:
        """Remember, mark and explain; also after a cancellation, because what was read was read."""
        progress = self._progress
        for name in progress.passed:
            self._on_checked(name, True)
        for result in progress.failed:
            self._on_checked(result.name, False)
        self._mark({result.name for result in progress.failed}, set(progress.passed))
        lost = self._without_other_place(progress.failed)
        affected = list(files_using(self._repository, snapshots, lost, MAX_AFFECTED)) if lost else []
        touched = sorted({snapshot for problem in affected for snapshot in problem.snapshots})
        for result in progress.failed:
            self._report(Problem("damaged", pack.path_of(result.name), result.message, tuple(touched)))
        for problem in affected:
            self._report(problem)
        if self._error is not None:
            raise self._error
        self._cancel.check()

    def _without_other_place(self, failed: Sequence[PackResult]) -> set[BlobId]:
        names = {result.name for result in failed}
        return {
            blob_id
            for result in failed
            for blob_id in result.lost
            if all(location.pack in names for location in self._repository.index.locations(blob_id))
        }

    def _mark(self, bad: set[FileName], good: set[FileName]) -> None:
        """``damaged/NAME`` tells writers to store those blobs again. On a read-only drive that is not possible, nor needed."""
        store = self._repository.store
        with suppress(KineError):
            store.make_directories(["damaged"])
            for name in bad - self._repository.damaged_names:
                store.create().commit(f"damaged/{name}")
            for name in good & self._repository.damaged_names:
                store.remove(f"damaged/{name}")
            if bad or good & self._repository.damaged_names:
                store.sync_directories(["damaged"])
