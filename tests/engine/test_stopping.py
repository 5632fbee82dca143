"""Who asks to stop waits for what is on its way to the drive, and that is never much.

Owns: what is still done after the word, and how far behind a drive may be. Does not know: how soon that is on a drive
of some speed (tests/system), or that the next run goes on (test_faults.py).
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, enroll, noise, restored, seen, verified
from support.engine.faulting_store import FaultingStore, full_drive
from support.engine.recording_store import RecordingStore, Renamed, Synced, Wrote
from support.loop_disk import mounted_ext4

from kinebackup.engine.repository.files import READ_BYTES
from kinebackup.engine.repository.store import FolderStore
from kinebackup.errors import Cancelled
from kinebackup.model import CancelToken

MIB = 2**20


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """60 MB in files that are gathered into segments."""
    source = tmp_path / "patients"
    source.mkdir()
    for number in range(200):
        (source / f"scan-{number}.jpg").write_bytes(noise(f"scan {number}", 300_000))
    return source


@contextlib.contextmanager
def watched(drive: Drive, before: Callable[[str, str], None]) -> Iterator[RecordingStore]:
    """``before`` hears of each operation but the writes, from whatever thread it comes."""
    with contextlib.closing(FolderStore(str(drive.root))) as folder:
        yield RecordingStore(FaultingStore(folder, full_drive(), before))


@pytest.mark.parametrize("files", [2, 3, 4])
def test_after_the_word_only_what_the_lanes_hold_in_their_hands_is_written_and_one_pack_at_most_is_made_durable(
    tmp_path: Path, many: Path, files: int
) -> None:
    drive = enroll(tmp_path / "drive")
    cancel, after, created = CancelToken(), [0], iter(range(1, 10**6))

    def stop_at_that_file(kind: str, _path: str) -> None:
        if kind == "create" and next(created) == files:
            after[0] = len(store.operations)
            cancel.cancel()

    with watched(drive, stop_at_that_file) as store, pytest.raises(Cancelled):
        back_up(drive, many, store=store, cancel=cancel)
    late = store.operations[after[0] :]
    packs = [operation for operation in late if isinstance(operation, Renamed) and operation.path.startswith("packs/")]
    assert len(packs) <= 1
    assert len([operation for operation in late if isinstance(operation, Synced)]) <= len(packs) + 1  # an index file
    assert sum(len(operation.data) for operation in late if isinstance(operation, Wrote)) < 2 * MIB + MIB // 4
    assert drive.files("tmp") == []
    assert len(drive.files("index")) == (1 if drive.files("packs") else 0)  # the next run need not read their tables

    back_up(drive, many)
    assert verified(drive).problems == ()
    assert restored(drive, tmp_path / "out").problems == ()
    assert seen(tmp_path / "out" / str(many).lstrip("/")) == seen(many)


def test_after_the_word_a_pack_is_not_read_back_to_its_end_and_is_kept_to_be_verified(
    tmp_path: Path, many: Path
) -> None:
    drive = enroll(tmp_path / "drive")
    cancel, read_after = CancelToken(), []

    def stop_at_the_first_look(kind: str, path: str) -> None:
        if kind == "read_into" and path.startswith("packs/"):
            read_after.append(path)
            cancel.cancel()

    with watched(drive, stop_at_the_first_look) as store, pytest.raises(Cancelled):
        back_up(drive, many, store=store, cancel=cancel)
    assert len(read_after) == 1
    assert len(drive.files("packs")) in (1, 2)
    assert drive.files("packs")[0].stat().st_size > 3 * READ_BYTES
    assert verified(drive).problems == ()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_drive_is_behind_what_is_written_to_it_by_two_writes_at_most(tmp_path: Path) -> None:
    with mounted_ext4(tmp_path, 128 * MIB) as place:
        (place / "tmp").mkdir()
        os.sync()
        with contextlib.closing(FolderStore(str(place))) as store:
            written = _sectors(place)
            pending = store.create()
            for _ in range(48):
                pending.write(noise("a segment", MIB))
            taken = 512 * (_sectors(place) - written)
            pending.abandon()
    assert taken >= 46 * MIB


def _sectors(place: Path) -> int:
    """That the medium of this file system has taken in, of 512 bytes."""
    device = os.stat(place).st_dev
    return int(Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text().split()[6])
