"""Where the path of a source leads, and which links root follows.

Owns: real links and owners. Does not know: what is saved there.
"""

import os
from pathlib import Path

import pytest

from kinebackup.engine import LinkRefused
from kinebackup.sources.folder import FolderSource
from kinebackup.sources.links import real_path

AS_ROOT = os.geteuid() == 0
MARIE = 1000
needs_root = pytest.mark.skipif(not AS_ROOT, reason="giving files away needs root")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("plain", "plain"),
        ("link", "data"),
        ("link/sub", "data/sub"),
        ("absolute/sub", "data/sub"),
        ("chain", "data/sub"),
        ("link/sub/..", "data"),
        ("link/up", "data"),
        ("loop", "loop"),
        ("nowhere", "gone/deep"),
        ("link/gone/deep", "data/gone/deep"),
    ],
)
def test_links_are_followed_as_the_system_does(tmp_path: Path, path: str, expected: str) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("data")
    (tmp_path / "absolute").symlink_to(tmp_path / "data")
    (tmp_path / "chain").symlink_to("link/sub")
    (tmp_path / "data" / "up").symlink_to("..//./data")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("gone/deep")
    for as_root in (False, True):
        assert real_path(f"{tmp_path}/{path}", as_root=as_root and AS_ROOT) == str(tmp_path / expected)


def given(path: Path, owner: int) -> Path:
    os.chown(path, owner, owner, follow_symlinks=False)
    return path


@pytest.mark.root
@needs_root
@pytest.mark.parametrize(
    ("link_of", "target_of", "followed"),
    [(0, MARIE, True), (0, 0, True), (MARIE, MARIE, True), (MARIE, 0, False), (MARIE, 1001, False)],
)
@pytest.mark.parametrize("place", ["last", "on the way", "through another"])
def test_root_follows_its_own_links_and_those_to_what_belongs_to_their_owner(
    tmp_path: Path, link_of: int, target_of: int, followed: bool, place: str
) -> None:
    target = tmp_path / "data"
    (target / "sub").mkdir(parents=True)
    (target / "sub" / "letter.txt").write_text("letter", encoding="utf-8")
    for folder in (target, target / "sub"):
        given(folder, target_of)
    link = tmp_path / "link"
    link.symlink_to(target)
    given(link, link_of)
    path = {"last": link, "on the way": link / "sub", "through another": tmp_path / "first"}[place]
    if place == "through another":
        path.symlink_to(link)
    source = FolderSource(str(path))
    assert source.configured == str(path)
    if followed:
        source.open_root().close()
        assert source.path == str(path).replace(str(path if place != "on the way" else link), str(target))
        return
    with pytest.raises(LinkRefused) as refused:
        source.open_root()
    assert (refused.value.link, refused.value.target) == (str(link), str(target))
    assert source.path == str(path)


def test_a_folder_on_the_way_that_becomes_a_link_is_not_followed_any_more(tmp_path: Path) -> None:
    (tmp_path / "way" / "docs").mkdir(parents=True)
    (tmp_path / "other" / "docs").mkdir(parents=True)
    source = FolderSource(str(tmp_path / "way" / "docs"))
    source.open_root().close()
    (tmp_path / "way").rename(tmp_path / "away")
    (tmp_path / "way").symlink_to("other")
    with pytest.raises(OSError, match="Not a directory"):
        source.open_root()
