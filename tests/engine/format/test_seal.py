"""Sealing: records come back only from their own file, type, place and repository, whole and in order.

Owns: every way to move a record. Does not know: what records hold.
"""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as some

from kinebackup.engine.format.constants import INDEX, PACK, SNAPSHOT, FileType
from kinebackup.engine.format.key_schedule import MasterKey, RepositoryKeys
from kinebackup.engine.format.seal import RecordOpener, RecordSealer, open_single, seal_single
from kinebackup.errors import Damaged

SALT = bytes(range(32))
OTHER_SALT = bytes(32)
KEYS = RepositoryKeys.derive(MasterKey(bytes(range(32))), bytes(range(16)))
OTHER_REPOSITORY = RepositoryKeys.derive(MasterKey(bytes(range(32))), bytes(16))
OTHER_PRACTICE = RepositoryKeys.derive(MasterKey(bytes(32)), bytes(range(16)))
PLAINS = (b"one", b"two", b"three")


def sealed_records(
    keys: RepositoryKeys = KEYS, file_type: FileType = PACK, salt: bytes = SALT, plains: tuple[bytes, ...] = PLAINS
) -> list[bytes]:
    sealer = RecordSealer(keys, file_type, salt)
    return [sealer.seal(plain, final=number == len(plains) - 1) for number, plain in enumerate(plains)]


def opened(
    records: list[bytes], keys: RepositoryKeys = KEYS, file_type: FileType = PACK, salt: bytes = SALT
) -> list[bytes]:
    opener = RecordOpener(keys, file_type, salt)
    last = len(records) - 1
    return [opener.open(number, record, final=number == last) for number, record in enumerate(records)]


def refused(records: list[bytes], keys: RepositoryKeys = KEYS, file_type: FileType = PACK, salt: bytes = SALT) -> None:
    with pytest.raises(Damaged):
        opened(records, keys, file_type, salt)


def test_records_come_back_in_order() -> None:
    assert opened(sealed_records()) == [b"one", b"two", b"three"]


def test_records_open_in_any_order() -> None:
    records = sealed_records()
    opener = RecordOpener(KEYS, PACK, SALT)
    assert opener.open(2, records[2], final=True) == b"three"
    assert opener.open(0, records[0], final=False) == b"one"


def test_a_sealed_record_has_these_bytes() -> None:
    """FORMAT.md §5 computed apart from the product, with HKDF and GCM of the standard's own description."""
    assert seal_single(KEYS, SNAPSHOT, SALT, b"bonjour").hex() == (
        "4b494e45424b50530100000000000000000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        "38fc30680bfabd4261c7502e70887575011eb60de042de"
    )


def test_two_records_of_equal_content_differ() -> None:
    first, second, _ = sealed_records(plains=(b"same", b"same", b"end"))
    assert first[:4] != second[:4]


@pytest.mark.parametrize("order", [o for o in itertools.permutations(range(3)) if o != (0, 1, 2)])
def test_reordered_records_are_refused(order: tuple[int, ...]) -> None:
    records = sealed_records()
    refused([records[number] for number in order])


def test_a_file_cut_after_a_whole_record_is_refused() -> None:
    refused(sealed_records()[:2])


def test_a_file_with_a_record_repeated_at_its_end_is_refused() -> None:
    records = sealed_records()
    refused([*records, records[2]])


def test_a_record_dropped_from_the_front_is_refused() -> None:
    refused(sealed_records()[1:])


def test_a_record_of_another_file_is_refused() -> None:
    refused([*sealed_records()[:2], sealed_records(salt=OTHER_SALT)[2]])


def test_a_salt_of_another_file_is_refused() -> None:
    refused(sealed_records(), salt=OTHER_SALT)


def test_a_record_of_another_type_is_refused() -> None:
    refused(sealed_records(file_type=INDEX), file_type=PACK)


def test_a_record_of_another_repository_of_the_same_practice_is_refused() -> None:
    refused(sealed_records(), keys=OTHER_REPOSITORY)


def test_a_record_of_another_practice_is_refused() -> None:
    refused(sealed_records(), keys=OTHER_PRACTICE)


def test_a_final_record_does_not_open_as_one_of_the_middle() -> None:
    with pytest.raises(Damaged):
        RecordOpener(KEYS, PACK, SALT).open(2, sealed_records()[2], final=False)


def test_every_flipped_bit_of_a_record_is_found() -> None:
    record = sealed_records()[0]
    opener = RecordOpener(KEYS, PACK, SALT)
    for bit in range(8 * len(record)):
        changed = bytearray(record)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged):
            opener.open(0, changed, final=False)


@pytest.mark.parametrize("size", range(19))
def test_a_cut_record_is_refused(size: int) -> None:
    with pytest.raises(Damaged):
        RecordOpener(KEYS, PACK, SALT).open(0, sealed_records()[0][:size], final=False)


def test_an_empty_record_is_only_its_tag() -> None:
    (record,) = sealed_records(plains=(b"",))
    assert len(record) == 16
    assert opened([record]) == [b""]


def test_a_sealer_seals_nothing_after_the_last_record() -> None:
    sealer = RecordSealer(KEYS, PACK, SALT)
    sealer.seal(b"last", final=True)
    with pytest.raises(ValueError, match="no further record"):
        sealer.seal(b"one more")


def test_a_failed_sealing_uses_its_number_up() -> None:
    sealer = RecordSealer(KEYS, PACK, SALT)
    with pytest.raises(ValueError, match=r"."):
        sealer.seal_into(b"four", bytearray(3))
    assert sealer.next_number == 1


@pytest.mark.parametrize("salt", [b"", bytes(31), bytes(33)])
def test_a_salt_of_another_length_is_a_defect_of_ours(salt: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        RecordSealer(KEYS, PACK, salt)


def test_key_material_is_never_shown() -> None:
    assert repr(MasterKey(b"secret" * 5 + b"ab")) == "MasterKey(…)"
    assert KEYS.sealing.hex() not in repr(KEYS)


@pytest.mark.parametrize("cut", [0, 1, 47, 48, 60, 63])
def test_a_single_file_shorter_than_its_frame_and_tag_is_refused(cut: int) -> None:
    with pytest.raises(Damaged):
        open_single(KEYS, INDEX, seal_single(KEYS, INDEX, SALT, b"")[:cut])


def test_a_single_file_with_trailing_bytes_is_refused() -> None:
    with pytest.raises(Damaged):
        open_single(KEYS, INDEX, seal_single(KEYS, INDEX, SALT, b"plain") + b"\0")


def test_a_snapshot_put_among_the_index_files_is_refused() -> None:
    with pytest.raises(Damaged, match="another type"):
        open_single(KEYS, INDEX, seal_single(KEYS, SNAPSHOT, SALT, b"plain"))


def test_a_snapshot_relabelled_as_index_is_refused() -> None:
    data = bytearray(seal_single(KEYS, SNAPSHOT, SALT, b"plain"))
    data[7:8] = b"I"
    with pytest.raises(Damaged, match="authentication"):
        open_single(KEYS, INDEX, data)


@given(some.lists(some.binary(max_size=200), min_size=1, max_size=6), some.binary(min_size=32, max_size=32))
def test_any_records_come_back(plains: list[bytes], salt: bytes) -> None:
    sealer = RecordSealer(KEYS, PACK, salt)
    records = [sealer.seal(plain, final=number == len(plains) - 1) for number, plain in enumerate(plains)]
    assert opened(records, salt=salt) == plains


@given(some.binary(max_size=300) | some.binary(max_size=300).map(lambda tail: b"KINEBKPS\1\0\0\0\0\0\0\0" + tail))
def test_any_bytes_are_damaged(data: bytes) -> None:
    with pytest.raises(Damaged):
        open_single(KEYS, SNAPSHOT, data)
