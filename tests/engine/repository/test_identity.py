"""Which header a drive has: its own files decide, whatever its copies and others say.

Owns: foreign, altered and given headers on real drives. Does not know: what a computer remembers
(tests/jobs/test_lost_headers.py).
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from support.engine.drives import MACHINE_KEY, PASSPHRASE, Drive, back_up, enroll, make_patients
from support.engine.drives import locked as locked_drive

from kinebackup.engine.format.header import encode_header
from kinebackup.engine.format.keyring import Secret
from kinebackup.engine.format.layout import HEADER_COPIES
from kinebackup.engine.repository.opening import open_store
from kinebackup.engine.repository.repository import Repository
from kinebackup.errors import Damaged, WrongKey

CREATED = "2030-01-01T00:00:00.000000Z"


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    made = enroll(tmp_path / "one")
    back_up(made, make_patients(tmp_path / "Patients"))
    return made


@pytest.fixture
def other(drive: Drive, tmp_path: Path) -> Drive:
    """The practice's other drive: the same master key, another repository, nothing on it yet."""
    return enroll(tmp_path / "other", seed="other", practice=drive)


def identity(drive: Drive, secret: Secret = MACHINE_KEY, elsewhere: tuple[bytes, ...] = ()) -> tuple[str, bool, bool]:
    with open_store(str(drive.root)) as store:
        opened = Repository.open(store, secret, elsewhere)
        assert opened.load().snapshots().unreadable == ()
        return opened.id, opened.unlocked.altered, opened.unlocked.elsewhere


def own(drive: Drive) -> bytes:
    return (drive.root / "header").read_bytes()


def repository_of(drive: Drive) -> str:
    with open_store(str(drive.root)) as store:
        return Repository.open(store, MACHINE_KEY).id


def put(drive: Drive, data: bytes, names: tuple[str, ...] = HEADER_COPIES) -> None:
    for name in names:
        (drive.root / name).write_bytes(data)


@pytest.mark.parametrize("foreign", [n for k in (1, 2, 3) for n in itertools.combinations(HEADER_COPIES, k)])
def test_one_own_copy_among_foreign_ones_is_found(drive: Drive, other: Drive, foreign: tuple[str, ...]) -> None:
    own_id = repository_of(drive)
    put(drive, own(other), foreign)
    assert identity(drive) == (own_id, False, False)


def test_on_a_drive_that_holds_nothing_the_most_copies_count_and_else_the_first(drive: Drive, other: Drive) -> None:
    mine, theirs = repository_of(other), repository_of(drive)
    put(other, own(drive), HEADER_COPIES[2:])
    assert identity(other) == (mine, False, False)
    put(other, own(drive), HEADER_COPIES[1:])
    assert identity(other) == (theirs, False, False)


@pytest.mark.parametrize("kept", ["snapshots", "index", "packs"])
def test_any_sealed_file_proves_whose_drive_it_is(drive: Drive, other: Drive, kept: str) -> None:
    own_id, mine = repository_of(drive), own(drive)
    for folder in {"snapshots", "index", "packs"} - {kept}:
        for path in (drive.root / folder).rglob("*"):
            if path.is_file():
                path.unlink()
    put(drive, own(other))
    with open_store(str(drive.root)) as store:
        assert Repository.open(store, MACHINE_KEY, [mine]).id == own_id


# -- altered --------------------------------------------------------------------------------------------------------


def another_time(data: bytes) -> bytes:
    return data.replace(b'"created":"2', b'"created":"3', 1)


def another_generation(data: bytes) -> bytes:
    return data.replace(b'"generation":1', b'"generation":3', 1)


def no_text(data: bytes) -> bytes:
    return data.replace(b'"created":"2', b'"created":"\xb2', 1)


def wrong_mac(data: bytes) -> bytes:
    return data[:-2] + (b"0" if data[-2:-1] != b"0" else b"1") + b"\n"


every_alteration = pytest.mark.parametrize("alter", [another_time, another_generation, no_text, wrong_mac])


@every_alteration
@pytest.mark.parametrize("secret", [MACHINE_KEY, PASSPHRASE], ids=["machine", "passphrase"])
def test_a_header_that_is_altered_in_every_copy_opens_the_drive_to_be_read_and_to_nothing_else(
    drive: Drive, alter: Callable[[bytes], bytes], secret: Secret
) -> None:
    own_id, altered = repository_of(drive), alter(own(drive))
    assert altered != own(drive)
    put(drive, altered)
    assert identity(drive, secret) == (own_id, True, False)
    with pytest.raises(Damaged, match="without the key"), locked_drive(drive):
        pass
    assert all((drive.root / name).read_bytes() == altered for name in HEADER_COPIES)


@every_alteration
def test_an_altered_header_of_a_drive_that_holds_nothing_is_refused(
    other: Drive, alter: Callable[[bytes], bytes]
) -> None:
    put(other, alter(own(other)))
    with pytest.raises(Damaged):
        identity(other)


def test_another_repository_written_into_every_copy_opens_nothing(drive: Drive) -> None:
    put(drive, own(drive).replace(repository_of(drive).encode(), b"ab" * 16))
    with pytest.raises(Damaged, match="nothing on this drive shows"):
        identity(drive)


def test_a_sound_header_from_elsewhere_comes_before_an_altered_one(drive: Drive) -> None:
    own_id, sound = repository_of(drive), own(drive)
    put(drive, another_time(sound))
    assert identity(drive, elsewhere=(sound,)) == (own_id, False, True)


# -- from elsewhere -------------------------------------------------------------------------------------------------


def test_of_several_headers_from_elsewhere_that_of_the_drive_is_taken(drive: Drive, other: Drive) -> None:
    own_id, sound = repository_of(drive), own(drive)
    for name in HEADER_COPIES:
        (drive.root / name).unlink()
    invented = encode_header(drive.ring, drive.master, repository="ef" * 16, created=CREATED)
    assert identity(drive, elsewhere=(invented, own(other), sound)) == (own_id, False, True)
    with pytest.raises(Damaged, match="nothing on this drive shows"):
        identity(drive, elsewhere=(invented, own(other)))


def test_a_header_from_elsewhere_needs_a_secret_that_opens_it(drive: Drive, tmp_path: Path) -> None:
    stranger = enroll(tmp_path / "stranger", seed="stranger")
    for name in HEADER_COPIES:
        (drive.root / name).unlink()
    with pytest.raises((WrongKey, Damaged)):
        identity(drive, elsewhere=(own(stranger),))


def test_a_header_from_elsewhere_is_never_taken_for_that_of_an_empty_drive(other: Drive, drive: Drive) -> None:
    sound = own(other)
    for name in HEADER_COPIES:
        (other.root / name).write_bytes(b"")
    with pytest.raises(Damaged):
        identity(other, elsewhere=(sound,))
