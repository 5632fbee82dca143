"""A drive of two computers with clocks that differ, read on a third one that it does not know.

Owns: what ``latest`` and ``--host`` mean to somebody who has only the drive and the passphrase. Does not know: how
snapshots are ordered.
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.cli.computer import Computer, make_computer
from support.engine.drives import Drive, back_up, enroll


@pytest.fixture
def new_computer(tmp_path: Path) -> Computer:
    return make_computer(tmp_path / "pc")


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    """The reception saved under a clock of 2061, then the other room twice, under clocks that are right."""
    made = enroll(tmp_path / "stick")
    docs = tmp_path / "docs"
    docs.mkdir()
    for text, host, machine, year in (
        ("one", "accueil", "ab" * 16, 2061),
        ("two", "salle-2", "cd" * 16, 2040),
        ("three", "salle-2", "cd" * 16, 2041),
    ):
        (docs / "note.txt").write_text(text, encoding="utf-8")
        (docs / f"{text}.txt").write_text(text, encoding="utf-8")
        back_up(made, docs, host=host, machine=machine, started_at=datetime(year, 1, 1, 12, tzinfo=UTC))
    return made


def options(computer: Computer, drive: Drive) -> tuple[str, ...]:
    return ("--drive", str(drive.root), "--passphrase-file", str(computer.passphrase_file))


@pytest.mark.parametrize(
    ("host", "expected"), [((), "three"), (("--host", "salle-2"), "three"), (("--host", "ACCUEIL"), "one")]
)
def test_the_newest_is_the_last_one_taken_by_the_computer_that_is_meant(
    new_computer: Computer, drive: Drive, tmp_path: Path, host: tuple[str, ...], expected: str
) -> None:
    done = new_computer.run("restore", "latest", "--to", tmp_path / "back", *host, *options(new_computer, drive))
    assert done.code == 0, done.err
    assert (tmp_path / "back" / str(tmp_path / "docs/note.txt").lstrip("/")).read_text("utf-8") == expected
    listed = new_computer.run("ls", "latest", "note.txt", *host, *options(new_computer, drive), "--json").json
    assert listed["entries"][0]["size"] == len(expected)


def test_a_computer_that_the_drive_does_not_know_is_told_which_it_does(new_computer: Computer, drive: Drive) -> None:
    done = new_computer.run("ls", "latest", *options(new_computer, drive), env=new_computer.environment(TZ="UTC"))
    assert done.code == 0, done.err
    assert done.err.splitlines() == [
        "This drive has no backup of this computer; the newest one is taken, of salle-2, 2041-01-01 12:00.",
        "Other computers, each with its newest backup (choose one with --host NAME):",
        "    accueil  2061-01-01 12:00",
    ]
    assert new_computer.run("ls", "latest", "--host", "accueil", *options(new_computer, drive)).err == ""


def test_a_search_can_be_for_the_backups_of_one_computer(new_computer: Computer, drive: Drive) -> None:
    def found(*host: str) -> tuple[int, list[str]]:
        done = new_computer.run("find", "*.txt", *host, *options(new_computer, drive), "--json").json
        return done["snapshots_searched"], [Path(file["path"]).name for file in done["files"]]

    assert found() == (3, ["note.txt", "one.txt", "three.txt", "two.txt"])
    assert found("--host", "accueil") == (1, ["note.txt", "one.txt"])


def test_a_computer_without_a_backup_there_is_refused(new_computer: Computer, drive: Drive) -> None:
    for words in (("ls", "latest"), ("find", "*.txt"), ("diff", "latest", "latest")):
        done = new_computer.run(*words, "--host", "salle-3", *options(new_computer, drive))
        assert done.code == 10
        assert "called 'salle-3'" in done.err
        assert "accueil, salle-2" in done.err
