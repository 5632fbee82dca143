"""``kinebackup prune``: which backups go, by the rules of the configuration.

Owns: the command. The rules are proven in tests/policy, the order of deletion in tests/engine, clocks in tests/jobs.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli.computer import Computer

FEW = ("[retention]", "keep_last = 2", "daily = 0", "weekly = 0", "monthly = 0", "yearly = 0")


def ids(computer: Computer) -> list[str]:
    return [found["id"] for found in computer.run("snapshots", "--json").json["snapshots"]]


@pytest.fixture
def saved(practice: Computer) -> Computer:
    """A practice with five backups on the drive A, of which the rules keep two."""
    practice.configure(*FEW)
    practice.enroll("A")
    for number in range(5):
        (practice.patients / "journal.txt").write_text(f"séance {number}\n" * 100, encoding="utf-8")
        practice.back_up("A")
    return practice


def test_a_dry_run_tells_and_removes_nothing(saved: Computer) -> None:
    before = ids(saved)
    done = saved.run("prune", "--dry-run", "--json")
    assert (done.code, len(done.json["snapshots_removed"]), done.json["snapshots_kept"]) == (0, 3, 2)
    assert ids(saved) == before


def test_the_newest_stay_and_everything_of_them_comes_back(saved: Computer) -> None:
    before = ids(saved)
    done = saved.run("prune", "--json")
    assert done.code == 0
    assert sorted(done.json["snapshots_removed"]) == sorted(set(before) - set(ids(saved)))
    assert len(ids(saved)) == 2
    assert saved.run("restore-test", "--all").code == 0
    assert saved.run("verify", "--full").code == 0


def test_the_newest_proven_backup_stays_whatever_its_age(practice: Computer) -> None:
    practice.configure(*FEW)
    practice.enroll("A")
    proven = practice.back_up("A")["snapshot"]
    assert practice.run("verify", "--full").code == 0
    for number in range(4):
        (practice.patients / "journal.txt").write_text(f"séance {number}\n", encoding="utf-8")
        practice.back_up("A")
    assert practice.run("prune").code == 0
    assert proven in ids(practice)
    assert len(ids(practice)) == 3


def test_after_a_prune_the_drive_does_not_look_rolled_back(saved: Computer) -> None:
    assert saved.run("prune").code == 0
    assert saved.run("backup").code == 0


def test_the_ballast_is_there_again_afterwards(saved: Computer) -> None:
    reserve = saved.drive("A") / "KINEBACKUP" / "reserve"
    there = reserve.exists()
    assert saved.run("prune").code == 0
    assert reserve.exists() == there


def test_a_locked_drive_is_not_pruned(saved: Computer, lock_holder: Callable[[Path], None]) -> None:
    before = ids(saved)
    lock_holder(saved.drive("A"))
    assert saved.run("prune").code == 11
    assert ids(saved) == before


def test_the_words_say_how_many_went(saved: Computer) -> None:
    done = saved.run("prune")
    assert done.out.startswith("3 backups of the drive A were removed, 2 stay; ")
    again = saved.run("prune")
    assert again.out.startswith("0 backups of the drive A were removed, 2 stay; ")
