"""What parity cannot heal is taken from the practice's other drive, and what nobody has is named.

Owns: every kind of file × loss, with and without another drive; what a repair leaves alone. Does not know: power cuts
(test_repair_crash.py), or the command.
"""

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from support.engine.drives import Drive, below, enroll, restored, seen, verified
from support.engine.faulting_store import Fault, FaultingStore, full_drive, pulled_out
from support.engine.parity_files import unprotected
from support.engine.repairing import TwoDrives, break_beyond_parity, repaired, two_drives
from support.engine.with_parity import flip, victims

from kinebackup.engine.repository.store import FolderStore
from kinebackup.errors import Cancelled, DriveFull, OtherDriveFailed
from kinebackup.model import CancelToken, FileName, RepairedFile, SeenSnapshot, SilentMonitor


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TwoDrives:
    return two_drives(tmp_path_factory.mktemp("two"))


@pytest.fixture
def scene(whole: TwoDrives, tmp_path: Path) -> TwoDrives:
    drive, other = whole.drive.copied_to(tmp_path / "drive"), whole.other.copied_to(tmp_path / "other")
    return TwoDrives(whole.source, drive, other, whole.held)


def assert_all_comes_back(scene: TwoDrives, into: Path) -> None:
    for snapshot, expected in scene.held.items():
        assert restored(scene.drive, into / snapshot, snapshot).problems == ()
        assert seen(below(into / snapshot, scene.source)) == expected
    report = verified(scene.drive)
    assert (report.result, report.problems) == ("ok", ())
    assert unprotected(scene.drive) == set()
    assert scene.drive.files("damaged") == []


def files_of(drive: Drive) -> dict[str, bytes]:
    return {str(p.relative_to(drive.root)): p.read_bytes() for p in drive.files(".") if p.name != "lock"}


def test_a_sound_drive_stays_as_it_is(scene: TwoDrives) -> None:
    before = files_of(scene.drive)
    report = repaired(scene.drive, scene.other)
    assert (report.repaired, report.lost, report.problems) == ((), (), ())
    assert (report.snapshots, report.complete, report.is_sound) == (2, True, True)
    assert files_of(scene.drive) == before


@pytest.mark.parametrize("kind", ["data-pack", "tree-pack", "index", "snapshot"])
def test_what_parity_heals_is_written_anew_at_once(kind: str, scene: TwoDrives, tmp_path: Path) -> None:
    victim = victims(scene.drive, kind)[-1]
    before = files_of(scene.drive)
    flip(victim)
    report = repaired(scene.drive)
    path = str(victim.relative_to(scene.drive.root))
    assert report.repaired == (RepairedFile(kind.rpartition("-")[2], path, "parity"),)
    assert (report.is_sound, files_of(scene.drive)) == (True, before)
    assert_all_comes_back(scene, tmp_path / "out")


@pytest.mark.parametrize("how", ["broken", "gone"])
@pytest.mark.parametrize("kind", ["data-pack", "tree-pack"])
def test_packs_beyond_parity_come_from_the_other_drive(kind: str, how: str, scene: TwoDrives, tmp_path: Path) -> None:
    broken = break_beyond_parity(scene.drive, kind)
    if how == "gone":
        for path in broken:
            path.unlink()
    assert broken
    report = repaired(scene.drive, scene.other)
    assert (report.lost, report.problems, report.lost_count) == ((), (), 0)
    assert {(each.kind, each.source) for each in report.repaired} == {("pack", "other-drive")}
    assert {each.path for each in report.repaired} == {str(p.relative_to(scene.drive.root)) for p in broken}
    assert report.bytes_written > 0
    assert_all_comes_back(scene, tmp_path / "out")


def test_all_packs_and_all_of_the_index_come_from_the_other_drive(scene: TwoDrives, tmp_path: Path) -> None:
    for folder in ("packs", "index", "parity"):
        shutil.rmtree(scene.drive.root / folder)
    report = repaired(scene.drive, scene.other)
    assert report.lost == ()
    assert_all_comes_back(scene, tmp_path / "out")


def test_damage_that_was_noted_before_is_enough(scene: TwoDrives, tmp_path: Path) -> None:
    break_beyond_parity(scene.drive, "data-pack")
    assert verified(scene.drive).result == "failed"
    report = repaired(scene.drive, scene.other, known_only=True)
    assert (report.is_sound, report.complete) == (True, False)
    assert_all_comes_back(scene, tmp_path / "out")


def test_without_another_drive_what_is_lost_is_named_and_the_rest_stays(scene: TwoDrives) -> None:
    break_beyond_parity(scene.drive, "tree-pack")
    report = repaired(scene.drive)
    assert report.lost_count == len(report.lost) > 0
    assert {each.kind for each in report.lost} <= {"folder", "file"}
    assert all(set(each.snapshots) <= set(scene.held) for each in report.lost)
    assert victims(scene.drive, "data-pack")
    again = repaired(scene.drive, scene.other)
    assert again.is_sound


def test_a_file_that_lacks_a_part_is_named_with_its_backups(scene: TwoDrives) -> None:
    for path in break_beyond_parity(scene.drive, "data-pack"):
        path.unlink()
    report = repaired(scene.drive)
    name = f"/{str(scene.source).lstrip('/')}/Dupont/radios/film.bin"
    found = next(each for each in report.lost if each.path == name)
    assert (found.kind, set(found.snapshots)) == ("file", set(scene.held))


def test_a_lost_snapshot_is_named_and_a_copy_of_the_drive_gives_it_back(scene: TwoDrives, tmp_path: Path) -> None:
    copy = scene.drive.copied_to(tmp_path / "copy")
    gone, broken = victims(scene.drive, "snapshot")
    break_beyond_parity(scene.drive, "snapshot")
    gone.unlink()
    remembered = [SeenSnapshot(FileName(name), number) for number, name in enumerate(scene.held, start=1)]
    report = repaired(scene.drive, scene.other, remembered=remembered)
    assert [(each.kind, each.path) for each in report.lost] == [
        ("snapshot", f"snapshots/{broken.name}"),
        ("snapshot", f"snapshots/{gone.name}"),
    ]
    assert not report.is_sound
    report = repaired(scene.drive, copy, remembered=remembered)
    assert report.lost == ()
    assert {(each.kind, each.source) for each in report.repaired} == {("snapshot", "other-drive")}
    assert_all_comes_back(scene, tmp_path / "out")


def test_a_part_that_the_other_drive_lacks_too_stays_lost_and_all_else_comes(scene: TwoDrives) -> None:
    for drive in (scene.drive, scene.other):
        for path in break_beyond_parity(drive, "data-pack")[: 1 if drive is scene.other else None]:
            path.unlink()
    report = repaired(scene.drive, scene.other)
    assert 0 < report.lost_count < len(scene.held) * 10
    assert not report.is_sound


def test_what_the_other_drive_gives_is_believed_only_if_it_is_the_part_asked_for(
    scene: TwoDrives, tmp_path: Path
) -> None:
    """Somebody changes a pack of the other drive while it is read."""
    break_beyond_parity(scene.drive, "data-pack")
    target = victims(scene.other, "data-pack")[0]
    done: list[str] = []

    def spoil(kind: str, path: str) -> None:
        if kind == "read" and path.endswith(target.name) and not done:
            done.append(path)
            data = target.read_bytes()
            target.write_bytes(bytes(len(data)))

    with closing(FolderStore(str(scene.other.root))) as inner:
        store = FaultingStore(inner, Fault(frozenset(), 0), spoil)
        (scene.other.root / "parity" / target.name[:2] / f"{target.name}.xor").unlink()
        report = repaired(scene.drive, scene.other, other_store=store)
    assert done
    assert report.lost_count > 0
    assert repaired(scene.drive, scene.other).lost == report.lost


def test_the_other_drive_is_pulled_out(scene: TwoDrives, tmp_path: Path) -> None:
    break_beyond_parity(scene.drive, "data-pack")
    with closing(FolderStore(str(scene.other.root))) as inner:
        fault = pulled_out(-1)

        def pull(kind: str, path: str) -> None:
            if kind == "read" and path.startswith("packs/"):
                fault.at = 0

        with pytest.raises(OtherDriveFailed, match="answers no more"):
            repaired(scene.drive, scene.other, other_store=FaultingStore(inner, fault, pull))
    assert repaired(scene.drive, scene.other).is_sound
    assert_all_comes_back(scene, tmp_path / "out")


def test_a_full_drive_is_told_and_loses_nothing(scene: TwoDrives, tmp_path: Path) -> None:
    break_beyond_parity(scene.drive, "data-pack")
    at = 0
    while True:
        with closing(FolderStore(str(scene.drive.root))) as inner:
            fault = full_drive(at)
            try:
                report = repaired(scene.drive, scene.other, store=FaultingStore(inner, fault))
            except DriveFull:
                at += 3
                continue
        if fault.count <= at:
            break
        assert report.is_sound or report.problems  # only parity, or what is healed in place, had no room
        at += 3
    assert repaired(scene.drive, scene.other).is_sound
    assert_all_comes_back(scene, tmp_path / "out")


def test_a_repair_that_is_stopped_goes_on_the_next_time(scene: TwoDrives, tmp_path: Path) -> None:
    class StopAt(SilentMonitor):
        def __init__(self, phase: str, cancel: CancelToken) -> None:
            self._phase, self._cancel = phase, cancel

        def phase(self, name: str, *, files: int = 0, size_bytes: int = 0) -> None:
            if name == self._phase:
                self._cancel.cancel()

    break_beyond_parity(scene.drive, "data-pack")
    for phase in ("verify", "mark", "repair"):
        cancel = CancelToken()
        with pytest.raises(Cancelled):
            repaired(scene.drive, scene.other, cancel=cancel, monitor=StopAt(phase, cancel))
    assert repaired(scene.drive, scene.other).is_sound
    assert_all_comes_back(scene, tmp_path / "out")


def test_a_damaged_pack_that_nothing_needs_goes(scene: TwoDrives, tmp_path: Path) -> None:
    stray = scene.drive.root / "packs" / "ab" / ("ab" * 32)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"KINEBKP" + bytes(500))
    assert repaired(scene.drive).is_sound
    assert not stray.exists()
    assert_all_comes_back(scene, tmp_path / "out")


def test_a_drive_without_a_backup_is_sound(tmp_path: Path) -> None:
    assert repaired(enroll(tmp_path / "drive")).is_sound
