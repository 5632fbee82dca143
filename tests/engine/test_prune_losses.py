"""A prune deletes nothing that something lost could have needed, and nothing that nobody expects to go.

Owns: every way to lose a snapshot or the list of a folder, with a prune after it. Does not know: which snapshots are
kept, how a command tells it.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from support.engine.drives import (
    Drive,
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
from support.engine.faulting_store import Fault, FaultingStore

from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.tree import blob_id
from kinebackup.engine.prune.missing_snapshots import find_missing_snapshots
from kinebackup.engine.repository.store import FolderStore, Unlistable
from kinebackup.errors import CheckFailed, ConfigError, KineError, NotConfirmed, NotFound
from kinebackup.model import FileName, SeenSnapshot

MIB = 2**20


@dataclass
class Scene:
    """A drive with five backups: each day's folder is in that day's backup only. ``names``: oldest first."""

    folder: Path
    source: Path
    drive: Drive
    names: list[str]

    def packs(self) -> list[str]:
        return [path.name for path in self.drive.files("packs")]

    def snapshot(self, day: int) -> Path:
        return self.drive.root / "snapshots" / self.names[day]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with in_memory(tmp_path) as folder:
        made = Scene(folder, folder / "patients", enroll(folder / "drive"), [])
        made.source.mkdir()
        (made.source / "always.bin").write_bytes(noise("always", MIB))
        for day in range(5):
            (made.source / f"day {day}").mkdir()
            (made.source / f"day {day}" / "film.bin").write_bytes(noise(f"day {day}", 100_000))
            made.names.append(str(back_up(made.drive, made.source).snapshot))
            shutil.rmtree(made.source / f"day {day}")
        yield made


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def packs_of(drive: Drive, kind: Kind) -> list[Path]:
    """Packs with segments of that kind."""
    with loaded(drive) as repository:
        found = {
            table.packs[table.pack_number(place)].name
            for table in repository.index.tables
            for place in range(table.count)
            if table.location(place).segment.kind == kind
        }
    return [path for path in drive.files("packs") if path.name in found]


def damage_the_folder_of(scene: Scene, day: int) -> None:
    """The backup of that day wrote one pack of trees, which is damaged now. Those of the other days are sound."""
    before = {path.name: path.stat().st_mtime_ns for path in packs_of(scene.drive, Kind.TREE)}
    path = sorted(packs_of(scene.drive, Kind.TREE), key=lambda each: before[each.name])[day]
    flip(path, 70)


def lose_one(scene: Scene) -> None:
    scene.snapshot(2).unlink()


def lose_three(scene: Scene) -> None:
    """As fsck does that moves them to lost+found."""
    for day in (0, 1, 3):
        scene.snapshot(day).unlink()


def damage_a_snapshot(scene: Scene) -> None:
    flip(scene.snapshot(1), 100)


def damage_a_folder(scene: Scene) -> None:
    damage_the_folder_of(scene, 2)


def lose_a_folder(scene: Scene) -> None:
    sorted(packs_of(scene.drive, Kind.TREE), key=lambda each: each.stat().st_mtime_ns)[2].unlink()


LOSSES: list[tuple[Callable[[Scene], None], list[int | str]]] = [  # what is given up: days, or numbers
    (lose_one, ["3"]),
    (lose_three, ["1", "2", "4"]),
    (damage_a_snapshot, [1]),
    (damage_a_folder, [2]),
    (lose_a_folder, [2]),
]
every_loss = pytest.mark.parametrize(("lose", "given_up"), LOSSES, ids=[lose.__name__ for lose, _ in LOSSES])


@every_loss
def test_nothing_is_deleted_after_a_loss_until_it_is_given_up_by_name(
    scene: Scene, lose: Callable[[Scene], None], given_up: list[int | str]
) -> None:
    lose(scene)
    before = {path: path.read_bytes() for path in scene.drive.files(".")}
    with pytest.raises(CheckFailed, match="nothing is deleted") as refused:
        pruned(scene.drive)
    assert {path: path.read_bytes() for path in scene.drive.files(".")} == before
    assert "--give-up" in refused.value.hint
    assert "prune" not in refused.value.hint

    names = [name if isinstance(name, str) else scene.names[name] for name in given_up]
    for name in names:
        assert name[:12] in refused.value.message
    if len(names) > 1:
        with pytest.raises(CheckFailed):
            pruned(scene.drive, give_up=names[:-1])
    report = pruned(scene.drive, give_up=[name[:12] for name in names])
    assert sorted(report.given_up) == sorted(names)
    assert report.bytes_freed > 90_000
    assert pruned(scene.drive).problems == (), "what was given up once need not be given up again"


@every_loss
def test_what_is_not_lost_comes_back_after_a_loss_was_given_up(
    scene: Scene, lose: Callable[[Scene], None], given_up: list[int | str]
) -> None:
    lose(scene)
    pruned(scene.drive, give_up=[name if isinstance(name, str) else scene.names[name] for name in given_up])
    with loaded(scene.drive) as repository:
        left = [named.id for named in repository.snapshots().readable]
        assert find_missing_snapshots(repository).count == 0
    for name in left:
        report = restored(scene.drive, scene.folder / name, name)
        if name != scene.names[2]:
            assert report.problems == ()
            assert (below(scene.folder / name, scene.source) / "always.bin").read_bytes() == noise("always", MIB)


def test_a_backup_that_goes_by_the_rules_takes_its_damage_along(scene: Scene) -> None:
    damage_a_folder(scene)
    assert pruned(scene.drive, scene.names[2]).snapshots_removed == (scene.names[2],)


def test_a_damaged_list_is_given_up_with_the_backups_in_which_it_is_missed_and_these_stay(tmp_path: Path) -> None:
    drive, docs = enroll(tmp_path / "drive"), tmp_path / "docs"
    (docs / "old").mkdir(parents=True)
    (docs / "old" / "a.bin").write_bytes(noise("a", 10_000))
    (docs / "always.bin").write_bytes(noise("always", 100_000))
    first = str(back_up(drive, docs).snapshot)
    (docs / "new").mkdir()
    second = str(back_up(drive, docs).snapshot)
    (docs / "old" / "a.bin").unlink()
    back_up(drive, docs, accept_shrink=True)
    (pack,) = [path for path in packs_of(drive, Kind.TREE) if holds_tree_of(drive, path, first)]
    flip(pack, 70)
    with pytest.raises(CheckFailed, match=str(docs / "old")):
        pruned(drive, give_up=[first])
    assert pruned(drive, give_up=[first, second]).given_up == (first, second)
    assert {path.name for path in drive.files("snapshots")} >= {first, second}, "they stay, without that folder"
    pruned(drive)


def holds_tree_of(drive: Drive, pack: Path, snapshot: str) -> bool:
    with loaded(drive) as repository:
        root = repository.find_snapshot(snapshot).snapshot.root
        return pack.name in {at.pack for text in root for at in repository.index.locations(blob_id(text))}


def test_only_what_is_lost_can_be_given_up(scene: Scene) -> None:
    with pytest.raises(NotFound, match="nothing of a backup"):
        pruned(scene.drive, give_up=[scene.names[0]])
    lose_three(scene)
    for nothing in ("", "3", "99", "x", scene.names[4]):
        with pytest.raises(NotFound):
            pruned(scene.drive, give_up=[nothing])
    for day in (2, 4):
        flip(scene.snapshot(day), 100)
    common = [digit for digit in "0123456789abcdef" if all(scene.names[day].startswith(digit) for day in (2, 4))]
    for digit in common:
        with pytest.raises(ConfigError):
            pruned(scene.drive, give_up=[digit])


def test_two_computers_agree_about_what_was_removed_and_what_was_given_up(scene: Scene) -> None:
    pruned(scene.drive, scene.names[0])
    scene.snapshot(1).unlink()
    pruned(scene.drive, give_up=["2"])
    with loaded(scene.drive) as repository:
        assert find_missing_snapshots(repository).count == 0
        assert find_missing_snapshots(repository, [SeenSnapshot(FileName(scene.names[0]), 1)]).count == 0
        records = repository.removals()
    assert records.removed == {scene.names[0]: 1, f"{2:064x}": 2}


# -- the numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [[0], [1], [3], [0, 1], [1, 3], [0, 1, 2, 3]])
def test_a_lost_snapshot_is_missed_by_its_number_on_a_computer_that_never_saw_the_drive(
    scene: Scene, lost: list[int]
) -> None:
    for day in lost:
        scene.snapshot(day).unlink()
    with loaded(scene.drive) as repository:
        missing = find_missing_snapshots(repository)
    assert (missing.count, missing.first_numbers()) == (len(lost), [day + 1 for day in lost])


@pytest.mark.parametrize("lost", [[0], [4], [3, 4], [0, 1, 2, 3, 4]])
def test_a_lost_snapshot_is_missed_by_its_name_on_a_computer_that_saw_it(scene: Scene, lost: list[int]) -> None:
    memory = [SeenSnapshot(FileName(name), number + 1) for number, name in enumerate(scene.names)]
    for day in lost:
        scene.snapshot(day).unlink()
    with loaded(scene.drive) as repository:
        missing = find_missing_snapshots(repository, memory)
    assert [each.id for each in missing.named] == [scene.names[day] for day in lost]
    assert missing.numbers == ()
    with pytest.raises(CheckFailed, match="not there any more"):
        pruned(scene.drive, remembered=memory)


def test_a_damaged_snapshot_is_not_missed_as_well(scene: Scene) -> None:
    flip(scene.snapshot(1), 100)
    with loaded(scene.drive) as repository:
        assert find_missing_snapshots(repository).count == 0
    scene.snapshot(3).unlink()
    with loaded(scene.drive) as repository:
        missing = find_missing_snapshots(repository)
    assert (missing.count, missing.first_numbers()) == (1, [2, 4])


@pytest.mark.parametrize(("remembers", "number"), [(True, 2), (False, 0)])
def test_a_damaged_snapshot_that_is_given_up_is_on_record_with_its_number_where_that_is_known(
    scene: Scene, remembers: bool, number: int
) -> None:
    memory = [SeenSnapshot(FileName(name), day + 1) for day, name in enumerate(scene.names)] if remembers else []
    flip(scene.snapshot(1), 100)
    pruned(scene.drive, give_up=[scene.names[1]], remembered=memory)
    with loaded(scene.drive) as repository:
        assert repository.removals().removed == {scene.names[1]: number}
        assert find_missing_snapshots(repository).count == 0


def test_a_removal_that_was_cut_off_is_no_loss(scene: Scene) -> None:
    cut_off = scene.drive.copied_to(scene.folder / "cut off")
    pruned(scene.drive, scene.names[0])
    shutil.copytree(scene.drive.root / "removals", cut_off.root / "removals", dirs_exist_ok=True)
    with loaded(cut_off) as repository:
        assert find_missing_snapshots(repository).count == 0
    assert pruned(cut_off).snapshots_kept == 5


def test_what_was_removed_is_remembered_where_its_record_is_damaged_and_written_anew(scene: Scene) -> None:
    pruned(scene.drive, scene.names[1])
    (record,) = scene.drive.files("removals")
    flip(record, 100)
    memory = [SeenSnapshot(FileName(name), number + 1, removed=number == 1) for number, name in enumerate(scene.names)]
    with pytest.raises(CheckFailed):
        pruned(scene.drive)
    assert [problem.kind for problem in pruned(scene.drive, remembered=memory).problems] == ["healed"]
    assert record not in scene.drive.files("removals")
    assert pruned(scene.drive).problems == ()


@pytest.mark.parametrize("folder", ["snapshots", "removals"])
def test_nothing_is_missed_while_a_folder_cannot_be_listed_which_is_damage_of_that_folder(
    scene: Scene, folder: str
) -> None:
    pruned(scene.drive, scene.names[0])
    memory = [SeenSnapshot(FileName(name), number + 1) for number, name in enumerate(scene.names)]

    def before(kind: str, path: str) -> None:
        if (kind, path) == ("list_files", folder):
            raise Unlistable(folder, [])

    with contextlib.closing(FolderStore(str(scene.drive.root))) as inner:
        store = FaultingStore(inner, Fault(frozenset(), 0), before)
        with loaded(scene.drive, store) as repository:
            assert find_missing_snapshots(repository, memory).count == 0
        with pytest.raises(CheckFailed, match="cannot be listed"):
            pruned(scene.drive, store=store, remembered=memory)


def test_a_forged_number_costs_no_memory(scene: Scene) -> None:
    memory = [SeenSnapshot(FileName("ab" * 32), 2**62)]
    with loaded(scene.drive) as repository:
        missing = find_missing_snapshots(repository, memory)
    assert missing.count == 2**62 - 5
    assert len(missing.first_numbers()) == 1000


# -- what nobody expects -------------------------------------------------------------------------------------------


def test_a_prune_that_would_keep_nothing_has_to_be_confirmed(scene: Scene) -> None:
    before = scene.packs()
    with pytest.raises(NotConfirmed, match="no backup would be left") as refused:
        pruned(scene.drive, *scene.names)
    assert refused.value.exit_code == 14
    assert "--accept-share" in refused.value.hint
    assert scene.packs() == before
    pruned(scene.drive, *scene.names, accept_share=True)
    assert scene.packs() == []


def test_snapshots_that_nobody_can_miss_any_more_do_not_take_everything_along(scene: Scene) -> None:
    """Nobody who sees a drive for the first time knows how many were there after the last one that is."""
    for path in scene.drive.files("snapshots"):
        path.unlink()
    before = scene.packs()
    with pytest.raises(KineError):
        pruned(scene.drive)
    assert scene.packs() == before


@pytest.mark.parametrize(("removed", "allowed"), [(1, False), (2, False), (3, True)])
def test_most_bytes_go_only_with_half_of_the_backups(tmp_path: Path, removed: int, allowed: bool) -> None:
    drive, docs = enroll(tmp_path / "drive"), tmp_path / "docs"
    docs.mkdir()
    (docs / "large.bin").write_bytes(noise("large", MIB))
    names = [str(back_up(drive, docs).snapshot)]
    (docs / "large.bin").write_bytes(noise("small", 1000))
    for day in range(5):
        (docs / "day.txt").write_text(f"{day}", encoding="utf-8")
        names.append(str(back_up(drive, docs).snapshot))
    if not allowed:
        with pytest.raises(NotConfirmed, match=f"with {removed} of 6 backups"):
            pruned(drive, *names[:removed])
    report = pruned(drive, *names[:removed], accept_share=not allowed)
    assert report.bytes_freed > MIB


def test_what_a_run_that_was_cut_off_has_left_is_no_loss(tmp_path: Path) -> None:
    drive, docs = enroll(tmp_path / "drive"), tmp_path / "docs"
    docs.mkdir()
    (docs / "a.bin").write_bytes(noise("a", 100_000))
    back_up(drive, docs)
    earlier = drive.copied_to(tmp_path / "earlier")
    (docs / "b.bin").write_bytes(noise("b", MIB))
    back_up(drive, docs)
    for path in drive.files("packs"):  # all that the second run wrote but its index and its snapshot
        target = earlier.root / path.relative_to(drive.root)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)
    assert pruned(earlier).bytes_freed > MIB
    assert seen(docs)


# -- whatever is lost ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A drive with a history: five backups of which the first was removed, and what each of the others holds."""
    folder = tmp_path_factory.mktemp("whole")
    made = Scene(folder, folder / "patients", enroll(folder / "drive"), [])
    (made.source / "old").mkdir(parents=True)
    (made.source / "old" / "archive.bin").write_bytes(noise("archive", 30_000))
    for day in range(5):
        (made.source / f"day {day}").mkdir()
        (made.source / f"day {day}" / "film.bin").write_bytes(noise(f"day {day}", 20_000))
        made.names.append(str(back_up(made.drive, made.source).snapshot))
        shutil.copytree(made.source, folder / "held" / made.names[-1])
        if day % 2:
            shutil.rmtree(made.source / f"day {day}")
    pruned(made.drive, made.names.pop(0))
    return made


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lost=some.sets(some.integers(0, 10**6), min_size=1, max_size=3),
    flipped=some.booleans(),
    doomed=some.sets(some.integers(0, 3), max_size=3),
    verified_before=some.booleans(),
)
def test_whatever_is_lost_comes_back_whole_when_it_is_found_again(
    whole: Scene,
    tmp_path_factory: pytest.TempPathFactory,
    lost: set[int],
    flipped: bool,
    doomed: set[int],
    verified_before: bool,
) -> None:
    """A prune between a loss and the finding again, as from lost+found, has cost nothing that was to be kept."""
    with in_memory(tmp_path_factory.mktemp("copy")) as folder:
        drive = whole.drive.copied_to(folder)
        files = [path for part in ("snapshots", "packs", "index", "removals") for path in drive.files(part)]
        found_again = {path: path.read_bytes() for path in {files[number % len(files)] for number in lost}}
        for path in found_again:
            if flipped:
                flip(path, 100)
            else:
                path.unlink()
        if verified_before:
            verified(drive)
        memory = [SeenSnapshot(FileName(name), number + 2) for number, name in enumerate(whole.names)]
        readable = [
            whole.names[day] for day in doomed if drive.root / "snapshots" / whole.names[day] not in found_again
        ]
        with contextlib.suppress(KineError):
            pruned(drive, *readable, accept_share=True, remembered=memory)
        for path, data in found_again.items():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        for name in set(whole.names) - set(readable):
            assert restored(drive, folder / name, name).problems == ()
            assert content(below(folder / name, whole.source)) == content(whole.folder / "held" / name)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
