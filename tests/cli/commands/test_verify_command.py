"""``kinebackup verify``: what it reads, what it finds, and what is remembered of it.

Owns: the command. What counts as damage is proven in tests/engine.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli.computer import Computer


def flip_a_bit(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def packs_of(drive: Path) -> list[Path]:
    return sorted((drive / "KINEBACKUP" / "packs").glob("*/*"))


@pytest.fixture
def saved(practice: Computer) -> Computer:
    """A practice with one backup on the drive A, which holds a film that does not compress."""
    (practice.patients / "film.bin").write_bytes(os.urandom(300_000))
    practice.enroll("A")
    practice.back_up("A")
    return practice


# --- asked wrongly ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", ["", "10", "m", "10x", "-5m", "0m", "1.5.2GB", "5 GB GB"])
def test_a_budget_that_is_none_is_a_usage_error(saved: Computer, budget: str) -> None:
    assert saved.run("verify", f"--budget={budget}").code == 2


@pytest.mark.parametrize("budget", ["10m", "2h", "30s", "5GB", "5Go", "1.5GB", "100 MB"])
def test_budgets_as_people_write_them(saved: Computer, budget: str) -> None:
    assert saved.run("verify", "--budget", budget).code == 0


def test_full_and_a_budget_contradict_each_other(saved: Computer) -> None:
    assert saved.run("verify", "--full", "--budget", "10m").code == 2


def test_a_path_without_a_secret_on_a_new_computer_says_what_is_missing(
    saved: Computer, another_computer: Computer
) -> None:
    done = another_computer.run("verify", "--drive", saved.drive("A"))
    assert done.code == 10
    assert "KineBackup is not set up on this computer" in done.err


# --- all is well ------------------------------------------------------------------------------------------------------


def test_a_full_verification_has_the_keys_of_the_contract(saved: Computer) -> None:
    done = saved.run("verify", "--full", "--json")
    found = done.json
    size = sum(path.stat().st_size for path in packs_of(saved.drive("A")))
    assert (done.code, found["result"], found["complete"], found["problems"]) == (0, "ok", True, [])
    assert (found["bytes_read"], found["packs_checked"]) == (size, len(packs_of(saved.drive("A"))))
    assert saved.run("drive", "list", "--json").json["drives"][0]["verify_due"] is False


def test_a_small_budget_goes_on_with_what_was_never_read(saved: Computer) -> None:
    total = len(packs_of(saved.drive("A")))
    assert total >= 2
    seen = [saved.run("verify", "--budget", "1kB", "--json").json["packs_checked"] for _ in range(total)]
    assert sum(seen) >= total
    done = saved.run("verify", "--budget", "1kB")
    assert "All is well with what was read" in done.out or "the whole drive" in done.out


def test_a_new_computer_verifies_by_path_and_code(saved: Computer, another_computer: Computer) -> None:
    done = another_computer.run(
        "verify", "--drive", saved.drive("A"), "--recovery-code-file", saved.code_file, "--json"
    )
    assert (done.code, done.json["complete"]) == (0, True)


def test_a_locked_drive_can_be_verified(saved: Computer, lock_holder: Callable[[Path], None]) -> None:
    lock_holder(saved.drive("A"))
    assert saved.run("verify").code == 0


# --- damage -----------------------------------------------------------------------------------------------------------


def test_a_flipped_bit_is_found_and_named_with_the_files_and_backups_it_affects(saved: Computer) -> None:
    largest = max(packs_of(saved.drive("A")), key=lambda path: path.stat().st_size)
    flip_a_bit(largest, 1000)
    snapshot = saved.run("snapshots", "--json").json["snapshots"][0]["id"]
    done = saved.run("verify", "--full", "--json")
    assert (done.code, done.json["result"]) == (14, "failed")
    found = {problem["path"]: problem["snapshots"] for problem in done.json["problems"]}
    assert found[f"packs/{largest.parent.name}/{largest.name}"] == [snapshot]
    assert any(path.startswith(str(saved.patients)) for path in found)


def test_damage_is_told_in_french_where_french_is_spoken(saved: Computer) -> None:
    saved.configure(language="fr")
    flip_a_bit(max(packs_of(saved.drive("A")), key=lambda path: path.stat().st_size), 1000)
    told = saved.run("verify").err
    assert "\u00a0: 1 de ses parties sur " in told
    assert f"! {saved.patients / 'film.bin'}\u00a0: abîmé sur le disque\u00a0; la prochaine sauvegarde " in told
    assert "damaged" not in told


def test_a_failed_verification_says_what_to_do_and_status_repeats_it(saved: Computer) -> None:
    flip_a_bit(packs_of(saved.drive("A"))[0], 60)
    done = saved.run("verify")
    assert done.code == 14
    assert done.out.startswith("DAMAGED: ")
    assert "kinebackup backup" in done.out
    assert "prune" not in done.out
    status = saved.run("status", "--json").json
    assert status["drives"][0]["failed_check"] is True
    assert "found damage" in " ".join([status["sentence"], *status["more"]])


def test_what_the_next_backup_has_healed_is_a_note(saved: Computer) -> None:
    largest = max(packs_of(saved.drive("A")), key=lambda path: path.stat().st_size)
    os.truncate(largest, 1000)
    assert saved.run("verify", "--full").code == 14
    assert saved.run("verify", "--full").code == 14  # nothing has been healed yet
    assert saved.run("backup").code == 0
    done = saved.run("verify", "--full", "--json")
    assert (done.code, done.json["result"]) == (0, "ok")
    assert [(p["kind"], p["path"]) for p in done.json["problems"]] == [
        ("healed", f"packs/{largest.parent.name}/{largest.name}")
    ]
    assert saved.run("verify", "--full").out.startswith("Every backup is whole; ")
    assert saved.run("status", "--json").json["drives"][0]["failed_check"] is False
    assert saved.run("restore", "latest", "--to", saved.home / "back").code == 0


def test_backup_and_prune_heal_what_the_computer_still_has(saved: Computer) -> None:
    largest = max(packs_of(saved.drive("A")), key=lambda path: path.stat().st_size)
    flip_a_bit(largest, 1000)
    assert saved.run("verify", "--full").code == 14
    assert saved.run("backup").code == 0
    assert saved.run("prune").code == 0
    assert saved.run("verify", "--full").code == 0
    assert saved.run("status", "--json").json["drives"][0]["failed_check"] is False


def test_damage_that_nothing_was_lost_by_stays_damage(saved: Computer) -> None:
    """The table at a pack's end is needed only where the index is lost."""
    largest = max(packs_of(saved.drive("A")), key=lambda path: path.stat().st_size)
    flip_a_bit(largest, largest.stat().st_size - 10)
    assert saved.run("verify", "--full").code == 14
    assert saved.run("verify", "--full").code == 14


def test_a_missing_pack_is_named_with_what_it_affects(saved: Computer) -> None:
    largest = max(packs_of(saved.drive("A")), key=lambda path: path.stat().st_size)
    largest.unlink()
    done = saved.run("verify", "--json")
    assert done.code == 14
    assert str(saved.patients / "film.bin") in {problem["path"] for problem in done.json["problems"]}


def test_an_older_state_of_the_drive_is_a_failure(saved: Computer) -> None:
    shutil.copytree(saved.drive("A"), saved.drive("older"))
    (saved.patients / "neu.txt").write_text("new", encoding="utf-8")
    saved.back_up("A")
    shutil.rmtree(saved.drive("A"))
    shutil.move(saved.drive("older"), saved.drive("A"))
    done = saved.run("verify", "--json")
    assert (done.code, [problem["kind"] for problem in done.json["problems"]]) == (14, ["rolled-back"])


# --- the files beside the repository ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["LISEZMOI.txt", "recover.py", "FORMAT.md", "vectors/stages.json", "SHA256SUMS"])
def test_a_damaged_text_of_the_drive_is_named_and_written_again_by_the_next_backup(saved: Computer, name: str) -> None:
    path = saved.drive("A") / "KINEBACKUP" / name
    flip_a_bit(path, 10)
    done = saved.run("verify", "--full", "--json")
    assert (done.code, [found["path"] for found in done.json["problems"]]) == (14, [name])
    assert [found["healable"] for found in done.json["problems"]] == [True]
    saved.back_up("A")
    assert saved.run("verify", "--full").code == 0
