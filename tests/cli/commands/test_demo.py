"""``demo``: the play runs to its end, leaves nothing behind, and needs nothing of this computer."""

import os
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.cli.computer import Computer

from kinebackup.cli.commands.demo_practice import contents, make_practice, work_a_day


@pytest.mark.slow
def test_the_whole_job_is_played_and_nothing_is_left(computer: Computer, tmp_path: Path) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    computer.config.unlink()
    done = computer.run("demo", env=computer.environment(TMPDIR=str(place)))
    assert done.code == 0, done.out + done.err
    commands = re.findall(r"^\$ kinebackup ([a-z-]+)", done.out, re.M)
    assert commands == [
        "init",
        "drive",
        "drive",
        "backup",
        "backup",
        "backup",
        "snapshots",
        "diff",
        "find",
        "restore",
        "restore",
        "restore-test",
        "verify",
        "backup",
        "prune",
        "verify",
        "status",
    ]
    assert "358 restored files compared with their originals" in done.out
    assert "(exit code 14, as it should be)" in done.out
    assert "\x1b" not in done.out
    assert list(place.iterdir()) == []
    assert not computer.state.exists()
    assert sorted(p.name for p in computer.home.iterdir()) == ["Patients", "phrase.txt"]


@pytest.mark.slow
def test_a_kept_play_can_be_gone_on_with(computer: Computer, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    done = computer.run("demo", "--keep", kept, "--json", env=computer.environment(LANG="fr_FR.UTF-8"))
    assert done.code == 0
    assert done.json["files_compared"] == 358
    assert done.json["duration_s"] > 0
    assert [step["exit_code"] for step in done.json["steps"]].count(14) == 1
    assert (kept / "passphrase.txt").stat().st_mode & 0o777 == 0o600
    assert kept.stat().st_mode & 0o777 == 0o700
    status = computer.run("--config", kept / "config.toml", "drive", "list", "--json")
    assert [drive["label"] for drive in status.json["drives"]] == ["CABINET", "MAISON"]


def test_a_folder_with_files_is_not_played_in(computer: Computer) -> None:
    done = computer.run("demo", "--keep", computer.patients)
    assert done.code == 2
    assert sorted(os.listdir(computer.patients)) == ["Dupont", "Durand", "Martin"]


# -- the invented practice -------------------------------------------------------------------------------------------


def test_the_invented_practice_is_always_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        make_practice(tmp_path / name)
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert len(first) == 351
    assert {name: found.sha256 for name, found in first.items()} == {n: f.sha256 for n, f in second.items()}


def test_a_day_of_work_adds_changes_renames_and_removes(tmp_path: Path) -> None:
    make_practice(tmp_path)
    before = {name: found.sha256 for name, found in contents(tmp_path).items()}
    work_a_day(tmp_path)
    after = {name: found.sha256 for name, found in contents(tmp_path).items()}
    assert len(after.keys() - before.keys()) == 9
    assert before.keys() - after.keys() == {"Courriers/courrier-030.txt", "Patients/Exemple-005/séance-6.txt"}
    assert {name for name in before.keys() & after.keys() if before[name] != after[name]} == {
        "agenda.sqlite",
        *(f"Patients/Exemple-{number:03}/bilan.txt" for number in (3, 8, 21)),
    }


def test_a_database_is_compared_by_its_rows(tmp_path: Path) -> None:
    make_practice(tmp_path)
    with closing(sqlite3.connect(tmp_path / "agenda.sqlite")) as base:
        shutil.copy(tmp_path / "agenda.sqlite", tmp_path / "copy.sqlite")
        base.execute("VACUUM")
        found = contents(tmp_path)
        assert found["agenda.sqlite"].sha256 == found["copy.sqlite"].sha256
        base.execute("UPDATE seances SET note = 'autre' WHERE numero = 1")
        base.commit()
    assert contents(tmp_path)["agenda.sqlite"].sha256 != found["copy.sqlite"].sha256
