"""A drive that refuses to read an index file, once or for a whole run, loses nothing by it.

Owns: which index files are still there after each kind of run. Does not know: files whose bytes are wrong
(test_damage.py).
"""

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, loaded, make_patients, pruned, verified
from support.engine.faulting_store import Fault, FaultingStore

from kinebackup.engine.drive_errors import drive_errors
from kinebackup.engine.repository.store import FolderStore
from kinebackup.errors import CheckFailed

REFUSALS = [errno.EIO, errno.EUCLEAN, errno.EBADMSG]


@contextlib.contextmanager
def refusing(drive: Drive, paths: Sequence[Path], error: int) -> Iterator[FaultingStore]:
    """The drive, as long as it gives an error for each read of these files."""
    refused = {str(path.relative_to(drive.root)) for path in paths}

    def refuse(kind: str, path: str) -> None:
        if kind in ("read", "read_into") and path in refused:
            with drive_errors(path, lambda: True):
                raise OSError(error, os.strerror(error))

    with contextlib.closing(FolderStore(str(drive.root))) as folder:
        yield FaultingStore(folder, Fault(frozenset(), error), refuse)


@pytest.fixture
def patients(drive: Drive, tmp_path: Path) -> Path:
    folder = make_patients(tmp_path / "Patients")
    back_up(drive, folder)
    (folder / "second day.txt").write_bytes(os.urandom(300_000))
    back_up(drive, folder)
    return folder


def findings(drive: Drive) -> int:
    with loaded(drive) as repository:
        return len(repository.inventory.findings)


@pytest.mark.parametrize("error", REFUSALS)
@pytest.mark.parametrize("which", [0, 1])
def test_a_backup_removes_no_index_file_that_the_drive_refused_to_read(
    drive: Drive, patients: Path, error: int, which: int
) -> None:
    refused = drive.files("index")[which]
    with refusing(drive, [refused], error) as store:
        back_up(drive, patients, store=store)
    assert refused in drive.files("index")
    assert findings(drive) == 0
    report = verified(drive)
    assert report.result == "ok", report.problems


def test_a_merge_of_index_files_removes_none_that_the_drive_refused_to_read(drive: Drive, patients: Path) -> None:
    refused = drive.files("index")[0]
    for day in range(8):
        (patients / "note.txt").write_bytes(os.urandom(1000 + day))
        with refusing(drive, [refused], errno.EIO) as store:
            back_up(drive, patients, store=store)
    assert refused in drive.files("index")
    assert len(drive.files("index")) < 8
    report = verified(drive)
    assert report.result == "ok", report.problems


def test_a_backup_that_misses_a_pack_too_removes_no_index_file_that_it_could_not_read(
    drive: Drive, patients: Path
) -> None:
    refused, other = drive.files("index")
    with refusing(drive, [other], errno.EIO) as store:
        back_up(drive, patients, store=store)
    drive.files("packs")[0].unlink()
    with refusing(drive, [refused], errno.EIO) as store:
        back_up(drive, patients, store=store)
    assert refused in drive.files("index")


def test_an_index_file_whose_bytes_are_wrong_goes_with_the_next_backup(drive: Drive, patients: Path) -> None:
    wrong = drive.files("index")[0]
    wrong.write_bytes(b"x" + wrong.read_bytes()[1:])
    back_up(drive, patients)
    assert wrong not in drive.files("index")
    assert findings(drive) == 0


def test_a_prune_leaves_an_index_file_that_may_list_what_nothing_else_does(drive: Drive, patients: Path) -> None:
    """The drive gives neither the file nor the table of one of its packs: nothing else knows what lies there."""
    with loaded(drive) as repository:
        table = next(t for t in repository.index.tables if t.name == drive.files("index")[0].name)
        packs = [drive.root / "packs" / listed.name[:2] / listed.name for listed in table.packs]
    refused = drive.files("index")[0]
    with refusing(drive, [refused, *packs], errno.EIO) as store:
        back_up(drive, patients, store=store)
        before = drive.files("index"), drive.files("packs")
        with pytest.raises(CheckFailed, match="cannot be read, so nothing is deleted"):
            pruned(drive, store=store)
    assert (drive.files("index"), drive.files("packs")) == before
    assert refused in drive.files("index")
    report = verified(drive)
    assert report.result == "ok", report.problems
