"""``kinebackup drive``: what is put on a drive, which places are refused, and drives that come back.

Owns: the commands. Judging places is proven in tests/drives and tests/policy.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from support.cli.computer import Computer
from support.project import ROOT

from kinebackup.engine.format.layout import HEADER_COPIES

PACKAGED = ("LISEZMOI.txt", "README.txt", "recover.py", "FORMAT.md")


# --- refused ----------------------------------------------------------------------------------------------------------


def test_before_init_no_drive_is_touched(computer: Computer) -> None:
    done = computer.run("drive", "enroll", "--folder", computer.drive("A"), "--label", "A", "--place", "cabinet")
    assert done.code == 10
    assert "KineBackup is not set up on this computer" in done.err
    assert not computer.drive("A").exists()


def test_a_folder_inside_a_source_is_refused(practice: Computer) -> None:
    inside = practice.patients / "Sauvegardes"
    done = practice.run("drive", "enroll", "--folder", inside, "--label", "A", "--place", "cabinet")
    assert done.code == 13
    assert f"{inside} lies inside the source {practice.patients}" in done.err
    assert not inside.exists()


def test_a_folder_that_holds_a_source_is_refused(practice: Computer) -> None:
    done = practice.run("drive", "enroll", "--folder", practice.home, "--label", "A", "--place", "cabinet")
    assert done.code == 13


def test_a_folder_with_other_files_is_refused_unless_they_may_stay(practice: Computer) -> None:
    folder = practice.drive("A")
    folder.mkdir(parents=True)
    (folder / "vacances.jpg").write_bytes(b"holiday")
    command = ("drive", "enroll", "--folder", folder, "--label", "A", "--place", "cabinet")
    refused = practice.run(*command)
    assert refused.code == 13
    assert "already holds other files" in refused.err
    assert sorted(os.listdir(folder)) == ["vacances.jpg"]
    assert practice.run(*command, "--allow-existing-files").code == 0
    assert (folder / "vacances.jpg").read_bytes() == b"holiday"


def test_a_folder_that_a_cloud_synchronises_is_refused_even_as_a_simulation(practice: Computer) -> None:
    folder = practice.home / "Synced"
    (folder / ".stfolder").mkdir(parents=True)
    done = practice.run("drive", "enroll", "--folder", folder / "x", "--label", "A", "--place", "cabinet")
    assert done.code == 13
    assert "Syncthing" in done.err


def test_a_plain_folder_is_no_drive(practice: Computer) -> None:
    folder = practice.drive("A")
    folder.mkdir(parents=True)
    done = practice.run("drive", "enroll", folder, "--label", "A", "--place", "cabinet")
    assert done.code == 13
    assert os.listdir(folder) == []


def test_a_device_that_is_not_there_is_not_found(practice: Computer) -> None:
    done = practice.run("drive", "enroll", "/dev/kine-absent1", "--label", "A", "--place", "cabinet")
    assert done.code == 10


def test_a_drive_and_a_folder_at_once_is_a_usage_error(practice: Computer) -> None:
    done = practice.run("drive", "enroll", "/dev/x", "--folder", "y", "--label", "A", "--place", "cabinet")
    assert done.code == 2


def test_a_label_that_is_taken_is_refused_before_anything_is_written(practice: Computer) -> None:
    practice.enroll("A")
    done = practice.run("drive", "enroll", "--folder", practice.drive("B"), "--label", "A", "--place", "domicile")
    assert done.code == 2
    assert 'a drive with the label "A" is enrolled already' in done.err
    assert not practice.drive("B").exists()


def test_labels_that_are_no_words_are_refused(practice: Computer) -> None:
    for label in ("", " ", "a/b", "-x", "x" * 41, "a\nb"):
        command = ("drive", "enroll", "--folder", practice.drive("B"), f"--label={label}", "--place", "cabinet")
        assert practice.run(*command).code == 2, label
    assert not practice.drive("B").exists()


def test_a_drive_of_another_practice_is_refused_and_left_alone(practice: Computer, another_computer: Computer) -> None:
    drive = practice.enroll("A")
    practice.back_up("A")
    made = another_computer.run("init", "--passphrase-file", another_computer.passphrase_file)
    assert made.code == 0
    header = (drive / "KINEBACKUP" / "header").read_bytes()
    done = another_computer.run("drive", "enroll", "--folder", drive, "--label", "A", "--place", "cabinet")
    assert done.code == 12
    assert "this drive belongs to another practice" in done.err
    assert (drive / "KINEBACKUP" / "header").read_bytes() == header


# --- what is on a drive -----------------------------------------------------------------------------------------------


def test_a_drive_carries_what_a_stranger_needs_and_nothing_of_the_practice(practice: Computer) -> None:
    practice.configure(language="fr")
    text = practice.config.read_text(encoding="utf-8").replace("[practice]", '[practice]\nname = "Cabinet Exemple"')
    practice.config.write_text(text, encoding="utf-8")
    root = practice.enroll("A") / "KINEBACKUP"
    expected = {
        *PACKAGED,
        "SHA256SUMS",
        "vectors",
        "header",
        "header.1",
        "header.2",
        "packs",
        "parity",
        "index",
        "snapshots",
        "damaged",
        "removals",
        "tmp",
        "lock",
    }
    assert {path.name for path in root.iterdir()} == expected
    for name in (*PACKAGED, "vectors/stages.json", "SHA256SUMS"):
        content = (root / name).read_bytes()
        assert b"Exemple" not in content
        assert str(practice.home).encode() not in content
        assert (root / name).stat().st_mode & 0o777 == 0o644
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=root, check=True)
    assert "recover.py /media/marie/CABINET --to" in (root / "LISEZMOI.txt").read_text(encoding="utf-8")
    assert "recover.py /media/marie/CABINET --to" in (root / "README.txt").read_text(encoding="utf-8")
    assert len({(root / name).read_bytes() for name in HEADER_COPIES}) == 1


def test_the_packaged_format_is_the_one_of_the_documentation() -> None:
    assert (ROOT / "kinebackup/recover/FORMAT.md").read_bytes() == (ROOT / "docs/FORMAT.md").read_bytes()


def test_a_simulated_drive_takes_no_ballast_from_the_disk_of_the_computer(practice: Computer) -> None:
    root = practice.enroll("A") / "KINEBACKUP"
    assert not (root / "reserve").exists()


def test_enrolling_says_that_a_folder_is_a_simulation(practice: Computer) -> None:
    done = practice.run("drive", "enroll", "--folder", practice.drive("A"), "--label", "A", "--place", "cabinet")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"The simulated drive A is ready, in {practice.drive('A')}.\n"
        "SIMULATION: a folder of this computer protects nothing; use it to try KineBackup out.\n"
        "Next: kinebackup backup --drive A\n"
    )
    listed = practice.run("drive", "list")
    assert "simulation" in listed.out
    assert practice.run("drive", "list", "--json").json["drives"][0]["simulated"] is True


# --- drives that come back --------------------------------------------------------------------------------------------


def test_a_drive_of_this_practice_is_taken_back_with_its_backups(practice: Computer) -> None:
    drive = practice.enroll("A")
    practice.back_up("A")
    assert practice.run("drive", "forget", "A", "--yes").code == 0
    assert practice.run("drive", "list", "--json").json == {"drives": []}
    done = practice.run("drive", "enroll", "--folder", drive, "--label", "NEW", "--place", "domicile", "--json")
    assert (done.code, done.json["adopted"], done.json["snapshots"]) == (0, True, 1)
    assert practice.back_up("NEW")["files_unmodified"] == 6


def test_a_drive_that_moved_is_known_again_under_its_label(practice: Computer) -> None:
    drive = practice.enroll("A")
    practice.back_up("A")
    shutil.move(drive, practice.drive("moved"))
    assert practice.run("backup", "--drive", "A").code == 10
    command = ("drive", "enroll", "--folder", practice.drive("moved"), "--label", "A", "--place", "domicile")
    assert practice.run(*command).code == 0
    found = practice.run("drive", "list", "--json").json["drives"]
    assert [(d["label"], d["place"], d["present"]) for d in found] == [("A", "domicile", True)]


def test_the_same_drive_under_a_second_label_is_refused(practice: Computer) -> None:
    drive = practice.enroll("A")
    done = practice.run("drive", "enroll", "--folder", drive, "--label", "B", "--place", "cabinet")
    assert done.code == 2
    assert 'this drive is enrolled already, as "A"' in done.err


def test_backups_without_a_header_are_not_mixed_with_a_new_repository(practice: Computer) -> None:
    drive = practice.enroll("A")
    practice.back_up("A")
    practice.run("drive", "forget", "A", "--yes")
    for name in HEADER_COPIES:
        (drive / "KINEBACKUP" / name).unlink()
    done = practice.run("drive", "enroll", "--folder", drive, "--label", "A", "--place", "cabinet")
    assert done.code == 14
    assert not (drive / "KINEBACKUP" / "header").exists()


def test_forgetting_asks_first(practice: Computer) -> None:
    practice.enroll("A")
    done = practice.run("drive", "forget", "A")
    assert done.code == 2
    assert "hint: confirm it with --yes\n" in done.err
    assert practice.run("drive", "forget", "Z", "--yes").code == 10
    assert len(practice.run("drive", "list", "--json").json["drives"]) == 1


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs /dev/shm")
def test_a_simulated_drive_may_be_in_memory_and_need_not_exist_yet(practice: Computer) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        done = practice.run("drive", "enroll", "--folder", f"{memory}/d", "--label", "A", "--place", "cabinet")
        assert done.code == 0, done.err
        assert practice.run("backup").code == 0
        assert practice.run("restore", "latest", "--to", f"{memory}/back", "--json").json["files_restored"] == 6


# --- shown, renamed ---------------------------------------------------------------------------------------------------


def test_a_drive_is_shown_with_its_last_jobs_newest_first(practice: Computer) -> None:
    drive = practice.enroll("A")
    practice.back_up("A")
    assert practice.run("restore-test").code == 0
    shown = practice.run("drive", "show", "A", "--json").json
    assert (shown["label"], shown["place"], shown["simulated"], shown["present"]) == ("A", "cabinet", True, True)
    assert (shown["fs_uuid"], shown["part_uuid"], shown["serial"]) == ("", "", "")
    assert [(job["kind"], job["result"], job["problems"]) for job in shown["jobs"]] == [
        ("restore-test", "ok", 0),
        ("backup", "ok", 0),
    ]
    assert (shown["jobs"][1]["files"], len(shown["jobs"][1]["snapshot"])) == (6, 64)
    text = practice.run("drive", "show", "A").out
    assert text.startswith("A (simulation)\n  Kept at")
    assert str(drive) in text
    assert "\nLast jobs\n" in text
    assert "restore test  ok" in text


def test_a_drive_that_is_unknown_is_not_shown(practice: Computer) -> None:
    assert practice.run("drive", "show", "Z").code == 10
    practice.enroll("A")
    done = practice.run("drive", "show", "Z")
    assert done.code == 10
    assert "A" in done.err


def test_a_renamed_drive_keeps_its_history(practice: Computer) -> None:
    practice.enroll("A")
    practice.back_up("A")
    done = practice.run("drive", "rename", "A", "MAISON")
    assert (done.code, done.err) == (0, "")
    assert done.out == "The drive A is called MAISON now.\nWrite MAISON on a sticker on the drive.\n"
    assert practice.run("drive", "show", "A").code == 10
    assert len(practice.run("drive", "show", "MAISON", "--json").json["jobs"]) == 1
    assert practice.back_up("MAISON")["files_unmodified"] == 6
    assert practice.run("drive", "rename", "MAISON", "MAISON", "--json").json == {"label": "MAISON", "before": "MAISON"}


def test_a_drive_is_not_renamed_to_what_another_one_is_called_or_what_is_no_word(practice: Computer) -> None:
    practice.enroll("A")
    practice.enroll("B")
    for new in ("B", "", "a/b", "x" * 41):
        assert practice.run("drive", "rename", "A", new).code == 2, new
    assert practice.run("drive", "rename", "Z", "C").code == 10
    assert [drive["label"] for drive in practice.run("drive", "list", "--json").json["drives"]] == ["A", "B"]


def test_a_folder_is_not_formatted(practice: Computer) -> None:
    command = ("drive", "enroll", "--folder", practice.drive("A"), "--label", "A", "--place", "cabinet")
    assert practice.run(*command, "--format").code == 2
    assert practice.run(*command, "--yes-erase", "X").code == 2
    assert not practice.drive("A").exists()
