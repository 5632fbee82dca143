"""A power cut after any operation of a repair loses nothing, and the next repair goes on.

Owns: the repairs that are cut, and what must hold afterwards. Does not know: which states a cut may leave
(``power_cut``).

The other drive lacks the second backup: what the first drive alone has must survive by itself.
"""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.engine.drives import Drive, Seen, back_up, below, enroll, in_memory, noise, restored, seen, verified
from support.engine.parity_files import unprotected
from support.engine.power_cut import Cut, cuts
from support.engine.recording_store import RecordingStore
from support.engine.repairing import break_beyond_parity, repaired
from support.engine.with_parity import flip, victims

from kinebackup.engine.repository.store import FolderStore


@dataclass(frozen=True)
class Scene:
    folder: Path
    source: Path
    drive: Drive
    other: Drive
    held: dict[str, dict[str, Seen]]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with in_memory(tmp_path) as folder:
        source = folder / "patients"
        (source / "Dupont").mkdir(parents=True)
        (source / "Dupont" / "bilan.txt").write_text("Bilan initial\n" * 20, encoding="utf-8")
        (source / "Dupont" / "radio.jpg").write_bytes(noise("radio", 30_000))
        drive = enroll(folder / "drive", keeps_parity=True)
        other = enroll(folder / "other", seed="other", practice=drive, keeps_parity=True)
        back_up(other, source)
        held = {str(back_up(drive, source).snapshot): seen(source)}
        (source / "Dupont" / "bilan-2.txt").write_text("Second bilan\n" * 20, encoding="utf-8")
        held[str(back_up(drive, source).snapshot)] = seen(source)
        yield Scene(folder, source, drive, other, held)


def break_first_backup(scene: Scene) -> None:
    """What only the second one has stays sound; a list, an index file and a snapshot are left to parity."""
    of_first = min(victims(scene.drive, "data-pack"), key=lambda path: path.stat().st_mtime_ns)
    others = [path for path in victims(scene.drive, "data-pack") if path != of_first]
    kept = {path: path.read_bytes() for path in others} | {
        parity: parity.read_bytes()
        for path in others
        for parity in scene.drive.files("parity")
        if path.name in parity.name
    }
    break_beyond_parity(scene.drive, "data-pack")
    for path, data in kept.items():
        path.write_bytes(data)
    for kind in ("tree-pack", "index", "snapshot"):
        flip(victims(scene.drive, kind)[0])


def assert_goes_on(scene: Scene, cut: Cut) -> None:
    place = scene.folder / "cut"
    drive = replace(scene.drive, root=place / "KINEBACKUP")
    cut.remains.write_to(drive.root)
    try:
        report = repaired(drive, scene.other)
        assert (report.lost, report.problems) == ((), ())
        for snapshot, expected in scene.held.items():
            out = scene.folder / "out"
            assert restored(drive, out, snapshot).problems == ()
            assert seen(below(out, scene.source)) == expected
            shutil.rmtree(out)
        assert verified(drive).problems == ()
        assert unprotected(drive) == set()
        assert drive.files("tmp") == []
    except Exception as error:
        error.add_note(f"power cut after operation {cut.done} ({cut.last}): {cut.remains.name}")
        raise
    finally:
        shutil.rmtree(place)


def test_no_power_cut_during_a_repair_loses_anything(scene: Scene) -> None:
    break_first_backup(scene)
    before = scene.folder / "before"
    shutil.copytree(scene.drive.root, before)
    with contextlib.closing(FolderStore(str(scene.drive.root))) as folder:
        store = RecordingStore(folder)
        assert repaired(scene.drive, scene.other, store=store).is_sound
    assert len(store.operations) > 20
    for cut in cuts(before, store.operations):
        assert_goes_on(scene, cut)
