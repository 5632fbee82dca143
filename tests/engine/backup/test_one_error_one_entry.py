"""An error of one call on one name costs that name, and no other: each error at each call of a run.

Owns: the enumeration, with and without a parent snapshot. Does not know: real disks that fail.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, below, enroll, in_memory, loaded, noise, opened, restored
from support.engine.failing_source import Call, FailingSource

from kinebackup.engine.backup.parent.directory import WINDOW_SIZE, WindowSize
from kinebackup.engine.format.snapshot import Snapshot
from kinebackup.engine.format.tree import Entry, blob_id
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.tree_reader import TreeReader
from kinebackup.model import BackupReport

ERRORS = (
    errno.EPERM,
    errno.ENOENT,
    errno.EINTR,
    errno.EIO,
    errno.ENXIO,
    errno.E2BIG,
    errno.EACCES,
    errno.EBUSY,
    errno.ENODEV,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENODATA,
    errno.EUCLEAN,
    errno.ENOTCONN,
    errno.ESTALE,
    errno.ERANGE,
)
FILES = {"a.txt", "m/b.txt", "m/deep/c.txt", "m/deep/d.txt", "m/film.bin", "z.txt"}
OTHERS = {"", "link", "m", "m/deep", "pipe"}


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Path]:
    """A place for drives where a sync costs nothing."""
    with in_memory(tmp_path) as folder:
        yield folder


@pytest.fixture
def docs(disk_path: Path) -> Path:
    folder = disk_path / "docs"
    (folder / "m" / "deep").mkdir(parents=True)
    fill(folder, "first")
    (folder / "link").symlink_to("a.txt")
    os.mkfifo(folder / "pipe")
    return folder


def fill(folder: Path, day: str) -> None:
    for name in FILES:
        (folder / name).write_bytes(noise(f"{name} {day}", 700_000 if name == "m/film.bin" else 20))
        os.setxattr(folder / name, "user.day", day.encode())


def snapshot_of(drive: Drive, report: BackupReport) -> Snapshot:
    assert report.snapshot is not None
    with opened(drive) as repository:
        return repository.find_snapshot(report.snapshot).snapshot


def entries_of(drive: Drive, report: BackupReport, docs: Path) -> dict[str, Entry]:
    """What the snapshot has of the source, by its path there; all of its content is read."""
    with loaded(drive) as repository:
        assert report.snapshot is not None
        snapshot = repository.find_snapshot(report.snapshot).snapshot
        problems: list[object] = []
        walked = TreeReader(BlobReader(repository), problems.append).walk(snapshot.root)
        source = str(docs).strip("/")
        found = {v.path[len(source) :].strip("/"): v.entry for v in walked if f"{v.path}/".startswith(f"{source}/")}
        assert problems == []
        assert snapshot.counts.files == sum(entry.type == "file" for entry in found.values())
        assert snapshot.files_by_source == (snapshot.counts.files,)
        return found


def calls_of(drive: Drive, docs: Path, place: Path) -> list[Call]:
    """Each call that a backup makes on the source."""
    made: list[Call] = []
    back_up(drive.copied_to(place), FailingSource(docs, made.append))
    return list(dict.fromkeys(made))


def failing(docs: Path, wanted: Call, number: int) -> FailingSource:
    def met(call: Call) -> None:
        if call == wanted:
            raise OSError(number, os.strerror(number))

    return FailingSource(docs, met)


def touched_by(call: Call) -> set[str]:
    """What may lack where that call fails: the name itself and all below it; where a listing does, its second half."""
    every = FILES | OTHERS
    if call.what in ("lstat", "open", "read link"):
        return {path for path in every if f"{path}/".startswith(f"{call.path}/")}
    halves = {"": {"m", "pipe", "z.txt"}, "m": {"deep", "film.bin"}, "m/deep": {"d.txt"}}
    if call.what in ("list", "list on"):
        prefix = f"{call.path}/" if call.path else ""
        tops = {prefix + name for name in halves[call.path]}
        if call.what == "list":
            return {path for path in every if path.startswith(prefix)} - {call.path}
        return {path for path in every if any(f"{path}/".startswith(f"{top}/") for top in tops)}
    return set()


def silent(call: Call, number: int) -> bool:
    """A name that was removed meanwhile is as if never there; so is an attribute."""
    if call.what in ("lstat", "open", "read link"):
        return number == errno.ENOENT
    return call.what == "read attribute" and number == errno.ENODATA


def kind_of(call: Call) -> str:
    return "unreadable" if call.what in ("lstat", "open", "list", "list on", "read link") else "metadata"


@pytest.mark.parametrize("number", ERRORS, ids=lambda number: errno.errorcode[number])
def test_an_error_at_any_call_costs_one_name_of_a_first_backup(shelf: Path, docs: Path, number: int) -> None:
    fresh = enroll(shelf / "drive")
    calls = [
        call for call in calls_of(fresh, docs, shelf / "counted") if call.path or call.what not in ("lstat", "open")
    ]
    assert len(calls) == 45
    for at, call in enumerate(calls):
        drive = fresh.copied_to(shelf / f"first-{at}")
        report = back_up(drive, failing(docs, call, number))
        lacking = touched_by(call)
        found = entries_of(drive, report, docs)
        assert found.keys() >= (FILES | OTHERS) - lacking, call
        if silent(call, number):
            assert report.problems == (), call
        else:
            assert [(p.kind, p.path) for p in report.problems if p.kind != "source-empty"] == [
                (kind_of(call), f"{docs}/{call.path}".rstrip("/"))
            ], call
            assert report.files_lost == (1 if lacking else 0), call
        assert snapshot_of(drive, report).files_lost == report.files_lost
        shutil.rmtree(shelf / f"first-{at}")


@pytest.mark.parametrize("number", ERRORS, ids=lambda number: errno.errorcode[number])
def test_an_error_at_any_call_of_a_later_backup_loses_nothing(shelf: Path, docs: Path, number: int) -> None:
    """What cannot be read now is there as it was, and its mark says so; all else is as it is now."""
    fresh = enroll(shelf / "drive")
    before = entries_of(fresh, back_up(fresh, docs), docs)
    fill(docs, "later")
    os.chmod(docs / "pipe", 0o600)
    calls = [
        call for call in calls_of(fresh, docs, shelf / "counted") if call.path or call.what not in ("lstat", "open")
    ]
    assert len(calls) == 42  # the attributes of folders are those of before
    for at, call in enumerate(calls):
        drive = fresh.copied_to(shelf / f"later-{at}")
        report = back_up(drive, failing(docs, call, number))
        lacking, found = touched_by(call), entries_of(drive, report, docs)
        if silent(call, number):  # a folder that is gone may leave too few files
            assert {p.kind for p in report.problems} <= {"source-shrunk"}, call
            assert report.files_lost == 0, call
            continue
        assert found.keys() == FILES | OTHERS, call
        assert [(p.kind, p.path) for p in report.problems] == [(kind_of(call), f"{docs}/{call.path}".rstrip("/"))], call
        assert (report.suspicious, report.files_lost) == (False, max(len(lacking & FILES), bool(lacking))), call
        for path in FILES:
            assert (found[path].blobs == before[path].blobs) == (path in lacking), call
        if number == errno.EIO:  # what comes after is the same for each of them
            again = back_up(drive, docs)
            assert (again.problems, again.files_lost) == ((), 0), call
            assert all(entry.carried == 0 for entry in entries_of(drive, again, docs).values()), call
        shutil.rmtree(shelf / f"later-{at}")


# -- the mark ------------------------------------------------------------------------------------------------------


def unreadable(docs: Path, path: str) -> FailingSource:
    return failing(docs, Call("open", path), errno.EIO)


def test_a_mark_says_in_which_backup_a_thing_was_last_read(shelf: Path, docs: Path) -> None:
    drive = enroll(shelf / "drive")
    for _ in range(2):
        back_up(drive, docs)
    for _ in range(2):
        report = back_up(drive, unreadable(docs, "m"))
        found = entries_of(drive, report, docs)
        assert (found["m"].carried, report.files_lost, report.suspicious) == (2, 4, False)
        assert report.problems[0].message == (
            "this folder cannot be opened (Input/output error); what an earlier backup had of it is kept"
        )


def test_a_mark_stays_where_everything_in_its_folder_is_carried(shelf: Path, docs: Path) -> None:
    drive = enroll(shelf / "drive")
    (docs / "alone").mkdir()
    (docs / "alone" / "e.txt").write_bytes(b"first")
    back_up(drive, docs)
    (docs / "alone" / "e.txt").write_bytes(b"later")
    for _ in range(3):
        report = back_up(drive, unreadable(docs, "alone/e.txt"))
        assert entries_of(drive, report, docs)["alone/e.txt"].carried == 1


def test_what_was_carried_is_not_read_again_where_it_is_as_it_was(shelf: Path, docs: Path) -> None:
    drive = enroll(shelf / "drive")
    back_up(drive, docs)
    back_up(drive, unreadable(docs, "m"))
    report = back_up(drive, docs)
    assert (report.bytes_read, report.files_unmodified) == (0, 6)
    assert {entry.carried for entry in entries_of(drive, report, docs).values()} == {0}


def test_of_a_folder_all_of_whose_files_were_carried_none_is_once_they_can_be_read(shelf: Path, docs: Path) -> None:
    (docs / "alone").mkdir()
    (docs / "alone" / "only.txt").write_text("Bilan")
    drive = enroll(shelf / "drive")
    back_up(drive, docs)
    carried = back_up(drive, failing(docs, Call("lstat", "alone/only.txt"), errno.EIO))
    assert entries_of(drive, carried, docs)["alone/only.txt"].carried == 1
    report = back_up(drive, docs)
    assert entries_of(drive, report, docs)["alone/only.txt"].carried == 0
    assert report.files_lost == 0


def test_what_was_written_just_after_it_was_read_is_read_again_though_it_was_carried_since(
    shelf: Path, docs: Path
) -> None:
    """The snapshot that read it began before the file's last change: that it looks unchanged proves nothing."""
    drive = enroll(shelf / "drive")
    early = datetime.fromtimestamp(os.stat(docs / "m" / "b.txt").st_ctime - 1, UTC)
    back_up(drive, docs, started_at=early)
    back_up(drive, unreadable(docs, "m"), started_at=early + timedelta(days=1))
    report = back_up(drive, docs, started_at=early + timedelta(days=2))
    assert report.bytes_read == 700_060  # the four files of the folder that was carried


def test_a_carried_file_is_linked_to_no_other(shelf: Path, docs: Path, tmp_path: Path) -> None:
    drive = enroll(shelf / "drive")
    os.link(docs / "a.txt", docs / "b.txt")
    back_up(drive, docs)
    (docs / "a.txt").write_bytes(b"what both names hold now")
    report = back_up(drive, unreadable(docs, "a.txt"))
    assert (report.files_lost, restored(drive, tmp_path / "back").problems) == (1, ())
    back = below(tmp_path / "back", docs)
    assert (back / "a.txt").read_bytes() == noise("a.txt first", 20)
    assert (back / "b.txt").read_bytes() == b"what both names hold now"


@pytest.mark.parametrize("window", [WINDOW_SIZE, WindowSize(names=1, tree_blobs=0)])
@pytest.mark.parametrize("path", ["m", "m/film.bin"])
def test_what_cannot_be_counted_on_any_more_is_not_carried_and_makes_the_backup_suspicious(
    shelf: Path, docs: Path, path: str, window: WindowSize
) -> None:
    drive = enroll(shelf / "drive")
    (shelf / "alone").mkdir()
    shutil.copy(docs / "m" / "film.bin", shelf / "alone")
    back_up(drive, shelf / "alone")  # so that it lies in a pack without anything else of the folder
    back_up(drive, docs)
    (pack,) = packs_with(drive, noise("m/film.bin first", 700_000))
    pack.unlink()
    (docs / "m" / "film.bin").write_bytes(b"later")
    report = back_up(drive, unreadable(docs, path), window=window)
    assert report.suspicious
    assert entries_of(drive, report, docs).keys() & FILES == FILES - {"m/film.bin"}


def packs_with(drive: Drive, content: bytes) -> list[Path]:
    """Which packs hold the content's first blob."""
    with loaded(drive) as repository:
        snapshot = repository.snapshots().readable[-1].snapshot
        walked = TreeReader(BlobReader(repository), lambda problem: None).walk(snapshot.root)
        blobs = [v.entry.blobs[0] for v in walked if v.entry.size == len(content) and v.entry.blobs]
        places = [place.pack for text in blobs for place in repository.index.locations(blob_id(text))]
    return [path for path in drive.files("packs") if path.name in places]


def test_attributes_that_could_not_be_read_are_tried_again(shelf: Path, docs: Path) -> None:
    drive = enroll(shelf / "drive")
    for _ in range(2):
        report = back_up(drive, failing(docs, Call("read attribute", "a.txt"), errno.EIO))
        assert [(p.kind, p.message) for p in report.problems] == [
            ("metadata", "the attribute user.day cannot be read (Input/output error)")
        ]
    report = back_up(drive, docs)
    assert (report.problems, entries_of(drive, report, docs)["a.txt"].xattrs) == ((), {"user.day": "Zmlyc3Q="})
