"""The key export: a text that people print and save with editors.

Owns: its form, byte for byte (FORMAT.md §3), and how much of a spoilt one is still read.
"""

import contextlib
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as some
from support.engine.drives import CHEAP, CREATED, MACHINE_KEY, PASSPHRASE
from support.ports import Dice

from kinebackup.engine.format import key_export, keyring
from kinebackup.engine.format.header import encode_header
from kinebackup.engine.format.keyring import RecoveryCode
from kinebackup.errors import Damaged

CODE = RecoveryCode.of("2345Q-789AC-BCDEP-FGHJZ-KMNPB-QRSTN-UVWXY")
MASTER, RING = keyring.create([PASSPHRASE, CODE, MACHINE_KEY], entropy=Dice("x"), created=CREATED, cost=CHEAP)
ONE, TWO = (
    encode_header(key_export.recovery_only(RING), MASTER, repository=byte * 16, created=CREATED)
    for byte in ("1a", "2b")
)
TEXT = key_export.encode(
    [("CABINET", "2026-11-29", ONE), ("Chez Zoé", "2026-11-29", TWO)], {"recover.py": "c" * 64, "FORMAT.md": "d" * 64}
)


def test_the_text_is_that_of_the_document() -> None:
    body = b"kinebackup key export 1\ndrive CABINET, 2026-11-29\n" + ONE
    body += "drive Chez Zoé, 2026-11-29\n".encode() + TWO
    body += b"recover.py " + b"c" * 64 + b"\nFORMAT.md " + b"d" * 64 + b"\n"
    assert body + b"sum " + hashlib.sha256(body).hexdigest().encode() + b"\n" == TEXT


def test_it_may_bear_the_name_of_the_practice_on_one_line() -> None:
    named = key_export.encode([("A", "2026-11-29", ONE)], {}, "Cabinet de kinésithérapie\nMarie Exemple")
    assert named.splitlines()[1].decode() == "practice Cabinet de kinésithérapie Marie Exemple"
    assert key_export.decode(named) == key_export.KeyExport((ONE,), whole=True)


def test_only_recovery_codes_are_in_it() -> None:
    slots = json.loads(ONE.split(b"\n")[1])["slots"]
    assert [slot["kind"] for slot in slots] == ["recovery"]


def test_it_is_read_again() -> None:
    found = key_export.decode(TEXT)
    assert (found.headers, found.whole) == ((ONE, TWO), True)


@pytest.mark.parametrize("data", [ONE, ONE.removesuffix(b"\n"), ONE.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + ONE])
def test_a_header_alone_is_one_as_well(data: bytes) -> None:
    found = key_export.decode(data)
    assert (found.headers, found.whole) == ((ONE,), True)


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (TEXT.replace(b"CABINET", b"CABINET2"), (ONE, TWO)),
        (TEXT[: TEXT.rindex(b"sum ")], (ONE, TWO)),
        (TEXT.replace(b"kinebackup key export 1", b"kinebackup key export 2"), (ONE, TWO)),
        (TEXT.replace(ONE, b""), (TWO,)),
        (b"de l'armoire\n" + TEXT, (ONE, TWO)),
        (TEXT + b"sum " + b"0" * 64 + b"\n", (ONE, TWO)),
    ],
)
def test_one_that_is_not_whole_gives_what_it_has_and_says_so(data: bytes, headers: tuple[bytes, ...]) -> None:
    found = key_export.decode(data)
    assert (found.headers, found.whole) == (headers, False)


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"kinebackup key export 1\n", TEXT[:200], b"\0" * 500, TEXT + b" " * 2**20]
)
def test_what_holds_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(Damaged, match="no key export"):
        key_export.decode(data)


@given(some.integers(0, 8 * len(TEXT) - 1))
def test_a_flipped_bit_is_never_taken_for_whole(bit: int) -> None:
    data = bytearray(TEXT)
    data[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(Damaged):
        assert not key_export.decode(bytes(data)).whole
