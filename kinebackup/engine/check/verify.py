"""Reading what is on the drive and authenticating it, to the last byte.

Owns: the checks and what a failure affects; ``damaged/`` markers. Does not know: when a check is due, or what was
checked before.

A pack passes only if its bytes hash to its name, its table and every segment authenticate, and every blob has the id
under which it is listed. A pack that does not hash to its name is judged as a restore would read it: by what the index
says of it.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from kinebackup.engine.format import header, pack
from kinebackup.engine.format.constants import PACK
from kinebackup.engine.format.pack import BlobPlace, Segment
from kinebackup.engine.format.seal import RecordOpener
from kinebackup.engine.format.snapshot import NamedSnapshot
from kinebackup.engine.repository.committer import write_file
from kinebackup.engine.repository.references import Listing, ReferenceWalk, Trace, listing_of, trace
from kinebackup.engine.repository.repository import HEADER_COPIES, Repository, read_header_copy
from kinebackup.errors import Damaged, KineError, NotFound
from kinebackup.i18n import _, ngettext
from kinebackup.model import BlobId, CancelToken, FileName, Monitor, Problem, VerifyReport

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

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._buffer = bytearray()

    def check(self, name: FileName) -> PackResult:
        """Never raises for what is wrong with the pack itself."""
        store, path = self._repository.store, pack.path_of(name)
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
        return self._failed(name, len(data), _("its bytes are not those that its name stands for"))

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
        self._check_headers()
        snapshots, unreadable = self._repository.snapshots()
        for problem in unreadable:
            self._report(problem)
        walk = ReferenceWalk(self._repository, self._cancel, self._report)
        for named in reversed(snapshots):
            walk.add(named)
        total = sum(self._repository.present.get(name, 0) for name in self._order)
        self._monitor.phase("verify", files=len(self._order), size_bytes=self._budget.size_bytes or total)
        self._read_packs(began, elapsed_s)
        self._conclude(snapshots, {FileName(p.snapshots[0]) for p in unreadable}, walk, load_problems)
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

    def _conclude(
        self,
        snapshots: Sequence[NamedSnapshot],
        unreadable: set[FileName],
        walk: ReferenceWalk,
        load_problems: Sequence[Problem],
    ) -> None:
        """Remember and mark, also after a cancellation, because what was read was read; then explain."""
        progress = self._progress
        for name in progress.passed:
            self._on_checked(name, True)
        for result in progress.failed:
            self._on_checked(result.name, False)
        failed = {result.name for result in progress.failed}
        self._mark(failed | unreadable, set(progress.passed) | {named.id for named in snapshots})
        if self._error is not None:
            raise self._error
        self._cancel.check()  # to explain takes its time, and nobody waits for it any more
        self._explain(snapshots, walk, load_problems)

    def _explain(
        self, snapshots: Sequence[NamedSnapshot], walk: ReferenceWalk, load_problems: Sequence[Problem]
    ) -> None:
        """Name each pack that failed or is gone with the snapshots that it affects, then each file."""
        index, present = self._repository.index, self._repository.present
        gone = {name: listing_of(index, name) for name in index.packs() if name not in present}
        losses = {result.name: result.lost for result in self._progress.failed}
        losses |= {name: frozenset(place.id for place in listed.places) for name, listed in gone.items() if listed}
        lost = self._without_other_place(losses) | walk.missing | walk.unreadable
        found = trace(self._repository, snapshots, lost)

        def affected(name: FileName) -> tuple[str, ...]:
            # What a pack held of which neither index nor table tells, is among what is listed nowhere.
            return found.affected_by(losses.get(name) or (walk.missing if listing_of(index, name) is None else ()))

        for problem in load_problems:
            name = FileName(problem.path.rpartition("/")[2])
            is_pack = problem.path == pack.path_of(name)
            self._report(Problem(problem.kind, problem.path, problem.message, affected(name) if is_pack else ()))
        for result in self._progress.failed:
            self._report(Problem("damaged", pack.path_of(result.name), result.message, affected(result.name)))
        self._report_files(found)

    def _report_files(self, found: Trace) -> None:
        text = _("damaged on the drive; the next backup saves it again if it still exists")
        for path, names in sorted(found.paths.items())[:MAX_AFFECTED]:
            self._report(Problem("damaged", path, text, tuple(names)))

    def _without_other_place(self, losses: Mapping[FileName, frozenset[BlobId]]) -> set[BlobId]:
        return {
            blob_id
            for lost in losses.values()
            for blob_id in lost
            if all(location.pack in losses for location in self._repository.index.locations(blob_id))
        }

    def _mark(self, bad: set[FileName], good: set[FileName]) -> None:
        """``damaged/NAME`` tells writers to store a pack's blobs again, and that a snapshot failed before.

        On a read-only drive that is not possible, nor needed.
        """
        store, known = self._repository.store, self._repository.damaged_names
        with suppress(KineError):
            store.make_directories(["damaged"])
        for name in bad - known:
            with suppress(KineError):  # each by itself: a backup that begins meanwhile clears tmp/
                write_file(store, "damaged", name, b"")
        with suppress(KineError):
            for name in good & known:
                store.remove(f"damaged/{name}")
            if good & known:
                store.sync_directories(["damaged"])
