"""``kinebackup check-target``: for anybody, with and without a configuration.

Owns: the command and its document. The services are proven in tests/drives/test_cloud_detection.py, the rules in
tests/policy/test_targets.py, real drives in test_enroll_device.py.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli.computer import Computer, Ran, make_computer


def without_configuration(computer: Computer, *arguments: str | Path) -> Ran:
    """As somebody runs it who has just installed KineBackup: their home, no configuration, no state."""
    environment = computer.environment()
    del environment["KINEBACKUP_CONFIG"]
    return computer.run("check-target", *arguments, env=environment)


def test_a_folder_of_the_computer_is_refused_with_its_reason_and_what_to_do(computer: Computer) -> None:
    folder = computer.home / "Sauvegardes"
    folder.mkdir()
    done = without_configuration(computer, folder)
    assert done.code == 13
    lines = done.out.splitlines()
    assert lines[0].startswith(f"REFUSED: {folder} is ")
    assert lines[-1].startswith("  hint: ")
    assert done.err == ""


def test_the_document_has_the_verdict_the_reason_the_service_and_the_facts(computer: Computer) -> None:
    folder = computer.home / "Synced"
    (folder / ".stfolder").mkdir(parents=True)
    done = without_configuration(computer, folder, "--json")
    assert done.code == 13
    found = done.json
    assert (found["verdict"], found["reason"], found["service"]) == ("refused", "cloud", "Syncthing")
    assert found["message"] == f"{folder} is in a folder that Syncthing synchronises"
    assert found["hint"] == "use a USB drive: backups of patient files never go to a cloud"
    assert found["facts"]["path"] == str(folder)
    assert found["facts"]["cloud"]["evidence"] == str(folder / ".stfolder")
    assert (found["drive"], found["notices"]) == (None, [])


def dropbox(home: Path) -> Path:
    (home / ".dropbox").mkdir()
    (home / ".dropbox" / "info.json").write_text(f'{{"personal": {{"path": "{home}/Boîte", "host": 1}}}}')
    return home / "Boîte"


def onedrive(home: Path) -> Path:
    (home / ".config" / "onedrive").mkdir(parents=True)
    (home / ".config" / "onedrive" / "config").write_text('sync_dir = "~/Nuage/OneDrive"\n')
    return home / "Nuage" / "OneDrive" / "Sauvegardes"


def nextcloud(home: Path) -> Path:
    (home / ".config" / "Nextcloud").mkdir(parents=True)
    text = f"[Accounts]\n0\\Folders\\1\\localPath={home}/Cabinet/\n0\\url=https://cloud.example.org\n"
    (home / ".config" / "Nextcloud" / "nextcloud.cfg").write_text(text)
    return home / "Cabinet"


def syncthing(home: Path) -> Path:
    (home / ".local" / "state" / "syncthing").mkdir(parents=True)
    text = f'<configuration><folder id="a" path="{home}/Partage"></folder></configuration>'
    (home / ".local" / "state" / "syncthing" / "config.xml").write_text(text)
    return home / "Partage"


def mega(home: Path) -> Path:
    folder = home / "x"
    folder.mkdir()
    (folder / ".megaignore").write_text("")
    return folder


def resilio(home: Path) -> Path:
    folder = home / "x"
    (folder / ".sync").mkdir(parents=True)
    (folder / ".sync" / "ID").write_text("")
    return folder / "below"


@pytest.mark.parametrize(
    ("synchronised", "service"),
    [
        (dropbox, "Dropbox"),
        (onedrive, "OneDrive"),
        (nextcloud, "Nextcloud"),
        (syncthing, "Syncthing"),
        (mega, "MEGA"),
        (resilio, "Resilio Sync"),
    ],
)
def test_a_cloud_is_named(computer: Computer, synchronised: Callable[[Path], Path], service: str) -> None:
    folder = synchronised(computer.home)
    found = without_configuration(computer, folder, "--json").json
    assert (found["verdict"], found["reason"], found["service"]) == ("refused", "cloud", service)
    assert f"  service: {service}\n" in without_configuration(computer, folder).out


def test_a_simulated_drive_is_known_by_its_folder_and_no_longer_accepted_in_a_doubtful_place(
    practice: Computer,
) -> None:
    drive = practice.enroll("A")
    accepted = practice.run("check-target", drive)
    assert (accepted.code, accepted.out) == (0, f"Accepted: {drive} is the simulated drive A.\n")
    assert practice.run("check-target", drive, "--json").json["drive"] == "A"
    (practice.home / ".config" / "Insync").mkdir(parents=True)
    found = practice.run("check-target", drive, "--json")
    assert (found.code, found.json["reason"], found.json["service"]) == (13, "cloud-unclear", "Insync")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/nowhere/at/all", "not-found"),
        ("/dev/kine-absent1", "not-found"),
        ("/proc/self", "pseudo"),
    ],
)
def test_a_place_that_is_none_is_refused(computer: Computer, path: str, reason: str) -> None:
    done = without_configuration(computer, path, "--json")
    assert (done.code, done.json["verdict"], done.json["reason"]) == (13, "refused", reason)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs /dev/shm")
def test_memory_is_refused(computer: Computer) -> None:
    assert without_configuration(computer, "/dev/shm", "--json").json["reason"] == "memory"


def test_sources_are_taken_into_account_where_the_configuration_can_be_read(disk_path: Path) -> None:
    practice = make_computer(disk_path / "practice")
    inside = practice.run("check-target", practice.patients / "Dupont", "--json").json
    assert inside["reason"] == "inside-source"
    assert practice.run("check-target", practice.home, "--json").json["reason"] == "contains-source"
    assert without_configuration(practice, practice.patients, "--json").json["reason"] != "inside-source"


def test_a_configuration_that_was_named_must_be_there(computer: Computer) -> None:
    done = computer.run("--config", "missing.toml", "check-target", "/")
    assert done.code == 2


def test_a_configuration_that_is_not_understood_does_not_keep_from_asking(computer: Computer) -> None:
    computer.config.write_text("[practice\n")
    assert computer.run("check-target", "/proc", "--json").json["reason"] == "pseudo"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_state_that_may_not_be_read_does_not_keep_from_asking(practice: Computer) -> None:
    practice.state.chmod(0)
    assert practice.run("check-target", "/proc", "--json").code == 13
    practice.state.chmod(0o700)


def test_it_is_said_in_french(practice: Computer) -> None:
    practice.configure(language="fr")
    done = practice.run("check-target", "/proc")
    assert done.out.startswith("REFUSÉ\u00a0: /proc ")
