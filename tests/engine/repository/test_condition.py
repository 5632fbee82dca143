"""The one judgement of packs, blobs and snapshot files, and how a failed read lowers it.

Owns: each state with the smallest damage that leads to it. Does not know: what is done about it.
"""

from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, enroll, loaded, noise, verified

from kinebackup.engine.format.constants import Kind
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.condition import Condition
from kinebackup.engine.repository.inventory import MissingPack, ResizedPack, UnreadablePack
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.errors import Damaged
from kinebackup.model import BlobId, FileName


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    """Two backups of two files each, of which nothing compresses."""
    made = enroll(tmp_path / "drive")
    folder = tmp_path / "Patients"
    folder.mkdir()
    for day in range(2):
        for number in range(2):
            (folder / f"{day}-{number}.bin").write_bytes(noise(f"{day}-{number}", 200_000))
        back_up(made, folder)
    return made


def data_pack(repository: LoadedRepository) -> FileName:
    """The first pack that holds contents."""
    for table in repository.index.tables:
        for name, segments in table.segments_of([pack.name for pack in table.packs]).items():
            if any(segment.kind is Kind.DATA for segment in segments):
                return name
    raise AssertionError


def blobs_of(repository: LoadedRepository, pack: FileName) -> list[BlobId]:
    return [
        table.id_at(number)
        for table in repository.index.tables
        for number in range(table.count)
        if table.location(number).pack == pack
    ]


def path_of(drive: Drive, pack: FileName) -> Path:
    return drive.root / "packs" / pack[:2] / pack


def pack_to_harm(drive: Drive) -> tuple[FileName, list[BlobId]]:
    with loaded(drive) as repository:
        pack = data_pack(repository)
        assert repository.conditions.of_pack(pack) is Condition.SOUND
        return pack, blobs_of(repository, pack)


def spoil(drive: Drive, pack: FileName) -> None:
    """One bit in each of its contents."""
    path = path_of(drive, pack)
    data = bytearray(path.read_bytes())
    for at in range(100, len(data) - 2000, 1000):
        data[at] ^= 1
    path.write_bytes(data)


def test_a_pack_that_is_gone_is_lost_and_so_are_its_blobs(drive: Drive) -> None:
    pack, blobs = pack_to_harm(drive)
    path_of(drive, pack).unlink()
    with loaded(drive) as repository:
        assert repository.inventory.findings == (MissingPack(pack),)
        assert repository.conditions.of_pack(pack) is Condition.LOST
        assert {repository.conditions.of_blob(blob) for blob in blobs} == {Condition.LOST}
        assert not any(repository.index.has(blob) for blob in blobs)


def test_a_pack_of_another_length_is_damaged_and_still_tried(drive: Drive) -> None:
    pack, blobs = pack_to_harm(drive)
    with path_of(drive, pack).open("ab") as file:
        file.write(b"more")
    with loaded(drive) as repository:
        assert repository.inventory.findings == (ResizedPack(pack),)
        assert repository.conditions.of_pack(pack) is Condition.DAMAGED
        assert repository.conditions.of_blob(blobs[0]) is Condition.DAMAGED
        assert not repository.index.has(blobs[0])
        assert BlobReader(repository).read(Kind.DATA, blobs[0])


def test_a_pack_that_failed_a_read_is_not_relied_upon_a_moment_later(drive: Drive) -> None:
    pack, blobs = pack_to_harm(drive)
    spoil(drive, pack)
    with loaded(drive) as repository:
        snapshot = repository.find_snapshot("latest").snapshot
        assert repository.conditions.of_pack(pack) is Condition.SOUND  # nobody has looked yet
        assert repository.has_all_of(snapshot)
        assert all(repository.index.has(blob) for blob in blobs)
        with pytest.raises(Damaged):
            BlobReader(repository).read(Kind.DATA, blobs[0])
        assert repository.conditions.of_pack(pack) is Condition.DOUBTFUL
        assert {repository.conditions.of_blob(blob) for blob in blobs} == {Condition.DOUBTFUL}
        assert not any(repository.index.has(blob) for blob in blobs)
        assert not repository.has_all_of(snapshot)


def test_what_a_verification_has_marked_is_damaged_and_what_was_saved_again_is_healed(
    drive: Drive, tmp_path: Path
) -> None:
    pack, blobs = pack_to_harm(drive)
    spoil(drive, pack)
    assert verified(drive).result == "failed"
    with loaded(drive) as repository:
        assert repository.inventory.marked == {pack}
        assert repository.conditions.of_pack(pack) is Condition.DAMAGED
        assert repository.conditions.of_damage(pack) is Condition.DAMAGED
        assert not any(repository.index.has(blob) for blob in blobs)
    back_up(drive, tmp_path / "Patients")
    with loaded(drive) as repository:
        assert repository.conditions.of_pack(pack) is Condition.DAMAGED
        assert repository.conditions.of_damage(pack) is Condition.HEALED
        assert {repository.conditions.of_blob(blob) for blob in blobs} == {Condition.SOUND}
    report = verified(drive)
    assert (report.result, [problem.kind for problem in report.problems]) == ("ok", ["healed"])


def test_blobs_that_a_verification_could_not_read_are_lost_though_their_pack_is_there(drive: Drive) -> None:
    pack, blobs = pack_to_harm(drive)
    with loaded(drive) as repository:
        repository.conditions.lose(pack, blobs[:1])
        assert repository.conditions.of_pack(pack) is Condition.DOUBTFUL
        assert repository.conditions.of_blob(blobs[0]) is Condition.LOST
        assert repository.conditions.of_blob(blobs[1]) is Condition.DOUBTFUL


def test_a_pack_that_nobody_lists_and_nobody_can_read_is_doubtful(drive: Drive) -> None:
    stray = drive.root / "packs" / "ab" / ("ab" * 32)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"KINEBKP")
    with loaded(drive) as repository:
        assert repository.inventory.findings == (UnreadablePack(FileName("ab" * 32), "a pack is too short"),)
        assert repository.conditions.of_pack(FileName("ab" * 32)) is Condition.DOUBTFUL
        assert not repository.inventory.is_known(repository.inventory.findings[0])


def test_a_snapshot_that_cannot_be_read_is_doubtful_until_a_verification_has_marked_it(drive: Drive) -> None:
    victim = drive.files("snapshots")[0]
    victim.write_bytes(b"spoiled")
    with loaded(drive) as repository:
        (unreadable,) = repository.snapshots().unreadable
        assert (unreadable.name, unreadable.condition) == (victim.name, Condition.DOUBTFUL)
        assert len(repository.snapshots().readable) == 1
    assert verified(drive).result == "failed"
    with loaded(drive) as repository:
        (unreadable,) = repository.snapshots().unreadable
        assert unreadable.condition is Condition.DAMAGED
