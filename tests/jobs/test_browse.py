"""Paths that a person types, as they remember them: in whatever case, with accents written either way.

Owns: which entries of a snapshot a path means. Does not know: patterns (tests/cli/commands/test_browse.py).
"""

import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.jobs.small_practice import Office, open_office

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
