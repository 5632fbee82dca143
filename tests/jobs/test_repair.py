"""A drive without a header, given back its own by the computer that knows it.

Owns: what must be proven before anything is written. Does not know: the command's words.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.jobs.small_practice import PASSPHRASE, Office, open_office

from kinebackup.engine.format.layout import HEADER_COPIES
from kinebackup.errors import CheckFailed, Damaged, NotFound
from kinebackup.jobs.repair import Repaired, repair
from kinebackup.practice.access import open_to_read


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as made:
        made.enroll("A")
        made.back_up("A")
        yield made


def root(office: Office, label: str = "A") -> Path:
    return office.place / "drives" / label / "KINEBACKUP"


def repaired(office: Office, label: str = "A") -> Repaired:
    return repair(label, office.computer, office.world, sources=[str(office.patients)])


def snapshots_by_passphrase(office: Office) -> int:
    with open_to_read(office.drive("A"), None, PASSPHRASE) as opened:
        return len(opened.repository.snapshots().readable)


@pytest.mark.parametrize("left", [None, b"", b"kinebackup header 1\n", b"\0" * 700])
def test_a_drive_that_lost_all_copies_of_its_header_opens_again(office: Office, left: bytes | None) -> None:
    for name in HEADER_COPIES:
        (root(office) / name).unlink()
        if left is not None:
            (root(office) / name).write_bytes(left)
    with pytest.raises(Damaged):
        snapshots_by_passphrase(office)
    found = repaired(office)
    assert (found.written, found.snapshots) == (HEADER_COPIES, 1)
    assert snapshots_by_passphrase(office) == 1
    assert office.back_up("A").problems == ()


def test_headers_of_another_drive_are_replaced(office: Office) -> None:
    office.enroll("B", "domicile")
    for name in HEADER_COPIES:
        shutil.copy(root(office, "B") / name, root(office) / name)
    assert repaired(office).written == HEADER_COPIES
    assert snapshots_by_passphrase(office) == 1


def test_one_sound_copy_is_enough_and_is_kept(office: Office) -> None:
    sound = (root(office) / "header.1").read_bytes()
    (root(office) / "header").unlink()
    assert repaired(office).written == ("header",)
    assert (root(office) / "header").read_bytes() == sound
    assert repaired(office).written == ()


def test_a_drive_that_is_another_one_is_refused_and_stays_as_it_is(office: Office) -> None:
    office.enroll("B", "domicile")
    office.back_up("B")
    shutil.rmtree(root(office))
    shutil.copytree(root(office, "B"), root(office))
    before = [(root(office) / name).read_bytes() for name in HEADER_COPIES]
    with pytest.raises(CheckFailed, match="nothing on this drive shows that it is A"):
        repaired(office)
    assert [(root(office) / name).read_bytes() for name in HEADER_COPIES] == before


def test_without_any_pack_nothing_is_proven(office: Office) -> None:
    shutil.rmtree(root(office) / "packs")
    for name in HEADER_COPIES:
        (root(office) / name).unlink()
    with pytest.raises(CheckFailed):
        repaired(office)
    assert not (root(office) / "header").exists()


def test_a_drive_that_nobody_enrolled_here_is_not_found(office: Office) -> None:
    with pytest.raises(NotFound):
        repaired(office, "Z")
