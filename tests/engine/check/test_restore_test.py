"""The restore test: it goes the whole way, it can fail, and it leaves nothing behind.

Owns: sound and lying backups under test. Does not know: when a test is due.
"""

import os
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, loaded, noise, proven, seen
from support.engine.forged_snapshot import an_entry, forge

from kinebackup.engine.check.restore_test import RestoreTestRequest, restore_test
from kinebackup.errors import Cancelled
from kinebackup.model import CancelToken, RestoreTestReport, SilentMonitor

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir(mode=0o700)
    return tmp_path / "scratch"


def kinds(report: RestoreTestReport) -> list[tuple[str, str]]:
    return sorted((problem.kind, os.path.basename(problem.path)) for problem in report.problems)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_all_files_are_restored_and_compared_with_the_source(drive: Drive, patients: Path, scratch: Path) -> None:
    back_up(drive, patients)
    before = seen(patients)
    report = proven(drive, scratch)
    assert (report.result, report.problems) == ("ok", ())
    assert (report.files_tested, report.files_compared_with_source) == (9, 9)
    assert report.bytes_tested == sum(item.size for item in before.values())
    assert list(scratch.iterdir()) == []
    assert seen(patients) == before


def test_a_sample_has_as_many_files_as_asked(drive: Drive, patients: Path, scratch: Path) -> None:
    back_up(drive, patients)
    for count in (1, 4, 9, 1000):
        report = proven(drive, scratch, files=count)
        assert (report.result, report.files_tested) == ("ok", min(count, 9))


def test_a_seed_gives_its_sample_again(drive: Drive, tmp_path: Path, scratch: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(60):
        (docs / f"{number}").write_bytes(bytes(number + 1))
    back_up(drive, docs)
    tested = {seed: [proven(drive, scratch, files=5, seed=seed).bytes_tested for _ in range(2)] for seed in range(8)}
    assert all(first == second for first, second in tested.values())
    assert len({first for first, _ in tested.values()}) > 1
    assert proven(drive, scratch, files=5, seed=7).seed == 7


def test_without_the_source_nothing_is_compared_with_it(drive: Drive, patients: Path, scratch: Path) -> None:
    back_up(drive, patients)
    report = proven(drive, scratch, compare_with_source=False)
    assert (report.result, report.files_tested, report.files_compared_with_source) == ("ok", 9, 0)


def test_a_source_that_changed_or_went_since_is_no_failure(drive: Drive, patients: Path, scratch: Path) -> None:
    back_up(drive, patients)
    (patients / "Dupont" / "radios" / "image.jpg").unlink()
    (patients / "Dupont" / "radios" / "film.bin").write_bytes(b"edited")
    (patients / "creux.img").unlink()
    (patients / "creux.img").symlink_to("/etc/passwd")
    report = proven(drive, scratch)
    assert (report.result, report.files_tested, report.files_compared_with_source) == ("ok", 9, 6)


def test_no_file_at_all_is_a_failure(drive: Drive, tmp_path: Path, scratch: Path) -> None:
    (tmp_path / "docs" / "only" / "folders").mkdir(parents=True)
    back_up(drive, tmp_path / "docs")
    report = proven(drive, scratch)
    assert (report.result, report.files_tested) == ("failed", 0)
    assert report.problems[-1].message == "no file could be tested, so nothing is proven"


def test_asking_for_no_file_is_a_defect_of_the_caller(drive: Drive, patients: Path, scratch: Path) -> None:
    back_up(drive, patients)
    with pytest.raises(ValueError, match="proves nothing"):
        proven(drive, scratch, files=0)


def test_no_room_for_any_file_is_a_failure(drive: Drive, patients: Path) -> None:
    back_up(drive, patients)
    with loaded(drive) as repository:
        request = RestoreTestRequest(
            snapshot=repository.find_snapshot("latest"),
            files=None,
            seed=1,
            scratch=[],
            key_slot="machine",
            compare_with_source=True,
        )
        report = restore_test(repository, request, lambda: 0.0, cancel=CancelToken(), monitor=SilentMonitor())
    assert report.result == "failed"
    assert {problem.kind for problem in report.problems} == {"skipped", "missing"}


def test_a_cancelled_test_leaves_nothing_behind(drive: Drive, patients: Path, scratch: Path) -> None:
    back_up(drive, patients)

    class StopAtSecond(SilentMonitor):
        def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
            cancel.cancel()

    cancel = CancelToken()
    with loaded(drive) as repository:
        request = RestoreTestRequest(
            snapshot=repository.find_snapshot("latest"),
            files=None,
            seed=1,
            scratch=[str(scratch)],
            key_slot="machine",
            compare_with_source=True,
            as_root=AS_ROOT,
        )
        with pytest.raises(Cancelled):
            restore_test(repository, request, lambda: 0.0, cancel=cancel, monitor=StopAtSecond())
    assert list(scratch.iterdir()) == []


# -- backups that lie ----------------------------------------------------------------------------------------------


def test_a_damaged_pack_fails_the_test_of_the_files_in_it(drive: Drive, patients: Path, scratch: Path) -> None:
    back_up(drive, patients)
    largest = max(drive.files("packs"), key=lambda path: path.stat().st_size)
    flip(largest, largest.stat().st_size // 2)
    report = proven(drive, scratch)
    assert report.result == "failed"
    assert {kind for kind, _ in kinds(report)} == {"damaged"}
    assert 0 < report.files_tested < 9
    assert all(problem.snapshots == (report.snapshot,) for problem in report.problems)
    assert list(scratch.iterdir()) == []


def test_a_folder_that_cannot_be_read_fails_the_test(drive: Drive, patients: Path, scratch: Path) -> None:
    back_up(drive, patients)
    for pack in drive.files("packs"):
        if pack.stat().st_size < 20_000:  # the one of the folders
            flip(pack, 60)
    report = proven(drive, scratch)
    assert report.result == "failed"
    assert "damaged" in {kind for kind, _ in kinds(report)}


def test_a_sample_notices_a_folder_that_cannot_be_read_too(drive: Drive, patients: Path, scratch: Path) -> None:
    back_up(drive, patients)
    for pack in drive.files("packs"):
        if pack.stat().st_size < 20_000:
            flip(pack, 60)
    assert proven(drive, scratch, files=1).result == "failed"


def test_content_that_is_not_the_source_s_fails_the_test(drive: Drive, tmp_path: Path, scratch: Path) -> None:
    """The backup is sound in itself and saved something else: only the comparison with the source can tell."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "note.txt").write_bytes(b"what is true")
    stat = (docs / "note.txt").stat()
    lie = an_entry("note.txt", [b"what is false"[:12]], drive, mtime=stat.st_mtime_ns, ctime=stat.st_ctime_ns)
    forge(drive, docs, [lie], [b"what is false"[:12]])
    report = proven(drive, scratch)
    assert (report.result, kinds(report)) == ("failed", [("differs", "note.txt")])
    assert report.problems[0].message == "the restored file is not the same as the one on this computer"
    assert proven(drive, scratch, compare_with_source=False).result == "ok"


@pytest.mark.parametrize(("contents", "size"), [([b"short"], 6), ([b"too long"], 7), ([], 1), ([b"a", b"b"], 1)])
def test_content_of_another_length_fails_the_test(
    drive: Drive, tmp_path: Path, scratch: Path, contents: list[bytes], size: int
) -> None:
    good = an_entry("good.txt", [b"good"], drive)
    bad = an_entry("zbad.txt", contents, drive, size=size)
    forge(drive, tmp_path / "docs", [good, bad], [b"good", *contents])
    report = proven(drive, scratch)
    assert (report.result, report.files_tested, kinds(report)) == ("failed", 1, [("damaged", "zbad.txt")])


@pytest.mark.parametrize(
    ("extents", "size"),
    [([(0, 4)], 10), ([(0, 6)], 10), ([(3, 5), (0, 5)], 10), ([(0, 5)], 4), ([(8, 5)], 10), ([], 10), ([(0, 0)], 10)],
)
def test_impossible_holes_fail_the_test(
    drive: Drive, tmp_path: Path, scratch: Path, extents: list[tuple[int, int]], size: int
) -> None:
    forge(drive, tmp_path / "docs", [an_entry("bad", [b"holes"], drive, size=size, extents=extents)], [b"holes"])
    report = proven(drive, scratch)
    assert report.result == "failed"
    assert ("damaged", "bad") in kinds(report)
    assert list(scratch.iterdir()) == []


def test_a_blob_that_is_nowhere_fails_the_test(drive: Drive, tmp_path: Path, scratch: Path) -> None:
    forge(drive, tmp_path / "docs", [an_entry("bad", [noise("nowhere", 100)], drive)], [])
    report = proven(drive, scratch)
    assert ("damaged", "bad") in kinds(report)


def test_a_tree_given_as_content_fails_the_test(drive: Drive, patients: Path, tmp_path: Path, scratch: Path) -> None:
    back_up(drive, patients)
    with loaded(drive) as repository:
        root = repository.find_snapshot("latest").snapshot.root[0]
    forge(drive, tmp_path / "docs", [an_entry("bad", [], drive, size=10, blobs=[root])], [])
    assert ("damaged", "bad") in kinds(proven(drive, scratch))


@pytest.mark.parametrize("mode", [0o000, 0o200, 0o4711])
def test_files_of_any_mode_can_be_tested(drive: Drive, tmp_path: Path, scratch: Path, mode: int) -> None:
    forge(drive, tmp_path / "docs", [an_entry("note", [b"note"], drive, mode=mode)], [b"note"])
    assert proven(drive, scratch).result == "ok"


def test_a_program_of_somebody_else_passes_the_test_of_who_is_not_root(
    drive: Drive, tmp_path: Path, scratch: Path
) -> None:
    program = an_entry("program", [b"#!"], drive, mode=0o6755, uid=os.geteuid() + 1, gid=os.getegid() + 1)
    forge(drive, tmp_path / "docs", [program], [b"#!"])
    report = proven(drive, scratch, as_root=False)
    assert (report.result, report.files_tested, report.problems) == ("ok", 1, ())


def test_what_the_backup_itself_lacks_is_said_and_is_no_failure(drive: Drive, scratch: Path) -> None:
    entry = an_entry("a", [b"1"], drive)
    entry.carried = 1
    forge(drive, Path("/patients"), [entry], [b"1"], files_lost=2)
    report = proven(drive, scratch, compare_with_source=False)
    assert (report.result, kinds(report)) == ("ok", [("incomplete", "")])
    assert report.problems[0].message == "2 files are missing in this backup, or there as they were earlier"
