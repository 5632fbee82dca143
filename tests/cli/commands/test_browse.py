"""``snapshots``, ``ls``, ``find`` and ``diff``, as a person runs them.

Owns: one practice with two backups that all tests of this file read. Does not know: how directories are stored.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.cli.computer import Computer, make_computer

from kinebackup.engine.format.layout import HEADER_COPIES


@dataclass(frozen=True, slots=True)
class Library:
    """Two backups on the drive CABINET; ``first`` and ``second`` are their ids."""

    computer: Computer
    first: str
    second: str

    def run(self, *arguments: str) -> str:
        done = self.computer.run(*arguments)
        assert done.code == 0, done.err
        return done.out

    def json(self, *arguments: str) -> Any:
        done = self.computer.run(*arguments, "--json")
        assert done.code == 0, done.err
        return done.json

    def path(self, *parts: str) -> str:
        return str(self.computer.patients.joinpath(*parts))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, practice_made_once: Path) -> Library:
    computer = make_computer(tmp_path_factory.mktemp("library") / "pc")
    shutil.copytree(practice_made_once / "state", computer.state)
    shutil.copy(practice_made_once / "code.txt", computer.code_file)
    patients = computer.patients
    (patients / "ligne\nsuivante").write_text("un nom avec un retour", encoding="utf-8")
    Path(os.fsdecode(os.fsencode(patients) + b"/lettre-\xe9.doc")).write_bytes(b"a name in Latin-1")
    (patients / "\x1b[31mrouge").write_bytes(b"a name that would turn a terminal red")
    (patients / "dernier").symlink_to("Dupont/bilan.txt")
    (patients / "Martin" / "old.txt").write_bytes(b"goes")
    computer.enroll("CABINET")
    first = computer.back_up("CABINET")["snapshot"]
    (patients / "Dupont" / "bilan.txt").write_text("Bilan revu\n", encoding="utf-8")
    (patients / "Martin" / "old.txt").unlink()
    (patients / "Durand" / "radio.jpg").chmod(0o640)
    (patients / "Élodie" / "été").mkdir(parents=True)
    (patients / "Élodie" / "été" / "note.txt").write_bytes(b"new")
    second = computer.back_up("CABINET")["snapshot"]
    return Library(computer, first, second)


# -- snapshots -------------------------------------------------------------------------------------------------------


def test_snapshots_are_listed_oldest_first_with_what_is_in_them(library: Library) -> None:
    found = library.json("snapshots", "--drive", "CABINET")["snapshots"]
    assert [s["id"] for s in found] == [library.first, library.second]
    assert [s["files"] for s in found] == [10, 10]
    assert [s["problems"] for s in found] == [0, 0]
    assert [s["suspicious"] for s in found] == [False, False]
    assert {s["drive"] for s in found} == {"CABINET"}
    assert found[0]["sources"] == [library.path()]
    assert found[0]["bytes"] > 1000
    assert found[0]["time"].endswith("Z")


def test_snapshots_are_shown_as_a_table(library: Library) -> None:
    lines = library.run("snapshots").splitlines()
    assert lines[0].split() == ["SNAPSHOT", "DRIVE", "TIME", "COMPUTER", "FILES", "SIZE"]
    assert [line.split()[:2] for line in lines[1:]] == [
        [library.first[:12], "CABINET"],
        [library.second[:12], "CABINET"],
    ]


def test_a_drive_without_backups_says_so(practice: Computer) -> None:
    practice.enroll("CABINET")
    done = practice.run("snapshots")
    assert (done.code, done.out, done.err) == (0, "The drive CABINET holds no backup yet\n", "")
    assert practice.run("snapshots", "--json").json == {"snapshots": [], "problems": [], "healed": []}


def test_a_damaged_snapshot_is_a_problem_and_the_others_are_listed(library: Library, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(library.computer.drive("CABINET"), copy)
    victim = copy / "KINEBACKUP" / "snapshots" / library.first
    victim.write_bytes(victim.read_bytes()[:-1])
    done = library.computer.run("snapshots", "--drive", copy, "--json")
    assert done.code == 3
    assert [s["id"] for s in done.json["snapshots"]] == [library.second]
    assert done.json["problems"][0]["path"] == f"snapshots/{library.first}"


# -- naming a snapshot -----------------------------------------------------------------------------------------------


def test_latest_and_unique_beginnings_name_a_snapshot(library: Library) -> None:
    assert library.json("ls", "latest")["snapshot"] == library.second
    assert library.json("ls", library.first[:10])["snapshot"] == library.first


def test_an_unknown_snapshot_is_not_found_and_the_known_ones_are_told(library: Library) -> None:
    for command in (["ls", "zzz"], ["diff", "zzz", "latest"], ["restore", "zzz", "--to", "nowhere"]):
        done = library.computer.run(*command)
        assert done.code == 10
        assert done.out == ""
        assert library.first[:12] in done.err
        assert library.second[:12] in done.err
    assert not (library.computer.home / "nowhere").exists()


def test_the_error_of_an_unknown_snapshot_is_one_json_document(library: Library) -> None:
    done = library.computer.run("ls", "zzz", "--json")
    assert done.code == 10
    assert done.json["error"]["code"] == 10
    assert library.first[:12] in done.json["error"]["hint"]


# -- ls --------------------------------------------------------------------------------------------------------------


def test_without_a_path_the_sources_are_listed(library: Library) -> None:
    lines = library.run("ls", "latest").splitlines()
    assert lines == [
        r"\x1b[31mrouge",
        "Dupont/",
        "Durand/",
        "Martin/",
        "dernier -> Dupont/bilan.txt",
        r"lettre-\xe9.doc",
        r"ligne\nsuivante",
        "Élodie/",
    ]


@pytest.mark.parametrize("form", ["absolute", "below the source", "from its name on", "with dots and slashes"])
def test_a_path_may_be_absolute_or_relative_to_the_sources(library: Library, form: str) -> None:
    path = {
        "absolute": library.path("Dupont"),
        "below the source": "Dupont",
        "from its name on": "Patients/Dupont",
        "with dots and slashes": "./Dupont//",
    }[form]
    assert library.run("ls", "latest", path) == "bilan.txt\nradio.jpg\n"


def test_a_file_is_listed_alone(library: Library) -> None:
    entries = library.json("ls", library.first, "Dupont/bilan.txt")["entries"]
    assert [(e["path"], e["type"], e["size"], e["mode"]) for e in entries] == [
        (library.path("Dupont", "bilan.txt"), "file", 800, "0644")
    ]


def test_a_path_that_is_not_there_is_not_found_and_its_neighbours_are_told(library: Library) -> None:
    done = library.computer.run("ls", "latest", "Dupond")
    assert done.code == 10
    assert "Dupont" in done.err


def test_everything_below_is_listed_when_asked_for(library: Library) -> None:
    lines = library.run("ls", "latest", "Élodie", "--recursive").splitlines()
    assert lines == [library.path("Élodie", "été") + "/", library.path("Élodie", "été", "note.txt")]
    assert library.path("Élodie", "été", "note.txt") in library.run("ls", "latest", "/", "-R").splitlines()


def test_the_long_list_tells_rights_sizes_and_times(library: Library) -> None:
    line = library.run("ls", library.first, "Dupont", "--long").splitlines()[0]
    assert line.startswith("-rw-r--r--  ")
    assert "  800 B  20" in line
    assert line.endswith("  bilan.txt")


def test_names_are_shown_and_never_obeyed_by_the_terminal(library: Library) -> None:
    for command in (["ls", "latest"], ["ls", "latest", "-l"], ["find", "*"], ["diff", library.first, "latest"]):
        assert "\x1b" not in library.run(*command)


# -- find ------------------------------------------------------------------------------------------------------------


def test_a_name_is_found_in_all_backups_with_its_versions(library: Library) -> None:
    (found,) = library.json("find", "bilan.txt", "--drive", "CABINET")["files"][:1]
    assert found["path"] == library.path("Dupont", "bilan.txt")
    assert [v["size"] for v in found["versions"]] == [800, 11]
    assert [v["snapshots"] for v in found["versions"]] == [[library.first], [library.second]]


def test_an_unchanged_file_is_one_version_in_both_backups(library: Library) -> None:
    found = library.json("find", "*/Martin/radio.jpg")["files"]
    assert [v["snapshots"] for f in found for v in f["versions"]] == [[library.first, library.second]]
    assert found[0]["first"] < found[0]["last"]


def test_a_file_whose_rights_changed_is_still_one_version(library: Library) -> None:
    (found,) = library.json("find", "Durand/radio.jpg")["files"]
    assert len(found["versions"]) == 1


def test_a_file_that_is_gone_is_found_where_it_was(library: Library) -> None:
    (found,) = library.json("find", "OLD.*")["files"]
    assert (found["path"], found["first"]) == (library.path("Martin", "old.txt"), found["last"])
    assert found["versions"][0]["snapshots"] == [library.first]


@pytest.mark.parametrize("pattern", ["ÉLODIE", "E\u0301lodie", "élo*", "?lodie", "[éè]lodie"])
def test_neither_case_nor_the_two_ways_of_writing_an_accent_matter(library: Library, pattern: str) -> None:
    assert [f["path"] for f in library.json("find", pattern)["files"]] == [library.path("Élodie")]


def test_a_pattern_with_a_slash_is_for_paths(library: Library) -> None:
    assert [f["path"] for f in library.json("find", "Élodie/*.txt")["files"]] == [
        library.path("Élodie", "été", "note.txt")
    ]
    assert library.json("find", library.path("Durand"))["files"][0]["type"] == "dir"


def test_nothing_found_is_said_and_is_no_failure(library: Library) -> None:
    assert library.run("find", "lodi").splitlines() == [
        "Nothing is called lodi in 2 backups",
        "Part of a name is found with stars: '*lodi*'",
    ]
    assert library.json("find", "lodi")["files"] == []


# -- diff ------------------------------------------------------------------------------------------------------------


def test_two_backups_are_compared_name_by_name(library: Library) -> None:
    document = library.json("diff", library.first, "latest")
    assert {(c["kind"], c["path"]) for c in document["changes"]} == {
        ("changed", library.path("Dupont", "bilan.txt")),
        ("removed", library.path("Martin", "old.txt")),
        ("metadata", library.path("Durand", "radio.jpg")),
        ("added", library.path("Élodie")),
        ("added", library.path("Élodie", "été")),
        ("added", library.path("Élodie", "été", "note.txt")),
    }
    assert [document[key] for key in ("added", "removed", "changed", "metadata")] == [3, 1, 1, 1]
    assert (document["a"], document["b"]) == (library.first, library.second)


def test_the_other_way_round_what_was_added_is_removed(library: Library) -> None:
    lines = library.run("diff", "latest", library.first).splitlines()
    assert "- " + library.path("Élodie", "été", "note.txt") in lines
    assert "+ " + library.path("Martin", "old.txt") + "  (4 B)" in lines
    assert "~ " + library.path("Dupont", "bilan.txt") + "  (11 B → 800 B)" in lines
    assert lines[-1] == "1 added, 3 removed, 1 changed, 1 with other rights or times only"


def test_a_backup_does_not_differ_from_itself(library: Library) -> None:
    assert library.json("diff", "latest", "latest")["changes"] == []


# -- which drive, and which key --------------------------------------------------------------------------------------


def test_a_new_computer_reads_a_drive_with_the_passphrase_or_the_code_alone(
    library: Library, another_computer: Computer
) -> None:
    another_computer.config.unlink()
    drive = str(library.computer.drive("CABINET"))
    phrase = str(library.computer.passphrase_file)
    code = str(library.computer.code_file)
    for command in (["snapshots"], ["ls", "latest"], ["find", "*"], ["diff", library.first, "latest"]):
        for secret in (["--passphrase-file", phrase], ["--recovery-code-file", code]):
            done = another_computer.run(*command, "--drive", drive, *secret)
            assert (done.code, done.err) == (0, "")
            assert done.out
    assert not another_computer.state.exists()


def test_a_new_computer_without_a_secret_is_told_what_to_give(library: Library, another_computer: Computer) -> None:
    another_computer.config.unlink()
    done = another_computer.run("ls", "latest", "--drive", library.computer.drive("CABINET"))
    assert done.code == 10
    assert "--passphrase-file or --recovery-code-file" in done.err
    done = another_computer.run("ls", "latest")
    assert done.code == 2
    assert "on a new computer, name the drive instead: --drive PATH" in done.err


def test_a_wrong_passphrase_says_which_keys_there_are(library: Library, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("ce n'est pas la bonne phrase\n", encoding="utf-8")
    done = library.computer.run("ls", "latest", "--passphrase-file", wrong)
    assert done.code == 12
    assert "Traceback" not in done.err
    assert "passphrase" in done.err
    assert "bonne phrase" not in done.err


def test_of_several_drives_the_newest_that_has_the_snapshot_is_read(practice: Computer) -> None:
    for label in ("CABINET", "MAISON"):
        practice.enroll(label)
    near = practice.back_up("CABINET")["snapshot"]
    away = practice.back_up("MAISON")["snapshot"]
    assert practice.run("ls", "latest", "--json").json["snapshot"] == away
    done = practice.run("ls", near[:12])
    assert done.code == 0
    assert done.err == "Several drives are plugged in; this is about CABINET. Another one: --drive LABEL\n"
    listed = practice.run("snapshots", "--json").json["snapshots"]
    assert [(s["drive"], s["id"]) for s in listed] == [("MAISON", away), ("CABINET", near)]


def test_an_unknown_drive_is_not_found_and_the_known_ones_are_told(library: Library) -> None:
    done = library.computer.run("snapshots", "--drive", "CABINTE")
    assert done.code == 10
    assert "CABINET" in done.err


def test_two_backups_are_compared_on_the_drive_that_has_both(practice: Computer) -> None:
    for label in ("A", "B"):
        practice.enroll(label)
    first = practice.back_up("A")["snapshot"]
    (practice.patients / "neu.txt").write_text("new", encoding="utf-8")
    practice.back_up("A")
    practice.back_up("B")
    found = practice.run("diff", first, "latest", "--json").json
    assert (found["drive"], found["added"]) == ("A", 1)


def test_a_drive_that_cannot_be_opened_is_named_where_another_one_answers(practice: Computer) -> None:
    """It has the newest backup: who restores the latest one must hear that this is not it."""
    (practice.patients / "bilan.txt").write_text("Bilan", encoding="utf-8")
    for label, place in (("DOMICILE", "domicile"), ("CABINET", "cabinet")):
        practice.run("drive", "enroll", "--folder", practice.drive(label), "--label", label, "--place", place)
        practice.run("backup", "--drive", label)
    root = practice.drive("CABINET") / "KINEBACKUP"
    for path in (*(root / name for name in HEADER_COPIES), *root.glob("snapshots/*"), *root.glob("index/*")):
        path.write_bytes(b"")
    for path in root.glob("packs/*/*"):
        path.write_bytes(b"")
    done = practice.run("ls", "latest")
    assert done.code == 3
    assert "this is about DOMICILE" in done.err
    assert "! CABINET: nothing on this drive shows that this header is its own" in done.err
