"""Sealing and opening records with AES-256-GCM (FORMAT.md §5, NIST SP 800-38D).

Owns: the only place where a nonce is made. Does not know: what a record holds, or where files lie.

Why a (key, nonce) pair never repeats: the key of a file is HKDF of 32 bytes that were drawn for this file alone, and
``RecordSealer`` is the only holder of that key; it counts its records from 0 and never gives a number twice. A copy of
the drive, or an older state of it put back, brings no state with it that a later run would reuse: each new file
draws anew.
"""

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kinebackup.engine.format.constants import (
    FRAME_BYTES,
    SALT_BYTES,
    TAG_BYTES,
    VERSION,
    Buffer,
    FileType,
    decode_frame,
    encode_frame,
)
from kinebackup.engine.format.key_schedule import RepositoryKeys
from kinebackup.errors import Damaged
from kinebackup.i18n import _

_AAD_TAIL = struct.Struct("<QB")
_MAX_RECORDS = 2**32


def _aad_head(keys: RepositoryKeys, file_type: FileType) -> bytes:
    return b"kinebackup" + struct.pack("<I", VERSION) + keys.repository + file_type


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


class RecordSealer:
    """Seals the records of one new file, in order, once."""

    __slots__ = ("_aad_head", "_cipher", "_finished", "_next", "frame")

    def __init__(self, keys: RepositoryKeys, file_type: FileType, salt: bytes) -> None:
        """``salt``: 32 random bytes that no other file has."""
        if len(salt) != SALT_BYTES:
            raise ValueError("a salt is 32 bytes")
        self._cipher = AESGCM(keys.file_key(salt, file_type))
        self._aad_head = _aad_head(keys, file_type)
        self._next = 0
        self._finished = False
        self.frame = encode_frame(file_type, salt)

    @property
    def next_number(self) -> int:
        return self._next

    def seal(self, plain: Buffer, *, final: bool = False) -> bytes:
        """Ciphertext and tag of the next record; ``final`` ends the file."""
        out = bytearray(len(plain) + TAG_BYTES)
        self.seal_into(plain, out, final=final)
        return bytes(out)

    def seal_into(self, plain: Buffer, out: bytearray | memoryview, *, final: bool = False) -> int:
        """Like ``seal``, into ``out``, which has exactly ``len(plain) + 16`` bytes; returns that number."""
        number = self._next
        if self._finished or number >= _MAX_RECORDS:
            raise ValueError("no further record may be sealed in this file")
        self._next = number + 1
        self._finished = final
        return self._cipher.encrypt_into(_nonce(number), plain, self._aad_head + _AAD_TAIL.pack(number, final), out)


class RecordOpener:
    """Opens records of one sealed file, in any order."""

    __slots__ = ("_aad_head", "_cipher")

    def __init__(self, keys: RepositoryKeys, file_type: FileType, salt: bytes) -> None:
        """``salt``: of the file's frame, or of the index, which then also proves that the file is the one meant."""
        self._cipher = AESGCM(keys.file_key(salt, file_type))
        self._aad_head = _aad_head(keys, file_type)

    def open(self, number: int, sealed: Buffer, *, final: bool) -> bytes:
        """The plaintext of record ``number``. Raises ``Damaged`` where the tag fails; no byte is given out before."""
        if len(sealed) < TAG_BYTES:
            raise Damaged(_("a record is shorter than its tag"))
        try:
            return self._cipher.decrypt(_nonce(number), sealed, self._aad_head + _AAD_TAIL.pack(number, final))
        except InvalidTag:
            raise Damaged(_("a record fails authentication: its bytes are not those that were written")) from None


def seal_single(keys: RepositoryKeys, file_type: FileType, salt: bytes, plain: Buffer) -> bytes:
    """A whole sealed file of one record: index files and snapshots."""
    sealer = RecordSealer(keys, file_type, salt)
    return sealer.frame + sealer.seal(plain, final=True)


def open_single(keys: RepositoryKeys, file_type: FileType, data: Buffer) -> bytes:
    """The plaintext of a file that ``seal_single`` made. Raises ``Damaged``."""
    view = memoryview(data)
    salt = decode_frame(bytes(view[:FRAME_BYTES]), file_type)
    return RecordOpener(keys, file_type, salt).open(0, view[FRAME_BYTES:], final=True)
