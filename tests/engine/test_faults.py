"""Drives that fill up, refuse, or vanish at any operation, and people who cancel at any moment.

Owns: the faults, and what every run leaves behind. Does not know: damage that is found later (``test_damage``).
"""

import contextlib
import errno
import fcntl
import os
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.engine.drives import (
    Drive,
    Seen,
    back_up,
    below,
    enroll,
    in_memory,
    loaded,
    noise,
    pruned,
    restored,
    seen,
    verified,
)
from support.engine.faulting_store import (
    READS,
    WRITES,
    Fault,
    FaultingStore,
    bad_sector,
    failed_write,
    full_drive,
    pulled_out,
)
from support.engine.parity_files import unprotected
from support.engine.recording_store import RecordingStore, Renamed
from support.loop_disk import mounted_ext4

from kinebackup.engine.findings import problem_of
from kinebackup.engine.format.layout import pack_path
from kinebackup.engine.repository.store import FolderStore, Store
from kinebackup.errors import Cancelled, CheckFailed, Damaged, DriveFailed, KineError
from kinebackup.model import BackupReport, CancelToken, FileName, PruneReport, VerifyReport

Run = Callable[[Drive, Store], object]


@dataclass(frozen=True)
class Scene:
    """A drive with two backups, and a source that has changed since the second."""

    folder: Path
    source: Path
    drive: Drive
    held: dict[str, dict[str, Seen]]

    @property
    def first(self) -> str:
        return next(iter(self.held))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with in_memory(tmp_path_factory.mktemp("faults")) as folder:
        yield make_scene(folder)


def make_scene(folder: Path) -> Scene:
    source = folder / "patients"
    (source / "Dupont").mkdir(parents=True)
    (source / "Dupont" / "bilan.txt").write_text("Bilan initial\n" * 20, encoding="utf-8")
    (source / "Dupont" / "radio.jpg").write_bytes(noise("radio", 40_000))
    (source / "Dupont" / "film.bin").write_bytes(noise("film", 600_000))
    drive = enroll(folder / "drive", keeps_parity=True)
    held = {str(back_up(drive, source).snapshot): seen(source)}
    (source / "Dupont" / "film.bin").write_bytes(noise("film 2", 580_000))
    held[str(back_up(drive, source).snapshot)] = seen(source)
    (source / "Dupont" / "film 3.bin").write_bytes(noise("film 3", 620_000))
    (source / "note.txt").write_text("à rappeler", encoding="utf-8")
    return Scene(folder, source, drive, held)


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


@contextlib.contextmanager
def leaving_nothing_behind() -> Iterator[None]:
    """No thread and no open file more than before."""
    threads, files = set(threading.enumerate()), descriptors()
    yield
    assert [thread.name for thread in set(threading.enumerate()) - threads] == []
    left = descriptors()
    assert len(left) == len(files), [os.readlink(f"/proc/self/fd/{fd}") for fd in left if fd not in files]


def operations_of(scene: Scene, run: Run, fault: Fault) -> int:
    """How many operations of the fault's kinds the run has when nothing fails."""
    drive = scene.drive.copied_to(scene.folder / "count")
    with contextlib.closing(FolderStore(str(drive.root))) as folder:
        run(drive, FaultingStore(folder, fault))
    shutil.rmtree(drive.root.parent)
    return fault.count


def failures(scene: Scene, run: Run, make: Callable[[int], Fault]) -> Iterator[tuple[Drive, KineError | None]]:
    """For each operation in turn: the drive after a run in which it failed, and how the run ended."""
    for at in range(operations_of(scene, run, make(-1))):
        drive, fault = scene.drive.copied_to(scene.folder / "faulty"), make(at)
        ended: KineError | None = None
        try:
            with leaving_nothing_behind(), contextlib.closing(FolderStore(str(drive.root))) as folder:
                try:
                    run(drive, FaultingStore(folder, fault))
                except KineError as error:
                    ended = error
            if fault.count > at:  # else threads shared the work differently this time, and it had fewer operations
                yield drive, ended
        except Exception as error:
            error.add_note(f"operation {at} failed; the run ended with {ended!r}")
            raise
        finally:
            shutil.rmtree(drive.root.parent)


def assert_restores(scene: Scene, drive: Drive, snapshot: str, expected: dict[str, Seen]) -> None:
    out = scene.folder / "out"
    try:
        assert restored(drive, out, snapshot).problems == ()
        assert seen(below(out, scene.source)) == expected
    finally:
        shutil.rmtree(out, ignore_errors=True)


def assert_next_run_succeeds(scene: Scene, drive: Drive, *, stays: Sequence[str]) -> None:
    """Earlier backups are intact; the next one is whole and leaves a clean drive, every file with its parity."""
    for name in stays:
        assert_restores(scene, drive, name, scene.held[name])
    made = back_up(drive, scene.source)
    assert made.problems == ()
    if stays:  # else packs are damaged; what could not be read once is out of use until a verification finds it sound
        assert unprotected(drive) <= {pack_path(FileName(path.name)) for path in drive.files("damaged")}
    assert_restores(scene, drive, str(made.snapshot), seen(scene.source))
    if verified(drive).problems:
        pruned(drive)
        assert verified(drive).problems == ()
        assert unprotected(drive) == set()


def save(scene: Scene) -> Callable[[Drive, Store], BackupReport]:
    return lambda drive, store: back_up(drive, scene.source, store=store)


def thin_out(scene: Scene) -> Callable[[Drive, Store], PruneReport]:
    return lambda drive, store: pruned(drive, scene.first, store=store)


# -- drives --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [full_drive, failed_write, pulled_out], ids=["full", "refuses a write", "pulled out"])
def test_a_backup_to_a_failing_drive_ends_as_such_and_loses_nothing(scene: Scene, make: Callable[[int], Fault]) -> None:
    reports: list[BackupReport] = []
    whole = 0
    for drive, ended in failures(scene, lambda drive, store: reports.append(save(scene)(drive, store)), make):
        if make is full_drive:
            assert drive.files("tmp") == []
        if make is full_drive and ended is None:  # it was full when only parity was still to be written
            assert [problem.kind for problem in reports[-1].problems] == ["redundancy"]
            assert_restores(scene, drive, "latest", seen(scene.source))
            whole += 1
        else:
            assert isinstance(ended, DriveFailed)
            assert ended.hint
            assert ended.message == "the drive is full" or make is not full_drive
        assert_next_run_succeeds(scene, drive, stays=list(scene.held))
    assert (whole > 0) == (make is full_drive)


@pytest.mark.parametrize("make", [full_drive, failed_write, pulled_out], ids=["full", "refuses a write", "pulled out"])
def test_a_prune_of_a_failing_drive_keeps_what_stays(scene: Scene, make: Callable[[int], Fault]) -> None:
    reports: list[PruneReport] = []
    for drive, ended in failures(scene, lambda drive, store: reports.append(thin_out(scene)(drive, store)), make):
        if make is full_drive and ended is None:
            assert [problem.kind for problem in reports[-1].problems] == ["redundancy"]
        else:
            assert isinstance(ended, DriveFailed)
        with loaded(drive) as repository:
            left = [named.id for named in repository.snapshots().readable]
        assert_next_run_succeeds(scene, drive, stays=left)


def test_a_backup_with_one_bad_sector_under_any_read_loses_nothing(scene: Scene) -> None:
    for drive, ended in failures(scene, save(scene), bad_sector):
        assert ended is None or isinstance(ended, DriveFailed)
        if ended is None:
            assert_restores(scene, drive, "latest", seen(scene.source))
        assert_next_run_succeeds(scene, drive, stays=list(scene.held))


def test_a_prune_with_one_bad_sector_under_any_read_deletes_nothing_that_is_needed(scene: Scene) -> None:
    for drive, _ in failures(scene, thin_out(scene), bad_sector):
        with loaded(drive) as repository:
            left = {named.id for named in repository.snapshots().readable}
        assert left >= set(scene.held) - {scene.first}
        assert_next_run_succeeds(scene, drive, stays=sorted(left))


@pytest.mark.parametrize("make", [pulled_out, bad_sector], ids=["pulled out", "one bad sector"])
def test_a_restore_from_a_failing_drive_ends_clearly_and_leaves_no_half_file(
    scene: Scene, make: Callable[[int], Fault]
) -> None:
    into = scene.folder / "into"

    def run(drive: Drive, store: Store) -> object:
        shutil.rmtree(into, ignore_errors=True)
        return restored(drive, into, scene.first, store=store)

    expected = scene.held[scene.first]
    for drive, ended in failures(scene, run, make):
        assert isinstance(ended, DriveFailed) or make is bad_sector
        place = below(into, scene.source)
        for path in place.rglob("*") if place.exists() else ():
            if path.is_file():
                assert seen(place)[str(path.relative_to(place))].sha256 == expected[str(path.relative_to(place))].sha256
        restored(drive, into, scene.first)  # goes on where it stopped
        assert seen(place) == expected
    shutil.rmtree(into, ignore_errors=True)


@pytest.mark.parametrize("heals", [False, True], ids=["no parity", "parity"])
def test_a_folder_of_the_drive_that_cannot_be_listed_costs_what_lies_in_it_and_stops_a_prune(
    scene: Scene, heals: bool, tmp_path: Path
) -> None:
    """A bad sector in a directory of the drive's file system: a reader brings back the rest, and by parity, which tells
    what to look for, also what can still be opened by its name.
    """
    drive = replace(scene.drive.copied_to(tmp_path), keeps_parity=heals)
    drive.lose_parity()
    largest = max(drive.files("packs"), key=lambda path: path.stat().st_size)
    folder = f"packs/{largest.name[:2]}"

    def before(kind: str, path: str) -> None:
        if (kind, path) == ("list_files", folder):
            raise Damaged(f"{folder} cannot be read from the drive")

    with contextlib.closing(FolderStore(str(drive.root))) as inner:
        store = FaultingStore(inner, Fault(frozenset(), 0), before)
        with loaded(drive, store) as repository:
            problems = {problem_of(found).path for found in repository.inventory.findings}
            assert problems == ({folder} if heals else {folder, f"{folder}/{largest.name}"})
        report = restored(drive, tmp_path / "hidden", store=store)
        assert report.files_restored > 0
        files = drive.files("")
        with pytest.raises(CheckFailed, match="cannot be listed, so nothing is deleted"):
            pruned(drive, store=store)
        assert drive.files("") == files
    assert verified(drive).result == "ok"


@pytest.mark.parametrize("make", [pulled_out, bad_sector], ids=["pulled out", "one bad sector"])
def test_a_verification_of_a_failing_drive_is_ok_only_if_all_was_read_and_changes_no_backup(
    scene: Scene, make: Callable[[int], Fault]
) -> None:
    reports: list[VerifyReport] = []
    everything = sum(path.stat().st_size for path in scene.drive.files("packs"))
    for drive, ended in failures(scene, lambda drive, store: reports.append(verified(drive, store=store)), make):
        if ended is not None:
            assert isinstance(ended, DriveFailed)
        elif reports[-1].result == "ok":
            assert (reports[-1].complete, reports[-1].bytes_read) == (True, everything)
        assert_next_run_succeeds(scene, drive, stays=list(scene.held))


class ForgetfulStore(FaultingStore):
    """A counterfeit drive: it takes everything, and gives back something else of what lies in one folder."""

    folder = "packs"

    def read_into(self, path: str, offset: int, buffer: memoryview) -> int:
        count = super().read_into(path, offset, buffer)
        if offset == 0 and path.startswith(f"{self.folder}/"):
            buffer[100] ^= 1
        return count


@pytest.mark.parametrize("folder", ["packs", "snapshots"])
def test_a_drive_that_does_not_keep_what_it_took_is_found_out_before_anything_relies_on_it(
    scene: Scene, folder: str
) -> None:
    drive = scene.drive.copied_to(scene.folder / "counterfeit")
    before = drive.files(folder)
    with contextlib.closing(FolderStore(str(drive.root))) as inner:
        store = ForgetfulStore(inner, full_drive())
        store.folder = folder
        with pytest.raises(DriveFailed) as found_out:
            back_up(drive, scene.source, store=store)
    assert "replace this drive" in found_out.value.hint
    assert drive.files(folder) == before
    assert_next_run_succeeds(scene, drive, stays=list(scene.held))
    shutil.rmtree(drive.root.parent)


def test_a_read_only_drive_can_be_read_and_refuses_a_backup(scene: Scene) -> None:
    drive = scene.drive.copied_to(scene.folder / "read-only")
    read_only = Fault(WRITES | {"remove"}, errno.EROFS, at=0)
    with leaving_nothing_behind(), contextlib.closing(FolderStore(str(drive.root))) as folder:
        store = FaultingStore(folder, read_only)
        with pytest.raises(DriveFailed) as refused:
            back_up(drive, scene.source, store=store)
        assert "write-protection" in refused.value.hint
        assert verified(drive, store=store).result == "ok"
        out = scene.folder / "out"
        assert restored(drive, out, scene.first, store=store).problems == ()
        shutil.rmtree(out)
    shutil.rmtree(drive.root.parent)


# -- people --------------------------------------------------------------------------------------------------------


_HANGS_S = 60
"""What is still done after the word is counted in test_stopping.py."""


def cancelling(cancel: CancelToken, at: int, kinds: frozenset[str] = READS | WRITES) -> Callable[[str, str], None]:
    """Cancels at operation number ``at`` of these kinds."""
    count = iter(range(10**9))

    def before(kind: str, path: str) -> None:
        if kind in kinds and next(count) >= at:
            cancel.cancel()

    return before


def test_a_backup_cancelled_at_any_operation_stops_soon_and_the_next_one_goes_on(scene: Scene) -> None:
    for at in range(0, operations_of(scene, save(scene), Fault(READS | WRITES, 0)), 3):
        drive = scene.drive.copied_to(scene.folder / "cancelled")
        cancel = CancelToken()
        with leaving_nothing_behind(), contextlib.closing(FolderStore(str(drive.root))) as folder:
            began = time.monotonic()
            with contextlib.suppress(Cancelled):
                back_up(
                    drive,
                    scene.source,
                    store=FaultingStore(folder, full_drive(), cancelling(cancel, at)),
                    cancel=cancel,
                )
            assert time.monotonic() - began < _HANGS_S
        assert_next_run_succeeds(scene, drive, stays=list(scene.held))
        shutil.rmtree(drive.root.parent)


def test_a_cancelled_backup_resumes_without_writing_the_same_packs_again(tmp_path: Path) -> None:
    source = tmp_path / "patients"
    source.mkdir()
    for number in range(6):
        (source / f"film-{number}.bin").write_bytes(noise(f"film {number}", 24 * 2**20))
    drive = enroll(tmp_path / "drive")
    cancel = CancelToken()
    # When the cache is dropped, the first pack is in its place and is about to be read back.
    pull = cancelling(cancel, 0, frozenset({"drop_cache"}))
    with leaving_nothing_behind(), contextlib.closing(FolderStore(str(drive.root))) as folder:
        began = time.monotonic()
        with pytest.raises(Cancelled):
            back_up(drive, source, store=FaultingStore(folder, full_drive(), pull), cancel=cancel)
        assert time.monotonic() - began < _HANGS_S
    kept = drive.files("packs")
    kept_bytes = sum(path.stat().st_size for path in kept)
    assert kept_bytes > 15 * 2**20  # that pack, whole; what else was begun depends on the two lanes' pace
    with contextlib.closing(FolderStore(str(drive.root))) as folder:
        store = RecordingStore(folder)
        report = back_up(drive, source, store=store)
    assert report.bytes_written < 6 * 24 * 2**20 - kept_bytes + 2**20
    renamed = {operation.path for operation in store.operations if isinstance(operation, Renamed)}
    assert not renamed & {str(path.relative_to(drive.root)) for path in kept}
    assert set(kept) <= set(drive.files("packs"))
    assert restored(drive, tmp_path / "out").problems == ()
    assert seen(below(tmp_path / "out", source)) == seen(source)


def test_a_cancelled_verification_stops_soon_and_still_marks_what_it_found(scene: Scene) -> None:
    drive = scene.drive.copied_to(scene.folder / "half-verified")
    aside = (drive.root / "parity").rename(drive.root.parent / "parity")  # else they are healed before one is verified
    for pack in drive.files("packs"):
        pack.write_bytes(pack.read_bytes()[:-1])
    cancel = CancelToken()
    with leaving_nothing_behind(), contextlib.closing(FolderStore(str(drive.root))) as folder:
        store = FaultingStore(folder, full_drive(), cancelling(cancel, 0, frozenset({"read_into"})))
        began = time.monotonic()
        with pytest.raises(Cancelled):
            verified(drive, store=store, cancel=cancel)
        assert time.monotonic() - began < _HANGS_S
    assert 1 <= len(drive.files("damaged")) <= 2  # those that the two workers had begun
    aside.rename(drive.root / "parity")
    assert_next_run_succeeds(scene, drive, stays=[])
    shutil.rmtree(drive.root.parent)


def test_a_cancelled_restore_stops_soon_and_resumes(scene: Scene) -> None:
    drive, into = scene.drive, scene.folder / "resumed"
    for at in range(12, 20):
        cancel = CancelToken()
        with leaving_nothing_behind(), contextlib.closing(FolderStore(str(drive.root))) as folder:
            store = FaultingStore(folder, full_drive(), cancelling(cancel, at, frozenset({"read"})))
            began = time.monotonic()
            with contextlib.suppress(Cancelled):
                restored(drive, into, scene.first, store=store, cancel=cancel)
            assert time.monotonic() - began < _HANGS_S
    assert restored(drive, into, scene.first).problems == ()
    assert seen(below(into, scene.source)) == scene.held[scene.first]
    shutil.rmtree(into)


# -- the real thing ------------------------------------------------------------------------------------------------


@pytest.fixture
def small_drive(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB."""
    with mounted_ext4(tmp_path, 12 * 2**20) as place:
        yield place


@pytest.fixture
def large_drive(tmp_path: Path) -> Iterator[Path]:
    """A file system of which what it knows of its files lies at the beginning, and their content after that."""
    with mounted_ext4(tmp_path, 96 * 2**20, "-b", "4096", "-O", "^has_journal") as place:
        yield place


def fill_up(drive: Path) -> None:
    """Not one more byte fits."""
    for size in (2**20, 4096, 1):
        with (drive / f"filler-{size}").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * size):
                pass
    assert os.statvfs(drive).f_bavail == 0


@pytest.mark.root
def test_a_real_drive_that_fills_up_keeps_its_backups_and_can_be_pruned(small_drive: Path, tmp_path: Path) -> None:
    source = tmp_path / "patients"
    source.mkdir()
    (source / "bilan.txt").write_text("Bilan\n" * 100, encoding="utf-8")
    (source / "film.bin").write_bytes(noise("film", 4 * 2**20))
    drive = enroll(small_drive)
    ballast = drive.root / "reserve"  # as enrolling a drive makes it: 2 % of the drive, for a prune when it is full
    ballast.write_bytes(noise("reserve", 300_000))
    first = str(back_up(drive, source).snapshot)
    (source / "film.bin").write_bytes(noise("film 2", 2**20))
    second, expected = str(back_up(drive, source).snapshot), seen(source)
    (source / "trop.bin").write_bytes(noise("trop", 9 * 2**20))
    for _ in range(3):  # each try finds what the one before could not remove, and none wedges the drive
        with leaving_nothing_behind(), pytest.raises(DriveFailed) as ended:
            back_up(drive, source)
        assert ended.value.message == "the drive is full"
    assert restored(drive, tmp_path / "out", second).problems == ()
    assert seen(below(tmp_path / "out", source)) == expected
    fill_up(small_drive)
    ballast.unlink()  # as the prune command does first
    report = pruned(drive, first)
    assert report.snapshots_removed == (first,)
    assert report.bytes_freed > 3 * 2**20
    (source / "trop.bin").unlink()
    made = back_up(drive, source)
    assert made.problems == ()
    assert verified(drive).result == "ok"
    assert restored(drive, tmp_path / "again").problems == ()
    assert seen(below(tmp_path / "again", source)) == seen(source)


def end_in_the_image(path: Path) -> int:
    """Where in the image the last byte of a small file lies (FIEMAP, one extent)."""
    request = bytearray(struct.pack("=QQLLLL", 0, 2**64 - 1, 1, 0, 1, 0) + bytes(56))
    with path.open("rb") as file:
        fcntl.ioctl(file, 0xC020660B, request)
    _logical, physical, length = struct.unpack_from("=QQQ", request, 32)
    return int(physical + length)


def forget_pages(drive: Drive) -> None:
    """What memory holds of the files goes: the next read is the drive's."""
    for path in drive.files(""):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.root
def test_a_real_place_that_cannot_be_read_costs_what_lies_there_and_a_drive_that_has_gone_calls_no_file_damaged(
    large_drive: Path, tmp_path: Path
) -> None:
    """The end of the image goes first, then all of it: the kernel answers EIO for what lay there."""
    image, source = tmp_path / "disk.img", tmp_path / "patients"
    source.mkdir()
    drive = enroll(large_drive)
    for name in ("Dupont", "Durand", "Martin"):
        (source / name).write_bytes(noise(name, 900_000))
        back_up(drive, source)
    victim = max(drive.files("packs"), key=lambda path: path.stat().st_size)
    copies = [drive.root / f"copy-{number}" for number in range(8)]
    for copy in copies:
        shutil.copyfile(victim, copy)
        forget_pages(drive)
    max(copies, key=end_in_the_image).rename(victim)
    subprocess.run(["sync", "-f", str(large_drive)], check=True)
    others = [path for path in drive.files("") if path not in (victim, *copies) and path.stat().st_size]
    assert end_in_the_image(victim) > max(end_in_the_image(path) for path in others)
    subprocess.run(["mount", "-o", "remount,ro", str(large_drive)], check=True)
    forget_pages(drive)
    os.truncate(image, end_in_the_image(victim) - 8192)

    found = verified(drive)
    assert str(victim.relative_to(drive.root)) in [problem.path for problem in found.problems]
    report = restored(drive, tmp_path / "out")
    assert (report.files_restored, [problem.kind for problem in report.problems]) == (2, ["damaged"])

    with contextlib.closing(FolderStore(str(drive.root))) as store:
        forget_pages(drive)
        os.truncate(image, 0)
        for path in drive.files("packs"):
            with pytest.raises(DriveFailed, match="the drive does not answer"):
                store.read(str(path.relative_to(drive.root)))
