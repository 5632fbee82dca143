"""A drive on which a later version of KineBackup has written: what the person reads, and what still works.

Owns: the commands. What counts as known is proven in tests/engine/repository/test_features.py.
"""

import contextlib
from pathlib import Path

import msgspec
from support.cli.computer import Computer

from kinebackup.engine.format.keyring import RecoveryCode
from kinebackup.engine.repository.header_files import write_header
from kinebackup.engine.repository.repository import Repository
from kinebackup.engine.repository.store import FolderStore


def needs(drive: Path, code_file: Path, **members: tuple[str, ...]) -> None:
    """Give the header of the drive these members, as a later version would."""
    with contextlib.closing(FolderStore(str(drive / "KINEBACKUP"))) as store:
        repository = Repository.open(store, RecoveryCode.of(code_file.read_text().splitlines()[0]))
        write_header(store, msgspec.structs.replace(repository.header, **members), repository.keys)


def test_a_drive_that_only_a_newer_program_may_write_to_is_restored_and_verified_and_not_backed_up_to(
    practice: Computer,
) -> None:
    drive = practice.enroll("A")
    practice.back_up("A")
    needs(drive, practice.code_file, features_needed_to_write=("erasures",))
    done = practice.run("backup", "--drive", "A")
    assert done.code == 1
    assert "this drive needs a newer version of KineBackup to be written to (erasures)" in done.err
    assert "install the newest KineBackup on this computer; meanwhile everything can be restored" in done.err
    assert practice.run("restore", "latest", "--to", practice.home / "back", "--drive", "A").code == 0
    assert practice.run("snapshots", "--drive", "A").code == 0
    assert practice.run("verify", "--full", "--drive", "A").code == 0


def test_a_drive_that_only_a_newer_program_can_read_is_refused_in_plain_words(practice: Computer) -> None:
    drive = practice.enroll("A")
    practice.back_up("A")
    needs(drive, practice.code_file, features_needed_to_read=("two-columns",))
    for words in (("backup",), ("snapshots",), ("verify",), ("restore", "latest", "--to", str(practice.home / "back"))):
        done = practice.run(*words, "--drive", "A")
        assert done.code == 1
        assert "this drive needs a newer version of KineBackup to be read (two-columns)" in done.err
    assert not (practice.home / "back").exists()
