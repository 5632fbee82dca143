"""``kinebackup status``: one sentence first, and an answer at once.

Owns: the command. The verdict is proven in tests/policy/test_rotation.py.
"""

import shutil

from support.cli.computer import Computer


def test_before_init_it_says_how_to_begin(computer: Computer) -> None:
    done = computer.run("status")
    assert (done.code, done.out) == (10, "")
    assert "run: kinebackup init" in done.err


def test_without_a_drive_nothing_is_protected(practice: Computer) -> None:
    done = practice.run("status")
    assert (done.code, done.out) == (0, "Nothing is protected: no drive is enrolled yet.\n")


def test_the_first_line_is_the_sentence_and_the_table_names_each_drive(practice: Computer) -> None:
    practice.enroll("A")
    practice.enroll("B", "domicile")
    practice.back_up("A")
    practice.back_up("B")
    lines = practice.run("status").out.splitlines()
    assert lines[0] == (
        "Simulation: the only drives are folders of this computer, which protect nothing; enroll a real drive."
    )
    table = lines[lines.index("") + 1 :]
    assert table[0].split()[:3] == ["Drive", "Kept", "at"]
    assert [line.split()[:2] for line in table[1:]] == [["A", "practice"], ["B", "home"]]
    assert all(line.endswith("simulation") for line in table[1:])


def test_the_json_document_says_the_same(practice: Computer) -> None:
    practice.enroll("A")
    found = practice.run("status", "--json").json
    assert found["sentence"] == "There is no backup yet: the drive A is plugged in, run “kinebackup backup”"
    assert (found["protected"], found["simulation"], found["warnings"]) == (False, True, [])
    drive = found["drives"][0]
    assert (drive["label"], drive["place"], drive["simulated"], drive["present"]) == ("A", "cabinet", True, True)
    assert (drive["freshness"], drive["last_backup"], drive["last_verify"]) == ("never", None, None)
    practice.back_up("A")
    drive = practice.run("status", "--json").json["drives"][0]
    assert drive["freshness"] == "fresh"
    assert drive["last_backup"].endswith("Z")


def test_an_absent_drive_is_away(practice: Computer) -> None:
    drive = practice.enroll("A")
    shutil.move(drive, practice.drive("far"))
    assert practice.run("status", "--json").json["drives"][0]["present"] is False
    assert "  away  " in practice.run("status").out


def test_a_source_that_a_cloud_has_already_is_told(practice: Computer) -> None:
    (practice.patients / ".stfolder").mkdir()
    done = practice.run("status", "--json")
    assert done.json["warnings"] == [
        f"Syncthing synchronises the source {practice.patients}: these files have already left this computer"
    ]


def test_french_is_the_language_of_the_practice(practice: Computer) -> None:
    practice.configure(language="fr")
    assert practice.run("status").out.startswith("Rien n’est protégé\u00a0: ")


def test_a_damaged_memory_is_told_without_a_trace_of_the_program(practice: Computer) -> None:
    (practice.state / "state.db").write_bytes(b"no database at all\n" * 100)
    done = practice.run("status")
    assert done.code == 1
    assert "the memory of this computer is damaged" in done.err
    assert "Traceback" not in done.err


def test_the_answer_does_not_wait_for_engine_or_keys(practice: Computer) -> None:
    """How long it takes is in docs/PERFORMANCE.md."""
    practice.enroll("A")
    (practice.state / "machine.key").unlink()
    assert practice.run("status").code == 0
