"""What parity can heal stops nobody: it comes back bit-exact, is told, and a backup puts it on the drive again.

Owns: the matrix of every damage of one file × every kind of file that has parity. Does not know: what happens without
parity (test_damage.py), or the form of parity files.
"""

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.engine.drives import (
    Drive,
    Seen,
    back_up,
    below,
    edit_patients,
    enroll,
    loaded,
    make_patients,
    noise,
    pruned,
    restored,
    seen,
    verified,
    writable,
)
from support.engine.faulting_store import FaultingStore, full_drive, pulled_out
from support.engine.parity_files import parity_of
from support.engine.with_parity import (
    DAMAGES,
    KIB,
    MIB,
    BadSector,
    delete,
    flip,
    folder_in_its_place,
    give_parity,
    remove_parity,
    victims,
    zero,
)

from kinebackup.engine.format.layout import HEADER_COPIES, parity_path
from kinebackup.engine.repository.index_files import replace_index
from kinebackup.engine.repository.redundancy.completing import complete_parity
from kinebackup.engine.repository.redundancy.healing import HealingStore
from kinebackup.engine.repository.store import FolderStore
from kinebackup.errors import DriveFailed
from kinebackup.model import CancelToken, FileName, VerifyReport, only_healable

KINDS = ["data-pack", "tree-pack", "index", "snapshot", "removal"]
GONE = {"delete", "folder_in_its_place"}


@dataclass(frozen=True)
class Scene:
    source: Path
    drive: Drive
    held: dict[str, Seen]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A drive of three backups, one of which was removed."""
    folder = tmp_path_factory.mktemp("healing")
    source = make_patients(folder / "patients")
    drive = enroll(folder / "drive")
    first = str(back_up(drive, source).snapshot)
    edit_patients(source)
    back_up(drive, source)
    (source / "Durand" / "vide.txt").write_text("encore plus", encoding="utf-8")
    back_up(drive, source)
    pruned(drive, first, accept_share=True)
    give_parity(drive)
    return Scene(source, drive, seen(source))


@pytest.fixture
def drive(scene: Scene, tmp_path: Path) -> Drive:
    return scene.drive.copied_to(tmp_path / "copy")


def check_restore(drive: Drive, scene: Scene, into: Path) -> None:
    report = restored(drive, into)
    assert report.problems == ()
    assert seen(below(into, scene.source)) == scene.held


def check_verify(report: VerifyReport, victim: Path) -> None:
    """The victim is named, and whatever is named can be healed."""
    assert report.result == "failed"
    assert only_healable(report.problems)
    assert [problem.path.rpartition("/")[2] for problem in report.problems] == [victim.name]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_comes_back_and_is_mended_by_the_next_backup(
    kind: str, damage: Callable[[Path], None], scene: Scene, drive: Drive, tmp_path: Path
) -> None:
    for victim in victims(drive, kind)[-2:]:
        whole = victim.read_bytes()
        if kind == "data-pack" and len(whole) > 68 * KIB and damage.__name__ in GONE:
            continue
        damage(victim)
        check_restore(drive, scene, tmp_path / f"restored-{victim.name}")
        check_verify(verified(drive), victim)
        assert back_up(drive, scene.source).problems == ()
        assert victim.read_bytes() == whole
        give_parity(drive)
        assert verified(drive).problems == ()
        assert drive.files("damaged") == []
        check_restore(drive, scene, tmp_path / f"again-{victim.name}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_with_an_unreadable_sector_comes_back_and_is_written_elsewhere(
    kind: str, scene: Scene, drive: Drive, tmp_path: Path
) -> None:
    victim = victims(drive, kind)[-1]
    whole, middle = victim.read_bytes(), victim.stat().st_size // 2
    with closing(BadSector(drive, victim, middle, middle + 1)) as store:
        report = restored(drive, tmp_path / "restored", store=store)
        assert report.problems == ()
        assert seen(below(tmp_path / "restored", scene.source)) == scene.held
        check_verify(verified(drive, store=store), victim)
        inode = victim.stat().st_ino
        assert back_up(drive, scene.source, store=store).problems == ()
        assert (victim.read_bytes(), victim.stat().st_ino != inode) == (whole, True)
        give_parity(drive)
        assert verified(drive, store=store).problems == ()


@pytest.mark.parametrize("where", ["first", "unaligned", "last"])
def test_a_mebibyte_of_a_large_pack_comes_back_wherever_it_lies(where: str, tmp_path: Path) -> None:
    source = tmp_path / "patients"
    source.mkdir()
    (source / "base.bin").write_bytes(noise("base", 9 * MIB))
    drive = enroll(tmp_path / "drive")
    back_up(drive, source)
    give_parity(drive)
    victim = max(victims(drive, "data-pack"), key=lambda path: path.stat().st_size)
    whole = victim.read_bytes()
    assert len(whole) > 8 * MIB
    at = {"first": 0, "unaligned": 3 * MIB + 1234, "last": len(whole) - MIB}[where]
    victim.write_bytes(whole[:at] + bytes(MIB) + whole[at + MIB :])
    assert restored(drive, tmp_path / "restored").problems == ()
    assert seen(below(tmp_path / "restored", source)) == seen(source)
    check_verify(verified(drive), victim)
    back_up(drive, source)
    assert victim.read_bytes() == whole


def test_what_parity_cannot_heal_is_told_as_ever(scene: Scene, drive: Drive, tmp_path: Path) -> None:
    victim = max(victims(drive, "data-pack"), key=lambda path: path.stat().st_size)
    zero(300 * KIB)(victim)
    report = verified(drive)
    assert not only_healable(report.problems)
    assert [problem.healable for problem in report.problems if problem.path.startswith("packs/")] == [False]
    assert [problem.kind for problem in restored(drive, tmp_path / "restored").problems] == ["damaged"]


def test_a_full_drive_gives_back_what_it_has_no_room_to_mend(scene: Scene, drive: Drive) -> None:
    victim = victims(drive, "tree-pack")[-1]
    whole, path = victim.read_bytes(), str(victim.relative_to(drive.root))
    flip(victim)
    with closing(FolderStore(str(drive.root))) as folder:
        store = HealingStore(FaultingStore(folder, full_drive(at=0)))
        store.begin_rewriting()
        assert store.heal(path)
        assert store.read(path) == whole
        assert not store.is_on_drive(path)
        assert [(each.path, each.blocks, each.rewritten) for each in store.healed] == [(path, 1, False)]


def test_nothing_is_built_upon_what_only_memory_has(scene: Scene, drive: Drive) -> None:
    victim = victims(drive, "tree-pack")[-1]
    os.truncate(victim, 100)
    with loaded(drive) as repository:
        assert repository.inventory.findings == ()
        assert FileName(victim.name) in repository.conditions.doubtful
    with writable(drive) as repository:
        assert repository.conditions.doubtful == frozenset()


def test_a_drive_that_is_pulled_out_says_nothing_against_a_file(scene: Scene, drive: Drive) -> None:
    victim = victims(drive, "snapshot")[-1]
    flip(victim)
    with closing(FolderStore(str(drive.root))) as folder:
        for moment in range(4):  # each of the reads that it takes
            store = HealingStore(FaultingStore(folder, pulled_out(at=moment)))
            with pytest.raises(DriveFailed):
                store.heal(str(victim.relative_to(drive.root)))


def test_what_was_healed_and_is_not_at_hand_any_more_is_healed_again(scene: Scene, drive: Drive) -> None:
    paths = victims(drive, "snapshot")
    whole = {path: path.read_bytes() for path in paths}
    for path in paths:
        flip(path)
    with closing(FolderStore(str(drive.root))) as folder:
        store = HealingStore(folder, memory_bytes=1)
        for path in [*paths, *paths]:
            where = str(path.relative_to(drive.root))
            assert store.heal(where)
            assert store.read(where) == whole[path]
        assert len(store.healed) == len(paths)


@pytest.mark.parametrize("kind", ["tree-pack", "index", "snapshot", "removal"])
def test_a_folder_with_something_in_it_makes_way_for_the_file_and_is_kept_beside_and_told(
    kind: str, scene: Scene, drive: Drive, tmp_path: Path
) -> None:
    victim = victims(drive, kind)[-1]
    whole = victim.read_bytes()
    folder_in_its_place(victim)
    (victim / "somebody's own").write_text("not ours", encoding="utf-8")
    check_restore(drive, scene, tmp_path / "restored")
    check_verify(verified(drive), victim)
    (told,) = back_up(drive, scene.source).problems
    assert told.kind == "healed"
    assert victim.read_bytes() == whole
    aside = drive.root / told.path
    assert (aside.parent, aside.name.startswith(victim.name)) == (victim.parent, True)
    assert (aside / "somebody's own").read_text(encoding="utf-8") == "not ours"
    give_parity(drive)
    assert verified(drive).problems == ()
    assert back_up(drive, scene.source).problems == ()  # it is told once
    check_restore(drive, scene, tmp_path / "again")


@pytest.mark.parametrize("where", [*HEADER_COPIES, "parity of a snapshot"])
def test_a_folder_in_the_place_of_a_header_or_a_parity_file_makes_way_too(
    where: str, scene: Scene, drive: Drive
) -> None:
    of_snapshot = parity_path(FileName(victims(drive, "snapshot")[-1].name))
    victim = drive.root / (where if where in HEADER_COPIES else of_snapshot)
    whole = victim.read_bytes()
    folder_in_its_place(victim)
    (victim / "somebody's own").write_text("not ours", encoding="utf-8")
    assert [problem.path for problem in verified(drive).problems] == [str(victim.relative_to(drive.root))]
    with writable(drive) as repository:
        repository.heal_header()
        complete_parity(repository, CancelToken())
    assert victim.read_bytes() == whole
    assert verified(drive).problems == ()
    (kept,) = drive.root.rglob("somebody's own")
    assert (kept.parent.parent, kept.read_text(encoding="utf-8")) == (victim.parent, "not ours")


def test_a_snapshot_that_was_removed_does_not_come_back_by_parity_that_was_left(scene: Scene, drive: Drive) -> None:
    victim = victims(drive, "snapshot")[-1]
    parity = drive.root / parity_path(FileName(victim.name))
    kept = parity.read_bytes()
    pruned(drive, victim.name, accept_share=True)
    parity.parent.mkdir(exist_ok=True)
    parity.write_bytes(kept)
    with loaded(drive) as repository:
        assert victim.name not in [named.id for named in repository.snapshots().readable]
        assert repository.healed == ()


def test_an_index_file_that_others_replaced_does_not_come_back_by_parity_that_was_left(
    scene: Scene, drive: Drive
) -> None:
    victim = victims(drive, "index")[-1]
    parity = drive.root / parity_path(FileName(victim.name))
    kept = parity.read_bytes()
    with writable(drive) as repository:
        replace_index(repository, repository.packs.keys(), drive.dice)
    parity.parent.mkdir(exist_ok=True)
    parity.write_bytes(kept)
    give_parity(drive)
    assert not victim.exists()
    assert verified(drive).problems == ()
    with loaded(drive) as repository:
        assert repository.healed == ()


def test_an_index_file_comes_back_although_a_pack_that_it_lists_is_gone_as_well(
    scene: Scene, drive: Drive, tmp_path: Path
) -> None:
    """One place of a drive may take both names. The pack's copy says that it was lost, and not removed."""
    for victim in (victims(drive, "index")[-1], victims(drive, "tree-pack")[-1]):
        delete(victim)
    with loaded(drive) as repository:
        assert repository.inventory.findings == ()
    for index in victims(drive, "index"):
        delete(index)
    for pack in victims(drive, "tree-pack"):
        delete(pack)
    check_restore(drive, scene, tmp_path / "restored")
    assert only_healable(verified(drive).problems)


def test_parity_is_missed_on_a_drive_of_which_all_else_is_damaged(scene: Scene, drive: Drive) -> None:
    """No sound file has any: that alone does not show a writer that makes none."""
    missed = victims(drive, "index")[-1]
    for kind in ("snapshot", "removal", "tree-pack", "data-pack"):
        for victim in victims(drive, kind):
            flip(victim)
    for victim in victims(drive, "index"):
        flip(victim) if victim != missed else parity_of(drive, victim).unlink()
    assert str(parity_of(drive, missed).relative_to(drive.root)) in {p.path for p in verified(drive).problems}


def test_a_parity_file_that_would_not_heal_is_damage_too(scene: Scene, drive: Drive) -> None:
    files = [drive.root / parity_path(FileName(victims(drive, kind)[-1].name)) for kind in KINDS]
    for number, parity in enumerate(files):
        flip(parity) if number % 2 else parity.unlink()
    report = verified(drive)
    assert report.result == "failed"
    assert only_healable(report.problems)
    assert sorted(problem.path for problem in report.problems) == sorted(
        str(path.relative_to(drive.root)) for path in files
    )
    assert report.unprotected == len(files)
    assert {path.name for path in drive.files("damaged")} == {files[1].name, files[3].name}


def test_a_drive_whose_writer_made_no_parity_is_sound(scene: Scene, drive: Drive) -> None:
    remove_parity(drive)
    report = verified(drive)
    assert (report.result, report.protected, report.unprotected > 0) == ("ok", 0, True)


@pytest.mark.parametrize("name", HEADER_COPIES)
@pytest.mark.parametrize("damage", [flip, delete])
def test_a_damaged_copy_of_the_header_is_healable_too(
    damage: Callable[[Path], None], name: str, scene: Scene, drive: Drive
) -> None:
    damage(drive.root / name)
    report = verified(drive)
    assert [(problem.path, problem.healable) for problem in report.problems] == [(name, True)]
    assert report.healable
    back_up(drive, scene.source)
    give_parity(drive)
    assert verified(drive).problems == ()


def test_an_index_file_without_parity_is_healable_as_long_as_the_packs_say_what_is_in_them(
    scene: Scene, drive: Drive
) -> None:
    remove_parity(drive)
    victim = victims(drive, "index")[-1]
    flip(victim)
    report = verified(drive)
    assert [(problem.path, problem.healable) for problem in report.problems] == [(f"index/{victim.name}", True)]
    back_up(drive, scene.source)
    assert verified(drive).problems == ()


def test_a_snapshot_that_only_parity_has_is_not_taken_for_one_that_another_process_removed(
    scene: Scene, drive: Drive
) -> None:
    victim = victims(drive, "snapshot")[-1]
    victim.unlink()
    with loaded(drive) as repository:
        assert not repository.is_gone(FileName(victim.name))
        (drive.root / parity_path(FileName(victim.name))).unlink()
    with loaded(drive) as repository:
        assert repository.is_gone(FileName(victim.name))
