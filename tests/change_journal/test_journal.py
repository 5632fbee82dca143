"""The journal hears of everything, or says that it did not.

Owns: single events on real folders with real inotify, gaps, limits. Does not know: what a backup makes of the answers
(``tests/engine/backup/test_backup_with_journal.py``).
"""

import contextlib
import errno
import mmap
import os
import resource
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from kinebackup.change_journal.inotify import Inotify, InotifyQueue, Limits, events
from kinebackup.change_journal.journal import ChangeJournal, Cursor, JournalStatus
from kinebackup.change_journal.mount_context import MountContext, MountIdentity
from kinebackup.change_journal.open_files import files_open_for_writing
from kinebackup.engine.backup.parent.changes import Changes
from kinebackup.sources.folder import FolderSource

EXT4 = MountContext(MountIdentity("31", "/home", "ext4"))


def nothing_open(folders: Sequence[str]) -> frozenset[str]:
    return frozenset()


@contextlib.contextmanager
def running(
    *sources: FolderSource,
    mount_context: Callable[[str], MountContext] = lambda _: EXT4,
    open_queue: Callable[[], InotifyQueue] = Inotify,
    open_files: Callable[[Sequence[str]], frozenset[str]] = nothing_open,
    limits: Callable[[], Limits] = lambda: Limits(8192, 128),
) -> Iterator[ChangeJournal]:
    journal = ChangeJournal(sources, mount_context, open_queue=open_queue, open_files=open_files, limits=limits)
    journal.start()
    try:
        assert journal.wait(30)
        yield journal
    finally:
        journal.stop()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Folders a/b/c, d and d/e, with a file in each."""
    folder = tmp_path / "Patients"
    for branch in ("a/b/c", "d/e"):
        (folder / branch).mkdir(parents=True)
    for branch in (".", "a", "a/b", "a/b/c", "d", "d/e"):
        (folder / branch / "lettre.txt").write_text("Bonjour")
    return folder


@pytest.fixture
def journal(home: Path) -> Iterator[ChangeJournal]:
    with running(FolderSource(str(home))) as started:
        yield started


def touched(journal: ChangeJournal, cursor: Cursor, home: Path) -> set[str]:
    """The folders, of those that are there, which a backup would look into for their own sake or on the way."""
    changes = journal.changes_since(cursor)
    assert changes is not None
    return inside(changes, home)


def inside(changes: Changes, home: Path) -> set[str]:
    folders = [home, *(p for p in home.rglob("*") if p.is_dir() and not p.is_symlink())]
    return {str(p.relative_to(home)) for p in folders if changes.covers(str(p))} - {"."}


# -- what it hears -----------------------------------------------------------------------------------------------


def test_a_quiet_practice_has_no_changes(journal: ChangeJournal, home: Path) -> None:
    assert touched(journal, journal.cursor(), home) == set()


@pytest.mark.parametrize(
    "work",
    [
        lambda f: f.write_text("changé"),
        lambda f: f.open("ab", buffering=0).close(),
        lambda f: f.chmod(0o600),
        lambda f: os.utime(f, ns=(0, 0)),
        lambda f: os.setxattr(f, "user.dossier", b"x"),
        lambda f: f.unlink(),
        lambda f: f.rename(f.with_name("autre.txt")),
        lambda f: os.truncate(f, 2),
        lambda f: (f.parent / "neuf.txt").touch(),
        lambda f: (f.parent / "lien").symlink_to("x"),
        lambda f: os.mkfifo(f.parent / "tuyau"),
        lambda f: f.parent.chmod(0o700),
        lambda f: os.utime(f.parent, ns=(0, 0)),
    ],
)
def test_a_change_touches_its_folder_and_the_way_to_it(work: Callable[[Path], object], home: Path) -> None:
    with running(FolderSource(str(home))) as journal:
        cursor = journal.cursor()
        work(home / "a" / "b" / "lettre.txt")
        assert touched(journal, cursor, home) == {"a", "a/b"}


def test_reading_is_no_change(journal: ChangeJournal, home: Path) -> None:
    cursor = journal.cursor()
    for path in home.rglob("*"):
        if path.is_file():
            path.read_bytes()
        else:
            os.listdir(path)
    assert touched(journal, cursor, home) == set()


def test_a_file_that_stays_open_is_heard_of_at_each_write(journal: ChangeJournal, home: Path) -> None:
    with (home / "d" / "lettre.txt").open("r+b", buffering=0) as file:
        for _ in range(2):
            cursor = journal.cursor()
            file.seek(0)
            file.write(b"x")
            assert touched(journal, cursor, home) == {"d"}


def test_a_change_before_the_mark_is_not_told(journal: ChangeJournal, home: Path) -> None:
    before = journal.cursor()
    (home / "a" / "x").touch()
    assert touched(journal, before, home) == {"a"}
    cursor = journal.cursor()
    (home / "d" / "x").touch()
    assert touched(journal, cursor, home) == {"d"}
    assert touched(journal, before, home) == {"a", "d"}


def test_new_folders_are_touched_with_all_that_is_in_them(journal: ChangeJournal, home: Path) -> None:
    cursor = journal.cursor()
    (home / "d" / "neuf" / "x" / "y").mkdir(parents=True)
    assert touched(journal, cursor, home) == {"d", "d/neuf", "d/neuf/x", "d/neuf/x/y"}
    later = journal.cursor()
    (home / "d" / "neuf" / "x" / "y" / "z").touch()
    assert touched(journal, later, home) == {"d", "d/neuf", "d/neuf/x", "d/neuf/x/y"}


def test_a_folder_that_is_moved_is_followed(journal: ChangeJournal, home: Path) -> None:
    (home / "a").rename(home / "d" / "a2")
    assert touched(journal, journal.cursor(), home) == {"d", "d/a2", "d/a2/b", "d/a2/b/c"}
    cursor = journal.cursor()
    assert touched(journal, cursor, home) == set()
    (home / "d" / "a2" / "b" / "c" / "x").touch()
    assert touched(journal, cursor, home) == {"d", "d/a2", "d/a2/b", "d/a2/b/c"}


def test_a_folder_that_is_moved_away_is_forgotten(journal: ChangeJournal, home: Path, tmp_path: Path) -> None:
    (home / "a").rename(tmp_path / "ailleurs")
    cursor = journal.cursor()
    journal.changes_since(cursor)
    cursor = journal.cursor()
    (tmp_path / "ailleurs" / "b" / "x").touch()
    assert touched(journal, cursor, home) == set()
    assert journal.status().directories == 3


def test_a_folder_that_comes_back_changed_is_touched_whole(journal: ChangeJournal, home: Path, tmp_path: Path) -> None:
    cursor = journal.cursor()
    (home / "a").rename(tmp_path / "ailleurs")
    (tmp_path / "ailleurs" / "b" / "c" / "x").touch()
    (tmp_path / "ailleurs").rename(home / "a")
    assert touched(journal, cursor, home) == {"a", "a/b", "a/b/c"}


def test_a_folder_replaced_by_another_is_touched_whole(journal: ChangeJournal, home: Path) -> None:
    cursor = journal.cursor()
    (home / "a").rename(home / "x")
    (home / "d").rename(home / "a")
    (home / "x").rename(home / "d")
    assert touched(journal, cursor, home) == {"a", "a/e", "d", "d/b", "d/b/c"}


def test_a_folder_made_again_under_its_name_is_watched(journal: ChangeJournal, home: Path) -> None:
    for _ in range(50):
        shutil.rmtree(home / "d")
        (home / "d" / "e").mkdir(parents=True)
    cursor = journal.cursor()
    journal.changes_since(cursor)
    cursor = journal.cursor()
    (home / "d" / "e" / "x").touch()
    assert touched(journal, cursor, home) == {"d", "d/e"}


def test_names_that_are_no_text_are_followed(journal: ChangeJournal, home: Path) -> None:
    folder = os.fsencode(home / "d") + b"/caf\xe9"
    os.mkdir(folder)
    journal.changes_since(journal.cursor())
    cursor = journal.cursor()
    with open(folder + b"/x", "wb"):
        pass
    assert touched(journal, cursor, home) == {"d", os.fsdecode(b"d/caf\xe9")}


def test_excluded_folders_are_not_watched(home: Path) -> None:
    with running(FolderSource(str(home), exclude=["b", "d/e"])) as journal:
        assert journal.status().directories == 3
        cursor = journal.cursor()
        (home / "a" / "b" / "c" / "x").touch()
        (home / "d" / "e" / "x").touch()
        assert touched(journal, cursor, home) == set()


def test_a_storm_in_one_folder_is_one_change(journal: ChangeJournal, home: Path) -> None:
    cursor = journal.cursor()
    for number in range(3000):
        (home / "d" / f"{number}").touch()
    assert touched(journal, cursor, home) == {"d"}


def test_work_of_several_programs_at_once_leaves_no_folder_unwatched(journal: ChangeJournal, home: Path) -> None:
    def work(name: str) -> None:
        for number in range(60):
            (home / f"{name}{number}" / "x" / "y").mkdir(parents=True)
            (home / f"{name}{number}").rename(home / "d" / f"{name}{number}")
            if number % 3 == 0:
                shutil.rmtree(home / "d" / f"{name}{number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in "pqr"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.changes_since(journal.cursor()) is not None
    for folder in [p for p in home.rglob("*") if p.is_dir()]:
        cursor = journal.cursor()
        (folder / "signe").touch()
        changes = journal.changes_since(cursor)
        assert changes is not None
        assert changes.covers(str(folder)), folder
    assert journal.status().directories == 1 + sum(p.is_dir() for p in home.rglob("*"))


# -- what programs hold open -------------------------------------------------------------------------------------


def test_a_file_that_a_program_holds_open_for_writing_touches_its_folder(home: Path) -> None:
    with running(FolderSource(str(home)), open_files=files_open_for_writing) as journal:
        with (home / "a" / "b" / "lettre.txt").open("r+b"), (home / "d" / "lettre.txt").open("rb"):
            assert touched(journal, journal.cursor(), home) == {"a", "a/b"}
        assert touched(journal, journal.cursor(), home) == {"a", "a/b"}  # it was closed since
        assert touched(journal, journal.cursor(), home) == set()


def test_files_mapped_for_writing_are_found_though_they_are_closed(home: Path) -> None:
    path = home / "d" / "ligne\nsuivante"
    path.write_bytes(bytes(5000))
    fd = os.open(path, os.O_RDWR)
    memory = mmap.mmap(fd, 0)
    os.close(fd)
    with memory:
        assert files_open_for_writing([str(home)]) == {str(path)}
    assert files_open_for_writing([str(home)]) == frozenset()


def test_a_folder_beside_that_begins_alike_is_another(home: Path) -> None:
    beside = home.with_name("Patients-2")
    beside.mkdir()
    with (beside / "x").open("wb"):
        assert files_open_for_writing([str(home)]) == frozenset()


# -- gaps --------------------------------------------------------------------------------------------------------


class Gate:
    """A kernel whose events can be held back, as by a computer that is busy, and whose queue can be said to be full."""

    def __init__(self, watches: int = 10**6) -> None:
        self._real = Inotify()
        self._watches = watches
        self.extra = b""
        self.held = False

    def fileno(self) -> int:
        return self._real.fileno()

    def add(self, path: bytes) -> int:
        self._watches -= 1
        if self._watches < 0:
            raise OSError(errno.ENOSPC, "no space left on device")
        return self._real.add(path)

    def remove(self, number: int) -> None:
        self._real.remove(number)

    def read(self) -> bytes:
        if self.held:
            return b""
        extra, self.extra = self.extra, b""
        return extra + self._real.read()

    def close(self) -> None:
        self._real.close()


OVERFLOW = (-1).to_bytes(4, sys.byteorder, signed=True) + (0x4000).to_bytes(4, sys.byteorder) + bytes(8)


def test_nothing_is_told_before_all_is_watched(home: Path) -> None:
    journal = ChangeJournal([FolderSource(str(home))], lambda _: EXT4)
    cursor = journal.cursor()
    assert journal.changes_since(cursor) is None
    journal.start()
    try:
        assert journal.wait(30)
        assert journal.changes_since(cursor) is None
        assert journal.changes_since(journal.cursor()) is not None
    finally:
        journal.stop()
    assert journal.changes_since(cursor) is None
    assert journal.status() == JournalStatus("off")


def test_a_restart_is_a_gap(home: Path) -> None:
    journal = ChangeJournal([FolderSource(str(home))], lambda _: EXT4)
    for _ in range(2):
        journal.start()
        assert journal.wait(30)
        cursor = journal.cursor()
        journal.stop()
    journal.start()
    assert journal.wait(30)
    assert journal.changes_since(cursor) is None
    journal.stop()


def test_an_overflow_is_a_gap_and_is_put_right(home: Path) -> None:
    made: list[Gate] = []

    def open_queue() -> Gate:
        made.append(Gate())
        return made[-1]

    with running(FolderSource(str(home)), open_queue=open_queue) as journal:
        cursor = journal.cursor()
        made[0].extra = OVERFLOW
        assert journal.changes_since(cursor) is None
        assert journal.status().state == "starting"
        (home / "d" / "unheard").mkdir()
        assert journal.wait(30)
        assert journal.changes_since(cursor) is None
        cursor = journal.cursor()
        (home / "d" / "unheard" / "x").touch()
        assert touched(journal, cursor, home) == {"d", "d/unheard"}
        assert len(made) == 2


@pytest.mark.slow
def test_a_real_overflow_is_a_gap(home: Path) -> None:
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    made: list[Gate] = []

    def open_queue() -> Gate:
        made.append(Gate())
        return made[-1]

    with running(FolderSource(str(home)), open_queue=open_queue) as journal:
        cursor = journal.cursor()
        made[0].held = True
        for number in range(queue // 2 + 10):
            os.mkdir(home / "d" / f"{number}")
            os.rmdir(home / "d" / f"{number}")
        made[0].held = False
        assert journal.changes_since(cursor) is None


@pytest.mark.slow
def test_gaps_one_after_the_other_are_put_right_ever_later(home: Path) -> None:
    """Else a storm that goes on would have all folders listed again and again."""
    made: list[float] = []

    def open_queue() -> Gate:
        made.append(time.monotonic())
        gate = Gate()
        if len(made) < 3:
            gate.extra = OVERFLOW
        return gate

    with running(FolderSource(str(home)), open_queue=open_queue):
        assert len(made) == 3
        assert made[1] - made[0] >= 2.0
        assert made[2] - made[1] >= 4.0


def test_a_source_that_was_replaced_is_a_gap(journal: ChangeJournal, home: Path) -> None:
    cursor = journal.cursor()
    home.rename(home.with_name("ancien"))
    home.mkdir()
    assert journal.changes_since(cursor) is None
    assert journal.wait(30)
    cursor = journal.cursor()
    (home / "x").mkdir()
    assert touched(journal, cursor, home) == {"x"}


def test_a_folder_above_that_was_replaced_is_a_gap(tmp_path: Path) -> None:
    home = tmp_path / "marie" / "Patients"
    home.mkdir(parents=True)
    with running(FolderSource(str(home))) as journal:
        cursor = journal.cursor()
        (tmp_path / "marie").rename(tmp_path / "ancienne")
        home.mkdir(parents=True)
        assert journal.changes_since(cursor) is None


def test_a_source_that_appears_later_is_watched_from_then_on(tmp_path: Path) -> None:
    home = tmp_path / "Patients"
    with running(FolderSource(str(home))) as journal:
        assert journal.changes_since(journal.cursor()) is not None
        home.mkdir()
        assert journal.changes_since(journal.cursor()) is None
        assert journal.wait(30)
        cursor = journal.cursor()
        (home / "x").mkdir()
        assert touched(journal, cursor, home) == {"x"}


def test_a_new_mount_is_a_gap(home: Path) -> None:
    mount_contexts = [EXT4]
    with running(FolderSource(str(home)), mount_context=lambda _: mount_contexts[-1]) as journal:
        cursor = journal.cursor()
        assert journal.changes_since(cursor) is not None
        mount_contexts.append(MountContext(EXT4.mount, frozenset([MountIdentity("99", f"{home}/d", "ext4")])))
        assert journal.changes_since(cursor) is None


def test_the_folder_of_a_network_is_always_looked_at(home: Path) -> None:
    other = home.with_name("Serveur")
    (other / "x").mkdir(parents=True)

    def mount_context(path: str) -> MountContext:
        return EXT4 if path == str(home) else MountContext(MountIdentity("40", str(other), "nfs4"))

    with running(FolderSource(str(home)), FolderSource(str(other)), mount_context=mount_context) as journal:
        changes = journal.changes_since(journal.cursor())
        assert changes is not None
        assert inside(changes, home) == set()
        assert inside(changes, other) == {"x"}
        status = journal.status()
        assert (status.state, status.directories) == ("watching", 6)
        assert "nfs4" in status.message


def test_a_file_as_a_source_is_always_looked_at(home: Path) -> None:
    with running(FolderSource(str(home / "lettre.txt"))) as journal:
        assert journal.changes_since(journal.cursor()) is not None
        assert journal.status().directories == 0


def test_a_distrusted_journal_tells_nothing_until_it_is_started_anew(journal: ChangeJournal) -> None:
    cursor = journal.cursor()
    journal.disable("it was wrong")
    assert journal.changes_since(cursor) is None
    assert journal.status().message == "it was wrong"
    journal.stop()
    journal.start()
    assert journal.wait(30)
    assert journal.changes_since(cursor) is None
    assert journal.changes_since(journal.cursor()) is not None


# -- limits ------------------------------------------------------------------------------------------------------


def test_too_few_watches_are_explained_and_given_back(home: Path) -> None:
    with running(FolderSource(str(home)), open_queue=lambda: Gate(watches=3)) as journal:
        status = journal.status()
        assert status.state == "off"
        assert "8192" in status.message
        assert "fs.inotify.max_user_watches = 524288" in status.hint
        assert "/etc/sysctl.d/" in status.hint
        assert journal.changes_since(journal.cursor()) is None


def test_too_few_watches_later_on_are_a_gap(home: Path) -> None:
    with running(FolderSource(str(home)), open_queue=lambda: Gate(watches=7)) as journal:
        cursor = journal.cursor()
        (home / "x").mkdir()
        assert journal.changes_since(cursor) is not None
        (home / "y").mkdir()
        assert journal.changes_since(cursor) is None
        assert journal.status().state == "off"


def test_too_many_instances_are_explained(home: Path) -> None:
    def none_left() -> InotifyQueue:
        raise OSError(errno.EMFILE, "too many open files")

    with running(FolderSource(str(home)), open_queue=none_left) as journal:
        status = journal.status()
        assert status.state == "off"
        assert "fs.inotify.max_user_instances = 512" in status.hint


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="limits of a user namespace are set by root")
@pytest.mark.parametrize(("limit", "setting"), [("watches", "max_user_watches"), ("instances", "max_user_instances")])
def test_the_limits_of_a_real_kernel_are_met_and_explained(limit: str, setting: str, home: Path) -> None:
    program = f"""
        from kinebackup.sources.folder import FolderSource
        from kinebackup.change_journal.mount_context import MountContext, MountIdentity
        from kinebackup.change_journal.journal import ChangeJournal
        open("/proc/sys/user/max_inotify_{limit}", "w").write("{3 if limit == "watches" else 0}")
        journal = ChangeJournal([FolderSource({str(home)!r})], lambda _: MountContext(MountIdentity("1", "/", "ext4")))
        journal.start()
        assert journal.wait(30)
        print(journal.status().state, journal.status().hint)
        journal.stop()
    """
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("off ")
    assert setting in done.stdout


# -- real mounts -------------------------------------------------------------------------------------------------


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_one_folder_at_two_places_is_heard_of_at_both(home: Path) -> None:
    (home / "miroir").mkdir()
    subprocess.run(["mount", "--bind", home / "a", home / "miroir"], check=True)
    try:
        with running(FolderSource(str(home))) as journal:
            cursor = journal.cursor()
            (home / "a" / "b" / "x").touch()
            assert touched(journal, cursor, home) == {"a", "a/b", "miroir", "miroir/b"}
            cursor = journal.cursor()
            (home / "miroir" / "b" / "neuf").mkdir()
            (home / "miroir" / "b" / "neuf" / "x").touch()
            assert touched(journal, cursor, home) == {
                *("a", "a/b", "a/b/neuf"),
                *("miroir", "miroir/b", "miroir/b/neuf"),
            }
    finally:
        subprocess.run(["umount", home / "miroir"], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
@pytest.mark.parametrize(("one_file_system", "found"), [(True, set[str]()), (False, {"d"})])
def test_another_file_system_is_watched_only_where_it_is_saved(
    one_file_system: bool, found: set[str], home: Path
) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "none", home / "d"], check=True)
    try:
        with running(FolderSource(str(home), one_file_system=one_file_system)) as journal:
            cursor = journal.cursor()
            (home / "d" / "x").touch()
            assert touched(journal, cursor, home) == found
    finally:
        subprocess.run(["umount", home / "d"], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_file_system_that_is_unmounted_is_a_gap(home: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "none", home / "d"], check=True)
    with running(FolderSource(str(home), one_file_system=False)) as journal:
        cursor = journal.cursor()
        subprocess.run(["umount", home / "d"], check=True)
        assert journal.changes_since(cursor) is None


# -- cost --------------------------------------------------------------------------------------------------------


def test_a_quiet_journal_uses_no_processor_time(journal: ChangeJournal) -> None:
    """A thread that waits is not switched to: the kernel counts that for each thread."""
    thread = next(t for t in threading.enumerate() if t.name == "journal")
    status = Path(f"/proc/self/task/{thread.native_id}/status")

    def switches() -> int:
        lines = status.read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)

    journal.changes_since(journal.cursor())
    before = _steady(switches)
    time.sleep(0.3)  # what is tested: in this time it does not wake once
    assert switches() == before


def _steady(measure: Callable[[], int]) -> int:
    last = measure()
    while True:
        time.sleep(0.1)
        now = measure()
        if now == last:
            return now
        last = now


def test_stopping_leaves_nothing_open(home: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        with running(FolderSource(str(home))):
            pass
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0


def test_events_are_read_as_the_kernel_writes_them() -> None:
    data = (5).to_bytes(4, "little") + (0x100).to_bytes(4, "little") + bytes(4) + (16).to_bytes(4, "little")
    data += b"lettre.txt" + bytes(6) + OVERFLOW
    assert list(events(data)) == [(5, 0x100, b"lettre.txt"), (-1, 0x4000, b"")]
