"""Features of later versions of the format: a program that does not know one neither misreads nor spoils the drive.

Owns: unknown names in the header and in snapshots, for reading and for writing. Does not know: any real feature.
"""

from pathlib import Path

import msgspec
import pytest
from support.engine.drives import (
    CREATED,
    HOLDER,
    MACHINE_KEY,
    Drive,
    back_up,
    enroll,
    loaded,
    locked,
    opened,
    pruned,
    restored,
    verified,
    writable,
)
from support.engine.forged_snapshot import an_entry, forge

from kinebackup.engine.format import features
from kinebackup.engine.format.header import encode_header
from kinebackup.engine.format.layout import HEADER_COPIES
from kinebackup.engine.repository.header_files import read_headers, write_header
from kinebackup.engine.repository.opening import lock_store, open_store
from kinebackup.engine.repository.repository import Repository
from kinebackup.errors import CheckFailed, NeedsNewer


def a_drive(folder: Path) -> Drive:
    drive = enroll(folder)
    (folder / "source").mkdir()
    (folder / "source" / "lettre.txt").write_text("Bonjour.")
    back_up(drive, folder / "source")
    return drive


def needs(drive: Drive, **members: tuple[str, ...]) -> None:
    """Give the header of the drive these members, as a later version would."""
    with locked(drive) as repository:
        write_header(repository.store, msgspec.structs.replace(repository.header, **members), repository.keys)


def test_version_1_needs_no_feature_and_writes_none(tmp_path: Path) -> None:
    drive = a_drive(tmp_path)
    assert not features.KNOWN
    assert b"features" not in (drive.root / "header").read_bytes()


def test_a_drive_that_needs_an_unknown_feature_to_be_read_is_refused_in_plain_words(tmp_path: Path) -> None:
    drive = a_drive(tmp_path)
    needs(drive, features_needed_to_read=("two-columns",))
    with (
        pytest.raises(NeedsNewer, match=r"newer version of KineBackup to be read .two-columns.") as caught,
        opened(drive),
    ):
        pass
    assert "recover.py" in caught.value.hint
    with pytest.raises(NeedsNewer), locked(drive):
        pass


def test_a_drive_that_needs_an_unknown_feature_to_be_written_to_is_read_as_ever(tmp_path: Path) -> None:
    drive = a_drive(tmp_path)
    needs(drive, features_needed_to_write=("erasures", "later"))
    before = {path: path.read_bytes() for path in drive.files("")}
    with pytest.raises(NeedsNewer, match=r"written to .erasures, later."):
        back_up(drive, tmp_path / "source")
    with pytest.raises(NeedsNewer):
        pruned(drive)
    assert {path: path.read_bytes() for path in drive.files("") if path in before} == before
    restored(drive, tmp_path / "back")
    assert next((tmp_path / "back").rglob("lettre.txt")).read_text() == "Bonjour."
    assert verified(drive).result == "ok"


def test_a_snapshot_that_needs_an_unknown_feature_to_be_read_leaves_the_others_to_be_read(tmp_path: Path) -> None:
    drive = a_drive(tmp_path)
    entry = an_entry("neu.txt", [b"neu"], drive)
    name = forge(drive, tmp_path / "source", [entry], [b"neu"], features_needed_to_read=("two-columns",))
    with loaded(drive) as repository:
        files = repository.snapshots()
        assert [each.name for each in files.unreadable] == [name]
        assert "newer version of KineBackup is needed to read this backup (two-columns)" in files.unreadable[0].reason
        assert not files.unreadable[0].is_damage
        assert len(files.readable) == 1
        with pytest.raises(NeedsNewer, match="two-columns"):
            repository.find_snapshot(name[:12])
    restored(drive, tmp_path / "back")
    assert next((tmp_path / "back").rglob("lettre.txt")).read_text() == "Bonjour."


def test_a_snapshot_of_an_unknown_feature_is_no_damage_and_nothing_is_deleted_that_it_may_need(tmp_path: Path) -> None:
    drive = a_drive(tmp_path)
    entry = an_entry("neu.txt", [b"neu"], drive)
    name = forge(drive, tmp_path / "source", [entry], [b"neu"], features_needed_to_read=("two-columns",))
    saved = back_up(drive, tmp_path / "source")
    assert [found.kind for found in saved.problems if found.kind in ("damaged", "healed")] == []
    checked = verified(drive)
    told = [(found.kind, found.snapshots) for found in checked.problems]
    assert (checked.result, told) == ("ok", [("newer", (name,))])
    assert not drive.files("damaged")
    with pytest.raises(CheckFailed, match="of a newer KineBackup"):
        pruned(drive)
    assert (drive.root / "snapshots" / name).exists()


def test_a_snapshot_that_needs_an_unknown_feature_keeps_an_old_program_from_writing(tmp_path: Path) -> None:
    drive = a_drive(tmp_path)
    entry = an_entry("neu.txt", [b"neu"], drive)
    forge(drive, tmp_path / "source", [entry], [b"neu"], features_needed_to_write=("erasures",))
    with pytest.raises(NeedsNewer), writable(drive):
        pass
    with loaded(drive) as repository:
        assert len(repository.snapshots().readable) == 2


def test_new_key_slots_leave_what_the_header_says_of_features(tmp_path: Path) -> None:
    drive = a_drive(tmp_path)
    needs(drive, features_needed_to_write=())
    with locked(drive) as repository:
        ring = msgspec.structs.replace(repository.header.keyring, generation=9)
        repository.unlocked = msgspec.structs.replace(
            repository.unlocked,
            header=msgspec.structs.replace(repository.header, features_needed_to_write=("known-to-it",)),
        )
        repository.write_keyring(ring)
        assert repository.header.features_needed_to_write == ("known-to-it",)
    with opened(drive) as repository:
        assert (repository.header.features_needed_to_write, repository.header.generation) == (("known-to-it",), 9)


# -- headers that were made again elsewhere --------------------------------------------------------------------------


def lose_headers(drive: Drive) -> bytes:
    """All copies are lost. Returns the header as a computer makes it again that never heard of features."""
    with opened(drive) as repository:
        made = encode_header(drive.ring, drive.master, repository=repository.id, created=CREATED)
    for name in HEADER_COPIES:
        (drive.root / name).unlink()
    return made


@pytest.mark.parametrize("member", ["features_needed_to_write", "features_needed_to_read"])
def test_a_header_from_elsewhere_does_not_make_a_drive_writable_that_needs_a_newer_program(
    tmp_path: Path, member: str
) -> None:
    drive = a_drive(tmp_path)
    forge(drive, tmp_path / "source", [an_entry("neu.txt", [b"neu"], drive)], [b"neu"], **{member: ("erasures",)})
    needs(drive, **{member: ("erasures",)})
    with open_store(str(drive.root)) as store:
        repository_id = next(iter(read_headers(store))).repository
    made = encode_header(drive.ring, drive.master, repository=repository_id, created=CREATED)
    for name in HEADER_COPIES:
        (drive.root / name).unlink()
    before = {path: path.read_bytes() for path in drive.files("") if path.name != "lock"}

    with lock_store(str(drive.root), HOLDER) as files, pytest.raises(NeedsNewer, match="erasures") as caught:
        files.open(MACHINE_KEY, [made])
    assert "install the newest KineBackup" in caught.value.hint
    assert {path: path.read_bytes() for path in drive.files("") if path.name != "lock"} == before

    with open_store(str(drive.root)) as store:
        found = Repository.open(store, MACHINE_KEY, [made]).load().snapshots()
    assert len(found.readable) == (2 if member == "features_needed_to_write" else 1)
    assert not any(each.is_damage for each in found.unreadable)


def test_a_header_from_elsewhere_gets_the_features_that_the_snapshots_name(tmp_path: Path) -> None:
    drive = a_drive(tmp_path)
    with opened(drive) as repository:
        made = encode_header(drive.ring, drive.master, repository=repository.id, created=CREATED)
    for name in HEADER_COPIES:
        (drive.root / name).unlink()
    with lock_store(str(drive.root), HOLDER) as files:
        repository = files.open(MACHINE_KEY, [made])
        assert (repository.header.features_needed_to_read, repository.header.features_needed_to_write) == ((), ())
        repository.heal_header()
    assert back_up(drive, tmp_path / "source").problems == ()
    assert features.together([("b", "a"), (), ("a", "c")]) == ("a", "b", "c")


def test_a_name_of_a_feature_is_shown_as_harmless_text() -> None:
    assert features.unknown(["\x1b[31mrot", "b" * 99, "ok"], known={"ok"}) == "\\x1b[31mrot, " + "b" * 64
