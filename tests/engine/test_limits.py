"""What a writer accepts, a reader reads: for each bound of FORMAT.md §13, a backup that is driven to it and comes back.

Owns: the shapes of sources that come to a bound. Does not know: how the bound is kept.
"""

import os
import stat as st
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.engine.drives import (
    Drive,
    back_up,
    below,
    enroll,
    loaded,
    noise,
    pruned,
    request_for,
    restored,
    seen,
    verified,
    writable,
)
from support.engine.hooked_source import HookedDirectory, HookedSource
from support.project import ROOT

from kinebackup.engine.backup.backup import back_up as engine_back_up
from kinebackup.engine.backup.content import LargeFileReader
from kinebackup.engine.environment import Environment
from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.snapshot import Snapshot
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.pack_pipeline import Lane, PackPipeline
from kinebackup.engine.repository.tree_reader import TreeReader, Visited
from kinebackup.engine.source import Found, Listing, Looked, SourceDirectory
from kinebackup.errors import ConfigError
from kinebackup.model import CancelToken, Problem, SilentMonitor
from kinebackup.sources.folder import FolderSource


class DescribedDirectory(HookedDirectory):
    """A real directory that tells more of itself than a test's file system can hold."""

    def __init__(
        self, inner: SourceDirectory, names: Callable[[list[Found]], list[Found]], attributes: dict[str, bytes]
    ) -> None:
        super().__init__(inner, lambda name: None)
        self._described = inner
        self._names = names
        self._attributes = attributes

    def listing(self) -> Listing:
        self._told = {item.name: item for item in self._names(self._described.look_at(super().listing().names).found)}
        return Listing(sorted(self._told))

    def look_at(self, names: Sequence[str]) -> Looked:
        return Looked([self._told[name] for name in names])

    def open_directory(self, name: str) -> SourceDirectory:
        return DescribedDirectory(self._described.open_directory(name), self._names, self._attributes)

    def xattr_names(self, name: str | None, fd: int | None) -> list[str]:
        return list(self._attributes)

    def xattr(self, name: str | None, fd: int | None, attribute: str) -> bytes:
        return self._attributes[attribute]


class DescribedSource(HookedSource):
    def __init__(
        self,
        folder: Path,
        names: Callable[[list[Found]], list[Found]] = list,
        attributes: dict[str, bytes] | None = None,
    ) -> None:
        super().__init__(folder, lambda name: None)
        self._names = names
        self._attributes = attributes or {}

    def open_root(self) -> SourceDirectory:
        return DescribedDirectory(FolderSource(self.path).open_root(), self._names, self._attributes)


def newest(drive: Drive) -> Snapshot:
    with loaded(drive) as repository:
        return repository.find_snapshot("latest").snapshot


def files_of(drive: Drive) -> list[Visited]:
    """The files of the newest snapshot; its trees are whole."""
    problems: list[Problem] = []
    with loaded(drive) as repository:
        reader = TreeReader(BlobReader(repository), problems.append)
        found = list(reader.walk(repository.find_snapshot("latest").snapshot.root))
    assert problems == []
    return [visited for visited in found if visited.entry.type == "file"]


# -- a blob: at most 16 MiB ----------------------------------------------------------------------------------------


def test_a_folder_whose_attributes_fill_more_than_one_blob_is_saved(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(700):
        (source / f"{number:03}.txt").write_text(f"{number}")
    drive = enroll(tmp_path / "drive")
    attributes = {"user.note": noise("note", 24_000)}

    assert back_up(drive, DescribedSource(source, attributes=attributes)).problems == ()

    found = files_of(drive)
    assert [visited.entry.name for visited in found] == [f"{number:03}.txt" for number in range(700)]
    assert {visited.entry.size for visited in found} == {1, 2, 3}
    assert all(visited.entry.xattrs for visited in found)
    assert verified(drive).problems == ()


def test_of_a_file_with_attributes_without_end_the_content_is_saved_and_the_rest_is_told(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "bilan.txt").write_text("Bilan")
    drive = enroll(tmp_path / "drive")
    attributes = {"user.a": bytes(600_000), "user.b": bytes(600_000), "user.c": b"short"}

    report = back_up(drive, DescribedSource(source, attributes=attributes))

    found = [(problem.kind, Path(problem.path).name) for problem in report.problems]
    assert found == [("metadata", "source"), ("metadata", "bilan.txt")]
    (bilan,) = files_of(drive)
    assert bilan.entry.size == 5
    assert sorted(bilan.entry.xattrs or ()) == ["user.a", "user.c"]


def test_a_folder_of_files_in_many_pieces_each_is_cut_by_its_bytes() -> None:
    """Two thousand files of 2 MiB that are cut like databases: 18 MiB of ids in one folder."""
    pieces = [noise(f"{n}", 16).hex() for n in range(256)]
    entries = [
        Entry(name=f"{n:04}.img", type="file", mode=0, mtime=0, ctime=0, size=2**21, blobs=pieces) for n in range(2000)
    ]
    blobs = tree.encode(entries)
    assert [entry for blob in blobs for entry in tree.decode(blob)[0]] == entries
    assert max(map(len, blobs)) <= 262_144


def make_holes(path: Path, stretches: int) -> None:
    """A file of many stretches of data; between two of them is a hole."""
    with path.open("wb") as file:
        for number in range(stretches):
            os.pwrite(file.fileno(), b"%8d" % number, number * 16_384)
        file.truncate(stretches * 16_384)


def test_a_file_of_thousands_of_extents_comes_back_with_them(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    make_holes(source / "creux.img", 3000)
    drive = enroll(tmp_path / "drive")

    back_up(drive, source)

    (image,) = files_of(drive)
    if image.entry.extent_lists:  # on a file system that tells of holes
        assert image.entry.extents is None
        assert len(image.entry.extent_lists) == 3
    assert verified(drive).problems == ()
    assert restored(drive, tmp_path / "back").problems == ()
    assert seen(below(tmp_path / "back", source)) == seen(source)
    secret = tmp_path / "secret"
    secret.write_text("exemple de phrase pour les essais\n")
    program = [sys.executable, str(ROOT / "kinebackup" / "recover" / "recover.py"), str(drive.root.parent)]
    done = subprocess.run(
        [*program, "--passphrase-file", str(secret), "--to", str(tmp_path / "recovered")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert seen(below(tmp_path / "recovered", source)) == seen(source)


def test_the_lists_of_extents_are_kept_by_a_prune_and_by_an_unchanged_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    make_holes(source / "creux.img", 600)
    drive = enroll(tmp_path / "drive")
    first = back_up(drive, source)
    assert back_up(drive, source).files_unmodified == 1
    assert first.snapshot is not None

    pruned(drive, first.snapshot)

    assert verified(drive).problems == ()
    assert restored(drive, tmp_path / "back").problems == ()
    assert seen(below(tmp_path / "back", source)) == seen(source)


def test_a_file_of_very_many_pieces_has_few_and_longer_lists(tmp_path: Path) -> None:
    ids = noise("ids", 600_000 * 16)
    listed: list[str] = []
    drive = enroll(tmp_path / "drive")
    with writable(drive) as repository:
        packer = PackPipeline(repository, drive.dice, read_back=True, cancel=CancelToken())
        reader = LargeFileReader("a", repository.keys, repository.index, CancelToken(), drive.world().elapsed_s)

        def keep(lane: Lane) -> None:
            listed.extend(reader._listed(ids, lane))

        packer.run(keep)
        packer.finish()
    assert len(listed) == 147
    with loaded(drive) as seen_only:
        blobs = BlobReader(seen_only)
        assert b"".join(blobs.read(Kind.LIST, tree.blob_id(text)) for text in listed) == ids


# -- a record: at most 64 MiB --------------------------------------------------------------------------------------


def with_sockets(count: int) -> Callable[[list[Found]], list[Found]]:
    """So many sockets beside what is there: each is a problem of its own, and of a long path."""

    def names(found: list[Found]) -> list[Found]:
        socket = os.stat_result((st.S_IFSOCK | 0o600, 1, 1, 1, 0, 0, 0, 1, 1, 1))
        return [*found, *(Found(f"{'z' * 200}{number:06}", socket) for number in range(count))]

    return names


def test_a_backup_with_400000_problems_can_be_read_and_says_how_many_there_were(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "bilan.txt").write_text("Bilan")
    drive = enroll(tmp_path / "drive")

    report = back_up(drive, DescribedSource(source, with_sockets(400_000)))

    assert len(report.problems) == 400_000
    taken = newest(drive)
    assert (len(taken.problems), taken.problem_count, taken.problems_in_all) == (1000, 400_000, 400_000)
    assert [visited.entry.name for visited in files_of(drive)] == ["bilan.txt"]


def test_of_too_many_problems_those_are_kept_that_count(tmp_path: Path) -> None:
    source, empty = tmp_path / "source", tmp_path / "empty"
    source.mkdir()
    empty.mkdir()
    (source / "bilan.txt").write_text("Bilan")
    drive = enroll(tmp_path / "drive")

    back_up(drive, DescribedSource(source, with_sockets(2000)), empty)

    taken = newest(drive)
    assert (taken.problems[0].kind, taken.problems[0].path) == ("source-empty", str(empty))
    assert (len(taken.problems), taken.problem_count) == (1000, 2001)


def test_a_thousand_problems_are_all_kept_and_need_no_count(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "bilan.txt").write_text("Bilan")
    drive = enroll(tmp_path / "drive")

    back_up(drive, DescribedSource(source, with_sockets(1000)))

    taken = newest(drive)
    assert (len(taken.problems), taken.problem_count, taken.problems_in_all) == (1000, 0, 1000)


def test_a_problem_of_a_path_without_end_is_kept_with_the_beginning_of_it(tmp_path: Path) -> None:
    """Each byte that is not UTF-8 takes four characters: the name of 1,500 of them is longer than what is kept."""
    source = tmp_path / "source"
    source.mkdir()
    drive = enroll(tmp_path / "drive")
    socket = os.stat_result((st.S_IFSOCK | 0o600, 1, 1, 1, 0, 0, 0, 1, 1, 1))

    back_up(drive, DescribedSource(source, lambda found: [*found, Found("\udce9" * 1500, socket)]), accept_shrink=True)

    (problem,) = newest(drive).problems
    assert len(problem.path) == 4096
    assert problem.path.startswith(f"{source}/\\xe9\\xe9\\xe9")
    assert problem.path.endswith("…")


class ManyNames:
    """A computer with more people than a snapshot can name."""

    def users(self, uids: object) -> dict[str, str]:
        return {str(number): f"{number}{'x' * 200}" for number in range(350_000)}

    groups = users

    def uid_of(self, name: str) -> int | None:
        return None

    gid_of = uid_of


def test_a_computer_of_350000_owners_gets_a_snapshot_that_can_be_read(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "bilan.txt").write_text("Bilan")
    drive = enroll(tmp_path / "drive")
    world = drive.world()
    request = request_for(drive, source)
    with writable(drive) as repository:
        engine_back_up(
            repository,
            request,
            Environment(world.entropy, world.elapsed_s, ManyNames()),
            cancel=CancelToken(),
            monitor=SilentMonitor(),
        )
    taken = newest(drive)
    assert taken.users["0"] == f"0{'x' * 200}"
    assert 10_000 < len(taken.users) < 30_000
    assert len(taken.groups) == len(taken.users)


def test_more_sources_than_a_snapshot_can_list_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    drive = enroll(tmp_path / "drive")
    sources = [FolderSource(f"/{number}/{'x' * 200}") for number in range(6000)]
    with pytest.raises(ConfigError, match="more sources than a backup can list"):
        back_up(drive, *sources)
