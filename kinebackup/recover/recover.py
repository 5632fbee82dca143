#!/usr/bin/env python3
"""Bring back what a KineBackup drive holds, with its passphrase or recovery code and without KineBackup.

    python3 recover.py DRIVE --list
    python3 recover.py DRIVE --to DIR [--passphrase-file F | --code-file F] [--snapshot ID] [--path /home/marie ...]

Owns: a reader of format version 1, written from FORMAT.md alone (§ names its sections); it writes below DIR only, over
no file, and no byte that the keys do not prove. Does not know: the product.
Needs Python 3.11, "cryptography" (44 for a passphrase), and zstd: Python 3.14, "backports.zstd" or the program "zstd".
Exit codes: 0 all is back, 3 with problems, 10 no such drive or snapshot, 12 wrong passphrase or code, 1 other.
"""
# fmt: off
# ruff: noqa: E401, E701, I001 -- with fmt: off, keeps the file within 300 lines, to be read in one sitting
import argparse, base64, contextlib, functools, getpass, glob, hashlib, hmac, importlib, json, os, re, struct
import subprocess, sys, unicodedata
from bisect import bisect_left
from itertools import chain, pairwise
from typing import Any
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DATA, TREE, LIST, MIB = 0, 1, 2, 1 << 20  # kinds of blobs (§6), and a size
SYMBOLS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # of the recovery code (§4)
NODES = {"fifo": 0o010000, "char": 0o020000, "block": 0o060000}  # as in st_mode
FRENCH = (os.environ.get("LC_ALL") or os.environ.get("LANG") or "").startswith("fr")
# What reading raises where a drive does not hold what a writer puts there. That one thing is named and left out.
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error, InvalidTag)
problems: list[str] = []
zstd: Any = None
for module in ("backports.zstd", "compression.zstd"):
    with contextlib.suppress(ImportError): zstd = importlib.import_module(module)

def stop(code: int, french: str, english: str) -> SystemExit:
    sys.stderr.write((french if FRENCH else english) + "\n")
    return SystemExit(code)

@contextlib.contextmanager
def naming(what: bytes | str) -> Any:
    """Whatever is damaged ends this block and no more, and is named on stderr."""
    try: yield
    except DAMAGED as error:
        problems.append(f"{os.fsdecode(what)!r}: {str(error) or type(error).__name__}")  # !r: a name may hold anything
        sys.stderr.write(("PROBLÈME : " if FRENCH else "PROBLEM: ") + problems[-1] + "\n")

def need(condition: object, what: str) -> None:
    if not condition: raise ValueError(what)

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
    with open(path, "rb") as file: return os.pread(file.fileno(), length, offset)

def unzstd(frame: bytes, limit: int) -> bytes:
    """What one zstd frame (RFC 8878) holds, if it says how much that is, and nothing follows it."""
    flags = frame[4] if frame[:4] == b"\x28\xb5\x2f\xfd" else 0
    width = (0, 2, 4, 8)[flags >> 6] or flags >> 5 & 1
    at = 6 - (flags >> 5 & 1) + (0, 1, 2, 4)[flags & 3]
    size = int.from_bytes(frame[at : at + width], "little") + (256 if width == 2 else 0)
    need(width and size <= limit, "not zstd, without content size, or too large")
    if zstd:
        decoder, plain = zstd.ZstdDecompressor(), b""
        with contextlib.suppress(zstd.ZstdError): plain = decoder.decompress(frame, size + 1)
        good = decoder.eof and not decoder.unused_data
    else:  # the program cannot be told where to stop; but the tag has proven that a holder of the keys wrote this
        run = subprocess.run(["zstd", "-dcq"], input=frame, stdout=-1, stderr=-3)  # noqa: S607 -- from PATH
        plain, good = run.stdout, run.returncode == 0
    need(good and len(plain) == size, "not one zstd frame of the length that it records")
    return plain

def hkdf(key: bytes, info: bytes, salt: bytes = b"") -> bytes:  # RFC 5869 with SHA-256, 32 bytes
    return hmac.digest(hmac.digest(salt, key, "sha256"), info + b"\x01", "sha256")

def code_secret(text: str) -> bytes:
    """The 28 symbols of a recovery code (§4); nothing, if its check symbols find it wrong."""
    values = [SYMBOLS.find(symbol) for symbol in re.sub("[ -]", "", text).upper()]
    groups = [(n, values[5 * n - 5 : 5 * n]) for n in range(1, 8)]
    wrong = [n for n, v in groups if -1 in v or (n + sum(i * x for i, x in enumerate(v[:4], 1))) % 31 not in v[4:]]
    if len(values) == 35 and wrong: sys.stderr.write(f"code: groupe(s) / group(s) {wrong}?\n")
    return b"" if len(values) != 35 or wrong else "".join(SYMBOLS[x] for _, v in groups for x in v[:4]).encode()

def unlock(raw: bytes, secrets: dict[str, bytes]) -> tuple[bytes, bytes] | None:
    """Master key and repository from one copy of the header (§3, §4); None where no slot opens."""
    lines = re.fullmatch(rb"(kinebackup header 1\n(.*)\n)mac ([0-9a-f]{64})\n", raw)
    if not lines or len(raw) > MIB // 16: raise ValueError("header is not of version 1")
    header = json.loads(lines[2].decode())
    practice, repository, slots = unhex(header["practice"], 16), unhex(header["repository"], 16), header["slots"]
    need(number(header["generation"], 1, 1 << 63) and 1 <= len(slots) <= 16, "header has not 1 to 16 slots")
    need(len({unhex(slot["id"], 4) for slot in slots}) == len(slots), "header has two slots of one id")
    for slot in slots:  # all of them, before any is used
        need(slot["kdf"] == ("argon2id" if slot["kind"] == "passphrase" else "hkdf"), "slot of an unknown kdf")
        if slot["kdf"] == "argon2id":
            number(slot["memory_kib"], 8 * number(slot["lanes"], 1, 16), MIB)
            number(slot["passes"], 1, 16)
    for slot in (slot for slot in slots if slot["kind"] in secrets):
        salt, secret = unhex(slot["salt"], 32), secrets[slot["kind"]]
        if slot["kdf"] == "argon2id":
            from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # here: where it is missing, a code works
            costs = {"iterations": slot["passes"], "lanes": slot["lanes"], "memory_cost": slot["memory_kib"]}
            key = Argon2id(salt=salt, length=32, **costs).derive(secret)
        else: key = hkdf(secret, b"kinebackup v1 recovery", salt)
        aad = b"kinebackup v1 slot" + practice + unhex(slot["id"], 4) + slot["kind"].encode()
        with contextlib.suppress(InvalidTag):
            master = AESGCM(key).decrypt(bytes(12), unhex(slot["wrapped"], 48), aad)
            commitment = hmac.digest(hkdf(master, b"kinebackup v1 commitment"), practice, "sha256").hex()
            mac = hmac.digest(hkdf(master, b"kinebackup v1 header mac"), lines[1], "sha256").hex()
            need((commitment, mac.encode()) == (header["commitment"], lines[3]), "header has a wrong mac or commitment")
            return master, repository
    return None

@functools.lru_cache(6)
def segment(opener: Any, path: str, n: int, offset: int, sealed_len: int, plain_len: int, codec: int) -> bytes:
    record: bytes = opener(n, 0, read_file(path, offset, sealed_len))
    plain = unzstd(record, 16 * MIB) if codec else record
    need(len(plain) == plain_len, "segment is not as long as its pack says")
    return plain

class Drive:
    """Reads the sealed files of one repository (§5 to §8), and writes its entries (§9) below the open folder ``top``."""

    def __init__(self, base: str, master: bytes, repository: bytes) -> None:
        self.base, self.repository, self.sealing = base, repository, hkdf(master, b"kinebackup v1 sealing")
        self.pack = functools.lru_cache(4)(self.read_pack)
        self.places: list[bytes] = []  # sorted: the id of a blob, and the name of a pack that has it
        self.top, self.wanted, self.found = -1, [b""], {b""}  # which paths to restore, and which were met
        self.links: dict[str, bytes] = {}  # where an inode of several names was written, by all that is said of it

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

    def load(self) -> None:
        """Learn which pack has which blob: from the index files, and from the packs that no good one lists."""
        listed: set[str] = set()
        for name in self.names("index/*"):
            with naming("index/" + name): listed |= self.read_index(self.record("index", b"I", name))
        for name in self.names("packs/??/*"):
            with naming("packs/" + name):
                if name not in listed: self.places += [blob_id + bytes.fromhex(name) for blob_id in self.pack(name)]
        self.places.sort()

    def read_index(self, plain: bytes) -> set[str]:
        """Take in one index file (§7); returns the packs that it lists."""
        p, s, b, zero = struct.unpack_from("<4I", plain)
        one, two, three = 16 + 40 * p, 16 + 40 * p + 24 * s, 16 + 40 * p + 24 * s + 16 * b
        need(b <= MIB and not zero and len(plain) == three + 12 * b, "counts do not agree with the length")
        packs, segments = list(struct.iter_unpack("<32sQ", plain[16:one])), []
        for pack, n, offset, sealed_len, plain_len, codec, kind, zero in struct.iter_unpack("<5I2BH", plain[one:two]):
            need(n < 1 << 16 and 48 <= offset <= packs[pack][1] - 8 - sealed_len, "segment outside its pack")
            need(codec < 2 and kind < 3 and plain_len <= 16 * MIB and not zero, "unknown codec or kind, or too long")
            segments.append((plain_len, packs[pack][0]))
        ids = [plain[at : at + 16] for at in range(two, three, 16)]
        need(all(one <= other for one, other in pairwise(ids)), "ids are out of order")
        places = list(struct.iter_unpack("<3I", plain[three:]))
        need(all(n and at + n <= segments[s][0] for s, at, n in places), "blob outside its segment, or empty")
        self.places += [blob_id + segments[s][1] for blob_id, (s, _, _) in zip(ids, places, strict=True)]
        return {name.hex() for name, _ in packs}

    def read_pack(self, name: str) -> dict[bytes, Any]:
        """Where a pack's own table says that its blobs are (§6): the arguments of ``segment``, kind, offset, length."""
        path = f"{self.base}/packs/{name[:2]}/{name}"
        opener, size = self.opener(b"P", read_file(path, 0, 48)), os.path.getsize(path)
        sealed_len, s = struct.unpack("<2I", read_file(path, size - 8, 8))
        need(sealed_len <= min(66 * MIB, size - 56), "trailer does not agree with the pack's size")
        table = unzstd(opener(s, 1, read_file(path, size - 8 - sealed_len, sealed_len)), 64 * MIB)
        count, b = struct.unpack_from("<2I", table)
        need(count == s <= 1 << 16 and b <= MIB and len(table) == 8 + 16 * s + 28 * b, "table's counts do not agree")
        segments, offset, blobs = [], 48, {}
        for n, (length, plain_len, codec, kind) in enumerate(struct.iter_unpack("<4I", table[8 : 8 + 16 * s])):
            need(codec < 2 and kind < 3 and plain_len <= 16 * MIB, "segment of an unknown codec or kind, or too long")
            segments.append((opener, path, n, offset, length, plain_len, codec, kind))
            offset += length
        need(offset + sealed_len + 8 == size, "segments do not fill the pack")
        for blob_id, n, start, length in struct.iter_unpack("<16s3I", table[8 + 16 * s :]):
            need(length and start + length <= segments[n][5], "blob outside its segment, or empty")
            blobs[blob_id] = (*segments[n], start, length)
        return blobs

    def blob(self, text: str, kind: int) -> bytes:
        """The blob of an id, from the first of the packs that has it and is good."""
        why: Exception = ValueError(f"blob {text} is nowhere on the drive")
        at = bisect_left(self.places, blob_id := unhex(text, 16))
        while at < len(self.places) and self.places[at].startswith(blob_id):
            try:  # not where an index says: a record does not prove its pack's name, but a table proves its records
                *where, found, start, length = self.pack(self.places[at][16:].hex())[blob_id]
                need(found == kind, "blob of another kind")
                return segment(*where)[start : start + length]
            except DAMAGED as error: why, at = error, at + 1
        raise why

    def tree(self, ids: list[str], path: bytes, folder: int) -> None:
        for tree_id in ids:
            with naming(path or b"/"):
                for entry in json.loads(self.blob(tree_id, TREE).decode())["entries"]:
                    with naming(path + b"/?"):
                        name = text_bytes(entry, "name")
                        need(name not in (b".", b"..") and b"/" not in name, f"forbidden name {name!r}")
                        with naming(path + b"/" + name): self.entry(entry, path + b"/" + name, name, folder)

    def entry(self, entry: dict[str, Any], path: bytes, name: bytes, folder: int) -> None:
        kind, mode = entry["type"], number(entry["mode"], 0, 0o7777)
        above = kind == "dir" and any(wanted.startswith(path + b"/") for wanted in self.wanted)
        if not above and not any((path + b"/").startswith(wanted + b"/") for wanted in self.wanted): return
        self.found.add(path)
        same = json.dumps({**entry, "name": "", "rawname": ""}, sort_keys=True) if "link" in entry else ""
        if same in self.links:
            with contextlib.suppress(OSError):  # where no link can be made, a copy is
                os.link(self.links[same], name, src_dir_fd=self.top, dst_dir_fd=folder, follow_symlinks=False)
                return
        if kind == "dir":
            with contextlib.suppress(FileExistsError): os.mkdir(name, 0o700, dir_fd=folder)
            at = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            try:
                self.tree(entry.get("tree", []), path, at)
                self.attributes(entry, path, at, mode)
            finally: os.close(at)
        elif kind == "file":
            with open(name, "xb", opener=lambda p, flags: os.open(p, flags | os.O_NOFOLLOW, 0o600, dir_fd=folder)) as file:
                try:
                    self.content(entry, file)
                    self.attributes(entry, path, file.fileno(), mode)
                except BaseException:  # also an interruption: never half a file
                    os.unlink(name, dir_fd=folder)
                    raise
        else:
            if kind == "symlink": os.symlink(text_bytes(entry, "target"), name, dir_fd=folder)
            else: os.mknod(name, NODES[kind] | mode, os.makedev(*entry.get("device", (0, 0))), dir_fd=folder)
            self.attributes(entry, path, b"/proc/self/fd/%d/%s" % (folder, name), mode)
        if same: self.links[same] = path[1:]

    def content(self, entry: dict[str, Any], file: Any) -> None:
        """Write what a file holds: its blobs, laid out in its extents."""
        size, lists, blobs = number(entry.get("size", 0), 0, 1 << 62), entry.get("lists", []), entry.get("blobs", [])
        need(not lists or not blobs, "has both blobs and lists")
        extents = [(number(o, 0, size), number(n, 0, size)) for o, n in entry.get("extents", [(0, size)])]
        need(all(o + n <= o2 for (o, n), (o2, _) in pairwise([*extents, (size, 0)])), "extents overlap")
        joined = (self.blob(list_id, LIST) for list_id in lists)
        ids = chain(blobs, (i.hex() for ids in joined for (i,) in struct.iter_unpack("16s", ids)))
        pieces, piece = (memoryview(self.blob(blob_id, DATA)) for blob_id in ids), memoryview(b"")
        for offset, length in extents:
            file.seek(offset)
            while length:
                piece = piece or next(pieces, piece)
                need(piece, "has less content than its size says")
                done = file.write(piece[:length])
                piece, length = piece[done:], length - done
        need(not piece and not next(pieces, b""), "has more content than its size says")
        file.truncate(size)

    def attributes(self, entry: dict[str, Any], path: bytes, at: int | bytes, mode: int) -> None:
        """Owner first, as a change of owner drops others; then extended attributes, mode, times."""
        owner = [number(entry.get(member, 0), 0, (1 << 32) - 2) for member in ("uid", "gid")]
        mtime, root = number(entry["mtime"], -1 << 63, (1 << 63) - 1), os.geteuid() == 0
        xattrs = [(name, base64.b64decode(v, validate=True)) for name, v in entry.get("xattrs", {}).items()]
        how: Any = {} if isinstance(at, int) else {"follow_symlinks": False}
        with naming(path):
            if root: os.chown(at, *owner, **how)
        with naming(path):
            for name, value in xattrs:
                if root or name.startswith(("user.", "system.posix_acl_")): os.setxattr(at, name, value, **how)
        with naming(path):
            if isinstance(at, int): os.chmod(at, mode)
            os.utime(at, ns=(mtime, mtime), **how)

def opened(args: argparse.Namespace) -> Drive:
    base = os.path.join(args.drive, "KINEBACKUP" if os.path.isdir(os.path.join(args.drive, "KINEBACKUP")) else "")
    # The newest copy comes first, because a change is written in this order (§3).
    copies = [path for n in (".2", ".1", "") if os.path.exists(path := os.path.join(base, "header" + n))]
    if not copies: raise stop(10, "pas un disque KineBackup", "not a KineBackup drive")
    if file := args.passphrase_file or args.code_file:
        with open(file, "rb") as lines: text = re.sub(r"\r?\n\Z", "", lines.readline().decode())
    else: text = getpass.getpass("Phrase secrète ou code : " if FRENCH else "Passphrase or code: ")
    secrets = {} if args.code_file else {"passphrase": unicodedata.normalize("NFC", text).encode()}
    secrets |= {} if args.passphrase_file else {"recovery": code_secret(text)}
    code, why = 1, ""
    for copy in copies:
        try:
            if keys := unlock(read_file(copy, 0, MIB), secrets): return Drive(base, *keys)
            code, why = 12, "phrase ou code faux" if FRENCH else "wrong passphrase or code"
        except (*DAMAGED, ImportError, UnsupportedAlgorithm) as error: why = why or str(error)
    raise stop(code, why, why)

def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("drive", "--to", "--passphrase-file", "--code-file", "--snapshot"): parser.add_argument(option)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--path", action="append", default=[])
    args = parser.parse_args()
    drive, snapshots = opened(args), []
    for name in drive.names("snapshots/*"):
        with naming("snapshots/" + name):
            about = json.loads(drive.record("snapshots", b"S", name).decode())
            need(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", about["time"]), "impossible time")
            need(isinstance(about["root"], list), "impossible root")
            snapshots.append((about["time"], name, about))
    snapshots.sort(key=lambda s: s[:2])
    if args.list or not args.to:
        for time, name, about in snapshots:
            doubt = "SUSPECT" if about.get("suspicious") else ""
            sys.stdout.write(f"{name[:16]}  {time}  {ascii(about.get('host'))} {ascii(about.get('sources'))} {doubt}\n")
        return 3 if problems else 0
    asked = [s for s in snapshots if not s[2].get("suspicious")][-1:] or snapshots[-1:]
    if args.snapshot not in (None, "latest"): asked = [s for s in snapshots if s[1].startswith(args.snapshot)]
    if len(asked) != 1: raise stop(10, "sauvegarde inconnue (voir --list)", "unknown snapshot (see --list)")
    os.makedirs(args.to, mode=0o700, exist_ok=True)
    os.umask(0)  # from here on each mode is given
    drive.wanted = [os.path.normpath(b"/" + os.fsencode(p).lstrip(b"/")).rstrip(b"/") for p in args.path] or [b""]
    drive.top = os.open(args.to, os.O_RDONLY | os.O_DIRECTORY)
    drive.load()
    drive.tree(asked[0][2]["root"], b"", drive.top)
    for path in set(drive.wanted) - drive.found:
        with naming(path): raise ValueError("is not in this snapshot")
    return 3 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
