"""Patient folders as they are read: exclusions, the mount boundary, links, odd names.

Owns: one real folder at a time. Does not know: backups.
"""

import os
import stat as st
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from kinebackup.engine import Border
from kinebackup.sources.folder import Exclusions, FolderDirectory, FolderSource, SystemNames

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    for path in ("Dupont/bilan.odt", "Dupont/.~lock.bilan.odt#", "cache/thumbs.db", "Dupont/cache/x", "été/notes.TMP"):
        (tmp_path / "docs" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "docs" / path).write_text(path, encoding="utf-8")
    return tmp_path / "docs"


@contextmanager
def root_of(source: FolderSource) -> Iterator[FolderDirectory]:
    with closing(source.open_root()) as directory:
        yield directory


def walked(source: FolderSource) -> list[str]:
    """Paths of everything that is not excluded."""

    def below(directory: FolderDirectory, prefix: str) -> Iterator[str]:
        for found in directory.look_at(directory.listing().names).found:
            yield prefix + found.name
            if st.S_ISDIR(found.stat.st_mode) and directory.border(found) in (Border.NONE, Border.SUBVOLUME):
                with closing(directory.open_directory(found.name)) as child:
                    yield from below(child, f"{prefix}{found.name}/")

    with root_of(source) as directory:
        return list(below(directory, ""))


# -- exclusions ----------------------------------------------------------------------------------------------------

EVERYTHING = [
    "Dupont",
    "Dupont/.~lock.bilan.odt#",
    "Dupont/bilan.odt",
    "Dupont/cache",
    "Dupont/cache/x",
    "cache",
    "cache/thumbs.db",
    "été",
    "été/notes.TMP",
]


@pytest.mark.parametrize(
    ("patterns", "left_out"),
    [
        ([], []),
        (["nothing-like-it"], []),
        (["cache"], ["Dupont/cache", "Dupont/cache/x", "cache", "cache/thumbs.db"]),
        (["/cache"], ["cache", "cache/thumbs.db"]),
        (["/cache/"], ["cache", "cache/thumbs.db"]),
        (["Dupont/cache"], ["Dupont/cache", "Dupont/cache/x"]),
        (["*.odt"], ["Dupont/bilan.odt"]),
        ([".~lock.*#"], ["Dupont/.~lock.bilan.odt#"]),
        (["*.tmp"], []),  # names are compared as they are: case counts
        (["*.TMP"], ["été/notes.TMP"]),
        (["ét?"], ["été", "été/notes.TMP"]),
        (["*"], EVERYTHING),
        (["Dupont/*"], EVERYTHING[1:5]),
        (["thumbs.db", "*.odt"], ["Dupont/bilan.odt", "cache/thumbs.db"]),
        (["[", "("], []),
        (["bilan"], []),
    ],
)
def test_exclusions_leave_out_what_they_name(docs: Path, patterns: Sequence[str], left_out: list[str]) -> None:
    assert walked(FolderSource(str(docs), exclude=patterns)) == [path for path in EVERYTHING if path not in left_out]


def every_sign_but_the_two() -> list[str]:
    return [chr(code) for code in range(1, 128) if chr(code) not in "/*?"]


@pytest.mark.parametrize("sign", every_sign_but_the_two())
def test_every_sign_of_a_pattern_but_two_stands_for_itself(sign: str) -> None:
    for pattern in (f"a{sign}b", f"{sign}a", f"a{sign}", f"[{sign}]", f"[!{sign}]"):
        exclusions = Exclusions([pattern])
        assert exclusions.match(pattern, pattern)
        assert not exclusions.match("x", "x")
        assert not exclusions.match(pattern.replace(sign, "x"), "x") or sign == "x"
    assert Exclusions([f"d/{sign}"]).match(sign, f"d/{sign}")


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("é*", "e\u0301te\u0301"), ("e\u0301*", "été"), ("M?dèles", "Mode\u0300les"), ("ét?", "e\u0301t\u00e9")],
)
def test_both_ways_of_writing_an_accent_are_one(pattern: str, name: str) -> None:
    assert Exclusions([pattern]).match(name, name)
    assert Exclusions([f"{pattern}/x"]).match("x", f"{name}/x")


def test_a_name_with_newlines_or_other_bytes_can_be_excluded() -> None:
    exclusions = Exclusions(["a*z"])
    assert exclusions.match("a\nz", "")
    assert exclusions.match("a\udce9z", "")
    assert not exclusions.match("a\nz\n", "")


def test_no_pattern_excludes_nothing() -> None:
    assert not Exclusions([])
    assert not Exclusions([]).match("", "")


# -- listing -------------------------------------------------------------------------------------------------------


def test_names_come_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    names = [b"B", b"a", b"a-b", b"a.b", b"ab", b"\xc3\xa9", b"\xef\xbf\xbf", b"\xf0\x9f\x92\x89", b"\xff"]
    for name in reversed(names):
        os.mkdir(os.fsencode(tmp_path) + b"/" + name)
    with root_of(FolderSource(str(tmp_path))) as directory:
        assert [os.fsencode(name) for name in directory.listing().names] == names


def test_a_link_is_listed_as_a_link(docs: Path) -> None:
    (docs / "link").symlink_to("Dupont")
    with root_of(FolderSource(str(docs))) as directory:
        (link,) = directory.look_at(["link"]).found
        assert st.S_ISLNK(link.stat.st_mode)
        assert directory.read_link("link") == "Dupont"
        with pytest.raises(OSError, match=r"."):
            directory.open_directory("link")
        with pytest.raises(OSError, match=r"."):
            directory.open_file("link")


def test_a_fifo_opens_at_once(docs: Path) -> None:
    os.mkfifo(docs / "fifo")
    with root_of(FolderSource(str(docs))) as directory:
        os.close(directory.open_file("fifo"))


@pytest.mark.parametrize("name", ["gone", "Dupont/bilan.odt"])
def test_what_is_not_there_raises_as_the_system_does(docs: Path, name: str) -> None:
    with root_of(FolderSource(str(docs))) as directory:
        with pytest.raises(OSError, match=r"."):
            directory.open_directory(name)
        with pytest.raises(FileNotFoundError):
            directory.read_link("gone")


def test_a_missing_folder_raises(tmp_path: Path) -> None:
    source = FolderSource(str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError):
        source.open_root()
    with pytest.raises(FileNotFoundError):
        source.ancestors()


def test_reading_leaves_the_access_time_alone(docs: Path) -> None:
    path = docs / "Dupont" / "bilan.odt"
    os.utime(path, ns=(1, path.stat().st_mtime_ns))
    with root_of(FolderSource(str(docs))) as directory, closing(directory.open_directory("Dupont")) as child:
        fd = child.open_file("bilan.odt")
        os.read(fd, 100)
        os.close(fd)
    assert path.stat().st_atime_ns == 1


def test_the_way_to_the_folder_is_told_from_the_top(docs: Path) -> None:
    source = FolderSource(str(docs))
    assert "/" + "/".join(found.name for found in source.ancestors()) == str(docs)
    assert source.ancestors()[-1].stat.st_ino == docs.stat().st_ino


def test_links_on_the_way_are_resolved_once(docs: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(docs)
    source = FolderSource(str(tmp_path / "link" / "Dupont" / ".."))
    assert source.path == str(docs)
    (tmp_path / "link").unlink()
    assert walked(source) == EVERYTHING


def test_a_duplicate_stays_open_on_its_own(docs: Path) -> None:
    with root_of(FolderSource(str(docs))) as directory:
        copy = directory.duplicate()
    with closing(copy):
        assert copy.listing().names == ["Dupont", "cache", "été"]


# -- attributes ----------------------------------------------------------------------------------------------------


def attributes_of(directory: FolderDirectory, name: str | None = None, fd: int | None = None) -> dict[str, bytes]:
    return {attribute: directory.xattr(name, fd, attribute) for attribute in directory.xattr_names(name, fd)}


def test_attributes_of_a_name_a_file_and_the_folder_itself(docs: Path) -> None:
    try:
        os.setxattr(docs, "user.folder", b"1")
        os.setxattr(docs / "Dupont", "user.child", b"2")
    except OSError:
        pytest.skip("this file system keeps no user attributes")
    with root_of(FolderSource(str(docs))) as directory:
        assert attributes_of(directory) == {"user.folder": b"1"}
        assert attributes_of(directory, "Dupont") == {"user.child": b"2"}
        with pytest.raises(FileNotFoundError):
            directory.xattr_names("gone", None)


def test_attributes_of_a_link_are_not_those_of_its_target(docs: Path) -> None:
    try:
        os.setxattr(docs / "Dupont", "user.child", b"2")
    except OSError:
        pytest.skip("this file system keeps no user attributes")
    (docs / "link").symlink_to("Dupont")
    with root_of(FolderSource(str(docs))) as directory:
        assert attributes_of(directory, "link") == {}


def test_owners_without_a_name_are_left_out() -> None:
    names = SystemNames()
    assert names.users([0, 4_000_000_123]) == {"0": "root"}
    assert names.groups([0, 4_000_000_123]) == {"0": "root"}
    assert names.users([]) == {}


def test_the_attributes_of_descriptor_0_are_its_own(docs: Path) -> None:
    """A service may begin without standard input; the first file that it opens is then number 0."""
    note = docs / "Dupont" / "bilan.odt"
    try:
        os.setxattr(note, "user.file", b"1")
    except OSError:
        pytest.skip("this file system has no user attributes")
    kept = os.dup(0)
    try:
        with root_of(FolderSource(str(docs))) as directory:
            os.close(0)
            assert os.open(note, os.O_RDONLY) == 0
            assert attributes_of(directory, fd=0) == {"user.file": b"1"}
    finally:
        os.dup2(kept, 0)
        os.close(kept)


# -- mounts --------------------------------------------------------------------------------------------------------


@pytest.fixture
def mounted(docs: Path) -> Iterator[Path]:
    """A small file system mounted inside the folder."""
    (docs / "mnt").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(docs / "mnt")], check=True)
    try:
        (docs / "mnt" / "elsewhere.txt").write_text("on another file system", encoding="utf-8")
        yield docs
    finally:
        subprocess.run(["umount", str(docs / "mnt")], check=True)


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="mounting needs root")
def test_another_file_system_is_entered_only_when_asked(mounted: Path) -> None:
    assert "mnt/elsewhere.txt" not in walked(FolderSource(str(mounted)))
    assert "mnt" in walked(FolderSource(str(mounted)))
    assert "mnt/elsewhere.txt" in walked(FolderSource(str(mounted), one_file_system=False))


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="mounting needs root")
def test_a_source_that_is_itself_a_mount_is_walked(mounted: Path) -> None:
    assert walked(FolderSource(str(mounted / "mnt"))) == ["elsewhere.txt"]
