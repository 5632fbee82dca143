"""The master key and the keys derived from it (FORMAT.md §4).

Owns: derivation labels, key types whose ``repr`` shows nothing. Does not know: slots, passphrases, files.
"""

import hmac
from dataclasses import dataclass

from blake3 import blake3
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kinebackup.engine.format.constants import ID_BYTES, FileType, Kind
from kinebackup.model import BlobId

KEY_BYTES = 32
REPOSITORY_ID_BYTES = 16


class SecretBytes:
    """Key material. Shows nothing of itself when printed, logged or compared in a test that fails."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The bytes themselves; for a cipher or a key file, nothing else."""
        return self._value

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretBytes) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return id(self)

    def __reduce__(self) -> str:
        raise TypeError("a secret is never pickled")


class MasterKey(SecretBytes):
    """32 random bytes, one for each practice. Everything else is derived from it."""

    __slots__ = ()


def hkdf(secret: bytes, info: bytes, salt: bytes = b"") -> bytes:
    """32 bytes of HKDF-SHA256 (RFC 5869); an absent salt is the empty string."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt or None, info=info).derive(secret)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """RFC 2104 with SHA-256, 32 bytes."""
    return hmac.digest(key, message, "sha256")


@dataclass(frozen=True, slots=True, repr=False)
class RepositoryKeys:
    """What one repository needs of the master key. Cheap to make: six HKDF calls."""

    repository: bytes
    sealing: bytes
    data_id: bytes
    tree_id: bytes
    list_id: bytes
    chunker_seed: bytes
    header_mac: bytes

    def __repr__(self) -> str:
        return f"RepositoryKeys(repository={self.repository.hex()}, …)"

    @classmethod
    def derive(cls, master: MasterKey, repository: bytes) -> "RepositoryKeys":
        """All sub-keys of FORMAT.md §4 for the repository of that 16-byte id."""
        secret = master.reveal()
        return cls(
            repository=repository,
            sealing=hkdf(secret, b"kinebackup v1 sealing"),
            data_id=hkdf(secret, b"kinebackup v1 blob id data"),
            tree_id=hkdf(secret, b"kinebackup v1 blob id tree"),
            list_id=hkdf(secret, b"kinebackup v1 blob id list"),
            chunker_seed=hkdf(secret, b"kinebackup v1 chunker"),
            header_mac=hkdf(secret, b"kinebackup v1 header mac"),
        )

    def file_key(self, salt: bytes, file_type: FileType) -> bytes:
        """The AES-256 key of one file: its salt is fresh, so this key seals no other file."""
        return hkdf(self.sealing, b"kinebackup v1 file" + self.repository + file_type, salt)

    def id_key(self, kind: Kind) -> bytes:
        """The BLAKE3 key for blobs of that kind; distinct keys keep a file from passing for a directory."""
        return (self.data_id, self.tree_id, self.list_id)[kind]

    def blob_id(self, kind: Kind, plain: bytes | bytearray | memoryview) -> BlobId:
        """FORMAT.md §6: the first 16 bytes of keyed BLAKE3."""
        key = self.data_id if kind is Kind.DATA else self.id_key(kind)  # nearly all are of the first
        return BlobId(blake3(plain, key=key).digest(length=ID_BYTES))


def commitment(master: MasterKey, practice: bytes) -> bytes:
    """Binds a key ring to its master key, which GCM alone does not (FORMAT.md §4)."""
    return hmac_sha256(hkdf(master.reveal(), b"kinebackup v1 commitment"), practice)
