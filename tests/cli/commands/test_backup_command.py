"""``kinebackup backup``: what it saves, reports and refuses, and how it ends.

Owns: the command. What the engine saves is proven in tests/engine.
"""

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli.computer import Computer
from support.waiting import wait_until


def names_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- refused --------------------------------------------------------------------------------------------------------


def test_before_init_there_is_nothing_to_back_up_with(computer: Computer) -> None:
    assert computer.run("backup").code == 10


def test_without_a_drive_it_says_how_to_get_one(practice: Computer) -> None:
    done = practice.run("backup")
    assert done.code == 10
    assert done.err == (
        "kinebackup: error: no drive has been enrolled yet\nhint: prepare one with: kinebackup drive enroll\n"
    )


def test_an_unknown_label_gets_the_list_of_known_ones(practice: Computer) -> None:
    practice.enroll("A")
    practice.enroll("B", "domicile")
    done = practice.run("backup", "--drive", "C")
    assert done.code == 10
    assert "hint: the drives of this practice are: A, B\n" in done.err


def test_the_lock_of_a_run_that_was_killed_is_explained_and_taken_over(practice: Computer) -> None:
    lock = practice.enroll("A") / "KINEBACKUP" / "lock"
    left = '{"host":"cabinet-pc","pid":4242,"boot":"b","since":"2030-01-01T08:00:00Z","work":"backup"}'
    for command in ("backup", "prune"):
        lock.write_text(left, encoding="ascii")
        done = practice.run(command)
        assert done.code == 0
        assert done.err == (
            "! lock: an earlier run did not end by itself (backup, process 4242 on cabinet-pc, "
            "since 2030-01-01T08:00:00Z); this one goes on\n"
        )
        assert lock.read_text("ascii") == ""


def test_a_source_that_a_cloud_has_already_is_warned_of_and_saved(practice: Computer) -> None:
    practice.enroll("A")
    (practice.patients / ".stfolder").mkdir()
    done = practice.run("backup", "--json", "--quiet")
    assert (done.code, done.json["files_new"]) == (0, 6)
    assert done.err.startswith(f"! Syncthing synchronises the source {practice.patients}: ")


def test_an_absent_drive_is_not_found_and_its_empty_place_is_not_written_to(practice: Computer) -> None:
    drive = practice.enroll("A")
    shutil.move(drive, practice.drive("elsewhere"))
    drive.mkdir()
    done = practice.run("backup", "--drive", "A")
    assert done.code == 10
    assert os.listdir(drive) == []


def test_with_two_drives_present_the_person_chooses(practice: Computer) -> None:
    practice.enroll("A")
    practice.enroll("B")
    done = practice.run("backup")
    assert done.code == 2
    assert "several drives are plugged in: A, B" in done.err


def test_without_sources_there_is_nothing_to_back_up(practice: Computer) -> None:
    practice.enroll("A")
    practice.configure(sources=())
    done = practice.run("backup")
    assert done.code == 2
    assert "no source is configured" in done.err


def test_a_source_that_came_to_hold_the_drive_makes_it_refused(practice: Computer) -> None:
    practice.enroll("A")
    practice.configure(sources=(practice.home / "drives",))
    assert practice.run("backup").code == 13


def test_a_drive_put_into_a_synchronised_folder_is_refused_at_the_next_run(practice: Computer) -> None:
    drive = practice.enroll("A")
    (drive.parent / ".stfolder").mkdir()
    before = names_below(drive)
    done = practice.run("backup", "--json")
    assert done.code == 13
    assert done.json["error"]["code"] == 13
    assert names_below(drive) == before


def test_a_drive_of_an_unknown_practice_is_not_written_to(practice: Computer, another_computer: Computer) -> None:
    drive = practice.enroll("A")
    assert another_computer.run("init", "--passphrase-file", another_computer.passphrase_file).code == 0
    done = another_computer.run("backup", "--drive", drive)
    assert done.code == 10
    assert "is not enrolled on this computer" in done.err


def test_a_drive_swapped_for_another_of_the_practice_is_recognised(practice: Computer) -> None:
    first, second = practice.enroll("A"), practice.enroll("B")
    shutil.rmtree(first)
    shutil.move(second, first)
    done = practice.run("backup", "--drive", "A")
    assert done.code == 14
    assert "this drive is not the one that was enrolled as A" in done.err


def test_a_locked_drive_names_who_holds_it(practice: Computer, lock_holder: Callable[[Path], None]) -> None:
    drive = practice.enroll("A")
    lock_holder(drive)
    done = practice.run("backup")
    assert done.code == 11
    assert "another KineBackup is writing to this drive (backup, process 4242, since 2030-01-01)" in done.err


def test_a_lock_whose_holder_was_killed_is_taken_over(practice: Computer) -> None:
    drive = practice.enroll("A")
    left = '{"host":"cabinet-pc","pid":4242,"boot":"b","since":"2030-01-01","work":"backup"}'
    (drive / "KINEBACKUP" / "lock").write_text(left, encoding="utf-8")
    assert practice.run("backup").code == 0


# --- what it saves and says -----------------------------------------------------------------------------------------


def test_the_json_document_has_the_keys_of_the_contract(practice: Computer) -> None:
    practice.enroll("A")
    document = practice.back_up("A")
    duration = document.pop("duration_s")
    snapshot = document.pop("snapshot")
    assert duration > 0
    assert len(snapshot) == 64
    assert document.pop("bytes_written") > 0
    assert document == {
        "files_new": 6,
        "files_changed": 0,
        "files_unmodified": 0,
        "files_removed": 0,
        "bytes_read": sum(path.stat().st_size for path in practice.patients.rglob("*") if path.is_file()),
        "suspicious": False,
        "files_lost": 0,
        "problems": [],
        "healed": [],
    }


def test_a_second_backup_tells_new_changed_unmodified_and_removed(practice: Computer) -> None:
    practice.enroll("A")
    practice.back_up("A")
    (practice.patients / "Durand" / "bilan.txt").write_text("plus court", encoding="utf-8")
    (practice.patients / "Martin" / "radio.jpg").unlink()
    (practice.patients / "Martin" / "lettre.odt").write_bytes(b"lettre")
    found = practice.back_up("A")
    counts = {key: value for key, value in found.items() if key.startswith("files_")}
    assert counts == {
        "files_new": 1,
        "files_changed": 1,
        "files_unmodified": 4,
        "files_removed": 1,
        "files_lost": 0,
    }


def test_the_words_are_a_sentence_and_the_figures(practice: Computer) -> None:
    practice.enroll("A")
    done = practice.run("backup")
    assert (done.code, done.err) == (0, "")
    first, *rest = done.out.splitlines()
    assert first.startswith("Saved on the drive A (simulation): backup ")
    assert rest[0] == "  files: 6 new, 0 changed, 0 unchanged, 0 removed"
    assert "\x1b" not in done.out


def test_quiet_prints_nothing_when_all_is_well(practice: Computer) -> None:
    practice.enroll("A")
    done = practice.run("backup", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_a_dry_run_writes_nothing_at_all(practice: Computer) -> None:
    drive = practice.enroll("A")
    before = {name: (drive / name).lstat().st_mtime_ns for name in names_below(drive)}
    done = practice.run("backup", "--dry-run", "--json")
    assert (done.code, done.json["files_new"], done.json["snapshot"]) == (0, 6, None)
    assert {name: (drive / name).lstat().st_mtime_ns for name in names_below(drive)} == before
    assert practice.run("drive", "list", "--json").json["drives"][0]["last_backup"] is None


def test_french_is_spoken_where_the_configuration_says_so(practice: Computer) -> None:
    practice.enroll("A")
    practice.configure(language="fr")
    done = practice.run("backup")
    assert done.out.startswith("Sauvegardé sur le disque A (simulation)\u00a0: sauvegarde ")


# --- problems -------------------------------------------------------------------------------------------------------


def test_a_socket_is_a_note_and_not_a_problem(practice: Computer) -> None:
    practice.enroll("A")
    folder = os.open(practice.patients, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{folder}/prise")  # a socket's path must be short
        found = practice.back_up("A")
    os.close(folder)
    assert [problem["kind"] for problem in found["problems"]] == ["skipped"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_ends_with_problems(practice: Computer) -> None:
    practice.enroll("A")
    (practice.patients / "Durand" / "bilan.txt").chmod(0)
    done = practice.run("backup", "--json")
    assert (done.code, [problem["kind"] for problem in done.json["problems"]]) == (3, ["unreadable"])


def test_a_missing_source_is_a_problem_and_nothing_is_written(practice: Computer) -> None:
    practice.enroll("A")
    practice.back_up("A")
    shutil.move(practice.patients, practice.home / "moved")
    done = practice.run("backup", "--json")
    assert (done.code, done.json["snapshot"]) == (3, None)
    assert [problem["kind"] for problem in done.json["problems"]] == ["source-missing"]


def test_an_emptied_source_is_suspicious_until_it_is_confirmed(practice: Computer) -> None:
    practice.enroll("A")
    practice.back_up("A")
    for folder in practice.patients.iterdir():
        shutil.rmtree(folder)
    done = practice.run("backup", "--json")
    assert (done.code, done.json["suspicious"]) == (3, True)
    assert [problem["kind"] for problem in done.json["problems"]] == ["source-empty"]
    drive = practice.run("drive", "list", "--json").json["drives"][0]
    assert practice.run("backup", "--accept-shrink").code == 0
    after = practice.run("drive", "list", "--json").json["drives"][0]
    assert after["last_backup"] >= drive["last_backup"]


def test_fewer_than_half_of_the_files_are_suspicious(practice: Computer) -> None:
    practice.enroll("A")
    practice.back_up("A")
    for name in ("Dupont", "Durand"):
        shutil.rmtree(practice.patients / name)
    done = practice.run("backup")
    assert done.code == 3
    assert "something is wrong with the sources" in done.out
    assert "--accept-shrink" in done.err


def test_a_drive_that_was_rolled_back_is_told(practice: Computer) -> None:
    drive = practice.enroll("A")
    practice.back_up("A")
    shutil.copytree(drive, practice.drive("older"))
    (practice.patients / "Durand" / "new.txt").write_text("new", encoding="utf-8")
    practice.back_up("A")
    shutil.rmtree(drive)
    shutil.move(practice.drive("older"), drive)
    done = practice.run("backup", "--json")
    assert (done.code, [problem["kind"] for problem in done.json["problems"]]) == (3, ["rolled-back"])
    again = practice.run("backup", "--json")
    assert (again.code, [problem["kind"] for problem in again.json["problems"]]) == (3, ["rolled-back"])
    gone = again.json["problems"][0]["snapshots"]
    assert practice.run("prune", "--give-up", *gone).code == 0
    assert practice.run("backup").code == 0, "what was given up by name is not missed any more"


# --- damage is told, and healed -------------------------------------------------------------------------------------


def test_a_missing_pack_is_told_once_and_saved_again(practice: Computer) -> None:
    drive = practice.enroll("A")
    (practice.patients / "film.bin").write_bytes(os.urandom(300_000))
    practice.back_up("A")
    largest = max((drive / "KINEBACKUP" / "packs").glob("*/*"), key=lambda path: path.stat().st_size)
    largest.unlink()
    told = practice.run("backup", "--json")
    assert (told.code, [problem["kind"] for problem in told.json["problems"]]) == (3, ["missing"])
    assert practice.run("backup").code == 0
    assert practice.run("verify", "--full").code == 0
    assert practice.run("restore-test", "--all").code == 0


def test_a_damaged_index_file_is_told_once_and_made_anew(practice: Computer) -> None:
    drive = practice.enroll("A")
    practice.back_up("A")
    (index,) = (drive / "KINEBACKUP" / "index").iterdir()
    index.write_bytes(index.read_bytes()[:-1])
    told = practice.run("backup", "--json")
    assert (told.code, [problem["kind"] for problem in told.json["problems"]]) == (3, ["damaged"])
    assert practice.run("backup").code == 0
    assert practice.run("verify", "--full").code == 0


# --- stopping -------------------------------------------------------------------------------------------------------


def test_ctrl_c_stops_within_two_seconds_and_the_next_run_goes_on(practice: Computer) -> None:
    drive = practice.enroll("A")
    for number in range(40):
        (practice.patients / f"film-{number}.bin").write_bytes(os.urandom(4_000_000))
    run = practice.start("backup", "--json")
    wait_until(lambda: any((drive / "KINEBACKUP" / "packs").glob("*/*")), 30)
    run.send_signal(signal.SIGINT)
    asked = time.monotonic()
    out, err = run.communicate(timeout=30)
    assert time.monotonic() - asked < 2
    if run.returncode == 0:
        pytest.skip("this computer saved everything before it could be asked to stop")
    assert run.returncode == 130
    assert '"code": 130' in out
    assert "Traceback" not in err
    found = practice.back_up("A")
    assert found["bytes_written"] < 160_000_000, "what was written before is not written again"
    assert practice.run("verify", "--full").code == 0
