"""Frozen repositories: what a version has written, every later one reads, and so does the stand-alone reader.

The repositories under tests/compat/ are never changed (CONTRIBUTING.md); ``tools/freeze.py`` made them.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.project import COMPAT, RECOVER, VECTORS

from kinebackup.engine.check.verify import Budget, Verification
from kinebackup.engine.format.keyring import Passphrase, RecoveryCode
from kinebackup.engine.format.layout import FOLDER
from kinebackup.engine.prune.missing_snapshots import find_missing_snapshots
from kinebackup.engine.repository.repository import Repository
from kinebackup.engine.repository.store import FolderStore
from kinebackup.engine.restore.incomplete import find_lacking
from kinebackup.engine.restore.restore import RestoreRequest, restore_snapshot
from kinebackup.model import CancelToken, SilentMonitor
from tools.freeze import listing

FROZEN = ["v1-0.1.0"]


def expected_of(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((COMPAT / name / "expected.json").read_text("ascii"))
    return read


def below(folder: Path, expected: dict[str, Any]) -> Path:
    return folder / str(expected["source"]).lstrip("/")


def test_every_frozen_repository_is_listed_and_every_listed_one_is_there() -> None:
    assert sorted(path.name for path in COMPAT.iterdir() if path.is_dir()) == FROZEN


@pytest.mark.parametrize("name", FROZEN)
@pytest.mark.parametrize("number", [0, 1])
def test_the_program_restores_a_frozen_repository(name: str, number: int, tmp_path: Path) -> None:
    expected = expected_of(name)
    wanted = expected["snapshots"][number]
    repository = Repository.open(FolderStore(str(COMPAT / name / FOLDER)), Passphrase.of(expected["passphrase"]))
    loaded = repository.load()
    assert loaded.inventory.findings == ()

    named = repository.find_snapshot(wanted["id"])
    request = RestoreRequest(named, [], str(tmp_path / "back"))
    report = restore_snapshot(loaded, request, lambda: 0.0, cancel=CancelToken(), monitor=SilentMonitor())

    assert report.problems == ()
    assert listing(below(tmp_path / "back", expected)) == wanted["files"]
    lacking = find_lacking(loaded, named, [], repository.snapshots().readable)
    assert [(each.path, each.carried) for each in lacking] == [
        (f"{expected['source']}/{path}", named.snapshot.sequence - 1) for path in wanted["carried"]
    ]


@pytest.mark.parametrize("name", FROZEN)
def test_what_was_removed_from_a_frozen_repository_on_purpose_or_given_up_is_on_record(name: str) -> None:
    expected = expected_of(name)
    repository = Repository.open(FolderStore(str(COMPAT / name / FOLDER)), Passphrase.of(expected["passphrase"]))
    records = repository.removals()
    assert records.unreadable == ()
    assert records.removed == {each["id"]: each["sequence"] for each in expected["removed"]}
    assert {blob.hex() for blob in records.given_up} == {*expected["given_up"]}
    assert find_missing_snapshots(repository).count == 0


@pytest.mark.parametrize("name", FROZEN)
def test_the_recovery_code_opens_a_frozen_repository_and_all_of_it_is_sound(name: str) -> None:
    expected = expected_of(name)
    repository = Repository.open(FolderStore(str(COMPAT / name / FOLDER)), RecoveryCode.of(expected["code"]))
    loaded = repository.load()

    order = sorted(loaded.packs)
    check = Verification(
        loaded, order, Budget(), lambda _name, _ok: None, cancel=CancelToken(), monitor=SilentMonitor()
    )

    assert check.run(lambda: 0.0).result == "ok"


def test_a_header_copy_of_another_drive_does_not_mislead_the_stand_alone_reader(tmp_path: Path) -> None:
    expected = expected_of(FROZEN[-1])
    shutil.copytree(COMPAT / FROZEN[-1] / FOLDER, tmp_path / FOLDER)
    stranger = VECTORS / "good" / FOLDER / "header"
    shutil.copy(stranger, tmp_path / FOLDER / "header.2")
    (tmp_path / "code").write_text(expected["code"] + "\n")

    wanted = expected["snapshots"][0]
    arguments = [str(tmp_path), "--to", str(tmp_path / "back"), "--code-file", str(tmp_path / "code")]
    arguments += ["--snapshot", wanted["id"]]
    done = subprocess.run([sys.executable, "-I", str(RECOVER), *arguments], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert listing(below(tmp_path / "back", expected)) == wanted["files"]


@pytest.mark.parametrize("name", FROZEN)
@pytest.mark.parametrize("number", [0, 1])
def test_the_stand_alone_reader_restores_a_frozen_repository(name: str, number: int, tmp_path: Path) -> None:
    expected = expected_of(name)
    wanted = expected["snapshots"][number]
    (tmp_path / "code").write_text(expected["code"] + "\n")
    told = [f"{expected['source']}/{path}" for path in wanted["carried"]]

    drive, code = str(COMPAT / name), str(tmp_path / "code")
    arguments = [drive, "--to", str(tmp_path / "back"), "--code-file", code, "--snapshot", wanted["id"]]
    done = subprocess.run(
        [sys.executable, "-I", str(RECOVER), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, bool(done.stderr)) == (3 if told else 0, bool(told))
    for path in told:
        assert path in done.stderr
    assert listing(below(tmp_path / "back", expected)) == wanted["files"]
