"""Whatever the locale says, names and texts are UTF-8: the real program, in real locales.

Owns: what is stored, restored, printed and typed under ISO-8859-1, C and POSIX. Does not know: how that is done.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.cli.computer import PROGRAM, Computer

LATIN_1 = "fr_FR.ISO-8859-1"
NAMES = ["Bénédicte", "Be\u0301a", "œuvre €", "日本"]


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a locale that is not UTF-8, made here."""
    folder = tmp_path_factory.mktemp("locales")
    command = ["localedef", "--inputfile=fr_FR", "--charmap=ISO-8859-1", str(folder / LATIN_1)]
    if shutil.which("localedef") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no locales can be made here")
    return folder


def not_utf_8(name: str, request: pytest.FixtureRequest) -> Mapping[str, str]:
    """The variables of that locale, and Python's own ways out of C and POSIX closed."""
    if name == LATIN_1:
        return {"LC_ALL": name, "LOCPATH": str(request.getfixturevalue("locales"))}
    return {"LC_ALL": name, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


every_locale = pytest.mark.parametrize("locale", [LATIN_1, "C", "POSIX"])


def seen_below(folder: Path) -> dict[bytes, bytes]:
    """Every file below it, by the bytes of its path."""
    root = os.fsencode(folder)
    return {
        os.path.relpath(os.path.join(at, name), root): Path(os.fsdecode(os.path.join(at, name))).read_bytes()
        for at, _folders, names in os.walk(root)
        for name in names
    }


@every_locale
def test_names_come_back_as_they_were_whatever_the_locale(
    practice: Computer, locale: str, request: pytest.FixtureRequest
) -> None:
    for name in NAMES:
        (practice.patients / name).mkdir()
        (practice.patients / name / f"bilan {name}.txt").write_text(name, encoding="utf-8")
    Path(os.fsdecode(os.fsencode(practice.patients) + b"/Ren\xe9")).write_bytes(b"latin 1")
    practice.enroll("A")
    there = practice.environment(**not_utf_8(locale, request))
    assert practice.run("backup", env=there).code == 0
    listed = practice.run("ls", "latest", str(practice.patients), "--json").json["entries"]
    assert {entry["path"].rpartition("/")[2] for entry in listed} >= set(NAMES)
    for number, environ in enumerate([there, practice.environment(LC_ALL="C.UTF-8")]):
        into = practice.home / f"restored {number}"
        done = practice.run("restore", "latest", "--to", into, env=environ)
        assert done.code == 0, done.err
        assert seen_below(into / str(practice.patients).lstrip("/")) == seen_below(practice.patients)


@every_locale
def test_a_name_that_is_typed_is_found_whatever_the_locale(
    practice: Computer, locale: str, request: pytest.FixtureRequest
) -> None:
    (practice.patients / "Bénédicte").mkdir()
    (practice.patients / "Bénédicte" / "bilan.txt").write_text("b", encoding="utf-8")
    practice.enroll("A")
    practice.back_up("A")
    there = practice.environment(**not_utf_8(locale, request))
    done = practice.run("ls", "latest", "Patients/Bénédicte", env=there)
    assert (done.code, "bilan.txt" in done.out) == (0, True), done.err
    found = practice.run("find", "Bénédicte", "--json", env=there).json
    assert [match["path"] for match in found["files"]] == [str(practice.patients / "Bénédicte")]
    assert "Bénédicte" in practice.run("ls", "latest", "Patients", env=there).out


@every_locale
@pytest.mark.parametrize(
    "program",
    [[str(PROGRAM)], [sys.executable, "-m", "kinebackup"], [sys.executable, "-I", "-m", "kinebackup"]],
    ids=["script", "module", "isolated"],
)
def test_each_way_to_start_the_program_is_utf_8(
    practice: Computer, locale: str, request: pytest.FixtureRequest, program: list[str]
) -> None:
    there = practice.environment(**not_utf_8(locale, request))
    done = subprocess.run(
        [*program, "drive", "show", "Bénédicte", "--json"],
        capture_output=True,
        env=there,
        cwd=practice.home,
        check=False,
    )
    assert (done.returncode, "Bénédicte" in done.stdout.decode("utf-8")) == (10, True), done.stderr


def test_a_utf_8_locale_starts_no_second_time(practice: Computer) -> None:
    environ = practice.environment(LC_ALL="C.UTF-8", PYTHONPROFILEIMPORTTIME="1")
    done = practice.run("--version", env=environ)
    assert [line.rpartition("|")[2].strip() for line in done.err.splitlines()].count("site") == 1


def test_a_program_that_was_told_its_encoding_starts_once(practice: Computer) -> None:
    """Somebody's own ``-X utf8=0`` cannot be overruled; that must not go on for ever."""
    environ = practice.environment(LC_ALL="C", PYTHONCOERCECLOCALE="0")
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-m", "kinebackup", "--version"],
        capture_output=True,
        text=True,
        env=environ,
        cwd=practice.home,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.split()[0]) == (0, "kinebackup,"), done.stderr
