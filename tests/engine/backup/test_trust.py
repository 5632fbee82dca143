"""When an unmoved time proves that a file is as it was read.

Owns: clocks of every grain, a file system of whole seconds, a write that moves no time. Does not know: what else is
compared.
"""

import mmap
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from support.engine.drives import Drive, back_up, below, enroll, restored
from support.loop_disk import MIB, mounted_ext4

from kinebackup.engine.backup.parent.trust import NO_TRUST, Trust
from kinebackup.sources.folder import FolderSource

# -- the margin ----------------------------------------------------------------------------------------------------

GRAINS_NS = (1, 100, 1_000, 1_000_000, 4_000_000, 10_000_000, 1_000_000_000, 2_000_000_000)
BEGAN_NS = 1_900_000_000 * 10**9 + 123_456_789
moments = some.integers(BEGAN_NS - 5 * 10**9, BEGAN_NS + 10**9)


@given(some.sampled_from(GRAINS_NS), some.integers(0, 10_000_000), moments, some.integers(0, 3 * 10**9))
def test_no_time_proves_anything_that_a_later_write_could_have_left_as_it_is(
    grain: int, late: int, written: int, apart: int
) -> None:
    """``late``: the kernel's clock stands still between two ticks. The second write comes after the run has begun."""

    def shown(moment: int) -> int:
        return (moment - late) // grain * grain

    again = max(written, BEGAN_NS) + apart
    assert not (shown(written) == shown(again) and Trust.of_run(BEGAN_NS).proves(shown(written)))


def test_where_nothing_was_read_nothing_is_proven() -> None:
    assert not NO_TRUST.proves(0)
    assert not NO_TRUST.proves(-(2**63))


@pytest.mark.parametrize(
    ("fraction_ns", "ago_ns", "proven"),
    [
        (1, 19_000_000, False),
        (1, 21_000_000, True),
        (0, 21_000_000, False),
        (0, 2_019_000_000, False),
        (0, 2_021_000_000, True),
    ],
)
def test_a_whole_second_needs_the_wider_margin(fraction_ns: int, ago_ns: int, proven: bool) -> None:
    at = 1_900_000_000 * 10**9 + fraction_ns
    assert Trust.of_run(at + ago_ns).proves(at) == proven


@pytest.mark.parametrize(("ago_ms", "read"), [(-50, True), (15, True), (25, False), (3000, False)])
def test_the_scan_s_hot_loop_keeps_what_is_proven(tmp_path: Path, ago_ms: int, read: bool) -> None:
    """On a file system of fine times."""
    drive, docs = enroll(tmp_path / "drive"), tmp_path / "docs"
    docs.mkdir()
    note = docs / "note.txt"
    note.write_bytes(b"content")
    while note.stat().st_ctime_ns % 10**9 == 0:
        note.touch()
    changed = datetime.fromtimestamp(note.stat().st_ctime_ns / 10**9, UTC)
    back_up(drive, docs, started_at=changed + timedelta(milliseconds=ago_ms))
    assert (back_up(drive, docs).bytes_read > 0) == read


# -- a file system of whole seconds --------------------------------------------------------------------------------


@pytest.fixture
def coarse(tmp_path: Path) -> Iterator[Path]:
    """An ext4 whose inodes have no room for fractions of a second."""
    with mounted_ext4(tmp_path, 8 * MIB, "-I", "128") as place:
        yield place


def saved(drive: Drive, into: Path, file: Path) -> str:
    assert restored(drive, into).problems == ()
    return (below(into, file.parent) / file.name).read_text()


@pytest.mark.root
def test_a_change_of_the_same_size_in_the_same_second_is_saved_by_the_next_backup(tmp_path: Path, coarse: Path) -> None:
    drive, docs = enroll(tmp_path / "drive"), coarse / "docs"
    docs.mkdir()
    note = docs / "note.txt"
    while True:  # until both writes lie in one second, and a backup that has begun a while after the first between them
        note.write_text("avant")
        began = datetime.now(UTC) + timedelta(milliseconds=50)
        while datetime.now(UTC) < began:
            pass
        written = note.stat()
        back_up(drive, docs, started_at=began)
        note.write_text("après"[:5].replace("è", "e"))
        if note.stat().st_ctime_ns == written.st_ctime_ns:
            break
    assert note.stat().st_ctime_ns % 10**9 == 0

    assert back_up(drive, docs, started_at=datetime.now(UTC)).files_changed == 1
    assert saved(drive, tmp_path / "back", note) == "apres"


@pytest.mark.root
def test_what_lies_there_for_a_while_is_not_read_again(tmp_path: Path, coarse: Path) -> None:
    drive, docs = enroll(tmp_path / "drive"), coarse / "docs"
    docs.mkdir()
    (docs / "note.txt").write_text("avant")
    back_up(drive, docs, started_at=datetime.now(UTC) + timedelta(seconds=3))
    assert back_up(drive, docs).bytes_read == 0


# -- a write that moves no time ------------------------------------------------------------------------------------


def test_a_write_to_a_page_that_waits_to_be_written_is_saved_by_the_next_backup(
    tmp_path: Path, disk_path: Path
) -> None:
    drive, docs = enroll(tmp_path / "drive"), disk_path / "docs"
    docs.mkdir()
    note = docs / "note.bin"
    note.write_bytes(b"-" * 4096)
    with note.open("r+b") as file, mmap.mmap(file.fileno(), 4096) as page:
        page[:5] = b"avant"
        changed = note.stat().st_ctime_ns
        while time.time_ns() < changed + 50_000_000:
            pass
        source = FolderSource(str(docs))
        source.write_out(set())
        back_up(drive, source, started_at=datetime.now(UTC))
        page[:5] = b"apres"
        back_up(drive, source, started_at=datetime.now(UTC))
    assert saved(drive, tmp_path / "back", note)[:5] == "apres"


def test_a_file_system_is_written_out_once_for_all_sources_on_it(tmp_path: Path) -> None:
    done: set[int] = set()
    for name in ("Patients", "Compta"):
        (tmp_path / name).mkdir()
        FolderSource(str(tmp_path / name)).write_out(done)
    FolderSource(str(tmp_path / "gone")).write_out(done)
    assert done == {tmp_path.stat().st_dev}
