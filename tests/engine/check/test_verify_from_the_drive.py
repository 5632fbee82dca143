"""A verification believes the drive and not memory, and looks where a restore will look.

Owns: from where each file is read, the index against the packs' own tables, folders outside the budget.
Does not know: every kind of damage (tests/engine/test_damage.py).
"""

import contextlib
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, edit_patients, enroll, loaded, make_patients, verified, writable
from support.engine.faulting_store import FaultingStore, pulled_out
from support.ports import Stopwatch

from kinebackup.engine.check.verify import Budget, Verification
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.index import IndexTable
from kinebackup.engine.format.layout import pack_path
from kinebackup.engine.repository.index_files import write_index
from kinebackup.engine.repository.store import FolderStore
from kinebackup.model import CancelToken, FileName, SilentMonitor

PLACE_BYTES = 12


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    made, patients = enroll(tmp_path / "drive"), make_patients(tmp_path / "patients")
    back_up(made, patients)
    edit_patients(patients)
    back_up(made, patients)
    return made


def test_every_file_is_read_from_the_drive_itself_after_what_memory_holds_of_it_was_forgotten(drive: Drive) -> None:
    operations: list[tuple[str, str]] = []
    with contextlib.closing(FolderStore(str(drive.root))) as folder:
        store = FaultingStore(folder, pulled_out(), lambda kind, path: operations.append((kind, path)))
        with loaded(drive, store) as repository:
            order = sorted(repository.packs)
            run = Verification(
                repository, order, Budget(), lambda name, ok: None, cancel=CancelToken(), monitor=SilentMonitor()
            )
            operations.clear()
            assert run.run(Stopwatch()).result == "ok"
    kinds = ("header", "index/", "packs/", "snapshots/")
    files = [str(path.relative_to(drive.root)) for path in drive.files("")]
    for path in (path for path in files if path.startswith(kinds)):
        whole = "read_into" if path.startswith("packs/") else "read"
        assert ("drop_cache", path) in operations, path
        assert (whole, path) in operations[operations.index(("drop_cache", path)) :], path


def forge(drive: Drive, change: str) -> tuple[str, str]:
    """An index file that authenticates, and says something else of one pack; that pack, and the file's name."""
    with writable(drive) as repository:
        old = max((table for table in repository.index.tables), key=lambda table: table.count)
        number = next(n for n in range(old.count) if old.location(n).segment.plain_size > old.location(n).size)
        plain = bytearray(old._plain)
        at = len(plain) - (old.count - number) * PLACE_BYTES
        pack = old.location(number).pack
        match change:
            case "length":
                size = int.from_bytes(plain[at + 8 : at + 12], "little")
                plain[at + 8 : at + 12] = (size - 1).to_bytes(4, "little")
            case "salt":
                first = 16 + [listed.name for listed in old.packs].index(pack) * 72
                plain[first + 40] ^= 1
        assert IndexTable(bytes(plain)).count == old.count
        name = write_index(repository, bytes(plain), drive.dice)
        assert old.name is not None
        (drive.root / "index" / old.name).unlink()
    return pack, name


@pytest.mark.parametrize("change", ["length", "salt"])
def test_an_index_that_says_something_else_of_a_pack_than_the_pack_itself_is_found(drive: Drive, change: str) -> None:
    pack, _name = forge(drive, change)
    report = verified(drive)
    assert report.result == "failed"
    assert (pack_path(pack), "the index says something else of its contents than the pack itself") in [
        (problem.path, problem.message) for problem in report.problems
    ]
    assert [path.name for path in drive.files("damaged")] == [pack]


def test_a_pack_whose_folders_do_not_open_is_read_at_once_although_it_is_not_its_turn(drive: Drive) -> None:
    with loaded(drive) as repository:
        newest = repository.snapshots().readable[-1].snapshot.root[0]
        location = repository.index.locations(bytes.fromhex(newest))[0]  # type: ignore[arg-type]
        assert location.segment.kind == Kind.TREE
    pack = drive.root / pack_path(location.pack)
    data = bytearray(pack.read_bytes())
    data[location.segment.offset + 3] ^= 1
    pack.write_bytes(data)
    checked: list[tuple[FileName, bool]] = []
    with loaded(drive) as repository:
        run = Verification(
            repository,
            [],
            Budget(),
            lambda name, ok: checked.append((name, ok)),
            cancel=CancelToken(),
            monitor=SilentMonitor(),
        )
        report = run.run(Stopwatch())
    assert checked == [(location.pack, False)]
    assert report.result == "failed"
    assert pack_path(location.pack) in {problem.path for problem in report.problems}
    assert [path.name for path in drive.files("damaged")] == [location.pack]
