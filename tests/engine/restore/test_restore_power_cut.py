"""A power cut during a restore, or after it: what has its name is whole, and what was reported is there.

Owns: each state that a cut may leave of a restore, in a model and on real file systems. Does not know: the drive.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.engine.cut_destination import CutDestination
from support.engine.drives import Drive, back_up, below, in_memory, loaded, make_patients, noise, restored

from kinebackup.engine.restore.existing import Overwrite
from kinebackup.engine.restore.names import TEMPORARY_PREFIX
from kinebackup.engine.restore.restore import RestoreRequest, restore_snapshot
from kinebackup.model import CancelToken, RestoreReport, SilentMonitor

AS_ROOT = os.geteuid() == 0


def restored_to(
    drive: Drive, into: Path, *, overwrite: Overwrite = "never", whole_tree: bool = True
) -> tuple[RestoreReport, CutDestination]:
    made: list[CutDestination] = []

    def destination(path: str) -> CutDestination:
        made.append(CutDestination(path, whole_tree=whole_tree))
        return made[0]

    with loaded(drive) as repository:
        request = RestoreRequest(repository.find_snapshot("latest"), (), str(into), overwrite, as_root=AS_ROOT)
        report = restore_snapshot(
            repository, request, lambda: 0.0, cancel=CancelToken(), monitor=SilentMonitor(), destination=destination
        )
    return report, made[0]


def files_of(folder: Path) -> dict[str, bytes]:
    """By the path that they have below the destination."""
    return {
        str(path).lstrip("/"): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_whatever_moment_the_power_goes_each_file_under_its_name_is_whole(drive: Drive, tmp_path: Path) -> None:
    with in_memory(tmp_path) as place:
        patients = make_patients(tmp_path / "Patients")
        os.chmod(patients / "Durand" / "secret.txt", 0o400)  # whoever runs this may read it
        back_up(drive, patients)
        saved = files_of(patients)
        report, destination = restored_to(drive, place / "back")
        assert report.problems == ()
    assert len(destination.remains) > 30
    for left in destination.remains:
        named = {path: data for path, data in left.items() if TEMPORARY_PREFIX not in path}
        assert named.items() <= saved.items()
    assert destination.after == saved


@pytest.mark.parametrize("overwrite", ["if-changed", "always"])
def test_a_file_that_is_replaced_is_at_every_moment_the_old_one_or_the_new_one(
    drive: Drive, tmp_path: Path, overwrite: Overwrite
) -> None:
    with in_memory(tmp_path) as place:
        docs = tmp_path / "docs"
        docs.mkdir()
        for number in range(3):
            (docs / f"{number}.txt").write_bytes(b"saved %d" % number)
        back_up(drive, docs)
        back = below(place / "back", docs)
        back.mkdir(parents=True)
        for number in range(3):
            (back / f"{number}.txt").write_bytes(b"old")
        report, destination = restored_to(drive, place / "back", overwrite=overwrite)
        assert (report.files_restored, report.problems) == (3, ())
    saved = files_of(docs)
    for left in destination.remains:
        named = {path: data for path, data in left.items() if TEMPORARY_PREFIX not in path}
        assert all(data in (b"old", b"", bytes(3), saved[path]) for path, data in named.items())
    assert destination.too_early == []
    assert destination.after == saved


def test_many_files_get_their_names_in_batches_each_after_its_own_sync(drive: Drive, tmp_path: Path) -> None:
    with in_memory(tmp_path) as place:
        docs = place / "docs"
        for folder in range(9):
            (docs / f"{folder}").mkdir(parents=True)
            for number in range(1000):
                (docs / f"{folder}" / f"{number}.txt").write_bytes(b"%d %d" % (folder, number))
        back_up(drive, docs)
        report, destination = restored_to(drive, place / "back", whole_tree=False)
        assert (report.files_restored, report.problems) == (9000, ())
        assert destination.after == files_of(docs)
    assert destination.syncs == 4  # two full batches, what was left, and the names
    assert destination.too_early == []


# -- real file systems -----------------------------------------------------------------------------------------------

MIB = 2**20
_MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-m", "0"],
    "xfs": ["mkfs.xfs", "-q"],
    "btrfs": ["mkfs.btrfs", "-q"],
}
Disk = tuple[Path, Callable[[], dict[str, bytes]]]


@pytest.fixture(params=["ext4", "xfs", "btrfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A mounted file system, and a function: what would be on it if the power went now.

    The image of a loop device holds what the file system has handed to the device: bytes and names that are only in
    memory are not in it.
    """
    image, cut, mount, look = (tmp_path / name for name in ("disk.img", "cut.img", "disk", "look"))
    for folder in (mount, look):
        folder.mkdir()
    with image.open("wb") as file:
        file.truncate(320 * MIB)
    make = _MAKE[request.param]
    subprocess.run([*make, str(image)], check=True)
    made = subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=False, capture_output=True)
    if made.returncode:
        pytest.skip("this machine cannot mount that")
    subprocess.run(["sync", "-f", str(mount)], check=True)

    def after_a_cut() -> dict[str, bytes]:
        subprocess.run(["cp", "--sparse=always", str(image), str(cut)], check=True)
        options = "loop,nouuid" if request.param == "xfs" else "loop"
        subprocess.run(["mount", "-o", options, str(cut), str(look)], check=True)
        try:
            return {
                str(path.relative_to(look)): path.read_bytes()
                for path in look.rglob("*")
                if path.is_file() and not path.is_symlink()
            }
        finally:
            subprocess.run(["umount", str(look)], check=True)

    try:
        yield mount, after_a_cut
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="mounting needs root")
def test_what_was_reported_is_there_after_the_power_went(disk: Disk, drive: Drive, tmp_path: Path) -> None:
    mount, after_a_cut = disk
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(200):
        (docs / f"{number}.bin").write_bytes(noise(str(number), 20_000))
    os.link(docs / "7.bin", docs / "twin.bin")
    back_up(drive, docs)
    report = restored(drive, mount / "back")
    left = after_a_cut()
    assert (report.files_restored, report.problems) == (201, ())
    assert left == {f"back/{path}": data for path, data in files_of(docs).items()}


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="mounting needs root")
def test_the_power_may_go_while_files_get_their_names(disk: Disk, drive: Drive, tmp_path: Path) -> None:
    mount, after_a_cut = disk
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(40):
        (docs / f"{number}.bin").write_bytes(noise(str(number), 20_000))
    back_up(drive, docs)
    cuts: list[dict[str, bytes]] = []

    class LookedAt(CutDestination):
        def name(self, directory: int, temporary: str, name: str) -> None:
            super().name(directory, temporary, name)
            os.fsync(directory)  # the names may be written sooner than the bytes, at any moment
            if name in ("0.bin", "27.bin"):
                cuts.append(after_a_cut())

    with loaded(drive) as repository:
        request = RestoreRequest(repository.find_snapshot("latest"), (), str(mount / "back"), as_root=AS_ROOT)
        restore_snapshot(
            repository,
            request,
            lambda: 0.0,
            cancel=CancelToken(),
            monitor=SilentMonitor(),
            destination=lambda path: LookedAt(path, whole_tree=False),
        )
    saved = {f"back/{path}": data for path, data in files_of(docs).items()}
    assert len(cuts) == 2
    for left in cuts:
        named = {path: data for path, data in left.items() if TEMPORARY_PREFIX not in path}
        assert named
        assert named.items() <= saved.items()
