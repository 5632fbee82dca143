"""A small writer of repositories, for test vectors only, made from docs/FORMAT.md and from nothing of the product.

Owns: the bytes of headers, sealed files, packs, index files and snapshots, right or (on purpose) wrong in one place.
Does not know: which repositories are made of them (make_vectors.py, vector_cases.py). All keys and salts are fixed.
"""

import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from backports import zstd
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

DATA, TREE, LIST = 0, 1, 2
Json = dict[str, Any]


def digest(label: str) -> bytes:
    """32 fixed bytes that stand for random ones."""
    return hashlib.sha256(b"kinebackup test vectors " + label.encode()).digest()


def hkdf(key: bytes, info: bytes, salt: bytes = b"") -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(key)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    mac = HMAC(key, SHA256())
    mac.update(message)
    return mac.finalize()


def dumps(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def compress(plain: bytes) -> bytes:
    return zstd.compress(plain, 3)


@dataclass(frozen=True, slots=True)
class Identity:
    """The master key, the practice and the repository, and what §4 derives from them."""

    master: bytes = digest("master key")
    practice: bytes = digest("practice")[:16]
    repository: bytes = digest("repository")[:16]

    def sub_key(self, label: str) -> bytes:
        return hkdf(self.master, b"kinebackup v1 " + label.encode())

    @property
    def commitment(self) -> bytes:
        return hmac_sha256(self.sub_key("commitment"), self.practice)

    def blob_id(self, kind: int, plain: bytes) -> bytes:
        key = self.sub_key(("blob id data", "blob id tree", "blob id list")[kind])
        return blake3(plain, key=key).digest(16)


THIS = Identity()


def argon2(secret: bytes, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
    return Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory_kib).derive(secret)


def slot(kind: str, secret: bytes, *, identity: Identity = THIS, number: int = 1) -> Json:
    """A key slot; Argon2id costs next to nothing here, so that tests are quick."""
    salt, slot_id = digest(f"slot {kind} {number}"), struct.pack(">I", number)
    made: Json = {"id": slot_id.hex(), "kind": kind, "created": "2026-01-05T08:00:00.000000Z", "salt": salt.hex()}
    if kind == "passphrase":
        made |= {"kdf": "argon2id", "memory_kib": 64, "passes": 1, "lanes": 2}
        key = argon2(secret, salt, 64, 1, 2)
    else:
        made |= {"kdf": "hkdf"}
        key = hkdf(secret, b"kinebackup v1 " + kind.encode(), salt)
    aad = b"kinebackup v1 slot" + identity.practice + slot_id + kind.encode()
    made["wrapped"] = AESGCM(key).encrypt(bytes(12), identity.master, aad).hex()
    return made


def header(
    members: Json, *, identity: Identity = THIS, first: bytes = b"kinebackup header 1", mac: bytes | None = None
) -> bytes:
    signed = first + b"\n" + dumps(members) + b"\n"
    return signed + b"mac " + (mac or hmac_sha256(identity.sub_key("header mac"), signed)).hex().encode() + b"\n"


@dataclass(slots=True)
class Frame:
    """How a file is sealed (§5). What is not the default (but salt and type) is wrong on purpose."""

    type: bytes
    salt: bytes
    magic: bytes = b"KINEBKP"
    version: int = 1
    reserved: int = 0
    shown_type: bytes = b""  # the type that stands in the frame, where it is not the one that the key is bound to
    identity: Identity = THIS
    nonce_order: str = "big"

    @property
    def head(self) -> bytes:
        kind = self.shown_type or self.type
        return self.magic + kind + struct.pack("<II", self.version, self.reserved) + self.salt

    @property
    def file_key(self) -> bytes:
        info = b"kinebackup v1 file" + self.identity.repository + self.type
        return hkdf(self.identity.sub_key("sealing"), info, self.salt)

    def aad(self, number: int, final: int) -> bytes:
        bound = b"kinebackup" + struct.pack("<I", self.version) + self.identity.repository + self.type
        return bound + struct.pack("<QB", number, final)

    def nonce(self, number: int) -> bytes:
        return number.to_bytes(12, "big" if self.nonce_order == "big" else "little")

    def seal(self, number: int, final: int, plain: bytes) -> bytes:
        return AESGCM(self.file_key).encrypt(self.nonce(number), plain, self.aad(number, final))


def one_record(frame: Frame, packed: bytes, *, number: int = 0, final: int = 1) -> bytes:
    """An index or snapshot file; ``packed`` is what is sealed, zstd or what should be."""
    return frame.head + frame.seal(number, final, packed)


@dataclass(slots=True)
class Segment:
    """A segment to write. The fields after the first three say what is wrong with it."""

    kind: int
    codec: int
    blobs: list[bytes]
    packed: bytes | None = None  # what is sealed, instead of the blobs
    number: int | None = None
    final: int = 0
    frame: Frame | None = None
    table: dict[str, int] = field(default_factory=dict)  # what the table says, instead of the truth


@dataclass(slots=True)
class SegmentRow:
    """A segment as an index or a table lists it."""

    sealed_len: int
    plain_len: int
    codec: int
    kind: int
    offset: int = 0
    number: int = 0
    pack: int = 0
    reserved: int = 0


@dataclass(slots=True)
class BlobRow:
    """A place of a blob."""

    id: bytes
    segment: int
    offset: int
    length: int


def nothing(_: Any) -> None:
    """The edit that changes nothing."""


@dataclass(slots=True)
class Pack:
    """A pack to write, and after ``build`` its bytes."""

    label: str
    segments: list[Segment]
    edit_blobs: Callable[[list[BlobRow]], None] = nothing
    edit_table: Callable[[bytes], bytes] = bytes
    compress_table: Callable[[bytes], bytes] = compress
    table_final: int = 1
    swap_records: bool = False
    gap: bytes = b""  # between the last segment and the table
    trailer: tuple[int, int] = (0, 0)  # added to what the trailer says
    after: bytes = b""
    frame: Frame | None = None
    raw: bytes = b""
    rows: list[SegmentRow] = field(default_factory=list)
    blobs: list[BlobRow] = field(default_factory=list)

    @property
    def name(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()

    def build(self) -> "Pack":
        frame = self.frame or Frame(b"P", digest("pack " + self.label))
        records = [self._segment(frame, number, segment) for number, segment in enumerate(self.segments)]
        if self.swap_records:
            records.reverse()
        self.edit_blobs(self.blobs)
        table = struct.pack("<II", len(self.rows), len(self.blobs))
        table += b"".join(struct.pack("<4I", r.sealed_len, r.plain_len, r.codec, r.kind) for r in self.rows)
        table += b"".join(struct.pack("<16s3I", b.id, b.segment, b.offset, b.length) for b in self.blobs)
        sealed = frame.seal(len(records), self.table_final, self.compress_table(self.edit_table(table)))
        trailer = struct.pack("<II", len(sealed) + self.trailer[0], len(records) + self.trailer[1])
        self.raw = frame.head + b"".join(records) + self.gap + sealed + trailer + self.after
        return self

    def _segment(self, frame: Frame, number: int, segment: Segment) -> bytes:
        plain = b"".join(segment.blobs)
        packed = segment.packed if segment.packed is not None else compress(plain) if segment.codec == 1 else plain
        used = number if segment.number is None else segment.number
        sealed = (segment.frame or frame).seal(used, segment.final, packed)
        offset = self.rows[-1].offset + self.rows[-1].sealed_len if self.rows else 48
        row = SegmentRow(len(sealed), len(plain), segment.codec, segment.kind, offset, number)
        for member, value in segment.table.items():
            setattr(row, member, value)
        self.rows.append(row)
        at = 0
        for blob in segment.blobs:
            self.blobs.append(BlobRow(THIS.blob_id(segment.kind, blob), number, at, len(blob)))
            at += len(blob)
        return sealed


@dataclass(slots=True)
class Index:
    """The rows of an index file (§7), to be changed before they are written."""

    packs: list[tuple[bytes, bytes, int]]  # name, salt, size
    segments: list[SegmentRow]
    blobs: list[BlobRow]
    reserved: int = 0
    counts: tuple[int, int, int] = (0, 0, 0)  # added to the counts

    def plain(self) -> bytes:
        sizes = (len(self.packs), len(self.segments), len(self.blobs))
        out = struct.pack("<4I", *(n + wrong for n, wrong in zip(sizes, self.counts, strict=True)), self.reserved)
        out += b"".join(struct.pack("<32s32sQ", *pack) for pack in self.packs)
        for row in self.segments:
            where = (row.pack, row.number, row.offset, row.sealed_len, row.plain_len)
            out += struct.pack("<5I2BH", *where, row.codec, row.kind, row.reserved)
        out += b"".join(blob.id for blob in self.blobs)
        return out + b"".join(struct.pack("<3I", blob.segment, blob.offset, blob.length) for blob in self.blobs)


def index_of(packs: list[Pack]) -> Index:
    segments: list[SegmentRow] = []
    blobs: list[BlobRow] = []
    for number, pack in enumerate(packs):
        blobs += [BlobRow(b.id, b.segment + len(segments), b.offset, b.length) for b in pack.blobs]
        for r in pack.rows:
            segments.append(SegmentRow(r.sealed_len, r.plain_len, r.codec, r.kind, r.offset, r.number, number))
    blobs.sort(key=lambda blob: blob.id)
    return Index([(bytes.fromhex(pack.name), pack.raw[16:48], len(pack.raw)) for pack in packs], segments, blobs)


def put(files: dict[str, bytes], folder: str, raw: bytes) -> str:
    """Add a file under the name that its bytes give it; returns its path."""
    name = hashlib.sha256(raw).hexdigest()
    path = f"KINEBACKUP/{folder}/{name[:2] + '/' if folder == 'packs' else ''}{name}"
    files[path] = raw
    return path
