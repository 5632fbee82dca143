"""Index files are merged before there are many, and the large ones are left in peace.

Owns: which files are replaced, and that nothing is lost by it. Does not know: the merged table's bytes (test_index.py).
"""

from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, enroll, loaded, noise, verified, writable

from kinebackup.engine.format.index import merge
from kinebackup.engine.repository.index_files import merge_index, write_index


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    """Six index files: one of many blobs, five of few."""
    made = enroll(tmp_path / "drive")
    patients = tmp_path / "Patients"
    patients.mkdir()
    for day in range(6):
        for number in range(40 if day == 0 else 1):
            (patients / f"{day}-{number}.bin").write_bytes(noise(f"{day}-{number}", 600))
        back_up(made, patients)
    return made


def index_files(drive: Drive) -> dict[str, int]:
    """How many blobs each lists."""
    with loaded(drive) as repository:
        return {table.name or "": table.count for table in repository.index.tables}


def merged(drive: Drive, *, large_blobs: int) -> None:
    with writable(drive) as repository:
        merge_index(repository, drive.dice, large_blobs=large_blobs)


def with_seven_files(drive: Drive) -> dict[str, int]:
    """The same table once more in another file, as two computers can leave it."""
    with writable(drive) as repository:
        smallest = min(repository.index.tables, key=lambda table: table.count)
        (plain,) = merge([smallest], {pack.name for pack in smallest.packs})
        write_index(repository, plain, drive.dice)
    return index_files(drive)


def test_six_files_are_few(drive: Drive) -> None:
    before = index_files(drive)
    merged(drive, large_blobs=20)
    assert index_files(drive) == before


def test_small_files_become_one_and_the_large_one_stays(drive: Drive) -> None:
    before = with_seven_files(drive)
    (large,) = (name for name, count in before.items() if count >= 20)
    merged(drive, large_blobs=20)
    after = index_files(drive)
    assert len(after) == 2
    assert after[large] == before[large]
    assert verified(drive).problems == ()


def test_without_large_files_all_become_one(drive: Drive) -> None:
    with_seven_files(drive)
    merged(drive, large_blobs=10_000)
    assert len(index_files(drive)) == 1
    assert verified(drive).problems == ()


def test_large_files_alone_stay_however_many_they_are(drive: Drive) -> None:
    before = with_seven_files(drive)
    merged(drive, large_blobs=1)
    assert index_files(drive) == before


def test_a_damaged_file_is_replaced_with_all_others(drive: Drive) -> None:
    before = with_seven_files(drive)
    (large,) = (name for name, count in before.items() if count >= 20)
    path = drive.root / "index" / large
    path.write_bytes(b"x" + path.read_bytes()[1:])
    merged(drive, large_blobs=20)
    assert len(index_files(drive)) == 1
    assert verified(drive).problems == ()
    assert not path.exists()
