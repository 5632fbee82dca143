"""Paths that a person types, as they remember them: in whatever case, with accents written either way; large folders.

Owns: which entries of a snapshot a path means, and in which order they are found and compared. Does not know: patterns
(tests/cli/commands/test_browse.py).
"""

import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, enroll, loaded
from support.engine.forged_snapshot import forge
from support.jobs.small_practice import Office, open_office

from kinebackup.engine.format import tree
from kinebackup.engine.format.tree import Entry
from kinebackup.errors import NotFound
from kinebackup.jobs.browse import Browser
from kinebackup.model import CancelToken
from kinebackup.practice.access import open_to_read

NFD = unicodedata.normalize("NFD", "Bénédicte")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as made:
        made.enroll("A")
        for name in ("Bénédicte", "DUPONT", "Éric", f"{NFD} bis", "straße"):
            (made.patients / name).mkdir()
            (made.patients / name / "Bilan.TXT").write_text(name, encoding="utf-8")
        made.back_up("A")
        yield made


def meant(office: Office, path: str) -> list[str]:
    with open_to_read(office.drive("A"), office.computer, None) as opened:
        snapshot = opened.repository.find_snapshot("latest").snapshot
        ways = Browser(opened.repository, CancelToken()).resolve(snapshot, path)
    return [f"/{way[-1].path}".removeprefix(f"{office.patients}/") for way in ways]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("Bénédicte", ["Bénédicte"]),
        (NFD, ["Bénédicte"]),
        ("bénédicte", ["Bénédicte"]),
        ("BÉNÉDICTE/bilan.txt", ["Bénédicte/Bilan.TXT"]),
        ("Bénédicte bis", [f"{NFD} bis"]),
        ("éric/bilan.txt", ["Éric/Bilan.TXT"]),
        ("STRASSE", ["straße"]),
        ("Dupont", ["Dupont"]),
        ("DUPONT", ["DUPONT"]),
        ("dupont", ["DUPONT", "Dupont"]),
        ("dupont/bilan.txt", ["DUPONT/Bilan.TXT", "Dupont/bilan.txt"]),
        ("Dupont/BILAN.txt", ["DUPONT/Bilan.TXT", "Dupont/bilan.txt"]),
        ("patients/bénédicte", ["Bénédicte"]),
    ],
)
def test_a_path_means_what_reads_as_it_and_itself_before_all_others(
    office: Office, typed: str, found: list[str]
) -> None:
    assert sorted(meant(office, typed)) == found
    if not typed.startswith("patients"):
        assert sorted(meant(office, f"{office.patients}/{typed}")) == found


def test_a_path_that_nothing_reads_as_is_not_found(office: Office) -> None:
    with pytest.raises(NotFound, match="the backup has no"):
        meant(office, "Bénédict")


# -- folders of several tree blobs -----------------------------------------------------------------------------------


def files(*nights: Callable[[int], int | None]) -> list[list[Entry]]:
    """For each night the same 4,000 names, each with what the night says is its size; None where it is not there."""
    return [
        [
            Entry(name=f"{number:05}", type="file", mode=0, mtime=0, ctime=0, size=size)
            for number in range(4000)
            if (size := night(number)) is not None
        ]
        for night in nights
    ]


@pytest.fixture
def large(tmp_path: Path) -> Drive:
    """Three backups of one folder of several blobs, of which some are in all of them."""
    drive = enroll(tmp_path / "drive")
    for night in files(
        lambda number: 1 if number % 2 else None,
        lambda number: 1 if number % 2 or number > 3000 else None,
        lambda number: 2 if number in (1, 3999) else 1 if number % 2 and number != 1501 else None,
    ):
        assert len(tree.encode(night)) > 1
        forge(drive, Path("/Patients"), night, [])
    return drive


def test_each_name_of_a_large_folder_is_found_once_and_in_order(large: Drive) -> None:
    with loaded(large) as repository:
        known = repository.snapshots().readable
        found = list(Browser(repository, CancelToken()).search(known, "/Patients/*"))
    assert [match.path for match in found] == [
        f"/Patients/{number:05}" for number in range(4000) if number % 2 or number > 3000
    ]
    versions = {match.path[-5:]: [(v.size, len(v.snapshots)) for v in match.versions] for match in found}
    assert [versions[name] for name in ("00001", "00003", "01501", "03002", "03999")] == [
        [(1, 2), (2, 1)],
        [(1, 3)],
        [(1, 2)],
        [(1, 1)],
        [(1, 2), (2, 1)],
    ]


def test_large_folders_are_compared_in_the_order_of_names(large: Drive) -> None:
    with loaded(large) as repository:
        _first, second, third = repository.snapshots().readable
        changes = list(Browser(repository, CancelToken()).compare(second.snapshot, third.snapshot))
    added = [f"/Patients/{number:05}" for number in range(3002, 4000, 2)]
    assert [(change.kind, change.path) for change in changes] == [
        ("changed", "/Patients/00001"),
        ("removed", "/Patients/01501"),
        *(("removed", path) for path in added),
        ("changed", "/Patients/03999"),
    ]


def test_a_folder_comes_before_what_is_in_it_and_after_what_is_before_it(tmp_path: Path) -> None:
    drive = enroll(tmp_path / "drive")
    patients = tmp_path / "Patients"
    for name in ("b/x", "c/x"):
        (patients / name).mkdir(parents=True)
    back_up(drive, patients)
    for name in ("a", "b/x/new", "b/y", "c/x/new", "d"):
        (patients / name).write_text("new")
    back_up(drive, patients)
    with loaded(drive) as repository:
        first, second = (named.snapshot for named in repository.snapshots().readable)
        browser = Browser(repository, CancelToken())
        compared = [change.path.removeprefix(f"{patients}/") for change in browser.compare(first, second)]
        known = repository.snapshots().readable
        found = [match.path.removeprefix(f"{patients}/") for match in browser.search(known, f"{patients}/*")]
    assert compared == ["a", "b/x/new", "b/y", "c/x/new", "d"]
    assert found == ["a", "b", "b/x", "b/x/new", "b/y", "c", "c/x", "c/x/new", "d"]


def test_a_folder_that_somebody_forged_is_searched_and_compared_without_an_end(tmp_path: Path) -> None:
    """Its blob is out of order, and has a name twice."""
    drive = enroll(tmp_path / "drive")
    (night,) = files(lambda number: 1 if number < 3 else None)
    forge(drive, Path("/Patients"), night, [])
    forge(drive, Path("/Patients"), [night[2], night[0], night[0], night[1]], [])
    with loaded(drive) as repository:
        known = repository.snapshots().readable
        browser = Browser(repository, CancelToken())
        found = [(match.path, len(match.versions)) for match in browser.search(known, "/Patients/*")]
        assert found == [("/Patients/00000", 1), ("/Patients/00001", 1), ("/Patients/00002", 1)]
        assert list(browser.compare(known[0].snapshot, known[1].snapshot)) == []
