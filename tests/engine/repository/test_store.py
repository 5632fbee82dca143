"""The contract of ``Store``, which every implementation passes, and what the real one does besides.

Owns: durable writes, absence, order, links on a hostile drive, full and vanished drives. Does not know: what is stored.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engine.faulting_store import FaultingStore, full_drive, pulled_out
from support.engine.recording_store import Created, RecordingStore, Renamed, Synced, SyncedDirectory, Wrote

from kinebackup.engine.drive_errors import drive_errors, translate
from kinebackup.engine.repository.store import FileInfo, FolderStore, Store, Unlistable
from kinebackup.errors import Damaged, DriveFailed, NotFound

IMPLEMENTATIONS = ["folder", "recording", "faulting without a fault"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "KINEBACKUP"
    (place / "tmp").mkdir(parents=True)
    (place / "packs").mkdir()
    return place


@pytest.fixture(params=IMPLEMENTATIONS)
def store(request: pytest.FixtureRequest, root: Path) -> Iterator[Store]:
    with contextlib.closing(FolderStore(str(root))) as folder:
        match request.param:
            case "folder":
                yield folder
            case "recording":
                yield RecordingStore(folder)
            case _:
                yield FaultingStore(folder, full_drive())


def put(store: Store, path: str, data: bytes) -> None:
    pending = store.create()
    pending.write(data)
    pending.commit(path)
    store.sync_directories([path.rpartition("/")[0]])


def test_what_was_committed_is_read_back(store: Store) -> None:
    put(store, "packs/a", b"0123456789")
    assert store.read("packs/a") == b"0123456789"
    assert store.read("packs/a", 4) == b"456789"
    assert store.read("packs/a", 4, 3) == b"456"
    assert store.size("packs/a") == 10


def test_an_empty_file_is_a_file(store: Store) -> None:
    put(store, "packs/empty", b"")
    assert store.read("packs/empty") == b""
    assert store.list_files("packs") == [FileInfo("empty", 0)]


def test_all_buffers_are_written_in_order(store: Store) -> None:
    pending = store.create()
    pending.write(b"ab")
    pending.write(bytearray(b"cd"))
    pending.write(memoryview(b"xefx")[1:3])
    assert pending.size == 6
    pending.commit("packs/a")
    assert store.read("packs/a") == b"abcdef"


def test_reading_past_the_end_is_damage_and_never_fewer_bytes(store: Store) -> None:
    put(store, "packs/a", b"0123456789")
    with pytest.raises(Damaged):
        store.read("packs/a", 8, 3)
    with pytest.raises(Damaged):
        store.read("packs/a", 20, 1)


def test_a_buffer_is_filled_as_far_as_the_file_goes(store: Store) -> None:
    put(store, "packs/a", b"0123456789")
    buffer = bytearray(b"........")
    assert store.read_into("packs/a", 6, memoryview(buffer)) == 4
    assert buffer == b"6789...."
    assert store.read_into("packs/a", 10, memoryview(buffer)) == 0


def test_nothing_is_seen_before_it_is_committed(store: Store) -> None:
    pending = store.create()
    pending.write(b"half a pack")
    assert store.list_files("packs") == []
    with pytest.raises(NotFound):
        store.read("packs/a")
    pending.commit("packs/a")
    assert store.list_files("packs") == [FileInfo("a", 11)]
    assert store.list_files("tmp") == []


def test_an_abandoned_file_leaves_nothing(store: Store) -> None:
    pending = store.create()
    pending.write(b"half a pack")
    pending.abandon()
    pending.abandon()
    assert store.list_files("tmp") == []


def test_a_commit_replaces_what_had_the_name(store: Store) -> None:
    put(store, "header", b"old")
    put(store, "header", b"new and longer")
    assert store.read("header") == b"new and longer"


def test_files_are_listed_by_name_and_directories_apart(store: Store) -> None:
    store.make_directories(["packs/cd", "packs/ab"])
    for name in ("b", "a", "c"):
        put(store, f"packs/{name}", name.encode() * 3)
    files = [info for info in store.list_files("packs") if info.is_file]
    assert files == [FileInfo("a", 3), FileInfo("b", 3), FileInfo("c", 3)]
    assert [info.name for info in store.list_files("packs") if not info.is_file] == ["ab", "cd"]
    assert store.subdirectories("packs") == ["ab", "cd"]


def test_a_directory_that_is_not_there_is_empty(store: Store) -> None:
    assert store.list_files("snapshots") == []
    assert store.subdirectories("snapshots") == []


def test_directories_may_be_made_again(store: Store) -> None:
    store.make_directories(["index", "index"])
    store.make_directories(["index"])
    put(store, "index/a", b"x")


@pytest.mark.parametrize("path", ["packs/none", "none/none", "none", "header/below"])
def test_an_absent_file_is_not_found(store: Store, path: str) -> None:
    put(store, "header", b"a file is no directory")
    for ask in (store.read, store.size, store.drop_cache):
        with pytest.raises(NotFound):
            ask(path)
    with pytest.raises(NotFound):
        store.read_into(path, 0, memoryview(bytearray(1)))


def test_removing_is_final_and_may_be_repeated(store: Store) -> None:
    put(store, "packs/a", b"x")
    store.remove("packs/a")
    store.remove("packs/a")
    store.sync_directories(["packs"])
    assert store.list_files("packs") == []


def test_dropping_the_cache_changes_no_byte(store: Store) -> None:
    put(store, "packs/a", bytes(range(256)) * 64)
    store.drop_cache("packs/a")
    assert store.read("packs/a") == bytes(range(256)) * 64


def test_room_is_told_in_bytes(store: Store, root: Path) -> None:
    info = os.statvfs(root)
    assert 0 < store.free_bytes() <= info.f_blocks * info.f_frsize


def test_several_threads_may_write_at_once(store: Store) -> None:
    def write(number: int) -> None:
        for turn in range(8):
            put(store, f"packs/{number}-{turn}", bytes([number]) * 5000)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.list_files("packs")) == 32
    assert all(store.read(f"packs/{n}-{t}") == bytes([n]) * 5000 for n in range(4) for t in range(8))
    assert store.list_files("tmp") == []


# -- the recording one ---------------------------------------------------------------------------------------------


def test_the_recording_keeps_the_order_of_a_durable_write(root: Path) -> None:
    with contextlib.closing(FolderStore(str(root))) as folder:
        store = RecordingStore(folder)
        put(store, "packs/a", b"x")
        assert store.operations == [
            Created(1),
            Wrote(1, b"x"),
            Synced(1),
            Renamed(1, "packs/a"),
            SyncedDirectory("packs"),
        ]


# -- drives that fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_drive_says_so_and_how_to_make_room(code: int) -> None:
    error = translate(OSError(code, "x"), "packs/a")
    assert isinstance(error, DriveFailed)
    assert error.message == "the drive is full"
    assert "prune" in error.hint


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENODEV, errno.ENXIO, 9999])
def test_every_other_refusal_is_a_failed_drive_with_a_hint(code: int) -> None:
    error = translate(OSError(code, "x"), "packs/a")
    assert isinstance(error, DriveFailed)
    assert error.hint


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ENOTDIR, errno.EIO, errno.ENODEV, errno.EACCES, 9999])
def test_whatever_a_read_says_of_a_drive_that_gives_nothing_any_more_the_drive_has_failed(code: int) -> None:
    with pytest.raises(DriveFailed, match="the drive does not answer"), drive_errors("packs/a", lambda: False):
        raise OSError(code, "x")


@pytest.mark.parametrize("code", [errno.ENOMEM, errno.EMFILE, errno.ENFILE])
def test_a_computer_that_has_no_memory_or_descriptors_left_calls_no_file_damaged(code: int) -> None:
    with pytest.raises(DriveFailed), drive_errors("packs/a", lambda: True):
        raise OSError(code, "x")


def test_a_pulled_drive_fails_every_operation(root: Path) -> None:
    with contextlib.closing(FolderStore(str(root))) as folder:
        store = FaultingStore(folder, pulled_out(at=0))
        for operation in (
            store.create,
            lambda: store.read("header"),
            lambda: store.list_files("packs"),
            lambda: store.remove("packs/a"),
            lambda: store.sync_directories(["packs"]),
            store.free_bytes,
        ):
            with pytest.raises(DriveFailed):
                operation()


def test_a_missing_folder_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        FolderStore(str(tmp_path / "KINEBACKUP"))


# -- hostile drives ------------------------------------------------------------------------------------------------


def test_no_link_on_the_drive_leads_out_of_it(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"not on the drive")
    (root / "index").symlink_to(outside)
    (root / "packs" / "a").symlink_to(outside / "secret")
    with contextlib.closing(FolderStore(str(root))) as store:
        for path, error in (("packs/a", Damaged), ("index/secret", NotFound)):
            with pytest.raises(error):
                store.read(path)
        with pytest.raises(Unlistable):
            store.list_files("index")
        assert [(info.name, info.is_file) for info in store.list_files("packs")] == [("a", False)]
        pending = store.create()
        with pytest.raises((DriveFailed, NotFound)):
            pending.commit("index/b")
        pending.abandon()
        store.remove("packs/a")
    assert sorted(os.listdir(outside)) == ["secret"]
    assert (outside / "secret").read_bytes() == b"not on the drive"


def test_the_repositorys_folder_itself_may_not_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    with pytest.raises((DriveFailed, NotFound)):
        FolderStore(str(tmp_path / "link"))


def test_what_stands_in_the_place_of_a_file_is_listed_as_none(root: Path) -> None:
    os.mkfifo(root / "packs" / "pipe")
    with contextlib.closing(FolderStore(str(root))) as store:
        assert [(info.name, info.is_file) for info in store.list_files("packs")] == [("pipe", False)]


def test_files_that_another_program_removes_while_they_are_listed_are_no_error(root: Path) -> None:
    """A verification reads without a lock while a prune removes packs."""
    (root / "tmp").mkdir(exist_ok=True)
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            for number in range(50):
                (root / "tmp" / str(number)).touch()
            for number in range(50):
                (root / "tmp" / str(number)).unlink()

    with contextlib.closing(FolderStore(str(root))) as store:
        thread = threading.Thread(target=churn)
        thread.start()
        try:
            seen = [len(store.list_files("tmp")) for _ in range(300)]
        finally:
            stop.set()
            thread.join()
    assert len(seen) == 300


def test_a_drive_without_its_folder_for_temporary_files_gets_it_again(root: Path) -> None:
    (root / "tmp").rmdir()
    with contextlib.closing(FolderStore(str(root))) as store:
        pending = store.create()
        pending.write(b"header")
        pending.commit("header")
    assert (root / "header").read_bytes() == b"header"


def test_a_pipe_in_the_place_of_a_file_does_not_block(root: Path) -> None:
    os.mkfifo(root / "header")
    done = threading.Event()

    def read() -> None:
        with contextlib.closing(FolderStore(str(root))) as store, pytest.raises(Damaged):
            store.read("header", 0, 10)
        done.set()

    threading.Thread(target=read, daemon=True).start()
    assert done.wait(5)


def test_files_are_for_their_owner_alone(root: Path) -> None:
    with contextlib.closing(FolderStore(str(root))) as store:
        store.make_directories(["index"])
        put(store, "index/a", b"x")
    assert (root / "index").stat().st_mode & 0o777 == 0o700
    assert (root / "index" / "a").stat().st_mode & 0o777 == 0o600


def test_a_closed_store_keeps_no_descriptor(root: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    with contextlib.closing(FolderStore(str(root))) as store:
        put(store, "packs/a", b"x")
        with contextlib.suppress(NotFound):
            store.read("packs/none/none")
        with contextlib.suppress(NotFound):
            store.create().commit("none/none")
    assert sorted(os.listdir("/proc/self/fd")) == before
