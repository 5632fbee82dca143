"""``kinebackup prune``: which backups go, by the rules of the configuration.

Owns: the command. The rules are proven in tests/policy, the order of deletion in tests/engine, clocks in tests/jobs.
"""

import os
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


# --- what is lost -----------------------------------------------------------------------------------------------------


def lose(computer: Computer, *names: str) -> None:
    """As fsck does that moves them to lost+found."""
    for name in names:
        (computer.drive("A") / "KINEBACKUP" / "snapshots" / name).unlink()


def packs(computer: Computer) -> list[str]:
    return sorted(path.name for path in (computer.drive("A") / "KINEBACKUP" / "packs").glob("*/*"))


def test_three_lost_backups_stop_a_prune_which_names_them_and_every_command_tells_of_them(saved: Computer) -> None:
    lost, before = ids(saved)[1:4], packs(saved)
    lose(saved, *lost)
    refused = saved.run("prune", "--json")
    assert refused.code == 14
    assert refused.json["error"]["code"] == 14
    assert all(name[:12] in refused.json["error"]["message"] for name in lost)
    assert "--give-up" in refused.json["error"]["hint"]
    assert packs(saved) == before
    for command in (["backup"], ["snapshots"], ["ls", "latest"], ["find", "journal"], ["verify", "--full"]):
        done = saved.run(*command)
        assert done.code == (14 if command[0] == "verify" else 3), (command, done)
        assert "not there any more" in done.err
    assert "not there any more" in saved.run("status").out


def test_what_is_given_up_by_name_is_told_and_missed_no_more(saved: Computer) -> None:
    lost = ids(saved)[1:4]
    lose(saved, *lost)
    assert saved.run("prune", "--give-up", lost[0][:12]).code == 14
    dry = saved.run("prune", "--dry-run", "--give-up", *lost, "--json")
    assert (dry.code, dry.json["given_up"]) == (0, lost)
    done = saved.run("prune", "--give-up", lost[0][:12], "--give-up", lost[1], lost[2], "--json")
    assert (done.code, done.json["given_up"]) == (0, lost)
    assert [saved.run(*command).code for command in (["prune"], ["backup"], ["snapshots"], ["verify", "--full"])] == [
        0,
        0,
        0,
        0,
    ]
    assert "not there any more" not in saved.run("status").out


def test_a_computer_that_does_not_know_the_drive_names_what_is_lost_by_its_number(saved: Computer) -> None:
    lose(saved, ids(saved)[1])
    done = saved.run("snapshots", "--drive", saved.drive("A"), "--passphrase-file", saved.passphrase_file)
    assert (done.code, "not there any more: " in done.err) == (3, True)


def test_a_damaged_backup_goes_only_when_it_is_given_up(saved: Computer) -> None:
    name, before = ids(saved)[2], packs(saved)
    path = saved.drive("A") / "KINEBACKUP" / "snapshots" / name
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert saved.run("verify", "--full").code == 14
    assert saved.run("prune").code == 14
    assert packs(saved) == before
    assert path.exists()
    done = saved.run("prune", "--give-up", name)
    assert (done.code, "Given up: " + name[:12] in done.out) == (0, True)
    assert not path.exists()
    assert saved.run("verify", "--full").code == 0


def test_names_without_give_up_and_names_of_nothing_are_refused(saved: Computer) -> None:
    name = ids(saved)[0]
    assert saved.run("prune", name).code == 2
    assert saved.run("prune", "--give-up", name).code == 10
    assert len(ids(saved)) == 5


def test_most_of_a_drive_goes_only_when_that_is_confirmed(practice: Computer) -> None:
    practice.configure("[retention]", "keep_last = 4", "daily = 0", "weekly = 0", "monthly = 0", "yearly = 0")
    practice.enroll("A")
    film = practice.patients / "film.bin"
    film.write_bytes(os.urandom(2_000_000))
    practice.back_up("A")
    film.write_bytes(b"short")
    for number in range(4):
        (practice.patients / "journal.txt").write_text(f"{number}", encoding="utf-8")
        practice.back_up("A")
    refused = practice.run("prune")
    assert (refused.code, "--accept-share" in refused.err) == (14, True)
    assert len(ids(practice)) == 5
    assert practice.run("prune", "--accept-share").code == 0
    assert len(ids(practice)) == 4
