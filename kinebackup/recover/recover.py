#!/usr/bin/env python3
"""Bring back what a KineBackup drive holds, with its passphrase or recovery code and without KineBackup.

    python3 recover.py DRIVE --list
    python3 recover.py DRIVE --to DIR [--passphrase-file F | --code-file F] [--snapshot ID] [--path /home/marie ...]

Owns: a reader of format version 1, written from FORMAT.md alone (§ names its sections). Does not know: the product.
It writes below DIR only, over no file, and no byte that the keys do not prove.
Needs Python 3.11, "cryptography" (44 for a passphrase), and zstd: Python 3.14, "backports.zstd" or the program "zstd".
Exit codes: 0 all is back, 3 with problems, 10 no such drive or snapshot, 12 wrong passphrase or code, 1 other.
"""

import argparse
import base64
import contextlib
import functools
import getpass
import glob
import hashlib
import hmac
import importlib
import json
import os
import re
import struct
import subprocess
import sys
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DATA, TREE, LIST, MIB = 0, 1, 2, 1 << 20  # kinds of blobs (§6), and a size
SYMBOLS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # of the recovery code (§4)
FRENCH = (os.environ.get("LC_ALL") or os.environ.get("LANG") or "").startswith("fr")
NODES = {"fifo": 0o010000, "char": 0o020000, "block": 0o060000}  # as in st_mode
# What reading raises where a drive does not hold what a writer puts there. That one thing is named and left out.
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error, InvalidTag)
problems: list[str] = []
zstd: Any = None
for module in ("backports.zstd", "compression.zstd"):
    with contextlib.suppress(ImportError):
        zstd = importlib.import_module(module)


def stop(code: int, french: str, english: str) -> SystemExit:
    sys.stderr.write((french if FRENCH else english) + "\n")
    return SystemExit(code)


@contextlib.contextmanager
def naming(what: bytes | str) -> Iterator[None]:
    """Whatever is damaged ends this block and no more, and is named on stderr."""
    try:
        yield
    except DAMAGED as error:
        problems.append(f"{os.fsdecode(what)!r}: {str(error) or type(error).__name__}")  # !r: a name may hold anything
        sys.stderr.write(("PROBLÈME : " if FRENCH else "PROBLEM: ") + problems[-1] + "\n")
        if getattr(error, "errno", 0) in (28, 122):  # ENOSPC, EDQUOT: the next file would not fit either
            raise stop(1, "arrêt : plus de place", "stopped: no space left") from error


def need(condition: object, what: str) -> None:
    if not condition:
        raise ValueError(what)


def number(value: Any, low: int, high: int) -> int:
    need(type(value) is int and low <= value <= high, f"{value!r:.40} is not a number from {low} to {high}")
    return int(value)


def unhex(value: str, length: int) -> bytes:
    need(re.fullmatch(f"[0-9a-f]{{{2 * length}}}", value), f"{value!r:.80} is not {2 * length} hex digits")
    return bytes.fromhex(value)


def text_bytes(entry: dict[str, Any], member: str) -> bytes:
    """The bytes of ``name`` or ``rawname``, ``target`` or ``rawtarget`` (§9)."""
    need((member in entry) != ("raw" + member in entry), f"needs either {member} or raw{member}")
    value = entry[member].encode() if member in entry else base64.b64decode(entry["raw" + member], validate=True)
    need(value and b"\0" not in value, f"forbidden {member}")
    return bytes(value)


def read_file(path: str, offset: int, length: int) -> bytes:
    need(os.path.isfile(path) and not os.path.islink(path), "missing, or not a file")
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(length)


def unzstd(frame: bytes, limit: int) -> bytes:
    """What one whole zstd frame (RFC 8878) holds. Its blocks are followed to its end, as nothing may come after."""
    flags = frame[4] if frame[:4] == b"\x28\xb5\x2f\xfd" else 0
    width = (0, 2, 4, 8)[flags >> 6] or flags >> 5 & 1
    at = 6 - (flags >> 5 & 1) + (0, 1, 2, 4)[flags & 3] + width
    size = int.from_bytes(frame[at - width : at], "little") + (256 if width == 2 else 0)
    need(width and size <= limit, "not zstd, without content size, or too large")
    last = 0
    while not last and at < len(frame):
        block = int.from_bytes(frame[at : at + 3], "little")
        last, at = block & 1, at + 3 + (1 if block >> 1 & 3 == 1 else block >> 3)
    need(last and at + 4 * (flags >> 2 & 1) == len(frame), "zstd frame is cut off, or something follows it")
    if zstd:
        with contextlib.suppress(zstd.ZstdError):
            plain: bytes = zstd.ZstdDecompressor().decompress(frame, size + 1)
    else:
        with open(os.memfd_create("frame"), "w+b") as memory:  # not on a disk: it is somebody's data
            memory.write(frame)
            memory.seek(0)
            with subprocess.Popen(["zstd", "-dcq"], stdin=memory, stdout=-1, stderr=-3) as program:  # noqa: S607 -- PATH
                plain = program.stdout.read(size + 1)  # type: ignore[union-attr]  # stdout=-1 makes a pipe
                program.kill()
    need(len(plain) == size, "zstd frame does not decode to the length that it records")
    return plain


def hkdf(key: bytes, info: bytes, salt: bytes = b"") -> bytes:
    """HKDF-SHA256 (RFC 5869), 32 bytes."""
    return hmac.digest(hmac.digest(salt, key, "sha256"), info + b"\x01", "sha256")


def code_secret(text: str) -> bytes:
    """The 28 symbols of a recovery code, checked and without the check symbols (§4)."""
    symbols = re.sub("[ -]", "", text).upper()
    need(len(symbols) == 35 and set(symbols) <= set(SYMBOLS), "a recovery code is 7 groups of 5 of " + SYMBOLS)
    for group in range(1, 8):
        *values, check = (SYMBOLS.index(symbol) for symbol in symbols[5 * group - 5 : 5 * group])
        need((group + sum(i * v for i, v in enumerate(values, 1))) % 31 == check, f"group {group} is mistyped")
    return "".join(symbols[start : start + 4] for start in range(0, 35, 5)).encode()


def unlock(raw: bytes, secrets: dict[str, bytes]) -> tuple[bytes, bytes] | None:
    """Master key and repository from one copy of the header (§3, §4); None where no slot opens."""
    lines = raw.split(b"\n")
    need(len(raw) <= MIB // 16 and len(lines) == 4 and lines[3] == b"", "header is not three lines")
    need(lines[0] == b"kinebackup header 1" and lines[2][:4] == b"mac ", "header of another version")
    header = json.loads(lines[1].decode())
    practice, repository = unhex(header["practice"], 16), unhex(header["repository"], 16)
    proof, slots = unhex(header["commitment"], 32) + unhex(lines[2][4:].decode(), 32), header["slots"]
    need(number(header["generation"], 1, 1 << 63) and 1 <= len(slots) <= 16, "not 1 to 16 slots")
    need(len({unhex(slot["id"], 4) for slot in slots}) == len(slots), "two slots have one id")
    for slot in slots:  # all of them, before any is used
        need(slot["kdf"] == ("argon2id" if slot["kind"] == "passphrase" else "hkdf"), "unknown kdf")
        if slot["kdf"] == "argon2id":
            number(slot["memory_kib"], 8 * number(slot["lanes"], 1, 16), MIB)
            number(slot["passes"], 1, 16)
    for slot in (slot for slot in slots if slot["kind"] in secrets):
        secret, salt = secrets[slot["kind"]], unhex(slot["salt"], 32)
        if slot["kind"] == "passphrase":  # imported here: the code works where cryptography is too old for this
            from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

            costs = {"iterations": slot["passes"], "lanes": slot["lanes"], "memory_cost": slot["memory_kib"]}
            key = Argon2id(salt=salt, length=32, **costs).derive(secret)
        else:
            key = hkdf(secret, b"kinebackup v1 recovery", salt)
        aad = b"kinebackup v1 slot" + practice + unhex(slot["id"], 4) + slot["kind"].encode()
        with contextlib.suppress(InvalidTag):
            master = AESGCM(key).decrypt(bytes(12), unhex(slot["wrapped"], 48), aad)
            commitment = hmac.digest(hkdf(master, b"kinebackup v1 commitment"), practice, "sha256")
            mac = hmac.digest(hkdf(master, b"kinebackup v1 header mac"), raw[: -len(lines[2]) - 1], "sha256")
            need(hmac.compare_digest(proof, commitment + mac), "header was changed: wrong mac or commitment")
            return master, repository
    return None


class Drive:
    """The sealed files of one repository (§5 to §8)."""

    def __init__(self, base: str, master: bytes, repository: bytes) -> None:
        self.base, self.repository, self.sealing = base, repository, hkdf(master, b"kinebackup v1 sealing")
        self.pack, self.segment = functools.lru_cache(4)(self.read_pack), functools.lru_cache(6)(self.read_segment)
        self.segments: list[Any] = []  # (pack, record number, offset, sealed length, plain length, codec, kind)
        self.rows: list[bytes] = []  # a place of a blob each: id, index into self.segments, offset, length
        listed: set[str] = set()
        for name in self.names("index/*"):
            with naming("index/" + name):
                listed |= self.read_index(self.record("index", b"I", name))
        for name in self.names("packs/??/*"):
            with naming("packs/" + name):
                if name not in listed:
                    self.add(*self.pack(name)[1:])
        self.rows.sort()

    def names(self, pattern: str) -> list[str]:
        found = sorted(glob.glob(pattern, root_dir=self.base))
        return [f[-64:] for f in found if re.fullmatch(r"(packs/(..)/(?=\2)|index/|snapshots/)[0-9a-f]{64}", f)]

    def opener(self, kind: bytes, frame: bytes) -> Any:
        """A function that opens the records of the file that begins with ``frame`` (§5)."""
        need(len(frame) == 48 and frame[:16] == struct.pack("<7s1s2I", b"KINEBKP", kind, 1, 0), "unknown kind of file")
        key = AESGCM(hkdf(self.sealing, b"kinebackup v1 file" + self.repository + kind, frame[16:]))
        aad = struct.pack("<10sI16s1s", b"kinebackup", 1, self.repository, kind)
        return lambda n, final, sealed: key.decrypt(n.to_bytes(12, "big"), sealed, aad + struct.pack("<QB", n, final))

    def record(self, folder: str, kind: bytes, name: str) -> bytes:
        """The one record of an index or snapshot file."""
        raw = read_file(f"{self.base}/{folder}/{name}", 0, 66 * MIB)
        need(hashlib.sha256(raw).hexdigest() == name, "its SHA-256 is not its name")
        return unzstd(self.opener(kind, raw[:48])(0, 1, raw[48:]), 64 * MIB)

    def add(self, segments: list[Any], places: list[bytes]) -> None:
        """Take in where blobs are, as an index or a table says, once all of it is possible."""
        for _, n, _, sealed_len, plain_len, codec, kind in segments:
            need(n < 1 << 16 and sealed_len <= 17 * MIB and 0 < plain_len <= 16 * MIB, "segment of impossible length")
            need(codec < 2 and kind < 3, "segment of an unknown codec or kind")
        for _, segment, start, length in map(PLACE.unpack, places):
            need(length and start + length <= segments[segment][4], "blob outside its segment, or empty")
        first = len(self.segments)
        self.segments += segments
        self.rows += [PLACE.pack(blob_id, first + segment, *rest) for blob_id, segment, *rest in map(PLACE.unpack, places)]

    def read_index(self, plain: bytes) -> set[str]:
        """Take in an index file (§7); returns the packs that it lists."""
        p, s, b, zero = struct.unpack_from("<4I", plain)
        one, two, three = 16 + 40 * p, 16 + 40 * p + 24 * s, 16 + 40 * p + 24 * s + 16 * b
        need(b <= MIB and not zero and len(plain) == three + 12 * b, "counts do not agree with the length")
        packs = [(name.hex(), size) for name, size in struct.iter_unpack("<32sQ", plain[16:one])]
        segments = []
        for pack, *rest, zero in struct.iter_unpack("<5I2BH", plain[one:two]):
            segments.append((packs[pack][0], *rest))
            need(rest[1] >= 48 and rest[1] + rest[2] <= packs[pack][1] - 8 and not zero, "segment outside its pack")
        places = [plain[two + 16 * i : two + 16 * i + 16] + plain[three + 12 * i : three + 12 * i + 12] for i in range(b)]
        need(all(a[:16] <= b[:16] for a, b in pairwise(places)), "ids out of order")
        self.add(segments, places)
        return {name for name, _ in packs}

    def read_pack(self, name: str) -> tuple[Any, list[Any], list[bytes]]:
        """How to open a pack's records, and what its own table says (§6)."""
        path = f"{self.base}/packs/{name[:2]}/{name}"
        opener, size = self.opener(b"P", read_file(path, 0, 48)), os.path.getsize(path)
        sealed_len, s = struct.unpack("<2I", read_file(path, size - 8, 8))
        need(56 + sealed_len <= size and sealed_len <= 66 * MIB, "pack: trailer does not agree with the size")
        table = unzstd(opener(s, 1, read_file(path, size - 8 - sealed_len, sealed_len)), 64 * MIB)
        count, b = struct.unpack_from("<2I", table)
        need(count == s <= 1 << 16 and b <= MIB and len(table) == 8 + 16 * s + 28 * b, "pack: counts do not agree")
        offset, segments = 48, []
        for n, (length, *rest) in enumerate(struct.iter_unpack("<4I", table[8 : 8 + 16 * s])):
            segments.append((name, n, offset, length, *rest))
            offset += length
        need(offset + sealed_len + 8 == size, "pack: segments do not fill it")
        return opener, segments, [table[at : at + 28] for at in range(8 + 16 * s, len(table), 28)]

    def read_segment(self, index: int) -> bytes:
        pack, n, offset, sealed_len, plain_len, codec, _ = self.segments[index]
        plain: bytes = self.pack(pack)[0](n, 0, read_file(f"{self.base}/packs/{pack[:2]}/{pack}", offset, sealed_len))
        plain = unzstd(plain, 16 * MIB) if codec else plain
        need(len(plain) == plain_len, "segment has not the length that the table says")
        return plain

    def blob(self, blob_id: bytes, kind: int) -> bytes:
        """A blob from the first of its places that is good."""
        why: object = f"blob {blob_id.hex()} is nowhere on the drive"
        at = bisect_left(self.rows, blob_id)
        while at < len(self.rows) and self.rows[at].startswith(blob_id):
            _, index, start, length = PLACE.unpack(self.rows[at])
            pack, n, *_, found = self.segments[index]
            try:
                need(found == kind, "blob of another kind")
                # A record proves its file, not the file's name: two packs may be swapped. The table proves its ids.
                need(PLACE.pack(blob_id, n, start, length) in self.pack(pack)[2], "pack does not hold what the index says")
                return self.segment(index)[start : start + length]
            except DAMAGED as error:
                why, at = error, at + 1
        raise ValueError(str(why) or "its tag is wrong")


class Restore:
    """Writes entries (§9) below an open folder; a symbolic link that is in the way is never followed."""

    def __init__(self, drive: Drive, top: int, wanted: list[bytes]) -> None:
        self.drive, self.top, self.wanted, self.found = drive, top, wanted, set[bytes]()
        self.links: dict[str, bytes] = {}  # each inode with several names: what it is, and where it was written

    def tree(self, ids: list[str], path: bytes, folder: int) -> None:
        for tree_id in ids:
            with naming(path or b"/"):
                for entry in json.loads(self.drive.blob(unhex(tree_id, 16), TREE).decode())["entries"]:
                    with naming(path + b"/?"):
                        name = text_bytes(entry, "name")
                        need(name not in (b".", b"..") and b"/" not in name, f"forbidden name {name!r}")
                        with naming(path + b"/" + name):
                            self.entry(entry, path + b"/" + name, name, folder)

    def entry(self, entry: dict[str, Any], path: bytes, name: bytes, folder: int) -> None:
        kind, mode = entry["type"], number(entry["mode"], 0, 0o7777)
        inside = any((path + b"/").startswith(wanted + b"/") for wanted in self.wanted)
        if not inside and not (kind == "dir" and any(wanted.startswith(path + b"/") for wanted in self.wanted)):
            return
        self.found.add(path)
        if self.linked(entry, path, name, folder):
            return
        if kind == "dir":
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=folder)
            inner = os.open(name, FOLDER, dir_fd=folder)
            try:
                self.tree(entry.get("tree", []), path, inner)
                self.attributes(entry, path, inner, {})
            finally:
                os.close(inner)
        elif kind == "file":
            file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            try:
                self.content(entry, file)
                self.attributes(entry, path, file, {})
            except BaseException:
                os.unlink(name, dir_fd=folder)  # never half a file
                raise
            finally:
                os.close(file)
        else:
            if kind == "symlink":
                os.symlink(text_bytes(entry, "target"), name, dir_fd=folder)
            else:
                device = os.makedev(*(number(n, 0, (1 << 32) - 1) for n in entry.get("device", (0, 0))))
                os.mknod(name, NODES[kind] | mode, device, dir_fd=folder)
            self.attributes(entry, path, name, {"dir_fd": folder, "follow_symlinks": False})
