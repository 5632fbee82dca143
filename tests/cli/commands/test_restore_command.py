"""``restore``, as a person runs it: what comes back, where, and what is left alone."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli.computer import Computer

BILAN = "Bilan de Dupont\n" * 50


@pytest.fixture
def saved(practice: Computer) -> Computer:
    """The practice's three patients, saved once on the drive CABINET."""
    os.utime(practice.patients / "Dupont" / "bilan.txt", ns=(0, -86_400_000_000_123))
    practice.enroll("CABINET")
    practice.back_up("CABINET")
    return practice


def below(into: Path, path: Path) -> Path:
    """Where a restore into ``into`` puts that path."""
    return into / str(path).lstrip("/")


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_everything_comes_back_below_the_destination_with_its_full_path(saved: Computer) -> None:
    done = saved.run("restore", "latest", "--to", "back", "--json")
    assert done.code == 0
    document = done.json
    assert [document[key] for key in ("files_restored", "files_skipped", "problems")] == [6, 0, []]
    assert document["bytes_restored"] == sum(p.stat().st_size for p in saved.patients.rglob("*.*"))
    assert document["duration_s"] >= 0
    assert len(document["snapshot"]) == 64
    back = below(saved.home / "back", saved.patients)
    assert names(back) == names(saved.patients)
    assert (back / "Dupont" / "bilan.txt").read_text("utf-8") == BILAN
    assert (back / "Dupont" / "bilan.txt").stat().st_mtime_ns == -86_400_000_000_123
    assert (saved.home / "back").stat().st_mode & 0o777 == 0o700


def test_links_holes_rights_and_attributes_come_back(practice: Computer) -> None:
    patients = practice.patients
    (patients / "lien").symlink_to("Dupont/bilan.txt")
    os.link(patients / "Dupont" / "bilan.txt", patients / "même.txt")
    (patients / "secret.txt").write_bytes(b"closed")
    mode = 0 if os.geteuid() == 0 else 0o400  # what is 0 only root reads
    (patients / "secret.txt").chmod(mode)
    with (patients / "creux.img").open("wb") as sparse:
        sparse.truncate(50_000_000)
        sparse.write(b"data")
    os.mkfifo(patients / "tuyau", 0o640)
    os.setxattr(patients / "Durand" / "bilan.txt", "user.note", b"\x00\xff")
    practice.enroll("CABINET")
    practice.back_up("CABINET")
    done = practice.run("restore", "latest", "--to", "back")
    assert (done.code, done.err) == (0, "")
    back = below(practice.home / "back", patients)
    assert os.readlink(back / "lien") == "Dupont/bilan.txt"
    assert (back / "même.txt").samefile(back / "Dupont" / "bilan.txt")
    assert (back / "secret.txt").stat().st_mode & 0o7777 == mode
    assert (back / "creux.img").stat().st_size == 50_000_000
    assert (back / "creux.img").stat().st_blocks * 512 < 1_000_000
    assert (back / "tuyau").is_fifo()
    assert os.getxattr(back / "Durand" / "bilan.txt", "user.note") == b"\x00\xff"


@pytest.mark.parametrize("form", ["absolute", "below the source", "from its name on"])
def test_a_part_is_named_by_its_full_path_or_from_its_source_on(saved: Computer, form: str) -> None:
    path = {
        "absolute": str(saved.patients / "Dupont"),
        "below the source": "Dupont",
        "from its name on": "Patients/Dupont",
    }[form]
    assert saved.run("restore", "latest", path, "--to", "back").code == 0
    assert names(below(saved.home / "back", saved.patients)) == ["Dupont", "Dupont/bilan.txt", "Dupont/radio.jpg"]


def test_several_parts_come_back_together(saved: Computer) -> None:
    done = saved.run("restore", "latest", "Dupont/bilan.txt", "Durand", "Durand/radio.jpg", "--to", "back", "--json")
    assert done.json["files_restored"] == 3
    assert names(below(saved.home / "back", saved.patients)) == [
        "Dupont",
        "Dupont/bilan.txt",
        "Durand",
        "Durand/bilan.txt",
        "Durand/radio.jpg",
    ]


def test_a_part_that_is_not_in_the_backup_is_not_found_and_nothing_is_made(saved: Computer) -> None:
    done = saved.run("restore", "latest", "Dupont", "Personne", "--to", "back")
    assert done.code == 10
    assert "Personne" in done.err
    assert not (saved.home / "back").exists()


def test_a_dry_run_tells_and_writes_nothing(saved: Computer) -> None:
    done = saved.run("restore", "latest", "Dupont", "--to", "back", "--dry-run", "--json")
    assert (done.code, done.json["files_restored"], done.json["dry_run"]) == (0, 2, True)
    assert not (saved.home / "back").exists()


# -- what is there already -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overwrite", "changed", "untouched"),
    [("never", "mine", 6), ("if-changed", BILAN, 5), ("always", BILAN, 0)],
)
def test_files_that_are_there_are_treated_as_asked(
    saved: Computer, overwrite: str, changed: str, untouched: int
) -> None:
    assert saved.run("restore", "latest", "--to", "back").code == 0
    file = below(saved.home / "back", saved.patients) / "Dupont" / "bilan.txt"
    file.write_text("mine", encoding="utf-8")
    done = saved.run("restore", "latest", "--to", "back", "--overwrite", overwrite, "--json")
    left_alone = [(3, "exists", str(saved.patients / "Dupont" / "bilan.txt"))] if overwrite == "never" else []
    assert [(done.code, p["kind"], p["path"]) for p in done.json["problems"]] == left_alone
    assert done.json["files_skipped"] == untouched
    assert done.json["files_restored"] == 6 - untouched
    assert file.read_text("utf-8") == changed


def test_files_left_alone_are_told_in_words(saved: Computer) -> None:
    saved.run("restore", "latest", "--to", "back")
    done = saved.run("restore", "latest", "--to", "back")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[1] == (
        "6 files were there already and were left alone; "
        "--overwrite if-changed replaces those that differ from the backup"
    )


def test_a_folder_in_the_place_of_a_file_is_a_problem(saved: Computer) -> None:
    (below(saved.home / "back", saved.patients) / "Dupont" / "bilan.txt").mkdir(parents=True)
    done = saved.run("restore", "latest", "--to", "back", "--overwrite", "always", "--json")
    assert done.code == 3
    assert [p["kind"] for p in done.json["problems"]] == ["exists"]
    assert done.json["files_restored"] == 5


def test_a_link_inside_the_destination_is_never_followed(saved: Computer) -> None:
    outside = saved.home / "outside"
    outside.mkdir()
    place = below(saved.home / "back", saved.patients)
    place.mkdir(parents=True)
    (place / "Dupont").symlink_to(outside)
    done = saved.run("restore", "latest", "--to", "back", "--overwrite", "always", "--json")
    assert done.code == 3
    assert list(outside.iterdir()) == []
    assert (place / "Durand" / "bilan.txt").exists()


# -- destinations ----------------------------------------------------------------------------------------------------


def test_a_synchronised_folder_is_refused_unless_it_is_allowed(saved: Computer) -> None:
    cloud = saved.home / "Dropbox"
    (saved.home / ".dropbox").mkdir()
    (saved.home / ".dropbox" / "info.json").write_text(json.dumps({"personal": {"path": str(cloud)}}), encoding="utf-8")
    cloud.mkdir()
    done = saved.run("restore", "latest", "--to", cloud / "back")
    assert done.code == 13
    assert "Dropbox" in done.err
    assert "--allow-cloud-destination" in done.err
    assert list(cloud.iterdir()) == []
    assert saved.run("restore", "latest", "--to", cloud / "back", "--allow-cloud-destination").code == 0
    assert below(cloud / "back", saved.patients).is_dir()


def test_a_folder_of_the_backup_itself_is_refused(saved: Computer) -> None:
    inside = saved.drive("CABINET") / "KINEBACKUP"
    shortcut = saved.home / "shortcut"
    shortcut.symlink_to(inside)
    for place in (inside, inside / "packs" / "new", shortcut / "new"):
        done = saved.run("restore", "latest", "--to", place, "--allow-cloud-destination")
        assert done.code == 13
    assert sorted(p.name for p in inside.iterdir() if p.name == "new") == []


def test_the_drive_itself_is_told_to_be_no_place_for_plain_files(saved: Computer) -> None:
    done = saved.run("restore", "latest", "--to", saved.drive("CABINET") / "back")
    assert done.code == 0
    assert "restored files are not encrypted there" in done.err


def test_a_destination_that_is_a_file_is_an_error_of_one_line(saved: Computer) -> None:
    done = saved.run("restore", "latest", "--to", saved.config)
    assert done.code == 1
    assert str(saved.config) in done.err
    assert "Traceback" not in done.err


# -- a new computer --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--passphrase-file", "--recovery-code-file"])
def test_a_new_computer_needs_the_drive_and_one_secret_only(
    saved: Computer, another_computer: Computer, option: str
) -> None:
    another_computer.config.unlink()
    secret = saved.passphrase_file if option == "--passphrase-file" else saved.code_file
    drive = saved.drive("CABINET")
    done = another_computer.run("restore", "latest", "--to", "back", "--drive", drive, option, secret)
    assert (done.code, done.err) == (0, "")
    assert names(below(another_computer.home / "back", saved.patients)) == names(saved.patients)
    assert not another_computer.state.exists()


def test_a_recovery_code_with_a_typing_error_is_told_before_the_drive_is_read(saved: Computer) -> None:
    code = saved.code_file.read_text("utf-8")
    wrong = saved.home / "wrong.txt"
    wrong.write_text(("3" if code[0] == "2" else "2") + code[1:], encoding="utf-8")
    done = saved.run("restore", "latest", "--to", "back", "--recovery-code-file", wrong)
    assert done.code == 12
    assert "group 1" in done.err
    assert code.split("-")[1] not in done.err


# -- interrupted -----------------------------------------------------------------------------------------------------


def restored_in(folder: Path) -> int:
    return len(list(folder.glob("*.txt")))


def test_an_interrupted_restore_ends_at_once_and_goes_on_later(practice: Computer) -> None:
    many = practice.patients / "many"
    many.mkdir()
    for number in range(12_000):
        (many / f"{number}.txt").write_bytes(b"%d" % number)
    practice.enroll("CABINET")
    practice.back_up("CABINET")
    back = below(practice.home / "back", many)
    running = practice.start("restore", "latest", "--to", "back")
    while running.poll() is None and not (back.exists() and restored_in(back)):
        pass
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert "run the same command again" in err
    assert 0 < restored_in(back) < 12_000
    assert list(back.glob(".*")) == []
    done = practice.run("restore", "latest", "--to", "back", "--json")
    assert done.code == 0
    assert done.json["files_skipped"] > 0
    assert done.json["files_restored"] + done.json["files_skipped"] == 12_006
    assert {p.name: p.read_bytes() for p in back.iterdir()} == {p.name: p.read_bytes() for p in many.iterdir()}


# -- as root ---------------------------------------------------------------------------------------------------------

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.mark.root
@needs_root
def test_root_gets_the_owners_back(practice: Computer) -> None:
    os.chown(practice.patients / "Dupont" / "bilan.txt", 12345, 23456)
    os.chown(practice.patients / "Durand", 34567, 34567)
    practice.enroll("CABINET")
    practice.back_up("CABINET")
    done = practice.run("restore", "latest", "--to", "back")
    assert (done.code, done.err) == (
        0,
        "! this computer does not know these owners by name, and they were set by number: 12345, 23456, 34567\n",
    )
    back = below(practice.home / "back", practice.patients)
    owned = (back / "Dupont" / "bilan.txt").stat()
    assert (owned.st_uid, owned.st_gid) == (12345, 23456)
    assert (back / "Durand").stat().st_uid == 34567
    again = practice.run("restore", "latest", "--to", "numbers", "--numeric-owner", "--json")
    assert (again.code, again.err, again.json["owners_by_number"]) == (0, "", [])
    assert (below(practice.home / "numbers", practice.patients) / "Durand").stat().st_uid == 34567


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "tiny"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.root
@needs_root
def test_a_full_disk_stops_the_restore_says_what_is_missing_and_can_be_resumed(
    practice: Computer, tiny_disk: Path
) -> None:
    for number in range(20):
        (practice.patients / f"image-{number}.jpg").write_bytes(os.urandom(100_000))
    practice.enroll("CABINET")
    practice.back_up("CABINET")
    done = practice.run("restore", "latest", "--to", tiny_disk)
    assert done.code == 1
    assert "files are still missing" in done.err
    assert "run the same command again" in done.err
    subprocess.run(["mount", "-o", "remount,size=20m", tiny_disk], check=True)
    done = practice.run("restore", "latest", "--to", tiny_disk, "--json")
    assert done.code == 0
    assert done.json["files_skipped"] > 0
    assert names(below(tiny_disk, practice.patients)) == names(practice.patients)


def test_the_latest_backup_may_be_the_one_that_cannot_be_read_and_that_is_said(
    saved: Computer, another_computer: Computer
) -> None:
    drive = saved.drive("CABINET")
    (saved.patients / "neu.txt").write_text("new", encoding="utf-8")
    newest = drive / "KINEBACKUP" / "snapshots" / saved.back_up("CABINET")["snapshot"]
    newest.write_bytes(b"\0" * newest.stat().st_size)
    options = ("--drive", drive, "--passphrase-file", saved.passphrase_file)
    done = another_computer.run("restore", "latest", "--to", "back", *options, "--json")
    assert (done.code, done.json["files_restored"]) == (3, 6)
    assert [(p["kind"], p["path"]) for p in done.json["problems"]] == [("damaged", f"snapshots/{newest.name}")]
    assert another_computer.run("verify", *options).code == 14  # told, and marked: from now on it is a remark
    again = another_computer.run("ls", "latest", *options)
    assert again.code == 0
    assert again.err.startswith("! a backup on this drive is damaged, and may be newer ")


def test_links_that_are_there_already_are_not_counted_as_files(practice: Computer) -> None:
    (practice.patients / "lien").symlink_to("Dupont")
    practice.enroll("A")
    practice.back_up("A")
    first, second = (practice.run("restore", "latest", "--to", "back", "--json").json for _run in range(2))
    assert (first["files_restored"], first["files_skipped"]) == (6, 0)
    assert (second["files_restored"], second["files_skipped"]) == (0, 6)


# -- what a backup lacks, and what is left of one that is damaged or lost -------------------------------------------


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


def repository(computer: Computer) -> Path:
    return computer.drive("CABINET") / "KINEBACKUP"


def test_what_is_sound_of_damaged_files_comes_back_when_asked_for(saved: Computer) -> None:
    for pack in repository(saved).glob("packs/*/*"):
        flip(pack, 60)  # in the first segment: files lie there, or folders
    folders_too = saved.run("restore", "latest", "--to", "lost", "--salvage", "--json")
    assert folders_too.code == 3
    plain = saved.run("restore", "latest", "--to", "plain", "--json")
    assert (plain.code, plain.json["salvaged"]) == (3, [])
    assert not list((saved.home / "plain").rglob("*.damaged*"))
    for salvaged in folders_too.json["salvaged"]:
        parts = below(saved.home / "lost", Path(salvaged["path"] + ".damaged"))
        (hole,) = salvaged["holes"]
        assert parts.read_bytes() == bytes(hole[1])
        assert Path(f"{parts}.txt").read_text("utf-8") == f"0 {hole[1]}\n"


def test_a_backup_whose_own_file_is_lost_comes_back_from_its_folders(saved: Computer) -> None:
    (snapshot,) = (repository(saved) / "snapshots").iterdir()
    snapshot.unlink()
    for name in (snapshot.name, snapshot.name[:8], "latest"):
        refused = saved.run("restore", name, "--to", "nothing", "--json")
        assert refused.code in (3, 10, 14), refused.err
        done = saved.run("restore", name, "--to", f"back-{name}", "--salvage", "--json")
        assert done.code == 3, done.err
        document = done.json
        assert (document["snapshot"], document["files_restored"], document["salvaged"]) == (None, 6, [])
        (lost,) = (saved.home / f"back-{name}").iterdir()
        assert lost.name.startswith("kinebackup-lost-")
        assert names(below(lost, saved.patients)) == names(saved.patients)
        assert (below(lost, saved.patients) / "Dupont" / "bilan.txt").read_text("utf-8") == BILAN
    assert "of a lost backup" in saved.run("restore", snapshot.name, "--to", "again", "--salvage").out


def test_only_the_paths_asked_for_come_back_of_a_lost_backup(saved: Computer) -> None:
    (snapshot,) = (repository(saved) / "snapshots").iterdir()
    snapshot.unlink()
    wanted = saved.patients / "Dupont" / "bilan.txt"
    done = saved.run("restore", snapshot.name, str(wanted), "--to", "back", "--salvage", "--json")
    assert (done.code, done.json["files_restored"]) == (3, 1)
    absent = saved.run("restore", snapshot.name, "/absent", "--to", "back", "--salvage", "--json")
    assert absent.code in (10, 14)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_the_backup_could_not_read_is_said_with_the_newest_backup_that_has_it(saved: Computer) -> None:
    first = saved.run("snapshots", "--json").json["snapshots"][0]["id"]
    (saved.patients / "Dupont" / "bilan.txt").chmod(0)
    assert saved.run("backup", "--drive", "CABINET", "--json").code == 3
    done = saved.run("restore", "latest", "--to", "back", "--json")
    path = str(saved.patients / "Dupont" / "bilan.txt")
    assert done.code == 3
    assert done.json["incomplete"] == [{"path": path, "newest_snapshot_with_it": first}]
    elsewhere = saved.run("restore", "latest", str(saved.patients / "Durand"), "--to", "other", "--json")
    assert (elsewhere.code, elsewhere.json["incomplete"]) == (0, [])
