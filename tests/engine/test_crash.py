"""A power cut after any operation of any run loses nothing that was committed, and the next run goes on.

Owns: the runs that are cut, and what must hold afterwards. Does not know: which states a cut may leave (``power_cut``).
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.engine.drives import (
    CHEAP,
    CREATED,
    HOLDER,
    MACHINE_KEY,
    PASSPHRASE,
    Drive,
    Seen,
    back_up,
    below,
    enroll,
    in_memory,
    loaded,
    locked,
    noise,
    pruned,
    restored,
    seen,
    verified,
)
from support.engine.parity_files import parity_of, unprotected
from support.engine.power_cut import Cut, cuts
from support.engine.recording_store import Operation, RecordingStore, Renamed, Unlinked
from support.engine.with_parity import flip
from support.ports import Dice

from kinebackup.engine.format import keyring
from kinebackup.engine.format.keyring import Passphrase
from kinebackup.engine.format.layout import marker_path
from kinebackup.engine.prune.missing_snapshots import find_missing_snapshots
from kinebackup.engine.repository.opening import lock_store
from kinebackup.engine.repository.repository import Repository
from kinebackup.engine.repository.store import FolderStore
from kinebackup.errors import NotFound


@dataclass
class Scene:
    """A drive with some snapshots, and the folder that they are of. ``held``: what each snapshot must restore to."""

    folder: Path
    source: Path
    drive: Drive
    held: dict[str, dict[str, Seen]]

    def save(self) -> str:
        snapshot = back_up(self.drive, self.source).snapshot
        assert snapshot is not None
        self.held[snapshot] = seen(self.source)
        return snapshot


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with in_memory(tmp_path) as folder:
        yield make_scene(folder)


def make_scene(folder: Path) -> Scene:
    source = folder / "patients"
    (source / "Dupont").mkdir(parents=True)
    (source / "Dupont" / "bilan.txt").write_text("Bilan initial\n" * 20, encoding="utf-8")
    (source / "Dupont" / "radio.jpg").write_bytes(noise("radio", 30_000))
    (source / "Dupont" / "film.bin").write_bytes(noise("film", 600_000))
    (source / "seances.csv").write_text("date;acte\n" * 50, encoding="utf-8")
    return Scene(folder, source, enroll(folder / "drive", keeps_parity=True), {})


def edit(source: Path, day: int) -> None:
    """One small file more, one changed; the large file makes way for another one on the second day."""
    (source / f"jour-{day}.txt").write_text(f"séance {day}\n" * 30, encoding="utf-8")
    (source / "seances.csv").write_text("date;acte\n" * (50 + day), encoding="utf-8")
    if day == 2:
        (source / "Dupont" / "film.bin").unlink()
        (source / "Dupont" / "film-2.bin").write_bytes(noise("film 2", 550_000))


def recorded(scene: Scene, run: Callable[[RecordingStore], object]) -> tuple[Path, list[Operation]]:
    """The drive as it was before the run, and what the run did to it."""
    before = scene.folder / "before"
    shutil.copytree(scene.drive.root, before)
    with contextlib.closing(FolderStore(str(scene.drive.root))) as folder:
        store = RecordingStore(folder)
        run(store)
    assert len(store.operations) > 3
    return before, store.operations


def assert_nothing_is_lost(scene: Scene, cut: Cut, required: set[str]) -> None:
    """``required``: snapshots that must be there. Whatever is there must be whole."""
    place = scene.folder / "cut"
    drive = replace(scene.drive, root=place / "KINEBACKUP")
    cut.remains.write_to(drive.root)
    try:
        with loaded(drive) as repository:
            there, unreadable = repository.snapshots().readable, repository.snapshots().unreadable
            assert repository.inventory.findings == ()  # no index file lists what is not there
            assert find_missing_snapshots(repository).count == 0  # what was removed was on record before
        assert not unreadable
        names = {named.id for named in there}
        assert required <= names
        for name in names:
            assert_restores(scene, drive, name, scene.held[name])
        made = back_up(drive, scene.source)
        assert made.snapshot is not None
        assert made.problems == ()
        assert drive.files("tmp") == []
        assert unprotected(drive) == set()  # what lacked is made, what is half-written was never taken for parity
        assert_restores(scene, drive, made.snapshot, seen(scene.source))
        if verified(drive).result != "ok":
            pruned(drive)
            assert verified(drive).problems == ()
            assert unprotected(drive) == set()
            assert_restores(scene, drive, made.snapshot, seen(scene.source))
    except Exception as error:
        error.add_note(f"power cut after operation {cut.done} ({cut.last}): {cut.remains.name}")
        raise
    finally:
        shutil.rmtree(place)


def assert_restores(scene: Scene, drive: Drive, snapshot: str, expected: dict[str, Seen]) -> None:
    out = scene.folder / "out"
    try:
        assert restored(drive, out, snapshot).problems == ()
        assert seen(below(out, scene.source)) == expected
    finally:
        shutil.rmtree(out, ignore_errors=True)


def assert_no_cut_of_a_backup_loses_anything(scene: Scene) -> list[Operation]:
    """Earlier backups survive each cut; this one survives every cut after it has said that it is done."""
    earlier = set(scene.held)

    def run(store: RecordingStore) -> None:
        scene.held[str(back_up(scene.drive, scene.source, store=store).snapshot)] = seen(scene.source)

    before, operations = recorded(scene, run)
    for cut in cuts(before, operations):
        assert_nothing_is_lost(scene, cut, set(scene.held) if cut.finished else earlier)
    return operations


def test_a_power_cut_during_the_first_backup_leaves_an_empty_repository_or_a_whole_backup(scene: Scene) -> None:
    assert_no_cut_of_a_backup_loses_anything(scene)


def test_a_power_cut_during_a_further_backup_keeps_the_earlier_ones(scene: Scene) -> None:
    scene.save()
    edit(scene.source, 1)
    scene.save()
    edit(scene.source, 2)
    assert_no_cut_of_a_backup_loses_anything(scene)


def test_a_power_cut_while_index_files_are_merged_keeps_every_backup(scene: Scene) -> None:
    for day in range(1, 7):
        (scene.source / f"jour-{day}.txt").write_text(f"séance {day}\n" * 30, encoding="utf-8")
        scene.save()
    (scene.source / "Dupont" / "film.bin").write_bytes(b"court")
    operations = assert_no_cut_of_a_backup_loses_anything(scene)
    assert sum(isinstance(o, Unlinked) and o.path.startswith("index/") for o in operations) == 7


def test_a_power_cut_while_damage_is_mended_and_parity_is_made_again_loses_nothing(scene: Scene) -> None:
    """Each damaged file is replaced by what its parity gives; until that is there, the parity stays."""
    scene.save()
    edit(scene.source, 1)
    scene.save()
    data = max(scene.drive.files("packs"), key=lambda path: path.stat().st_size)
    lacking = {parity_of(scene.drive, path) for path in scene.drive.files("packs") if path != data}
    for path in sorted(lacking)[::2]:
        path.unlink()
    for path in (data, scene.drive.files("index")[0], scene.drive.files("snapshots")[0]):
        flip(path)
    (scene.drive.root / marker_path(data.name)).touch()  # as a verification that found it does
    edit(scene.source, 2)
    operations = assert_no_cut_of_a_backup_loses_anything(scene)
    replaced = {operation.path for operation in operations if isinstance(operation, Renamed)}
    assert str(data.relative_to(scene.drive.root)) in replaced


def test_a_power_cut_during_a_prune_with_repacking_keeps_what_stays(scene: Scene) -> None:
    oldest = scene.save()
    for day in (1, 2):
        edit(scene.source, day)
        scene.save()
    stays = set(scene.held) - {oldest}
    # The second backup needs the large file of the first one; without both, packs are left empty and half-empty.
    second = sorted(stays, key=list(scene.held).index)[0]
    stays.remove(second)

    def run(store: RecordingStore) -> None:
        report = pruned(scene.drive, oldest, second, store=store)
        assert report.packs_removed >= 1
        assert report.packs_repacked >= 1

    before, operations = recorded(scene, run)
    for cut in cuts(before, operations):
        assert_nothing_is_lost(scene, cut, stays)


def test_a_power_cut_while_the_keys_change_leaves_the_old_or_the_new_header(scene: Scene) -> None:
    earlier = {scene.save()}
    added = Passphrase.of("une autre phrase")

    def run(store: RecordingStore) -> None:
        with locked(scene.drive, store) as repository:
            ring, _ = keyring.with_slot(
                repository.header.keyring,
                repository.unlocked.master,
                added,
                entropy=scene.drive.dice,
                created=CREATED,
                cost=CHEAP,
            )
            repository.write_keyring(ring)

    before, operations = recorded(scene, run)
    for cut in cuts(before, operations):
        assert_nothing_is_lost(scene, cut, earlier)
        place = scene.folder / "keys"
        cut.remains.write_to(place)
        with contextlib.closing(FolderStore(str(place))) as store:
            assert Repository.open(store, PASSPHRASE).header.generation in ((2,) if cut.finished else (1, 2))
        shutil.rmtree(place)


def test_a_power_cut_during_enrolment_leaves_no_repository_or_an_empty_one(scene: Scene) -> None:
    root = scene.folder / "new"
    before = scene.folder / "nothing"
    root.mkdir()
    before.mkdir()
    with contextlib.closing(FolderStore(str(root))) as folder:
        store = RecordingStore(folder)
        with lock_store(str(root), HOLDER, store) as files:
            made = files.create(
                master=scene.drive.master, keyring=scene.drive.ring, repository="ab" * 16, created=CREATED
            )
    for number, cut in enumerate(cuts(before, store.operations)):
        place = scene.folder / f"enrol-{number}"
        cut.remains.write_to(place)
        with contextlib.closing(FolderStore(str(place))) as left:
            try:
                assert Repository.open(left, MACHINE_KEY).id == made.id
            except NotFound:
                with lock_store(str(place), HOLDER) as files:
                    files.create(
                        master=scene.drive.master, keyring=scene.drive.ring, repository="cd" * 16, created=CREATED
                    )
        whole = Drive(place, scene.drive.master, scene.drive.ring, Dice(f"enrol {number}"))
        assert back_up(whole, scene.source).snapshot is not None
        assert verified(whole).result == "ok"
