"""What the commands tell of a damaged drive that parity heals: a note, never a failure, but for ``verify``.

Owns: words, JSON documents and exit codes. What heals is proven in tests/engine/test_healing.py, every file
of a drive in test_any_one_place.py.
"""

from pathlib import Path

import pytest
from support.cli.computer import Computer
from support.engine.with_parity import flip

from kinebackup.engine.format.layout import HEADER_COPIES


@pytest.fixture
def damaged(practice: Computer) -> Path:
    """The snapshot file of a drive A, with a flipped bit; every file of the drive has parity."""
    practice.enroll("A")
    assert practice.run("backup", "--drive", "A").code == 0
    root = Path(practice.drive("A")) / "KINEBACKUP"
    [snapshot] = (root / "snapshots").iterdir()
    flip(snapshot)
    return snapshot


def told(path: Path, *, rewritten: bool) -> list[dict[str, object]]:
    return [{"path": f"snapshots/{path.name}", "blocks": 1, "rewritten": rewritten}]


@pytest.mark.parametrize(
    "command",
    [
        ("restore", "latest", "--to"),
        ("ls", "latest"),
        ("find", "*"),
        ("diff", "latest", "latest"),
        ("snapshots",),
        ("restore-test", "--no-daemon"),
        ("prune", "--dry-run"),
        ("backup", "--dry-run"),
    ],
    ids=lambda command: command[0],
)
def test_a_command_that_reads_goes_well_and_says_what_was_healed(
    command: tuple[str, ...], practice: Computer, damaged: Path, tmp_path: Path
) -> None:
    where = [str(tmp_path / "restored")] if command[-1] == "--to" else []
    done = practice.run(*command, *where, "--json")
    assert (done.code, done.json["problems"], done.json["healed"]) == (0, [], told(damaged, rewritten=False))
    words = practice.run(*command, *(f"{each}-again" for each in where))
    assert words.code == 0
    assert "1 damaged file of the drive was read whole all the same; the next backup mends it" in words.err


def test_verify_calls_it_damage_that_can_be_healed_and_a_backup_mends_it(practice: Computer, damaged: Path) -> None:
    found = practice.run("verify", "--full", "--json")
    assert (found.code, found.json["result"]) == (14, "failed")
    assert [(each["path"], each["healable"]) for each in found.json["problems"]] == [
        (f"snapshots/{damaged.name}", True)
    ]
    words = practice.run("verify", "--full")
    assert words.code == 14
    assert "Damaged, and nothing is lost: the next backup mends it (1 place)." in words.out
    assert "this drive can still lose any one of the 3 files that were read, and mend itself" in words.out
    mended = practice.run("backup", "--no-daemon", "--json")
    assert (mended.code, mended.json["problems"], mended.json["healed"]) == (0, [], told(damaged, rewritten=True))
    assert practice.run("verify", "--full").code == 0


def test_to_remove_a_backup_and_to_take_a_drive_back_mend_what_they_meet_and_say_so(
    practice: Computer, damaged: Path
) -> None:
    [index] = (damaged.parent.parent / "index").iterdir()
    flip(index)
    practice.run("drive", "forget", "A", "--yes")
    where = ("--folder", practice.drive("A"), "--label", "A", "--place", "cabinet")
    taken = practice.run("drive", "enroll", *where, "--json")
    assert (taken.code, taken.json["adopted"]) == (0, True)
    paths = {f"index/{index.name}", f"snapshots/{damaged.name}"}
    assert {(each["path"], each["rewritten"]) for each in taken.json["healed"]} == {(path, True) for path in paths}
    flip(index)
    removed = practice.run("snapshots", "forget", damaged.name, "--yes", "--json")
    assert (removed.code, removed.json["forgotten"]) == (0, [damaged.name])
    assert [(each["path"], each["rewritten"]) for each in removed.json["healed"]] == [(f"index/{index.name}", True)]
    [drive] = practice.run("status", "--json").json["drives"]
    assert (drive["health"], drive["faults"]) == ("watch", 3)


def test_to_change_the_keys_reads_no_backup_and_mends_the_header_of_the_drive(
    practice: Computer, damaged: Path
) -> None:
    root = damaged.parent.parent
    flip(root / "header")
    done = practice.run("key", "add", "--recovery-code", "--json")
    assert (done.code, done.json["drives_updated"], done.json["problems"]) == (0, ["A"], [])
    assert len({(root / name).read_bytes() for name in HEADER_COPIES}) == 1
