"""``kinebackup repair``: what it says, its JSON document, its exit codes.

Owns: the command. What is brought back from where is proven in tests/engine/repair and tests/jobs/test_repair.py.
"""

import shutil
from pathlib import Path

import pytest
from support.cli.computer import Computer
from support.engine.drives import noise
from support.engine.with_parity import KIB, zero

from kinebackup.engine.format.layout import HEADER_COPIES


@pytest.fixture
def rotated(practice: Computer) -> Computer:
    """A practice whose drives A and B have been saved to."""
    for label in ("A", "B"):
        practice.enroll(label)
    (practice.patients / "clos.bin").write_bytes(noise("clos", 300_000))
    for label in ("A", "B"):
        assert practice.run("backup", "--drive", label).code == 0
    return practice


def root(practice: Computer, label: str = "A") -> Path:
    return practice.drive(label) / "KINEBACKUP"


def damage_beyond_parity(practice: Computer, label: str = "A") -> None:
    """The middle of the pack of contents, and all parity files. Lists stay sound: where another program has meanwhile
    changed a folder on the way to the patients', as /tmp, the other drive has another list of it.
    """
    packs = [path for path in (root(practice, label) / "packs").rglob("*") if path.is_file()]
    zero(4 * KIB)(max(packs, key=lambda path: path.stat().st_size))
    for path in (root(practice, label) / "parity").rglob("*.xor"):
        path.unlink()


def test_a_sound_drive_needs_nothing(rotated: Computer) -> None:
    done = rotated.run("repair", "--drive", "A")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("The drive A is sound: there was nothing to mend.\n  1 backup can be read; ")
    document = rotated.run("repair", "--drive", "A", "--json").json
    assert list(document) == [
        "drive",
        "from_drive",
        "snapshots",
        "complete",
        "repaired",
        "lost",
        "lost_count",
        "bytes_read",
        "bytes_written",
        "duration_s",
        "problems",
        "healed",
    ]
    assert (document["drive"], document["from_drive"], document["repaired"], document["lost"]) == ("A", None, [], [])


def test_what_the_drive_heals_by_itself_is_written_anew(rotated: Computer) -> None:
    [snapshot] = (root(rotated) / "snapshots").iterdir()
    whole = snapshot.read_bytes()
    zero(4 * KIB)(snapshot)
    done = rotated.run("repair", "--drive", "A", "--json")
    assert done.code == 0
    path = f"snapshots/{snapshot.name}"
    assert done.json["repaired"] == [{"kind": "snapshot", "path": path, "source": "parity", "parts": 0}]
    assert [(each["path"], each["rewritten"]) for each in done.json["healed"]] == [(path, True)]
    assert snapshot.read_bytes() == whole
    assert rotated.run("verify", "--drive", "A", "--full").code == 0


def test_without_another_drive_what_is_lost_is_named_and_how_it_comes_back(rotated: Computer) -> None:
    damage_beyond_parity(rotated)
    done = rotated.run("repair", "--drive", "A")
    assert done.code == 14
    assert done.out.startswith("LOST on the drive A: ")
    assert "What still exists on this computer is saved again by: kinebackup backup\n" in done.out
    assert "kinebackup repair --drive A --from-drive LABEL" in done.out
    assert "is nowhere any more; the next backup " in done.err
    found = rotated.run("repair", "--drive", "A", "--json")
    assert found.code == 14
    lost = found.json["lost"]
    assert found.json["lost_count"] == len(lost) > 0
    assert all(set(each) == {"kind", "path", "message", "snapshots"} for each in lost)
    assert all(each["kind"] in ("file", "folder") and each["snapshots"] for each in lost)
    assert rotated.run("backup", "--drive", "A").code == 0
    assert rotated.run("repair", "--drive", "A").code == 0
    assert rotated.run("verify", "--drive", "A", "--full").code == 0


def test_what_is_lost_comes_from_the_other_drive(rotated: Computer, tmp_path: Path) -> None:
    damage_beyond_parity(rotated)
    done = rotated.run("repair", "--from-drive", "B")
    assert done.code == 0, done.err
    assert done.out.startswith("The drive A is sound again: nothing is lost.\n")
    assert "of them with what the drive B has" in done.out
    assert rotated.run("verify", "--drive", "A", "--full").code == 0
    assert rotated.run("restore", "latest", "--drive", "A", "--to", tmp_path / "out").code == 0
    assert rotated.run("drive", "show", "A", "--json").json["jobs"][1]["kind"] == "repair"


def test_the_other_drive_may_be_named_by_its_path(rotated: Computer) -> None:
    damage_beyond_parity(rotated)
    done = rotated.run("repair", "--drive", rotated.drive("A"), "--from-drive", rotated.drive("B"), "--json")
    assert (done.code, done.json["lost"]) == (0, [])
    assert {each["source"] for each in done.json["repaired"] if each["kind"] == "pack"} <= {"other-drive", "drive"}


def test_mistakes_are_refused_and_nothing_is_changed(rotated: Computer) -> None:
    damage_beyond_parity(rotated)
    assert rotated.run("repair").code == 2  # which one?
    twice = rotated.run("repair", "--drive", "A", "--from-drive", rotated.drive("A"))
    assert (twice.code, "cannot be repaired from itself" in twice.err) == (2, True)
    assert rotated.run("repair", "--drive", "A", "--from-drive", "Z").code == 10
    assert rotated.run("repair", "--drive", "Z", "--from-drive", "B").code == 10
    assert rotated.run("drive", "repair", "A").code == 2


def test_a_drive_of_another_practice_is_refused(rotated: Computer, another_computer: Computer) -> None:
    phrase, code = another_computer.passphrase_file, another_computer.code_file
    assert another_computer.run("init", "--passphrase-file", phrase, "--recovery-code-file", code).code == 0
    another_computer.enroll("X")
    assert another_computer.run("backup").code == 0
    done = rotated.run("repair", "--drive", "A", "--from-drive", another_computer.drive("X"))
    assert (done.code, "another practice" in done.err) == (12, True)


def test_a_drive_without_a_header_says_how_to_repair_it_and_is_repaired(rotated: Computer) -> None:
    for name in HEADER_COPIES:
        (root(rotated) / name).write_bytes(b"")
    refused = rotated.run("snapshots", "--drive", rotated.drive("A"), "--passphrase-file", rotated.passphrase_file)
    assert refused.code == 14
    assert "kinebackup repair --drive LABEL" in refused.err
    done = rotated.run("--json", "repair", "--drive", "A")
    assert (done.code, done.json["snapshots"]) == (0, 1)
    assert sorted(each["path"] for each in done.json["repaired"]) == sorted(HEADER_COPIES)
    opened = rotated.run("snapshots", "--drive", rotated.drive("A"), "--passphrase-file", rotated.passphrase_file)
    assert opened.code == 0


def test_a_lost_backup_stays_lost_and_is_named(rotated: Computer) -> None:
    [snapshot] = (root(rotated) / "snapshots").iterdir()
    snapshot.unlink()
    shutil.rmtree(root(rotated) / "parity")
    done = rotated.run("repair", "--drive", "A", "--from-drive", "B", "--json")
    assert done.code == 14
    assert [(each["kind"], each["path"]) for each in done.json["lost"]] == [("snapshot", f"snapshots/{snapshot.name}")]
