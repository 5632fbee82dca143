"""The restore test: files really restored, then compared with what the backup says of them and with the live source.

Owns: the sample's way through a private directory, and the comparison. Does not know: when a test is due, or where
RAM is.

Unlike a verification, this goes the whole way that a person would go after losing the PC: unlock, find, read, decrypt,
write a file with its attributes, and then reads that file again from the outside.
"""

import os
import stat as st
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from msgspec.structs import replace

from kinebackup.engine.check.sampling import FileFacts, choose
from kinebackup.engine.format.snapshot import NamedSnapshot
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.metadata import Comparison, differences, matches
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.engine.repository.tree_reader import TreeReader, Visited
from kinebackup.engine.restore.attributes import Refused
from kinebackup.engine.restore.entry_writer import EntryWriter
from kinebackup.engine.restore.same_content import has_content_of
from kinebackup.errors import Damaged
from kinebackup.i18n import _, ngettext
from kinebackup.model import CancelToken, Monitor, Problem, ProblemKind, RestoreTestReport

_COMPARE_BYTES = 2**20
_NAME = "restored"


@dataclass(frozen=True, slots=True)
class RestoreTestRequest:
    """``files`` None: every file. ``scratch``: private directories, RAM-backed first; the first with room is used."""

    snapshot: NamedSnapshot
    files: int | None
    seed: int
    scratch: Sequence[str]
    key_slot: str
    compare_with_source: bool
    as_root: bool = False
    max_bytes: int = 2 * 2**30


@dataclass(slots=True)
class _Counts:
    tested: int = 0
    bytes: int = 0
    compared: int = 0
    problems: list[Problem] = field(default_factory=list)


def restore_test(
    repository: LoadedRepository,
    request: RestoreTestRequest,
    elapsed_s: Callable[[], float],
    *,
    cancel: CancelToken,
    monitor: Monitor,
) -> RestoreTestReport:
    """Test one snapshot. ``repository.load`` has been called. The scratch directories are empty again afterwards."""
    began = elapsed_s()
    test = _Test(repository, request, cancel, monitor)
    test.run()
    counts = test.counts
    lost = request.snapshot.snapshot.files_lost
    if lost:
        test.tell(
            "incomplete",
            "/",
            ngettext(
                "{count} file is missing in this backup, or there as it was earlier",
                "{count} files are missing in this backup, or there as they were earlier",
                lost,
            ).format(count=lost),
        )
    if not counts.tested:
        test.report("missing", "/", _("no file could be tested, so nothing is proven"))
    return RestoreTestReport(
        result="failed" if test.failed else "ok",
        snapshot=request.snapshot.id,
        files_tested=counts.tested,
        bytes_tested=counts.bytes,
        files_compared_with_source=counts.compared,
        duration_s=elapsed_s() - began,
        seed=request.seed,
        key_slot=request.key_slot,
        problems=tuple(counts.problems),
    )


class _Test:
    def __init__(
        self, repository: LoadedRepository, request: RestoreTestRequest, cancel: CancelToken, monitor: Monitor
    ) -> None:
        self._repository = repository
        self._request = request
        self._cancel = cancel
        self._monitor = monitor
        self._reader = BlobReader(repository)
        self._trees = TreeReader(self._reader, self._damaged_folder)
        self._quiet_trees = TreeReader(self._reader, lambda _: None)
        self.counts = _Counts()
        self.failed = False

    def run(self) -> None:
        request = self._request
        if request.files is None:
            self._monitor.phase("restore-test", files=request.snapshot.snapshot.counts.files)
            wanted: Iterable[Visited] = self._files(self._trees)
        else:
            chosen = self._choose(request.files)
            self._monitor.phase("restore-test", files=len(chosen))
            wanted = (v for number, v in enumerate(self._files(self._quiet_trees)) if number in chosen)
        for visited in wanted:
            self._cancel.check()
            self._test(visited)
            self._monitor.advance(files=1, size_bytes=visited.entry.size)

    def _files(self, trees: TreeReader) -> Iterable[Visited]:
        return (v for v in trees.walk(self._request.snapshot.snapshot.root) if v.entry.type == "file")

    def _choose(self, count: int) -> set[int]:
        facts = (FileFacts(n, v.entry.size, v.entry.mtime) for n, v in enumerate(self._files(self._trees)))
        return set(choose(facts, count=count, seed=self._request.seed, max_bytes=self._request.max_bytes))

    def _damaged_folder(self, problem: Problem) -> None:
        self.report("damaged", problem.path, problem.message)

    def report(self, kind: ProblemKind, path: str, message: str) -> None:
        """Everything but a note makes the test fail."""
        self.failed = self.failed or kind != "skipped"
        self.tell(kind, path, message)

    def tell(self, kind: ProblemKind, path: str, message: str) -> None:
        """The same of what is no fault of the drive: what it holds comes back."""
        problem = Problem(kind, path, message, (self._request.snapshot.id,))
        self.counts.problems.append(problem)
        self._monitor.problem(problem)

    def _test(self, visited: Visited) -> None:
        path, entry = f"/{visited.path}", visited.entry
        if not self._request.as_root:  # a restore gives no program the rights of an owner that cannot be set
            entry = replace(entry, mode=entry.mode & ~(st.S_ISUID | st.S_ISGID))
        scratch = self._scratch(entry.size)
        if scratch is None:
            self.report("skipped", path, _("there is no room to restore this file for a test"))
            return
        directory = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            writer = EntryWriter(self._reader, cancel=self._cancel, as_root=self._request.as_root)
            writer.write(directory, _NAME, entry, lambda refused: self._refused(path, refused))
            self._compare(directory, path, entry)
            self.counts.tested += 1
            self.counts.bytes += entry.size
        except Damaged as error:
            self.report("damaged", path, error.message)
        except OSError as error:
            self.report(
                "not-restored", path, _("the file could not be restored ({reason})").format(reason=error.strerror)
            )
        finally:
            with suppress(FileNotFoundError):
                os.unlink(_NAME, dir_fd=directory)
            os.close(directory)

    def _refused(self, path: str, refused: Refused) -> None:
        if not refused.xattr:  # those that the scratch place cannot hold say nothing of the backup
            self.report("metadata", path, refused.text)

    def _scratch(self, size: int) -> str | None:
        for place in self._request.scratch:
            info = os.statvfs(place)
            if info.f_bavail * info.f_frsize > size + size // 8 + _COMPARE_BYTES:
                return place
        return None

    def _compare(self, directory: int, path: str, entry: Entry) -> None:
        """The restored file against the manifest, and against the source where that has not changed since."""
        found = os.stat(_NAME, dir_fd=directory, follow_symlinks=False)
        for difference in differences(Comparison.RESTORE_TEST, entry, found):
            self.report("differs", path, difference.text)
        os.chmod(_NAME, 0o600, dir_fd=directory)  # its own mode has been compared, and may forbid reading
        fd = os.open(_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            if not has_content_of(fd, entry, self._repository, self._reader):
                self.report("differs", path, _("the content of the restored file is not what was saved"))
            elif self._request.compare_with_source and entry.copied is None and not entry.uncertain:
                self._compare_with_source(fd, path, entry)
        finally:
            os.close(fd)

    def _compare_with_source(self, restored: int, path: str, entry: Entry) -> None:
        try:
            source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return  # gone or changed since: that is what backups are for
        try:
            before = os.fstat(source)
            if not st.S_ISREG(before.st_mode) or not matches(Comparison.WRITTEN, entry, before):
                return
            same = _same_bytes(restored, source)
            if not matches(Comparison.WRITTEN, entry, os.fstat(source)):
                return
            self.counts.compared += 1
            if not same:
                self.report("differs", path, _("the restored file is not the same as the one on this computer"))
        finally:
            os.close(source)


def _same_bytes(a: int, b: int) -> bool:
    at = 0
    while True:
        left, right = os.pread(a, _COMPARE_BYTES, at), os.pread(b, _COMPARE_BYTES, at)
        if left != right:
            return False
        if not left:
            return True
        at += len(left)
