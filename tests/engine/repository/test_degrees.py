"""The degrees of a repository: what each type may do, and that the lock is really held.

Owns: the preconditions that types hold. Does not know: what is written.
"""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from support.engine.drives import HOLDER, MACHINE_KEY, back_up, enroll, loaded, locked, make_patients, opened, writable

from kinebackup.engine.repository.lock import LockHolder, WriterLock
from kinebackup.engine.repository.opening import lock_store
from kinebackup.engine.repository.repository import LoadedRepository, LockedRepository, Repository, WritableRepository
from kinebackup.errors import Locked

NEEDS_THE_INDEX = {"again", "has_changed", "look_again", "index", "inventory", "conditions", "packs", "has_all_of"}
NEEDS_THE_LOCK = {
    "prepare",
    "clear_temporary",
    "heal_header",
    "learn_features",
    "renew_spread_header",
    "write_header",
    "write_keyring",
    "changing_snapshots",
    "parity",
}
NEEDS_BOTH = {"place_pack", "count_pack", "count_snapshot", "add_table", "forget_packs", "unlisted"}


def public_names(repository: Repository) -> set[str]:
    return {name for name in dir(repository) if not name.startswith("_")}


def test_each_degree_can_do_what_it_has_earned_and_no_more(tmp_path: Path) -> None:
    drive = enroll(tmp_path / "drive")
    with opened(drive) as repository:
        plain = public_names(repository)
        assert not plain & (NEEDS_THE_INDEX | NEEDS_THE_LOCK | NEEDS_BOTH)
    with loaded(drive) as reader:
        assert type(reader) is LoadedRepository
        assert public_names(reader) == plain | NEEDS_THE_INDEX
    with locked(drive) as owner:
        assert type(owner) is LockedRepository
        assert public_names(owner) == plain | NEEDS_THE_LOCK
    with writable(drive) as writer:
        assert type(writer) is WritableRepository
        assert public_names(writer) == plain | NEEDS_THE_INDEX | NEEDS_THE_LOCK | NEEDS_BOTH


def test_whoever_may_write_keeps_every_other_process_from_it(tmp_path: Path) -> None:
    drive = enroll(tmp_path / "drive")
    program = "import fcntl, os, sys\nfcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
    other = [sys.executable, "-c", program, str(drive.root / "lock")]
    with writable(drive):
        refused = subprocess.run(other, capture_output=True, text=True, check=False)
        assert "BlockingIOError" in refused.stderr
        with (
            pytest.raises(Locked, match=r"\(backup, process 4242, since 2040-01-01\)"),
            lock_store(str(drive.root), HOLDER),
        ):
            pass
    assert subprocess.run(other, capture_output=True, text=True, check=False).returncode == 0


def test_a_type_checker_refuses_to_commit_without_the_lock_and_to_read_before_the_load(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        "from kinebackup.engine import BlobReader, LoadedRepository, Repository, forget_lost_files\n\n\n"
        "def wrong(opened: Repository, loaded: LoadedRepository) -> None:\n"
        "    BlobReader(opened)\n"
        "    opened.index\n"
        "    loaded.write_header()\n"
        "    forget_lost_files(loaded, bytes)\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(tmp_path), "wrong.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": "", "MYPYPATH": str(Path(__file__).parents[3]), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.partition("error: ")[2] for line in done.stdout.splitlines() if line.startswith("wrong.py")]
    assert lines == [
        'Argument 1 to "BlobReader" has incompatible type "Repository"; expected "LoadedRepository"  [arg-type]',
        '"Repository" has no attribute "index"  [attr-defined]',
        '"LoadedRepository" has no attribute "write_header"  [attr-defined]',
        'Argument 1 to "forget_lost_files" has incompatible type "LoadedRepository"; '
        'expected "WritableRepository"  [arg-type]',
    ]


def test_who_left_without_letting_go_is_told_to_the_next_one(tmp_path: Path) -> None:
    drive = enroll(tmp_path / "drive")
    back_up(drive, make_patients(tmp_path / "Patients"))
    (drive.root / "lock").write_bytes(b'{"host":"h","pid":7,"boot":"b","since":"s","work":"prune"}')
    with lock_store(str(drive.root), HOLDER) as files:
        assert files.left_by is not None
        assert (files.left_by.pid, files.left_by.work) == (7, "prune")
        assert files.open(MACHINE_KEY).header.generation == 1
    with lock_store(str(drive.root), HOLDER) as files:
        assert files.left_by is None


def test_a_lock_file_that_is_removed_gives_no_second_writer(tmp_path: Path) -> None:
    drive = enroll(tmp_path / "drive")
    with writable(drive):
        (drive.root / "lock").unlink()
        with pytest.raises(Locked), lock_store(str(drive.root), HOLDER):
            pass
        (drive.root / "lock").unlink(missing_ok=True)
        (drive.root / "lock").write_bytes(b"")
        with pytest.raises(Locked), lock_store(str(drive.root), HOLDER):
            pass
    with writable(drive):
        pass


def test_a_lock_file_that_is_removed_between_opening_and_locking_is_no_lock(tmp_path: Path) -> None:
    drive = enroll(tmp_path / "drive")
    path = drive.root / "lock"
    removed: list[int] = []

    def opened_and_removed(fd: int, operation: int) -> None:
        """What flock may find: another program took the file away since it was opened. Once."""
        if not removed:
            removed.append(os.fstat(fd).st_ino)
            path.rename(tmp_path / "taken away")
        fcntl.flock(fd, operation)

    with WriterLock(str(drive.root), HOLDER, flock=opened_and_removed):
        assert removed
        assert msgspec.json.decode(path.read_bytes(), type=LockHolder) == HOLDER
        assert path.stat().st_ino != removed[0]
