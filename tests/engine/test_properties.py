"""Any tree, any edits, several backups: each snapshot restores to the naive copy that was taken with it.

Owns: random trees and edits against what Python itself sees of them. Does not know: how the engine stores anything.
"""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from support.engine.drives import Drive, Seen, back_up, below, enroll, noise, proven, restored, seen, verified

SETTINGS = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

# Few names, so that edits meet; among them one that is not UTF-8, one with a newline, two that sort around "/".
NAMES = [b"a", b"b", b"a.b", b"a-b", b"\xe9", b"x\ny", "é".encode(), b"-", b"agenda.sqlite"]
PATHS = some.lists(some.sampled_from(NAMES), min_size=1, max_size=3).map(b"/".join)
SIZES = some.sampled_from([0, 1, 100, 4096, 70_000, 524_287, 524_288, 524_289, 1_500_000])
TIMES = some.sampled_from([0, -1, -(10**18), 10**9, 1_700_000_000_123_456_789, 4 * 10**18])
MODES = some.sampled_from([0o000, 0o400, 0o644, 0o600, 0o4755, 0o777])

EDITS = some.one_of(
    some.tuples(some.just("write"), PATHS, SIZES, some.integers(0, 3)),
    some.tuples(some.just("append"), PATHS, some.integers(1, 2000)),
    some.tuples(some.just("poke"), PATHS, some.integers(0, 1_000_000)),
    some.tuples(some.just("holes"), PATHS, some.integers(1, 2_000_000)),
    some.tuples(some.just("mkdir"), PATHS),
    some.tuples(some.just("symlink"), PATHS, some.sampled_from([b"a", b"../x", b"/nowhere", b"\xff", b"."])),
    some.tuples(some.just("fifo"), PATHS),
    some.tuples(some.just("link"), PATHS, PATHS),
    some.tuples(some.just("rename"), PATHS, PATHS),
    some.tuples(some.just("remove"), PATHS),
    some.tuples(some.just("chmod"), PATHS, MODES),
    some.tuples(some.just("touch"), PATHS, TIMES),
    some.tuples(some.just("attribute"), PATHS, some.binary(max_size=5)),
)
DAYS = some.lists(some.lists(EDITS, max_size=8), min_size=1, max_size=4)


def parent_of(path: bytes) -> bytes:
    """The folder of a path, made where it is missing."""
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    return folder


def edit(root: bytes, what: str, name: bytes, *more: object) -> None:
    """One edit; what the system refuses (a file in the place of a folder, and so on) is no edit."""
    path = os.path.join(root, name)
    if what in ("write", "append", "poke", "holes") and os.path.exists(path) and not os.path.isfile(path):
        return  # writing to a fifo would wait for a reader
    match what, more:
        case "write", (int(size), int(version)):
            parent_of(path)
            with open(path, "wb") as file:
                file.write(noise(f"{version}", size))
        case "append", (int(size),):
            with open(path, "ab") as file:
                file.write(noise("more", size))
        case "poke", (int(at),):
            with open(path, "r+b") as file:
                file.seek(min(at, os.path.getsize(path)))
                file.write(b"poked")
        case "holes", (int(size),):
            with open(path, "r+b") as file:
                file.truncate(size + os.path.getsize(path))
        case "mkdir", ():
            os.makedirs(path)
        case "symlink", (bytes(target),):
            parent_of(path)
            os.symlink(target, path)
        case "fifo", ():
            parent_of(path)
            os.mkfifo(path)
        case "link", (bytes(other),):
            parent_of(os.path.join(root, other))
            os.link(path, os.path.join(root, other), follow_symlinks=False)
        case "rename", (bytes(other),):
            parent_of(os.path.join(root, other))
            os.rename(path, os.path.join(root, other))
        case "remove", ():
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        case "chmod", (int(mode),):
            if not os.path.islink(path):
                os.chmod(path, mode if os.geteuid() == 0 else mode | 0o700)
        case "touch", (int(time_ns),):
            os.utime(path, ns=(0, time_ns), follow_symlinks=False)
        case "attribute", (bytes(value),):
            os.setxattr(path, "user.test", value, follow_symlinks=False)


def apply(root: Path, edits: list[tuple[object, ...]]) -> None:
    for step in edits:
        try:
            edit(os.fsencode(root), *step)  # type: ignore[arg-type] # the strategy gives what each edit takes
        except (OSError, ValueError, shutil.Error):
            continue


def live(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]


@SETTINGS
@given(DAYS)
def test_each_day_of_any_history_comes_back(
    tmp_path_factory: pytest.TempPathFactory, days: list[list[tuple[object, ...]]]
) -> None:
    folder = tmp_path_factory.mktemp("history")
    drive, docs = enroll(folder / "drive"), folder / "docs"
    docs.mkdir()
    kept: list[tuple[str, dict[str, Seen]]] = []
    for edits in days:
        apply(docs, edits)
        expected = seen(docs)
        report = back_up(drive, docs, accept_shrink=True, read_back=False)
        assert report.problems == ()
        assert report.files_new + report.files_changed + report.files_unmodified == len(live(docs))
        kept.append((report.snapshot or "", expected))
        assert seen(docs) == expected  # a backup changes nothing of what it saves
    for number, (name, expected) in enumerate(kept):
        assert restored(drive, folder / f"{number}", name).problems == ()
        assert seen(below(folder / f"{number}", docs)) == expected
    assert verified(drive).problems == ()
    # Restored over one another in turn: always ends in the last.
    for name, expected in kept[:2]:
        into = folder / "over"
        shutil.rmtree(into, ignore_errors=True)
        restored(drive, into, name, overwrite="always")
        restored(drive, into, name, overwrite="always")
        assert seen(below(into, docs)) == expected
    shutil.rmtree(folder)


@SETTINGS
@given(some.lists(EDITS, max_size=15))
def test_an_unchanged_tree_is_not_read_again_and_proves_itself(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[object, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("unchanged")
    drive, docs = enroll(folder / "drive"), folder / "docs"
    docs.mkdir()
    apply(docs, edits)
    first = back_up(drive, docs, accept_shrink=True, read_back=False)
    second = back_up(drive, docs, accept_shrink=True, read_back=False)
    count = len(live(docs))
    assert (first.files_new, first.files_changed) == (count, 0)
    assert (second.files_new, second.files_changed, second.files_unmodified, second.files_removed) == (0, 0, count, 0)
    assert second.bytes_read == 0
    assert second.bytes_written < 5000
    if count:
        report = proven(drive, folder / "scratch")
        assert (report.result, report.files_tested) == ("ok", count)
        assert report.files_compared_with_source == count
    shutil.rmtree(folder)


def stored(drive: Drive) -> int:
    return sum(path.stat().st_size for path in drive.files("packs"))


@settings(SETTINGS, max_examples=8)
@given(some.lists(some.integers(0, 2), min_size=2, max_size=6))
def test_content_that_was_there_before_is_never_stored_again(
    tmp_path_factory: pytest.TempPathFactory, versions: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("again")
    drive, docs = enroll(folder / "drive"), folder / "docs"
    docs.mkdir()
    for version in versions:
        (docs / "file.bin").write_bytes(noise(str(version), 700_000))
        back_up(drive, docs, read_back=False)
    assert stored(drive) < len(set(versions)) * 700_000 + 10_000 * len(versions)
    shutil.rmtree(folder)
