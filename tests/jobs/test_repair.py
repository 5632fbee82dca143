"""A repair of a drive by the computer that knows it: its header, its texts, and what another drive of the practice has.

Owns: what must be proven before anything is written, which drives may give, what is remembered. Does not know: how
parts are brought back (tests/engine/repair), or the command's words.
"""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.jobs.small_practice import PASSPHRASE, Office, open_office
from support.ways import ways_to

from kinebackup.engine.format.layout import HEADER_COPIES
from kinebackup.errors import CheckFailed, ConfigError, Damaged, NotFound, WrongKey
from kinebackup.jobs.repair import RepairJobRequest, find_drives, run_repair
from kinebackup.jobs.status import drive_history
from kinebackup.model import CancelToken, RepairReport, SilentMonitor
from kinebackup.policy.schedule import History
from kinebackup.practice.access import open_to_read


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as made:
        made.keeps_parity = True
        made.enroll("A")
        made.back_up("A")
        yield made


@pytest.fixture
def rotated(tmp_path: Path) -> Iterator[Office]:
    """Two drives with the same lists, because no folder on the way was changed while they were saved to."""
    for attempt in itertools.count():
        with open_office(tmp_path / f"attempt-{attempt}") as made:
            made.keeps_parity = True
            made.enroll("A")
            made.enroll("B", "domicile")
            before = ways_to(made.patients)
            made.back_up("A")
            made.back_up("B")
            if ways_to(made.patients) == before:
                yield made
                return


def root(office: Office, label: str = "A") -> Path:
    return office.place / "drives" / label / "KINEBACKUP"


def repaired(office: Office, label: str | None = "A", from_label: str | None = None) -> RepairReport:
    drive, other = find_drives(label, from_label, office.computer, office.world)
    request = RepairJobRequest([str(office.patients)], other)
    return run_repair(drive, office.computer, request, office.world, cancel=CancelToken(), monitor=SilentMonitor())


def headers(report: RepairReport) -> list[str]:
    assert {each.source for each in report.repaired if each.kind == "header"} <= {"computer", "drive"}
    return [each.path for each in report.repaired if each.kind == "header"]


def history(office: Office) -> History:
    record = office.drive("A").record
    assert record is not None
    return drive_history(record, office.computer.state)


def lose_all_packs(office: Office) -> None:
    for folder in ("packs", "index", "parity"):
        shutil.rmtree(root(office) / folder)


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
    assert (sorted(headers(found)), found.snapshots, found.is_sound) == (sorted(HEADER_COPIES), 1, True)
    assert snapshots_by_passphrase(office) == 1
    assert office.back_up("A").problems == ()


def test_headers_of_another_drive_are_replaced(office: Office) -> None:
    office.enroll("B", "domicile")
    for name in HEADER_COPIES:
        shutil.copy(root(office, "B") / name, root(office) / name)
    assert sorted(headers(repaired(office))) == sorted(HEADER_COPIES)
    assert snapshots_by_passphrase(office) == 1


def test_one_sound_copy_is_enough_and_is_kept(office: Office) -> None:
    sound = (root(office) / "header.1").read_bytes()
    (root(office) / "header").unlink()
    assert headers(repaired(office)) == ["header"]
    assert (root(office) / "header").read_bytes() == sound
    assert repaired(office).repaired == ()


def test_a_drive_that_is_another_one_is_refused_and_stays_as_it_is(office: Office) -> None:
    office.enroll("B", "domicile")
    office.back_up("B")
    shutil.rmtree(root(office))
    shutil.copytree(root(office, "B"), root(office))
    before = [(root(office) / name).read_bytes() for name in HEADER_COPIES]
    with pytest.raises(CheckFailed, match="nothing on this drive shows that it is A"):
        repaired(office)
    assert [(root(office) / name).read_bytes() for name in HEADER_COPIES] == before


def test_without_any_sealed_file_nothing_is_proven(office: Office) -> None:
    for name in HEADER_COPIES:
        (root(office) / name).unlink()
    for folder in ("packs", "index", "snapshots", "parity"):
        shutil.rmtree(root(office) / folder)
    with pytest.raises(CheckFailed):
        repaired(office)
    assert not (root(office) / "header").exists()


def test_a_drive_that_nobody_enrolled_here_is_not_found(office: Office) -> None:
    with pytest.raises(NotFound):
        repaired(office, "Z")


def test_texts_for_people_are_written_again(office: Office) -> None:
    (root(office) / "README.txt").write_text("?", encoding="utf-8")
    (root(office) / "recover.py").unlink()
    report = repaired(office)
    assert [(each.kind, each.path, each.source) for each in report.repaired] == [
        ("text", "README.txt", "computer"),
        ("text", "recover.py", "computer"),
    ] or {each.path for each in report.repaired} == {"README.txt", "recover.py"}
    assert report.is_sound
    assert office.verify("A").result == "ok"


def test_what_is_lost_comes_from_the_other_drive_which_is_left_as_it_is(rotated: Office) -> None:
    office = rotated
    before = {path: path.read_bytes() for path in root(office, "B").rglob("*") if path.is_file()}
    lose_all_packs(office)
    assert office.verify("A").result == "failed"
    assert history(office).to_repair
    report = repaired(office, None, "B")
    assert (report.drive, report.from_drive, report.is_sound) == ("A", "B", True)
    assert (history(office).failed_check, history(office).to_repair) == (False, False)
    assert office.verify("A").result == "ok"
    assert {path: path.read_bytes() for path in root(office, "B").rglob("*") if path.is_file()} == before


def test_a_repair_that_leaves_a_loss_is_not_planned_again_before_more_is_found(office: Office) -> None:
    lose_all_packs(office)
    office.verify("A")
    assert history(office).to_repair
    assert repaired(office).lost_count
    assert (history(office).failed_check, history(office).to_repair) == (True, False)
    office.verify("A")
    assert history(office).to_repair


def test_the_same_drive_twice_is_a_mistake_whatever_it_is_called(office: Office) -> None:
    for name in ("A", str(root(office).parent), str(root(office))):
        with pytest.raises(ConfigError, match="cannot be repaired from itself"):
            repaired(office, "A", name)


def test_a_drive_of_another_practice_gives_nothing(office: Office, tmp_path: Path) -> None:
    with open_office(tmp_path / "other", seed="other") as other:
        other.enroll("X")
        other.back_up("X")
        with pytest.raises(WrongKey, match="another practice"):
            repaired(office, "A", str(root(other, "X").parent))


def test_a_drive_of_another_practice_is_not_repaired(office: Office, tmp_path: Path) -> None:
    with open_office(tmp_path / "other", seed="other") as other:
        other.enroll("X")
        other.back_up("X")
        with pytest.raises(NotFound, match="not enrolled on this computer"):
            repaired(office, str(root(other, "X").parent))
        shutil.rmtree(root(office))
        shutil.copytree(root(other, "X"), root(office))
        with pytest.raises(CheckFailed, match="nothing on this drive shows that it is A"):
            repaired(office)
