"""The benchmark at a tiny size: it must tell the truth before its figures are worth reading.

Owns: proofs that data sets repeat, that a wrong restore is noticed and that no figure is made up. Does not know: speed.
"""

import hashlib
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.project import ROOT

from benchmarks import datasets
from benchmarks.compare import described, main, parse
from benchmarks.database import create_database, update_rows
from benchmarks.measure import Command, Sample, TargetListing, ToolFailed, list_target, measure
from benchmarks.page import without_paths
from benchmarks.peers import Bench, Copy, Restic, Walk, all_tools
from benchmarks.targets import TARGETS, Outcome, judge
from benchmarks.trees import differences
from benchmarks.work_area import WorkAreaFailed, parse_size
from benchmarks.workloads import Key, Results

COMPARE = ROOT / "benchmarks" / "compare.py"


def digest_of_tree(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*"), key=os.fspath):
        seen = path.lstat()
        times = seen.st_mtime_ns if path.is_file() and path.suffix != ".sqlite" else 0
        digest.update(f"{path.relative_to(root)} {seen.st_mode} {times}\n".encode())
        if path.is_file() and not path.is_symlink():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def small_tree(root: Path) -> Path:
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "letter").write_bytes(b"bonjour")
    (root / "empty").write_bytes(b"")
    (root / "link").symlink_to("folder/letter")
    for path in ("folder/letter", "empty", "link", "folder", "."):
        os.utime(root / path, ns=(10**18, 10**18), follow_symlinks=False)
    return root


@pytest.mark.parametrize("name", ["practice", "small", "database", "memory", "one-folder"])
def test_a_data_set_is_the_same_each_time(name: str, tmp_path: Path) -> None:
    first = datasets.make(name, tmp_path / "first", 0.001)
    second = datasets.make(name, tmp_path / "second", 0.001)
    assert first == second
    assert digest_of_tree(tmp_path / "first") == digest_of_tree(tmp_path / "second")


def test_the_census_counts_what_is_there(tmp_path: Path) -> None:
    census = datasets.make("practice", tmp_path / "set", 0.001)
    files = [path for path in (tmp_path / "set").rglob("*") if path.is_file() and not path.is_symlink()]
    assert census.files == len(files)
    assert census.size_bytes == sum(path.stat().st_size for path in files)


def test_a_data_set_that_was_interrupted_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "half").write_bytes(b"x")
    datasets.make("small", tmp_path / "set", 0.001)
    assert not (tmp_path / "set" / "half").exists()


def test_an_update_changes_the_share_of_rows_it_says_and_not_the_size(tmp_path: Path) -> None:
    base = tmp_path / "base.sqlite"
    assert create_database(base, 4_880_000, "test") == 10_000
    size = base.stat().st_size
    with closing(sqlite3.connect(base)) as connection:
        before = dict(connection.execute("SELECT id, note FROM seance"))
    assert update_rows(base, 0.001, "update 0") == 10
    with closing(sqlite3.connect(base)) as connection:
        after = dict(connection.execute("SELECT id, note FROM seance"))
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA page_size").fetchone() == (4096,)
    assert sum(before[row] != after[row] for row in before) == 10
    assert base.stat().st_size == size
    assert 0.9 < size / 4_880_000 < 1.1


def test_equal_trees_have_no_differences(tmp_path: Path) -> None:
    assert differences(small_tree(tmp_path / "a"), small_tree(tmp_path / "b")) == []


def test_one_wrong_byte_of_the_same_length_is_found(tmp_path: Path) -> None:
    ours, theirs = small_tree(tmp_path / "a"), small_tree(tmp_path / "b")
    (theirs / "folder" / "letter").write_bytes(b"bonsoir")
    os.utime(theirs / "folder" / "letter", ns=(10**18, 10**18))
    assert differences(ours, theirs) == ["./folder/letter: content differs"]


def test_a_missing_and_an_extra_file_are_found(tmp_path: Path) -> None:
    ours, theirs = small_tree(tmp_path / "a"), small_tree(tmp_path / "b")
    (theirs / "empty").rename(theirs / "other")
    os.utime(theirs, ns=(10**18, 10**18))
    assert differences(ours, theirs) == ["./other: is not in the source", "./empty: not restored"]


def test_a_nanosecond_of_difference_is_found(tmp_path: Path) -> None:
    ours, theirs = small_tree(tmp_path / "a"), small_tree(tmp_path / "b")
    os.utime(theirs / "empty", ns=(10**18, 10**18 + 1))
    assert differences(ours, theirs) == ["./empty: mtime 1000000000000000001 instead of 1000000000000000000"]


def test_another_mode_is_found(tmp_path: Path) -> None:
    ours, theirs = small_tree(tmp_path / "a"), small_tree(tmp_path / "b")
    (ours / "empty").chmod(0o640)
    (theirs / "empty").chmod(0o600)
    assert differences(ours, theirs) == ["./empty: mode 600 instead of 640"]


def test_a_link_that_points_elsewhere_or_became_a_file_is_found(tmp_path: Path) -> None:
    ours, theirs = small_tree(tmp_path / "a"), small_tree(tmp_path / "b")
    (theirs / "link").unlink()
    (theirs / "link").symlink_to("empty")
    os.utime(theirs / "link", ns=(10**18, 10**18), follow_symlinks=False)
    os.utime(theirs, ns=(10**18, 10**18))
    assert differences(ours, theirs) == ["./link: points elsewhere"]
    (theirs / "link").unlink()
    (theirs / "link").write_bytes(b"bonjour")
    os.utime(theirs, ns=(10**18, 10**18))
    assert differences(ours, theirs) == ["./link: is another type of file"]


def test_a_database_copied_by_sqlite_is_equal_and_one_with_another_row_is_not(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "a", tmp_path / "b"
    ours.mkdir()
    theirs.mkdir()
    create_database(ours / "base.sqlite", 100_000, "test")
    update_rows(ours / "base.sqlite", 0.01, "first")
    with (
        closing(sqlite3.connect(ours / "base.sqlite")) as live,
        closing(sqlite3.connect(theirs / "base.sqlite")) as copy,
    ):
        live.backup(copy)
    for path in ("base.sqlite", "."):
        for root in (ours, theirs):
            os.utime(root / path, ns=(10**18, 10**18))
    assert (ours / "base.sqlite").read_bytes() != (theirs / "base.sqlite").read_bytes()
    assert differences(ours, theirs) == []
    update_rows(theirs / "base.sqlite", 0.01, "second")
    for path in ("base.sqlite", "."):
        os.utime(theirs / path, ns=(10**18, 10**18))
    assert differences(ours, theirs) == ["./base.sqlite: rows of the database differ"]


def test_only_new_and_rewritten_files_count_as_written(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(bytes(100))
    (tmp_path / "again").write_bytes(bytes(10))
    (tmp_path / "reserve").write_bytes(bytes(5000))
    os.utime(tmp_path / "again", ns=(1, 1))
    before = list_target(tmp_path, tmp_path / "reserve")
    (tmp_path / "again").write_bytes(bytes(20))
    (tmp_path / "new").write_bytes(bytes(3))
    after = list_target(tmp_path, tmp_path / "reserve")
    assert after.written_since(before) == 23
    assert after.size_bytes() == 123
    assert before.written_since(TargetListing()) == 110


def test_what_only_heals_the_rest_is_a_part_of_the_size(tmp_path: Path) -> None:
    (tmp_path / "parity" / "ab").mkdir(parents=True)
    (tmp_path / "parity" / "ab" / "name.xor").write_bytes(bytes(7))
    (tmp_path / "parity.txt").write_bytes(bytes(100))
    found = list_target(tmp_path)
    assert (found.size_bytes(), found.bytes_below(tmp_path / "parity")) == (107, 7)
    results = Results()
    for heals in (6, 7, 8):
        results.add(Key("practice", "kinebackup", "first"), Sample(1, size_bytes=107, redundancy_bytes=heals))
    judged = {outcome.target.work: outcome for outcome in judge(results)}
    assert (judged["redundancy, practice set"].figure, judged["redundancy, practice set"].verdict) == ("7.00 %", "met")


def test_another_checkout_takes_turns_with_this_one(tmp_path: Path) -> None:
    tools = all_tools(other=tmp_path)
    assert [tool.name for tool in tools][:2] == ["kinebackup", "other checkout"]
    command = tools[1].backup(Bench(tmp_path, tmp_path, tmp_path), "first")
    assert command is not None
    assert command.environment == (("PYTHONPATH", os.fspath(tmp_path)),)


def test_memory_of_a_command_is_measured_and_not_that_of_the_benchmark(tmp_path: Path) -> None:
    ballast = bytearray(b"x" * 200_000_000)
    small = measure(Command(("true",)), tmp_path / "log", tmp_path)
    large = measure(Command((sys.executable, "-c", "len(b'x' * 80_000_000)")), tmp_path / "log")
    assert len(ballast) == 200_000_000
    assert small.peak_bytes < 30_000_000
    assert 80_000_000 < large.peak_bytes < 150_000_000
    assert small.wall_s >= small.sync_s > 0


def test_a_command_that_fails_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match=r"exit code 3: sh -c .*\n  no such drive"):
        measure(Command(("sh", "-c", "echo no such drive; exit 3")), tmp_path / "log")


def test_a_command_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed):
        measure(Command(("no-such-program-here",)), tmp_path / "log")


def test_a_peer_that_is_absent_has_no_version() -> None:
    assert Restic("/nonexistent/restic").version() is None
    assert Copy().version() is not None


def test_peers_are_looked_for_in_the_given_folder_first(tmp_path: Path) -> None:
    fake = tmp_path / "restic"
    fake.write_text("#!/bin/sh\necho restic 99.0\n")
    fake.chmod(0o755)
    assert [tool.version() for tool in all_tools(tmp_path) if tool.name == "restic"] == ["restic 99.0"]


def test_without_figures_every_target_is_not_measured() -> None:
    assert [outcome.verdict for outcome in judge(Results())] == ["not measured"] * 16
    assert judge(Results())[0].figure == "—"


def test_targets_are_judged_by_medians() -> None:
    results = Results()
    for seconds in (10.0, 11.0, 40.0):
        results.add(Key("practice", "kinebackup", "first"), Sample(seconds, size_bytes=90, peak_bytes=160_000_000))
    for seconds in (27.0, 28.0, 90.0):
        results.add(Key("practice", "restic", "first"), Sample(seconds, size_bytes=100))
    results.add(Key("practice", "cp -a", "first"), Sample(10.0))
    judged = {(outcome.target.work, outcome.target.wanted): outcome for outcome in judge(results)}
    assert judged["first backup, practice set", "≥ 2.5 × restic's speed"].figure == "2.55 ×"
    assert judged["first backup, practice set", "≥ 2.5 × restic's speed"].verdict == "met"
    assert judged["first backup, practice set", "≥ 1 × cp -a's speed"].verdict == "missed"
    assert judged["first backup, practice set", "≥ 3 × borg's speed"].verdict == "not measured"
    assert judged["peak memory, practice set", "≤ 150 MB"].figure == "160.00 MB"
    assert judged["peak memory, practice set", "≤ 150 MB"].verdict == "missed"
    assert judged["size on drive, practice set", "≤ restic's"].verdict == "met"


def test_a_figure_exactly_at_its_limit_is_met() -> None:
    assert Outcome(TARGETS[0], 2.5).verdict == "met"
    assert Outcome(TARGETS[9], 150.0).verdict == "met"
    assert Outcome(TARGETS[9], 150.1).verdict == "missed"


def test_sizes_are_read_strictly() -> None:
    assert parse_size("10G") == 10_737_418_240
    assert parse_size("4096") == 4096
    with pytest.raises(WorkAreaFailed, match="not a size: 10 Go"):
        parse_size("10 Go")


def test_the_command_of_the_page_names_no_path() -> None:
    options = parse(["--dir", "/somewhere/here", "--only", "small,practice", "--rounds", "1", "--warm"])
    assert described(options) == ("--scale", "1", "--only", "practice,small", "--rounds", "1", "--dir", "DIR", "--warm")
    assert without_paths("exit code 1: /somewhere/bin/restic -r /x/y\n  fatal") == "exit code 1: … -r … fatal"


def test_a_work_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(["--only", "practise"])
    assert (
        "unknown: practise (known: practice, small, database, memory, one-folder, startup)" in capsys.readouterr().err
    )


def test_a_ramdisk_larger_than_the_memory_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--ramdisk", "900000G"]) == 2
    assert "benchmark: error: --ramdisk" in capsys.readouterr().err


def test_the_whole_comparison_runs_and_makes_up_no_figure(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    empty = tmp_path / "bin"
    empty.mkdir()
    (empty / "cp").symlink_to("/bin/cp")
    done = subprocess.run(
        [
            *(sys.executable, COMPARE, "--scale", "0.001", "--rounds", "1", "--warm"),
            *("--tools", "restic,cp -a,walk", "--dir", tmp_path / "work", "--output", page),
        ],
        env={"PATH": os.fspath(empty)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    text = page.read_text()
    assert "| restic | not installed |" in text
    assert "| first backup, seconds | not installed | 0." in text
    assert "scale 0.001" in text
    assert os.fspath(tmp_path) not in text
    assert os.uname().nodename not in text
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a loop device")
def test_a_ramdisk_is_gone_after_the_run(tmp_path: Path) -> None:
    before = Path("/proc/self/mountinfo").read_text().count("kinebackup-bench-")
    images = list(Path("/dev/shm").glob("kinebackup-bench-*"))
    page = tmp_path / "page.md"
    size = ["--scale", "0.001", "--rounds", "1", "--only", "practice", "--tools", "cp -a,walk"]
    code = main([*size, "--ramdisk", "64M", "--output", os.fspath(page)])
    assert code == 0
    assert "ext4, on a loop device in memory" in page.read_text()
    assert Path("/proc/self/mountinfo").read_text().count("kinebackup-bench-") == before
    assert list(Path("/dev/shm").glob("kinebackup-bench-*")) == images


def test_a_restore_that_is_wrong_fails_the_benchmark(tmp_path: Path) -> None:
    """A ``cp`` that forgets times."""
    forgetful = tmp_path / "bin"
    forgetful.mkdir()
    (forgetful / "cp").write_text('#!/bin/sh\n[ "$1" = -a ] || exec /bin/cp "$@"\nshift\nexec /bin/cp -r "$@"\n')
    (forgetful / "cp").chmod(0o755)
    done = subprocess.run(
        [
            *(sys.executable, COMPARE, "--scale", "0.001", "--rounds", "1", "--warm"),
            *("--only", "small", "--tools", "cp -a", "--dir", tmp_path / "work"),
        ],
        env={"PATH": f"{forgetful}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the restored tree is not the source:" in done.stdout


def test_the_walk_counts_every_file(tmp_path: Path) -> None:
    tree = small_tree(tmp_path / "a")
    command = Walk().backup_again(Bench(tree, tmp_path, tmp_path), "again")
    assert subprocess.run(command.argv, capture_output=True, text=True, check=True).stdout == "3\n"
