"""Whose restored files are, and who may do what with them.

Owns: owners, set-user-ID, access control lists, fifos and devices. Does not know: contents, names.
"""

import os
import stat as st
import struct
import subprocess
from collections.abc import Collection
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, below, loaded, restored, seen

from kinebackup.engine.format.snapshot import Counts, Snapshot
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.place import ACL, DEFAULT_ACL, Node, Opened
from kinebackup.engine.restore.attributes import Refused, apply
from kinebackup.engine.restore.owners import Owners
from kinebackup.engine.restore.restore import RestoreRequest, restore_snapshot
from kinebackup.engine.xattrs import encode_xattrs
from kinebackup.model import CancelToken, RestoreReport, SilentMonitor

AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="owners are for root to give")


class OtherComputer:
    """Has marie and the group soins by other numbers, and nobody else."""

    def users(self, uids: Collection[int]) -> dict[str, str]:
        return {}

    def groups(self, gids: Collection[int]) -> dict[str, str]:
        return {}

    def uid_of(self, name: str) -> int | None:
        return {"marie": 3001}.get(name)

    def gid_of(self, name: str) -> int | None:
        return {"soins": 3002}.get(name)


class WithNobody(OtherComputer):
    """Has nobody and nogroup by other numbers."""

    def uid_of(self, name: str) -> int | None:
        return {"nobody": 3003}.get(name)

    def gid_of(self, name: str) -> int | None:
        return {"nogroup": 3004}.get(name)


SNAPSHOT = Snapshot(
    sequence=1,
    time="2040-01-01T00:00:00.000000Z",
    host="cabinet-pc",
    machine="c0" * 16,
    sources=("/home",),
    root=(),
    users={"1000": "marie", "1001": "jean"},
    groups={"1000": "soins"},
    counts=Counts(files=0, dirs=0, others=0, bytes=0),
)


def an_entry(uid: int, gid: int, **more: object) -> Entry:
    return Entry(name="a", type="file", mode=0o600, mtime=1, ctime=1, uid=uid, gid=gid, **more)  # type: ignore[arg-type]


def acl(*entries: tuple[int, int, int]) -> bytes:
    """Of (tag, permissions, id); 0xffffffff stands for no id."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY_S = 0xFFFFFFFF
ONE_MORE_USER = ((0x01, 6, NOBODY_S), (0x02, 6, 1000), (0x04, 4, NOBODY_S), (0x10, 6, NOBODY_S), (0x20, 0, NOBODY_S))


# -- owners ----------------------------------------------------------------------------------------------------------


def test_an_owner_whom_this_computer_knows_by_name_gets_the_files_whatever_the_number() -> None:
    owners = Owners(SNAPSHOT, OtherComputer())
    assert (owners.here(an_entry(1000, 1000)).uid, owners.here(an_entry(1000, 1000)).gid) == (3001, 3002)
    assert owners.by_number == ()


def test_an_owner_whom_it_does_not_know_keeps_the_number_and_is_told_once() -> None:
    owners = Owners(SNAPSHOT, OtherComputer())
    for _time in range(2):
        found = owners.here(an_entry(1001, 4242))
        assert (found.uid, found.gid) == (1001, 4242)
    assert owners.by_number == ("4242", "jean")


def test_numbers_stay_when_they_are_asked_for() -> None:
    owners = Owners(SNAPSHOT, None)
    assert (owners.here(an_entry(1000, 1000)).uid, owners.by_number) == (1000, ())


def test_an_access_control_list_lets_in_the_people_of_the_same_names() -> None:
    saved = an_entry(1000, 1000, xattrs=encode_xattrs({ACL: acl(*ONE_MORE_USER), "user.note": b"1000"}))
    here = Owners(SNAPSHOT, OtherComputer()).here(saved)
    other = tuple((tag, may, 3001 if number == 1000 else number) for tag, may, number in ONE_MORE_USER)
    assert here.xattrs == encode_xattrs({ACL: acl(*other), "user.note": b"1000"})


def restored_with(drive: Drive, into: Path, names: OtherComputer | None) -> RestoreReport:
    with loaded(drive) as repository:
        request = RestoreRequest(repository.find_snapshot("latest"), (), str(into), as_root=True, names=names)
        return restore_snapshot(repository, request, lambda: 0.0, cancel=CancelToken(), monitor=SilentMonitor())


@pytest.mark.root
@needs_root
def test_files_and_folders_go_to_those_of_the_same_name(drive: Drive, docs: Path, tmp_path: Path) -> None:
    """65534 is nobody, in nogroup, here; on the other computer these have other numbers."""
    (docs / "folder").mkdir()
    (docs / "folder" / "note.txt").write_bytes(b"note")
    for owned in (docs / "folder", docs / "folder" / "note.txt"):
        os.chown(owned, 65534, 65534)
    back_up(drive, docs)

    report = restored_with(drive, tmp_path / "back", WithNobody())
    for path in ("folder", "folder/note.txt"):
        stat = (below(tmp_path / "back", docs) / path).stat()
        assert (stat.st_uid, stat.st_gid) == (3003, 3004)
    assert (report.problems, report.owners_by_number) == ((), ())


@pytest.mark.root
@needs_root
def test_a_folder_that_an_earlier_run_restored_stays_its_new_owner_s(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "note.txt").write_bytes(b"note")
    os.chmod(docs, 0o711)
    back_up(drive, docs)
    back = below(tmp_path / "back", docs)
    back.mkdir(parents=True)
    os.chown(back, 1234, 4321)
    os.chmod(back, 0o711)
    os.utime(back, ns=(docs.stat().st_mtime_ns, docs.stat().st_mtime_ns))
    assert restored(drive, tmp_path / "back").problems == ()
    assert (back.stat().st_uid, back.stat().st_gid, back.stat().st_mode & 0o7777) == (1234, 4321, 0o711)
    assert back.stat().st_mtime_ns == docs.stat().st_mtime_ns


@pytest.mark.root
@needs_root
def test_the_folders_on_the_way_to_a_source_go_to_those_of_the_same_name_too(
    drive: Drive, docs: Path, tmp_path: Path
) -> None:
    """Such as a person's home, in which the source has files of others only."""
    (docs / "note.txt").write_bytes(b"note")
    os.chown(tmp_path, 65534, 65534)
    back_up(drive, docs)

    report = restored_with(drive, tmp_path / "back", WithNobody())
    stat = below(tmp_path / "back", tmp_path).stat()
    assert (stat.st_uid, stat.st_gid) == (3003, 3004)
    assert report.owners_by_number == ()


# -- set-user-ID -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "uid_differs", "gid_differs", "left"),
    [
        (0o6755, False, False, 0o6755),
        (0o6755, True, False, 0o2755),
        (0o6755, False, True, 0o4755),
        (0o6755, True, True, 0o755),
        (0o1755, True, True, 0o1755),
    ],
)
def test_a_program_runs_with_nobody_s_rights_but_its_saved_owner_s(
    tmp_path: Path, mode: int, uid_differs: bool, gid_differs: bool, left: int
) -> None:
    path = tmp_path / "program"
    path.write_bytes(b"#!")
    stat = path.stat()
    entry = Entry(
        name="program",
        type="file",
        mode=mode,
        mtime=1,
        ctime=1,
        uid=stat.st_uid + uid_differs,
        gid=stat.st_gid + gid_differs,
    )
    refusals: list[Refused] = []
    with path.open("rb") as file:
        apply(entry, Opened(file.fileno()), as_root=False, refused=refusals.append)
    assert path.stat().st_mode & 0o7777 == left
    assert [refused.attribute for refused in refusals] == (["set-id"] if left != mode else [])


# -- access control lists --------------------------------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder that gives user 65533 a right to all that is made in it."""
    folder = tmp_path / "shared"
    folder.mkdir()
    try:
        subprocess.run(["setfacl", "-m", "d:u:65533:rwx,u:65533:rwx", str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no access control lists here")
    return folder


def test_the_destination_lets_in_nobody_whom_the_backup_did_not(drive: Drive, docs: Path, shared: Path) -> None:
    (docs / "folder").mkdir()
    for path in ("note.txt", "folder/note.txt"):
        (docs / path).write_bytes(b"note")
        os.chmod(docs / path, 0o640)
    os.mkfifo(docs / "pipe", 0o640)
    os.chmod(docs / "folder", 0o750)
    back_up(drive, docs)
    existing = below(shared, docs)
    existing.mkdir(parents=True)  # with the list of the folder above
    assert DEFAULT_ACL in os.listxattr(existing)
    assert restored(drive, shared).problems == ()
    for path in ("note.txt", "folder", "folder/note.txt", "pipe"):
        assert [name for name in os.listxattr(existing / path) if "acl" in name] == []
        assert st.S_IMODE((existing / path).stat().st_mode) == (0o750 if path == "folder" else 0o640)
    assert DEFAULT_ACL in os.listxattr(existing), "a folder that is there keeps its own"


def test_a_list_that_was_saved_comes_back_in_place_of_the_destination_s(drive: Drive, docs: Path, shared: Path) -> None:
    (docs / "note.txt").write_bytes(b"note")
    subprocess.run(["setfacl", "-m", "u:65532:r", str(docs / "note.txt")], check=True)
    back_up(drive, docs)
    below(shared, docs).mkdir(parents=True)
    restored(drive, shared)
    assert seen(below(shared, docs))["note.txt"] == seen(docs)["note.txt"]


# -- fifos and devices -----------------------------------------------------------------------------------------------


def test_a_link_that_takes_a_fifo_s_place_is_not_followed(tmp_path: Path) -> None:
    """Between its making and its rights, somebody who owns the folder may put a link there."""
    (tmp_path / "target").write_bytes(b"somebody else's")
    os.chmod(tmp_path / "target", 0o600)
    os.mkfifo(tmp_path / "pipe", 0o600)
    fd = os.open(tmp_path / "pipe", os.O_PATH | os.O_NOFOLLOW)
    try:
        (tmp_path / "pipe").rename(tmp_path / "moved")
        (tmp_path / "pipe").symlink_to("target")
        entry = Entry(name="pipe", type="fifo", mode=0o666, mtime=5, ctime=1, uid=os.geteuid(), gid=os.getegid())
        apply(entry, Node(fd), as_root=AS_ROOT, refused=lambda refused: pytest.fail(refused.text))
    finally:
        os.close(fd)
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o600
    moved = (tmp_path / "moved").stat()
    assert (moved.st_mode & 0o777, moved.st_mtime_ns) == (0o666, 5)


@pytest.mark.root
@needs_root
def test_devices_come_back_with_their_numbers_rights_and_owners(drive: Drive, docs: Path, tmp_path: Path) -> None:
    for name, kind in (("zero", st.S_IFCHR), ("disk", st.S_IFBLK)):
        os.mknod(docs / name, kind | 0o600, os.makedev(1, 5))
        os.chmod(docs / name, 0o624)
        os.chown(docs / name, 1234, 4321)
        os.utime(docs / name, ns=(7, 7))
    back_up(drive, docs)
    assert restored(drive, tmp_path / "back").problems == ()
    assert seen(below(tmp_path / "back", docs)) == seen(docs)
