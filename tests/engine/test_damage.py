"""Whatever happens to a file on the drive: no wrong byte comes back, what is affected is named, the next backup heals.

Owns: the damage matrix (every damage × every kind of file) and files put where they do not belong. Does not know: power
cuts, drives that answer with errors.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.engine.drives import (
    CHEAP,
    CREATED,
    HOLDER,
    Drive,
    Seen,
    back_up,
    below,
    edit_patients,
    enroll,
    loaded,
    locked,
    make_patients,
    opened,
    proven,
    pruned,
    restored,
    seen,
    verified,
)

from kinebackup.engine.findings import problem_of
from kinebackup.engine.format import keyring
from kinebackup.engine.format.constants import Codec, Kind
from kinebackup.engine.format.keyring import Passphrase
from kinebackup.engine.format.layout import HEADER_COPIES, pack_path
from kinebackup.engine.prune.missing_snapshots import find_missing_snapshots
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.inventory import UnreadablePack
from kinebackup.engine.repository.opening import lock_store
from kinebackup.engine.repository.pack_writer import PackWriter
from kinebackup.errors import CheckFailed, Damaged, KineError, NotFound
from kinebackup.model import BlobId, Problem, VerifyReport


@dataclass(frozen=True)
class Scene:
    """A drive with two backups. ``held``: what each restores to. ``older``: the drive as it was after the first."""

    folder: Path
    source: Path
    drive: Drive
    older: Drive
    held: dict[str, dict[str, Seen]]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("damage")
    source = make_patients(folder / "patients")
    drive = enroll(folder / "drive")
    held = {str(back_up(drive, source).snapshot): seen(source)}
    older = drive.copied_to(folder / "older")
    edit_patients(source)
    held[str(back_up(drive, source).snapshot)] = seen(source)
    with locked(drive) as repository:
        master, ring = repository.unlocked.master, repository.header.keyring
        second = Passphrase.of("deuxième phrase")
        repository.write_keyring(
            keyring.with_slot(ring, master, second, entropy=drive.dice, created=CREATED, cost=CHEAP)[0]
        )
    (drive.root / "damaged" / drive.files("packs")[0].name).touch()
    (drive.root / "lock").write_bytes(b'{"host":"x","pid":1,"boot":"b","since":"s","work":"backup"}')
    return Scene(folder, source, drive, older, held)


# -- damages: each takes a victim and others of its kind, and leaves the victim worse ------------------------------


def delete(victim: Path, others: list[Path]) -> None:
    victim.unlink()


def truncate(victim: Path, others: list[Path]) -> None:
    os.truncate(victim, victim.stat().st_size // 2)


def empty(victim: Path, others: list[Path]) -> None:
    os.truncate(victim, 0)


def flip_a_bit(victim: Path, others: list[Path]) -> None:
    _flip(victim, victim.stat().st_size // 2)


def flip_the_first_bit(victim: Path, others: list[Path]) -> None:
    _flip(victim, 0)


def flip_a_bit_of_the_salt(victim: Path, others: list[Path]) -> None:
    _flip(victim, 20)


def flip_the_last_bit(victim: Path, others: list[Path]) -> None:
    _flip(victim, victim.stat().st_size - 1)


def zero_a_sector(victim: Path, others: list[Path]) -> None:
    at = victim.stat().st_size // 2 // 512 * 512
    with victim.open("r+b") as file:
        file.seek(at)
        file.write(bytes(min(512, victim.stat().st_size - at)))


def swap(victim: Path, others: list[Path]) -> None:
    aside = victim.with_name("aside")
    victim.rename(aside)
    others[0].rename(victim)
    aside.rename(others[0])


def replace_by_another(victim: Path, others: list[Path]) -> None:
    victim.write_bytes(others[-1].read_bytes())


def append(victim: Path, others: list[Path]) -> None:
    with victim.open("ab") as file:
        file.write(b"\0")


def _flip(victim: Path, at: int) -> None:
    data = bytearray(victim.read_bytes())
    if data:
        data[min(at, len(data) - 1)] ^= 0x10
    victim.write_bytes(data)


Damage = Callable[[Path, list[Path]], None]

DAMAGES: list[Damage] = [
    delete,
    truncate,
    empty,
    flip_a_bit,
    flip_the_first_bit,
    flip_a_bit_of_the_salt,
    flip_the_last_bit,
    zero_a_sector,
    swap,
    replace_by_another,
    append,
]


def _title(damage: Damage) -> str:
    return damage.__name__.replace("_", " ")


every_damage = pytest.mark.parametrize("damage", DAMAGES, ids=_title)
every_damage_to_one_file = pytest.mark.parametrize(
    "damage", [damage for damage in DAMAGES if damage not in (swap, replace_by_another)], ids=_title
)


def packs_of(drive: Drive, kinds: set[Kind]) -> list[Path]:
    """The packs that hold blobs of these kinds."""
    with loaded(drive) as repository:
        names = {
            name
            for table in repository.index.tables
            for name, segments in table.segments_of([p.name for p in table.packs]).items()
            if {segment.kind for segment in segments} & kinds
        }
    return [path for path in drive.files("packs") if path.name in names]


def damaged_drives(scene: Scene, damage: Damage, victims: list[Path]) -> Iterator[tuple[Drive, Path]]:
    """A copy of the drive for each victim, with that one damaged; the victim's relative path."""
    for victim in victims:
        place = scene.folder / "copy"
        drive = scene.drive.copied_to(place)
        relative = victim.relative_to(scene.drive.root)
        others = [drive.root / v.relative_to(scene.drive.root) for v in victims if v != victim]
        damage(drive.root / relative, others)
        try:
            yield drive, relative
        finally:
            shutil.rmtree(place)


# -- what must hold ------------------------------------------------------------------------------------------------


def restorable(scene: Scene, drive: Drive, snapshot: str) -> set[str]:
    """Paths below the source that do not come back; asserts that all others do, and that each loss is reported."""
    out = scene.folder / "out"
    expected = scene.held[snapshot]
    try:
        report = restored(drive, out, snapshot)
        place = below(out, scene.source)
        got = seen(place) if place.exists() else {}
        lost = expected.keys() - got.keys()
        assert got.keys() <= expected.keys()
        for path, is_now in got.items():
            should = expected[path]
            links = tuple(link for link in should.links if link not in lost)
            assert is_now == _with_links(should, links if len(links) > 1 else ())
        for path in lost:
            assert covers(report.problems, f"{scene.source}/{path}"), path
        return lost
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _with_links(should: Seen, links: tuple[str, ...]) -> Seen:
    return Seen(
        should.type,
        should.mode,
        should.owner,
        should.mtime_ns,
        should.size,
        should.sha256,
        should.target,
        should.xattrs,
        links,
        should.device,
    )


def covers(problems: tuple[Problem, ...], path: str, snapshot: str = "") -> bool:
    """Whether a problem names the path, or a folder above it (and the snapshot)."""
    return any(
        (problem.path in ("/", path) or path.startswith(f"{problem.path}/"))
        and (not snapshot or snapshot in problem.snapshots)
        for problem in problems
    )


def assert_explains(report: VerifyReport, scene: Scene, relative: Path, lost: dict[str, set[str]]) -> None:
    """The damaged file is named, and the snapshots that it affects; so is each file that is lost, for each snapshot."""
    assert report.result == "failed"
    about = [problem for problem in report.problems if problem.path == str(relative)]
    assert about
    for snapshot, paths in lost.items():
        for path in paths:
            assert covers(report.problems, f"{scene.source}/{path}", snapshot), f"{snapshot[:8]} {path}"
        if paths:
            packs = [problem for problem in report.problems if problem.path.startswith("packs/")]
            assert any(snapshot in problem.snapshots for problem in packs), f"{relative} affects {snapshot[:8]}"


def assert_next_backup_heals(scene: Scene, drive: Drive) -> None:
    """The next backup is whole, and after it nothing that the source still has is missing from any snapshot."""
    made = back_up(drive, scene.source)
    assert made.snapshot is not None
    assert made.problems == ()
    out = scene.folder / "healed"
    try:
        assert restored(drive, out, made.snapshot).problems == ()
        assert seen(below(out, scene.source)) == seen(scene.source)
    finally:
        shutil.rmtree(out, ignore_errors=True)
    report = proven(drive, scene.folder / "scratch", made.snapshot)
    assert (report.result, report.problems) == ("ok", ())
    assert report.files_tested == 9


def lost_snapshots(drive: Drive) -> list[str]:
    """Names of those that cannot be read, and numbers of those that are not there."""
    with loaded(drive) as repository:
        unreadable = [each.name for each in repository.snapshots().unreadable]
        return [*unreadable, *map(str, find_missing_snapshots(repository).first_numbers())]


def assert_clean_after_prune(scene: Scene, drive: Drive, *remove: str) -> None:
    """Nothing is left to complain of once what cannot be healed is given up."""
    newest = str(back_up(drive, scene.source).snapshot)
    pruned(drive, *remove, give_up=lost_snapshots(drive), accept_share=True)
    report = verified(drive)
    assert (report.result, report.problems) == ("ok", ())
    assert proven(drive, scene.folder / "scratch", newest).result == "ok"


@every_damage
@pytest.mark.parametrize("kinds", [{Kind.DATA}, {Kind.TREE}], ids=["data", "trees"])
def test_a_damaged_pack_costs_only_what_lies_in_it_and_the_next_backup_heals(
    scene: Scene, damage: Damage, kinds: set[Kind]
) -> None:
    for drive, relative in damaged_drives(scene, damage, packs_of(scene.drive, kinds)):
        lost = {name: restorable(scene, drive, name) for name in scene.held}
        assert_explains(verified(drive), scene, relative, lost)
        assert_next_backup_heals(scene, drive)
        left = {name: restorable(scene, drive, name) for name in scene.held}
        # Folders above the source change all the time: the way to it, as it was then, is not always there to be healed.
        assert left[list(scene.held)[-1]] == set() or Kind.TREE in kinds
        assert_clean_after_prune(scene, drive, *[name for name in left if left[name]])


@every_damage
def test_a_damaged_index_file_costs_nothing(scene: Scene, damage: Damage) -> None:
    for drive, relative in damaged_drives(scene, damage, scene.drive.files("index")):
        for name in scene.held:
            assert restorable(scene, drive, name) == set()
        report = verified(drive)
        assert damage is delete or (
            report.result == "failed" and [p.path for p in report.problems if p.path == str(relative)]
        )
        assert_next_backup_heals(scene, drive)
        assert_clean_after_prune(scene, drive)


@every_damage
def test_a_damaged_snapshot_costs_that_snapshot_alone(scene: Scene, damage: Damage) -> None:
    for drive, relative in damaged_drives(scene, damage, scene.drive.files("snapshots")):
        unreadable: list[str] = []
        for name in scene.held:
            try:
                assert restorable(scene, drive, name) == set()
            except (Damaged, NotFound):
                unreadable.append(name)
        assert relative.name in unreadable
        assert unreadable == [relative.name] or damage is swap
        report = verified(drive)
        assert damage is delete or report.result == "failed"
        assert damage is delete or (relative.name,) in [p.snapshots for p in report.problems]
        assert_next_backup_heals(scene, drive)
        assert_clean_after_prune(scene, drive)


@every_damage_to_one_file  # the copies are equal: to swap two is no damage
def test_a_damaged_copy_of_the_header_costs_nothing_and_is_healed(scene: Scene, damage: Damage) -> None:
    copies = [scene.drive.root / name for name in HEADER_COPIES]
    for drive, relative in damaged_drives(scene, damage, copies):
        for name in scene.held:
            assert restorable(scene, drive, name) == set()
        assert [(p.kind, p.path) for p in verified(drive).problems] == [("damaged", str(relative))]
        assert_next_backup_heals(scene, drive)
        assert verified(drive).result == "ok"
        assert (drive.root / relative).read_bytes() == (scene.drive.root / "header").read_bytes()


@pytest.mark.parametrize(
    "damage",
    [delete, truncate, empty, flip_the_first_bit, flip_a_bit_of_the_salt, flip_the_last_bit, zero_a_sector, append],
    ids=_title,
)
def test_a_drive_without_a_header_that_can_be_read_is_refused_clearly_and_never_written_over(
    scene: Scene, damage: Damage
) -> None:
    with without_a_sound_header(scene, damage) as drive, lock_store(str(drive.root), HOLDER) as files:
        before = everything_on(drive, but="")
        with pytest.raises((Damaged, NotFound)) as refused:
            restored(drive, scene.folder / "out")
        assert refused.value.hint
        with pytest.raises(KineError):
            files.create(master=drive.master, keyring=drive.ring, repository="ef" * 16, created=CREATED)
        assert everything_on(drive, but="") == before


def alter_a_text(victim: Path, others: list[Path]) -> None:
    _flip(victim, victim.read_bytes().index(b'"created":"') + 13)


def alter_the_mac(victim: Path, others: list[Path]) -> None:
    data = victim.read_bytes()
    victim.write_bytes(data[:-2] + (b"0" if data[-2:] != b"0\n" else b"1") + b"\n")


@pytest.mark.parametrize("damage", [flip_a_bit, alter_a_text, alter_the_mac], ids=_title)
def test_a_drive_whose_header_is_altered_in_all_copies_gives_everything_back_and_is_not_written_to(
    scene: Scene, damage: Damage
) -> None:
    with without_a_sound_header(scene, damage) as drive:
        before = everything_on(drive)
        for name in scene.held:
            assert restorable(scene, drive, name) == set()
        report = verified(drive)
        assert report.result == "failed"
        assert [(p.kind, p.path) for p in report.problems] == [("damaged", name) for name in HEADER_COPIES]
        after_verification = everything_on(drive)
        with pytest.raises(Damaged, match="changed by somebody without the key") as refused:
            back_up(drive, scene.source)
        assert refused.value.hint
        with pytest.raises(Damaged, match="changed by somebody without the key"):
            pruned(drive, next(iter(scene.held)))
        with lock_store(str(drive.root), HOLDER) as files, pytest.raises(KineError):
            files.create(master=drive.master, keyring=drive.ring, repository="ef" * 16, created=CREATED)
        assert everything_on(drive) == after_verification
        # Its marker goes, for the pack is sound: markers are no writing in this sense (FORMAT.md §1).
        assert {path for path in before if path not in after_verification} == set(drive_markers(scene, drive))


def drive_markers(scene: Scene, drive: Drive) -> list[Path]:
    """Where the scene's markers lie on a copy of its drive."""
    return [drive.root / path.relative_to(scene.drive.root) for path in scene.drive.files("damaged")]


@contextlib.contextmanager
def without_a_sound_header(scene: Scene, damage: Damage) -> Iterator[Drive]:
    drive = scene.drive.copied_to(scene.folder / "headless")
    try:
        for name in HEADER_COPIES:
            damage(drive.root / name, [])
        yield drive
    finally:
        shutil.rmtree(drive.root.parent)
        shutil.rmtree(scene.folder / "out", ignore_errors=True)


def everything_on(drive: Drive, *, but: str = "lock") -> dict[Path, bytes]:
    """All its files but the lock, which says who tried to write last."""
    return {path: path.read_bytes() for path in drive.files("") if path.name != but}


@every_damage_to_one_file
@pytest.mark.parametrize("what", ["lock", "damaged"])
def test_a_damaged_lock_or_marker_costs_nothing(scene: Scene, damage: Damage, what: str) -> None:
    victims = scene.drive.files(what) if what == "damaged" else [scene.drive.root / "lock"]
    for drive, _ in damaged_drives(scene, damage, victims):
        for name in scene.held:
            assert restorable(scene, drive, name) == set()
        assert verified(drive).result == "ok"
        assert drive.files("damaged") == []  # the pack passed: it may be relied on again
        assert_next_backup_heals(scene, drive)


# -- files where they do not belong --------------------------------------------------------------------------------


@pytest.fixture
def drive(scene: Scene, tmp_path: Path) -> Drive:
    return scene.drive.copied_to(tmp_path)


@pytest.fixture(scope="module")
def foreigners(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Drive]:
    """The other drive of the practice (same master key), and the drive of a stranger, both with the same patients."""
    folder = tmp_path_factory.mktemp("foreign")
    found = {
        "our other drive": enroll(folder / "other", seed="other", practice=scene.drive),
        "a stranger's drive": enroll(folder / "stranger", seed="stranger"),
    }
    for one in found.values():
        back_up(one, scene.source)
    return found


def guests_given_up(guests: list[str]) -> list[str]:
    """Snapshots by their names; what else is foreign is missed by nobody."""
    return [Path(guest).name for guest in guests if guest.startswith("snapshots/")]


@pytest.mark.parametrize("whose", ["our other drive", "a stranger's drive"])
@pytest.mark.parametrize("what", ["packs", "index", "snapshots"])
def test_a_file_of_another_repository_is_named_never_used_and_goes_with_a_prune(
    scene: Scene, drive: Drive, foreigners: dict[str, Drive], what: str, whose: str
) -> None:
    guests = []
    for file in foreigners[whose].files(what):
        relative = file.relative_to(foreigners[whose].root)
        (drive.root / relative).parent.mkdir(exist_ok=True)
        shutil.copyfile(file, drive.root / relative)
        guests.append(str(relative))
    for name in scene.held:
        assert restorable(scene, drive, name) == set()
    report = verified(drive)
    assert report.result == "failed"
    assert set(guests) <= {problem.path for problem in report.problems}
    assert_next_backup_heals(scene, drive)
    pruned(drive, give_up=guests_given_up(guests))
    assert verified(drive).problems == ()
    assert not any((drive.root / guest).exists() for guest in guests)


@pytest.mark.parametrize("whose", ["our other drive", "a stranger's drive"])
@pytest.mark.parametrize("copy", HEADER_COPIES)
def test_one_copy_of_another_drives_header_does_not_hide_our_own(
    scene: Scene, drive: Drive, foreigners: dict[str, Drive], copy: str, whose: str
) -> None:
    shutil.copyfile(foreigners[whose].root / copy, drive.root / copy)
    for name in scene.held:
        assert restorable(scene, drive, name) == set()
    assert copy in [problem.path for problem in verified(drive).problems]
    assert_next_backup_heals(scene, drive)
    assert verified(drive).result == "ok"


def test_a_pack_under_the_name_of_another_counts_as_damaged_and_gives_no_byte(scene: Scene, drive: Drive) -> None:
    first, second = packs_of(drive, {Kind.DATA})[:2]
    second.write_bytes(first.read_bytes())
    lost = {name: restorable(scene, drive, name) for name in scene.held}
    assert any(lost.values())
    assert_explains(verified(drive), scene, second.relative_to(drive.root), lost)
    assert_next_backup_heals(scene, drive)


def test_a_pack_under_a_new_name_is_reported_and_goes_with_a_prune(scene: Scene, drive: Drive) -> None:
    pack = packs_of(drive, {Kind.DATA})[0]
    guest = drive.root / "packs" / "ab" / ("ab" * 32)
    guest.parent.mkdir(exist_ok=True)
    shutil.copyfile(pack, guest)
    for name in scene.held:
        assert restorable(scene, drive, name) == set()
    assert f"packs/ab/{'ab' * 32}" in [problem.path for problem in verified(drive).problems]
    assert_next_backup_heals(scene, drive)
    pruned(drive)
    assert verified(drive).problems == ()
    assert not guest.exists()


def test_a_pack_that_was_wrong_before_it_was_written_is_found_although_its_digest_is_right(
    scene: Scene, drive: Drive
) -> None:
    with opened(drive) as repository:  # as a computer with bad memory might write it
        writer = PackWriter(repository.store, repository.keys, drive.dice(32))
        writer.add(Kind.DATA, Codec.RAW, b"other bytes", 11, [(BlobId(bytes(16)), 0, 11)], bytearray(11 + 16))
        path = pack_path(writer.finish().name)
        repository.store.make_directories([path.rpartition("/")[0]])
        writer.file.commit(path)
    assert [(p.kind, p.path) for p in verified(drive).problems] == [("damaged", path)]
    with loaded(drive) as repository, pytest.raises(Damaged):
        BlobReader(repository).read(Kind.DATA, BlobId(bytes(16)))
    assert_next_backup_heals(scene, drive)
    pruned(drive)
    assert verified(drive).problems == ()


@pytest.mark.parametrize("what", ["packs", "index", "snapshots", "header.1"])
def test_a_file_of_a_terabyte_costs_no_memory(scene: Scene, drive: Drive, what: str) -> None:
    """A hostile drive needs no room for a file of holes; who reads it whole has no memory left."""
    victim = drive.root / what if what.startswith("header") else drive.files(what)[0]
    os.truncate(victim, 2**40)
    report = verified(drive)
    assert str(victim.relative_to(drive.root)) in {problem.path for problem in report.problems}


def test_a_pack_that_nobody_lists_and_that_claims_a_table_of_gigabytes_costs_no_memory(
    scene: Scene, drive: Drive
) -> None:
    stray = drive.root / "packs" / "ab" / ("ab" * 32)
    stray.parent.mkdir(exist_ok=True)
    with stray.open("wb") as file:
        file.truncate(2**40)
        file.seek(2**40 - 8)
        file.write(b"\xf0\xff\xff\xff\x01\x00\x00\x00")
    with loaded(drive) as repository:
        (found,) = repository.inventory.findings
        assert isinstance(found, UnreadablePack)
        assert problem_of(found).path == f"packs/ab/{'ab' * 32}"


@pytest.mark.parametrize("copies", [("header",), ("header", "header.1")])
def test_some_copies_of_the_header_rolled_back_are_named_and_the_newest_counts(
    scene: Scene, drive: Drive, copies: tuple[str, ...]
) -> None:
    for copy in copies:
        shutil.copyfile(scene.older.root / copy, drive.root / copy)
    with opened(drive) as repository:
        assert repository.header.generation == 2
    found = [(p.kind, p.path) for p in verified(drive).problems]
    assert found == [("rolled-back", copy) for copy in copies]
    assert_next_backup_heals(scene, drive)
    assert verified(drive).result == "ok"


def test_a_header_rolled_back_altogether_opens_with_its_older_generation_for_the_caller_to_compare(
    scene: Scene, drive: Drive
) -> None:
    for copy in HEADER_COPIES:
        shutil.copyfile(scene.older.root / copy, drive.root / copy)
    with opened(drive) as repository:
        assert repository.header.generation == 1
    for name in scene.held:
        assert restorable(scene, drive, name) == set()


def test_a_whole_drive_rolled_back_is_a_sound_older_drive(scene: Scene, tmp_path: Path) -> None:
    drive = scene.older.copied_to(tmp_path)
    assert verified(drive).result == "ok"
    assert restorable(scene, drive, next(iter(scene.held))) == set()
    assert_next_backup_heals(scene, drive)


def test_a_copy_of_the_drive_without_its_empty_folders_is_a_sound_drive(scene: Scene, drive: Drive) -> None:
    for name in ("tmp", "damaged"):
        shutil.rmtree(drive.root / name)
    for name in scene.held:
        assert restorable(scene, drive, name) == set()
    assert verified(drive).result == "ok"
    assert_next_backup_heals(scene, drive)


def test_without_any_index_file_everything_is_found_by_the_packs_own_tables(scene: Scene, drive: Drive) -> None:
    for file in drive.files("index"):
        file.unlink()
    for name in scene.held:
        assert restorable(scene, drive, name) == set()
    assert verified(drive).result == "ok"
    made = back_up(drive, scene.source)
    assert made.bytes_written < 20_000  # nothing is stored twice
    assert verified(drive).result == "ok"


def test_index_and_a_packs_table_lost_together_are_told_and_the_source_heals(scene: Scene, drive: Drive) -> None:
    for file in drive.files("index"):
        file.unlink()
    victim = max(drive.files("packs"), key=lambda path: path.stat().st_size)
    _flip(victim, victim.stat().st_size - 20)
    lost = {name: restorable(scene, drive, name) for name in scene.held}
    assert any(lost.values())
    assert_explains(verified(drive), scene, victim.relative_to(drive.root), lost)
    assert_next_backup_heals(scene, drive)


def test_a_prune_deletes_nothing_while_a_snapshot_cannot_be_read_and_nobody_said_that_it_may_go(
    scene: Scene, drive: Drive
) -> None:
    flip_a_bit(drive.root / "snapshots" / next(iter(scene.held)), [])
    before = [path.name for path in drive.files("packs")]
    with pytest.raises(CheckFailed) as refused:
        pruned(drive)
    assert "verify" in refused.value.hint
    assert [path.name for path in drive.files("packs")] == before


def test_a_verification_that_has_seen_the_damage_gives_nothing_up_by_that(scene: Scene, drive: Drive) -> None:
    for pack in packs_of(drive, {Kind.TREE}):
        flip_a_bit(pack, [])
    with pytest.raises(CheckFailed):
        pruned(drive)
    verified(drive)
    before = [path.name for path in drive.files("packs")]
    with pytest.raises(CheckFailed):
        pruned(drive)
    assert [path.name for path in drive.files("packs")] == before
    pruned(drive, give_up=list(scene.held), accept_share=True)
    assert_next_backup_heals(scene, drive)


def test_every_older_snapshot_that_a_missing_pack_affects_is_named(scene: Scene, drive: Drive) -> None:
    for pack in packs_of(drive, {Kind.DATA}):
        pack.unlink()
    report = verified(drive)
    path = f"{scene.source}/Dupont/bilan.txt"  # the same in both backups, in a folder that both have
    for name in scene.held:
        assert covers(report.problems, path, name)
