"""A source that a link leads to, as a person knows it: by the path that is configured, or by the real one.

Owns: a practice whose folder lies on a larger disk. Does not know: which links are followed (``tests/sources``).
"""

from pathlib import Path

import pytest
from support.cli.computer import Computer


@pytest.fixture
def linked(practice: Computer) -> Computer:
    practice.patients.rename(practice.home / "data")
    practice.patients.symlink_to("data")
    practice.enroll("A")
    practice.back_up("A")
    return practice


@pytest.mark.parametrize("by", ["Patients", "data"])
def test_files_are_found_listed_and_restored_by_either_path(linked: Computer, by: str) -> None:
    folder, real = linked.home / by, linked.home / "data"
    listed = linked.run("ls", "latest", folder / "Dupont", "--json").json
    assert [Path(entry["path"]).name for entry in listed["entries"]] == ["bilan.txt", "radio.jpg"]
    found = linked.run("find", f"{folder}/Du*/bilan.txt", "--json").json
    assert [match["path"] for match in found["files"]] == [f"{real}/{name}/bilan.txt" for name in ("Dupont", "Durand")]
    for number, path in enumerate((str(folder / "Martin"), f"{by}/Martin", "Martin")):
        into = linked.home / f"back-{number}"
        done = linked.run("restore", "latest", path, "--to", into)
        assert done.code == 0, done.err
        assert sorted(p.name for p in into.rglob("*") if p.is_file()) == ["bilan.txt", "radio.jpg"]


def test_the_configured_path_is_shown_and_listed(linked: Computer) -> None:
    (snapshot,) = linked.run("snapshots", "--json").json["snapshots"]
    assert snapshot["sources"] == [str(linked.patients)]
    names = {Path(entry["path"]).name for entry in linked.run("ls", "latest", "--json").json["entries"]}
    assert names >= {"Dupont", "Durand", "Martin"}


def test_a_link_that_leads_elsewhere_is_told_with_its_new_place(linked: Computer) -> None:
    (linked.home / "empty" / "Durand").mkdir(parents=True)
    (linked.home / "empty" / "Durand" / "bilan.txt").write_text("one file", encoding="utf-8")
    linked.patients.unlink()
    linked.patients.symlink_to("empty")
    done = linked.run("backup", "--drive", "A", "--json")
    assert (done.code, done.json["suspicious"]) == (3, True)
    assert [problem["kind"] for problem in done.json["problems"]] == ["source-moved", "source-shrunk"]
    assert str(linked.home / "empty") in done.json["problems"][0]["message"]
