#!/usr/bin/env python3
# fmt: off
"""Bring back what a KineBackup drive holds, with its passphrase or recovery code and without KineBackup.

--salvage brings back what is sound of a damaged file, as NAME.damaged with a list of its holes, and where a snapshot or
the list of a folder is lost, every folder to which nothing leads any more, in folders kinebackup-lost-….

Owns: a reader of format version 1, written from FORMAT.md alone (§ names its sections); it writes below DIR only, over
no file, and no byte that the keys do not prove. Does not know: the product.
Needs Python 3.11, "cryptography" (44 for a passphrase), and zstd: Python 3.14, "backports.zstd" or the program "zstd".
Exit codes: 0 all is back, 3 with problems, 10 no such drive or snapshot, 12 wrong passphrase or code, 1 other.
"""
# ruff: noqa: E401, E701, I001, BLE001 -- BLE001: see naming(); the others keep the file within 440 lines
import argparse, base64, contextlib, ctypes, errno, fcntl, functools, getpass, glob, grp, hashlib, hmac, importlib, io
import json, os, pwd, re, resource, stat, struct, subprocess, sys, unicodedata
from collections.abc import Iterator
from itertools import accumulate, chain, pairwise
from typing import Any
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DATA, TREE, LIST, MIB = 0, 1, 2, 1 << 20  # kinds of blobs (§6), and a size
PLACE = struct.Struct("<3I")  # of a blob: its segment, offset there, length
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
NODES = {"fifo": stat.S_IFIFO, "char": stat.S_IFCHR, "block": stat.S_IFBLK}
ACLS = {"system.posix_acl_access", "system.posix_acl_default"}
GET_FLAGS, SET_FLAGS, FLAGS = 0x80086601, 0x40086602, {"immutable": 0x10, "append-only": 0x20}  # linux/fs.h
LOSSES = ("unreadable", "source-missing", "source-empty", "left-out")  # kinds of problems in snapshots (§8)
REFUSED = (errno.EEXIST, errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG)  # of a name that a folder cannot take
PART, NEW = b".kinebackup-part-", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW  # a file that is not on disk yet
LIBC = ctypes.CDLL(None, use_errno=True)
problems: list[str] = []
zstd: Any = None
for module in ("backports.zstd", "compression.zstd"):
    with contextlib.suppress(ImportError): zstd = importlib.import_module(module)

def stop(code: int, message: str) -> SystemExit:
    sys.stderr.write(message + "\n")
    return SystemExit(code)
def problem(what: bytes | str, why: str) -> None:
    problems.append(f"{os.fsdecode(what)!r}: {why}")  # !r: a name may hold anything
    sys.stderr.write(f"PROBLÈME / PROBLEM: {problems[-1]}\n")
@contextlib.contextmanager
def naming(what: bytes | str) -> Any:  # whatever damage makes fail in any way is named, and ends this block only
    try: yield
    except Exception as error: problem(what, str(error) or type(error).__name__)
def need(condition: object, what: str) -> None:
    if not condition: raise ValueError(what)
def number(value: Any, low: int, high: int) -> int:
    need(type(value) is int and low <= value <= high, f"{value!r:.40} is not a number from {low} to {high}")
    return int(value)
def unhex(value: str, length: int) -> bytes:
    need(re.fullmatch(f"[0-9a-f]{{{2 * length}}}", value), f"{value!r:.80} is not {2 * length} hex digits")
    return bytes.fromhex(value)
def text_bytes(entry: dict[str, Any], member: str) -> bytes:  # of name or rawname, target or rawtarget (§9)
    need((member in entry) != ("raw" + member in entry), f"needs either {member} or raw{member}")
    value = entry[member].encode() if member in entry else base64.b64decode(entry["raw" + member], validate=True)
    need(value and b"\0" not in value, f"forbidden {member}")
    return bytes(value)
def read_file(path: str, offset: int, length: int) -> bytes:
    need(os.path.isfile(path) and not os.path.islink(path), "missing, or not a file")
    with open(path, "rb") as file: return os.pread(file.fileno(), length, offset)
def unzstd(frame: bytes, limit: int) -> bytes:  # of one zstd frame (RFC 8878) that says its size, and no more
    need(frame[:4] == b"\x28\xb5\x2f\xfd" and frame[4] & 0xE0, "not zstd, or without content size")
    if zstd:
        decoder = zstd.ZstdDecompressor()
        plain, whole = decoder.decompress(frame, limit + 1), decoder.eof and not decoder.unused_data
    else:  # the program cannot be told where to stop; but the tag has proven that a holder of the keys wrote this
        plain, whole = subprocess.check_output(["zstd", "-dcq"], input=frame, stderr=-3), True  # noqa: S607 -- from PATH
    need(whole and len(plain) <= limit, "not one zstd frame, or too large")
    return bytes(plain)
def hkdf(key: bytes, info: bytes, salt: bytes = b"") -> bytes:  # RFC 5869 with SHA-256, 32 bytes
    return hmac.digest(hmac.digest(salt, key, "sha256"), info + b"\x01", "sha256")
def code_secret(text: str) -> bytes:  # the 28 symbols of a recovery code (§4); none, if its checks find it wrong
    code = re.sub("[ -]", "", text).upper()
    groups = [(n, ["23456789ABCDEFGHJKMNPQRSTUVWXYZ".find(s) for s in code[5 * n - 5 : 5 * n]]) for n in range(1, 8)]
    wrong = [n for n, v in groups if -1 in v or (n + sum(i * x for i, x in enumerate(v[:4], 1))) % 31 not in v[4:]]
    if len(code) == 35 and wrong: sys.stderr.write(f"code: groupe(s) / group(s) {wrong}?\n")
    return b"" if len(code) != 35 or wrong else re.sub("(.{4}).", r"\1", code).encode()
def unlock(raw: bytes, secrets: dict[str, bytes]) -> tuple[bytes, bytes]:  # master key, repository of a header (§3, §4)
    lines = re.fullmatch(rb"(kinebackup header 1\n(.*)\n)mac ([0-9a-f]{64})\n", raw)
    if not lines or len(raw) > MIB // 16: raise ValueError("header is not of version 1")
    header = json.loads(lines[2].decode())
    practice, repository, slots = unhex(header["practice"], 16), unhex(header["repository"], 16), header["slots"]
    need(number(header["generation"], 1, 1 << 63) and 1 <= len(slots) <= 16, "header has not 1 to 16 slots")
    need(len({unhex(slot["id"], 4) for slot in slots}) == len(slots), "header has two slots of one id")
    for slot in slots:  # all of them, before any is used
        if slot["kind"] == "passphrase":
            slot["costs"] = {"iterations": number(slot["passes"], 1, 16), "lanes": number(slot["lanes"], 1, 16),
                             "memory_cost": number(slot["memory_kib"], 8 * slot["lanes"], MIB)}
    for slot in (slot for slot in slots if slot["kind"] in secrets):
        salt, secret = unhex(slot["salt"], 32), secrets[slot["kind"]]
        if slot["kind"] == "passphrase":
            from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # here: where it is missing, a code works
            key = Argon2id(salt=salt, length=32, **slot["costs"]).derive(secret)
        else: key = hkdf(secret, b"kinebackup v1 recovery", salt)
        aad = b"kinebackup v1 slot" + practice + unhex(slot["id"], 4) + slot["kind"].encode()
        with contextlib.suppress(InvalidTag):
            master = AESGCM(key).decrypt(bytes(12), unhex(slot["wrapped"], 48), aad)
            commitment = hmac.digest(hkdf(master, b"kinebackup v1 commitment"), practice, "sha256").hex()
            mac = hmac.digest(hkdf(master, b"kinebackup v1 header mac"), lines[1], "sha256").hex()
            need((commitment, mac.encode()) == (header["commitment"], lines[3]), "header has a wrong mac or commitment")
            return master, repository
    raise InvalidTag  # no slot opens
@functools.lru_cache(6)
def segment(opener: Any, path: str, n: int, offset: int, sealed_len: int, plain_len: int, codec: int) -> bytes:
    record: bytes = opener(n, 0, read_file(path, offset, sealed_len))
    plain = unzstd(record, 16 * MIB) if codec else record
    need(len(plain) == plain_len, "segment is not as long as its pack says")
    return plain
class Drive:  # reads the sealed files of a repository (§5 to §8)
    def __init__(self, base: str, master: bytes, repository: bytes) -> None:
        self.base, self.repository, self.sealing = base, repository, hkdf(master, b"kinebackup v1 sealing")
        self.segments: list[Any] = []  # what segment() wants, and the kind
        self.places: dict[bytes, bytes] = {}  # each PLACE of a blob by its id; a segment is a number in self.segments
    def names(self, pattern: str) -> list[str]:
        found = sorted(glob.glob(pattern, root_dir=self.base))
        return [f[-64:] for f in found if re.fullmatch(r"(packs/(..)/(?=\2)|index/|snapshots/)[0-9a-f]{64}", f)]
    def opener(self, kind: bytes, frame: bytes) -> Any:  # opens the records of the file that begins so (§5)
        need(frame[:16] == struct.pack("<7s1s2I", b"KINEBKP", kind, 1, 0) and len(frame) == 48, "unknown kind of file")
        key = AESGCM(hkdf(self.sealing, b"kinebackup v1 file" + self.repository + kind, frame[16:]))
        aad = struct.pack("<10sI16s1s", b"kinebackup", 1, self.repository, kind)
        return lambda n, final, sealed: key.decrypt(n.to_bytes(12, "big"), sealed, aad + struct.pack("<QB", n, final))
    def record(self, folder: str, kind: bytes, name: str) -> bytes:  # of an index or snapshot file
        raw = read_file(f"{self.base}/{folder}/{name}", 0, 66 * MIB)
        need(hashlib.sha256(raw).hexdigest() == name, "its SHA-256 is not its name")
        return unzstd(self.opener(kind, raw[:48])(0, 1, raw[48:]), 64 * MIB)
    def load(self) -> None:  # where all blobs are: the index files say it, and the packs that no good one lists
        listed: set[str] = set()
        for name in self.names("index/*"):
            with naming("index/" + name): listed |= self.read_index(self.record("index", b"I", name))
        for name in sorted(set(self.names("packs/??/*")) - listed):
            with naming("packs/" + name): self.read_pack(name)
    def add(self, segments: list[Any], places: list[Any]) -> None:  # if all of it is possible
        for *_, sealed_len, plain_len, codec, kind in segments:
            need(sealed_len <= 17 * MIB and plain_len <= 16 * MIB and codec < 2 and kind < 3, "impossible segment")
        for _, n, start, length in places:
            need(length and start + length <= segments[n][5], "blob outside its segment, or empty")
        for i, n, *rest in places: self.places[i] = self.places.get(i, b"") + PLACE.pack(len(self.segments) + n, *rest)
        self.segments += segments
    def read_index(self, plain: bytes) -> set[str]:  # takes in an index file (§7), returns the packs listed
        (p, s, b, zero), read = struct.unpack_from("<4I", plain), io.BytesIO(plain[16:]).read
        need(b <= MIB and not zero and len(plain) == 16 + 72 * p + 24 * s + 28 * b, "counts do not agree with length")
        packs, segments = list(struct.iter_unpack("<32s32sQ", read(72 * p))), []  # with salts: none passes for another
        paths = [f"{self.base}/packs/{name.hex()[:2]}/{name.hex()}" for name, _, _ in packs]
        openers = [self.opener(b"P", b"KINEBKPP" + struct.pack("<2I", 1, 0) + salt) for _, salt, _ in packs]
        for pack, n, offset, sealed_len, *rest, zero in struct.iter_unpack("<5I2BH", read(24 * s)):
            need(48 <= offset <= packs[pack][2] - 8 - sealed_len and not zero, "segment outside its pack")
            segments.append((openers[pack], paths[pack], n, offset, sealed_len, *rest))
        ids = [i for (i,) in struct.iter_unpack("16s", read(16 * b))]
        need(ids == sorted(ids), "ids are out of order")
        self.add(segments, [(i, *at) for i, at in zip(ids, PLACE.iter_unpack(read()), strict=True)])
        return {name.hex() for name, _, _ in packs}
    def read_pack(self, name: str) -> None:  # takes in the table of a pack (§6)
        path = f"{self.base}/packs/{name[:2]}/{name}"
        opener, size = self.opener(b"P", read_file(path, 0, 48)), os.path.getsize(path)
        sealed_len, s = struct.unpack("<2I", read_file(path, size - 8, 8))
        need(sealed_len <= min(66 * MIB, size - 56), "trailer does not agree with the pack's size")
        table = unzstd(opener(s, 1, read_file(path, size - 8 - sealed_len, sealed_len)), 64 * MIB)
        count, b = struct.unpack_from("<2I", table)
        need(count == s <= 1 << 16 and b <= MIB and len(table) == 8 + 16 * s + 28 * b, "table's counts do not agree")
        rows = list(struct.iter_unpack("<4I", table[8 : 8 + 16 * s]))
        offsets = list(accumulate((sealed for sealed, *_ in rows), initial=48))
        need(offsets[-1] + sealed_len + 8 == size, "segments do not fill the pack")
        places = list(struct.iter_unpack("<16s3I", table[8 + 16 * s :]))
        self.add([(opener, path, n, offsets[n], *row) for n, row in enumerate(rows)], places)
    def found(self, text: str) -> Any: return PLACE.iter_unpack(self.places.get(unhex(text, 16), b""))
    def blob(self, text: str, kind: int, salvage: bool = False) -> bytes:  # from a good place; none to who salvages
        why = ValueError(f"blob {text} is nowhere on the drive")
        for n, start, length in self.found(text):
            *where, found = self.segments[n]
            try:
                need(found == kind, "blob of another kind")
                return segment(*where)[start : start + length]
            except Exception as error: why = ValueError(f"{where[1][-70:]}: {type(error).__name__} {error}")
        if salvage: return b""
        raise why
    def entries(self, tree_id: str) -> Any: return json.loads(self.blob(tree_id, TREE).decode())["entries"]
    def orphans(self, led_to: set[str]) -> list[str]:  # trees to which no snapshot and no tree leads: those are lost
        trees = sorted(i.hex() for i, at in self.places.items() if self.segments[PLACE.unpack_from(at)[0]][-1] == TREE)
        for tree_id in trees:
            with contextlib.suppress(Exception):  # what does not open leads nowhere; it is named when it is restored
                for entry in self.entries(tree_id): led_to.update(entry.get("tree", ()))
        return [tree_id for tree_id in trees if tree_id not in led_to]
def rename_new(folder: int, part: bytes, name: bytes) -> None:  # RENAME_NOREPLACE, where the file system has that
    if not LIBC.renameat2(folder, part, folder, name, 1): return
    if (code := ctypes.get_errno()) != errno.EINVAL: raise OSError(code, os.strerror(code))
    if os.path.lexists(b"/proc/self/fd/%d/%s" % (folder, name)): raise FileExistsError(errno.EEXIST, "exists already")
    os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
def take(room: list[Any], size: int) -> Iterator[tuple[int, int]]:  # so much of the extents, of which the last is first
    while size:
        need(room, "has more content than its size says")
        offset, length = room.pop()
        if length > size: room.append((offset + size, length - size))
        if length: yield offset, min(length, size)
        size -= min(length, size)
class Folder:  # an open one of the destination; ``before``: the names that were in it when this run came to it
    def __init__(self, name: bytes, above: int | None = None) -> None:
        self.fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | (os.O_NOFOLLOW if above else 0), dir_fd=above)
        self.before, flags = set(map(os.fsencode, os.listdir(self.fd))), bytearray(8)
        with contextlib.suppress(OSError): fcntl.ioctl(self.fd, GET_FLAGS, flags)
        need(not flags[0] & 0x30, "immutable or append-only: nothing could be renamed here, so nothing is written")
        for part in (name for name in self.before if name.startswith(PART)): os.unlink(part, dir_fd=self.fd)
    def __del__(self) -> None:
        with contextlib.suppress(AttributeError): os.close(self.fd)
    def at(self, name: bytes) -> tuple[bytes, Any]:  # where it is, and which: something else could come there
        return os.readlink(b"/proc/self/fd/%d" % self.fd) + b"/" + name, os.lstat(name, dir_fd=self.fd)
class Restore:  # writes entries (§9) below ``top``: under other names until they are on the disk, and over nothing
    def __init__(self, drive: Drive, top: Folder, args: Any, about: dict[str, Any], dates: dict[int, str]) -> None:
        self.drive, self.top, self.salvage, self.about, self.dates = drive, top, args.salvage, about, dates
        self.wanted = [os.path.normpath(b"/" + os.fsencode(p).lstrip(b"/")).rstrip(b"/") for p in args.path or "/"]
        self.found, self.parts, self.lost_trees = {b""}, 0, False  # found: of the wanted paths
        self.due: list[tuple[bytes, Iterator[Any], int]] = []  # path; what goes on when all is on the disk; size
        self.links: dict[bytes, tuple[bytes, Any]] = {}  # where a file of several names is, by all that is said of it
        self.flagged, self.holes = list[tuple[bytes, tuple[bytes, Any], int]](), list[str]()
        self.names = {} if args.numeric_owner else {"uid": about.get("users", {}), "gid": about.get("groups", {})}
    def settle(self) -> None:
        if LIBC.syncfs(self.top.fd): raise OSError(ctypes.get_errno(), "the destination did not keep what was written")
        due, self.due = self.due, []
        for path, rest, _ in due:
            with naming(path): next(rest, None)
    def run(self, asked: bool, led_to: set[str]) -> None:
        for told in self.about.get("problems", ()):
            path = os.fsencode(told["path"]).rstrip(b"/") + b"/"
            if told["kind"] in LOSSES and any(path.startswith(w + b"/") or w.startswith(path) for w in self.wanted):
                problem(path, f"this backup could not save it: {told['message']}")
        self.tree(self.about["root"], b"", self.top)
        for path in set(self.wanted) - self.found if asked else (): problem(path, "is not in this snapshot")
        self.wanted = [b""]
        for tree_id in self.drive.orphans(led_to) if self.salvage and (self.lost_trees or not asked) else ():
            with naming(name := b"kinebackup-lost-" + tree_id[:12].encode()):
                if name not in self.top.before: os.mkdir(name, 0o700, dir_fd=self.top.fd)
                self.tree([tree_id], b"/" + name, Folder(name, self.top.fd))
        if self.holes:  # a line for each: offset, length, path
            listed = os.open(b"kinebackup-damaged-%d.txt" % os.getpid(), NEW, 0o600, dir_fd=self.top.fd)
            with open(listed, "w") as file: file.writelines(self.holes)
        while self.due: self.settle()
        for path, (real, inode), flags in reversed(self.flagged):
            with naming(path):
                fd = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                need(os.path.samestat(os.fstat(fd), inode), "is another one now: its flags are not set")
                held = fcntl.ioctl(fd, GET_FLAGS, bytes(8))
                fcntl.ioctl(fd, SET_FLAGS, bytes([held[0] | flags]) + held[1:])
                os.close(fd)
        self.settle()
    def tree(self, ids: list[str], path: bytes, folder: Folder) -> None:
        seen: set[bytes] = set()
        for tree_id in ids:
            entries: Any = None
            with naming(path or b"/"):
                entries = self.drive.entries(tree_id)
                for entry in entries:
                    with naming(path + b"/?"):
                        name = text_bytes(entry, "name")
                        need(name not in (b".", b"..") and b"/" not in name, f"forbidden name {name!r}")
                        with naming(path + b"/" + name):
                            need(name not in seen, "comes twice in this folder")
                            seen.add(name)
                            self.entry(entry, path + b"/" + name, name, folder)
            self.lost_trees |= entries is None
    def entry(self, entry: dict[str, Any], path: bytes, name: bytes, folder: Folder) -> None:
        above, directory = any(wanted.startswith(path + b"/") for wanted in self.wanted), entry["type"] == "dir"
        if not (above and directory) and not any((path + b"/").startswith(w + b"/") for w in self.wanted): return
        if path in self.wanted: self.found.add(path)
        if number(entry.get("carried", 0), 0, 1 << 63) and not above:
            date = self.dates.get(entry["carried"], "an earlier backup")
            problem(path, f"could not be read for this backup: it comes back as of {date}")
        need(type(flags := entry.get("flags", [])) is list and all(type(f) is str for f in flags), "impossible flags")
        number(entry["mode"], 0, 0o7777)
        rest = (self.directory if directory else self.other)(entry, path, name, folder)
        if here := next(rest): self.tree(entry.get("tree", []), path, here)  # never in next(): Python 3.12 nests few
        self.due.append((path, rest, 0 if directory else entry.get("size", 0)))
        if len(self.due) > 500 or sum(size for *_, size in self.due) > 256 * MIB: self.settle()
    def directory(self, entry: dict[str, Any], path: bytes, name: bytes, folder: Folder) -> Iterator[Folder | None]:
        if fresh := name not in folder.before:
            name = self.named(path, name, folder, lambda n: os.mkdir(n, 0o700, dir_fd=folder.fd))
        here = Folder(name, folder.fd)
        yield here
        if fresh: self.attributes(entry, path, here.fd)
        if fresh: self.remember(entry, path, folder, name)
    def other(self, entry: dict[str, Any], path: bytes, name: bytes, folder: Folder) -> Iterator[Folder | None]:
        need(name not in folder.before, "exists already, and is left alone")
        said = json.dumps(entry | {"name": 0, "rawname": 0}, sort_keys=True) if "link" in entry else str(self.parts)
        key, self.parts = hashlib.sha256(said.encode()).digest(), self.parts + 1
        first, part = key not in self.links, PART + b"%d" % self.parts
        try:
            if first: name = self.write(entry, path, name, folder, part)
            if "link" in entry: self.links.setdefault(key, (b"", None))
            yield None
            if not first and not self.link(key, folder, part):
                name = self.write(entry, path, name, folder, part)
                os.sync()
            name = self.named(path, name, folder, lambda n: rename_new(folder.fd, part, n))
        except BaseException:  # never half a file
            with contextlib.suppress(OSError): os.unlink(part, dir_fd=folder.fd)
            raise
        if "link" in entry and not self.links[key][0]: self.links[key] = folder.at(name)
        self.remember(entry, path, folder, name)
    def link(self, key: bytes, folder: Folder, part: bytes) -> bool:  # to what this run wrote, and nobody changed
        real, inode = self.links[key]
        with contextlib.suppress(OSError):
            os.link(real, part, dst_dir_fd=folder.fd, follow_symlinks=False)
            if os.path.samestat(os.lstat(part, dir_fd=folder.fd), inode): return True
            os.unlink(part, dir_fd=folder.fd)
        return False
    def named(self, path: bytes, name: bytes, folder: Folder, action: Any) -> bytes:
        """Do it with that name, or where this run has used it already or it cannot be here, with another one."""
        try: action(name)
        except OSError as error:
            if error.errno not in REFUSED or name in folder.before: raise
            stem, end = os.path.splitext(re.sub(r'[\0-\x1f"*:<>?\\|\ufffd]|[. ]+$', "_", name.decode(errors="replace")))
            action(other := f"{stem[:50]}~{hashlib.sha256(name).hexdigest()[:6]}{end[:20]}".encode())
            problem(path, f"cannot have this name here: it is called {other!r}")
            return other
        return name
    def write(self, entry: dict[str, Any], path: bytes, name: bytes, folder: Folder, part: bytes) -> bytes:
        """All of it but its name, which is returned: what is damaged gets another one."""
        if entry["type"] == "file":
            with open(os.open(part, NEW, 0o600, dir_fd=folder.fd), "wb") as file:
                holes = self.content(entry, file)
                self.attributes(entry, path, file.fileno())
            if not holes: return name
            self.holes += [f"{offset} {length} {os.fsdecode(path)!r}\n" for offset, length in holes]
            name, lost = name + b".damaged", sum(length for _, length in holes)
            problem(path, f"damaged: {lost} bytes are zeros in {os.fsdecode(name)!r}")
        else:
            mode, device = entry["mode"], entry.get("device", (0, 0))
            if entry["type"] == "symlink": os.symlink(text_bytes(entry, "target"), part, dir_fd=folder.fd)
            else: os.mknod(part, NODES[entry["type"]] | mode, os.makedev(*device), dir_fd=folder.fd)
            self.attributes(entry, path, b"/proc/self/fd/%d/%s" % (folder.fd, part))
        return name
    def content(self, entry: dict[str, Any], file: Any) -> list[tuple[int, int]]:  # returns what is damaged
        size, lists = number(entry.get("size", 0), 0, 1 << 62), entry.get("lists", ())
        need(not (lists and entry.get("blobs")) and not (entry.get("extent_lists") and "extents" in entry), "twice")
        pairs = [e for i in entry.get("extent_lists", ()) for e in struct.iter_unpack("<2Q", self.drive.blob(i, LIST))]
        room = [(number(o, 0, size), number(n, 0, size)) for o, n in pairs or entry.get("extents", [(0, size)])]
        need(all(o + n <= after for (o, n), (after, _) in pairwise([*room, (size, 0)])), "extents overlap")
        room, holes = room[::-1], list[tuple[int, int]]()
        joined = (self.drive.blob(text, LIST, self.salvage) or bytes(16) for text in lists)
        listed = (i.hex() for ids in joined for (i,) in struct.iter_unpack("16s", ids))
        for blob_id in chain(entry.get("blobs", ()), listed):
            if piece := memoryview(self.drive.blob(blob_id, DATA, self.salvage)):
                for offset, length in take(room, len(piece)):
                    file.seek(offset)
                    piece = piece[file.write(piece[:length]) :]
            else:  # as long as the tables say; if they do not, nobody knows where what follows has its place
                holes += take(room, next((n for *_, n in self.drive.found(blob_id)), sum(n for _, n in room)))
            if holes and not room: break
        need(not any(length for _, length in room), "has less content than its size says")
        file.truncate(size)
        return holes
    @functools.cache  # noqa: B019 -- there is one
    def owner(self, member: str, value: int) -> int:  # who has the name here that the number had there
        name = self.names.get(member, {}).get(str(value), "")
        try: return (pwd.getpwnam if member == "uid" else grp.getgrnam)(name)[2]
        except KeyError:
            if name: sys.stderr.write(f"{name!a} n'existe pas ici / is not known here: {member} {value}\n")
            return value
    def attributes(self, entry: dict[str, Any], path: bytes, at: int | bytes) -> None:
        root, follow, mode, xattrs = os.geteuid() == 0, isinstance(at, int), entry["mode"], entry.get("xattrs", {})
        mine = contextlib.suppress(*() if root else (PermissionError,))  # for root to give
        uid, gid = (self.owner(m, number(entry.get(m, 0), 0, (1 << 32) - 2)) for m in ("uid", "gid"))
        values = [(name, base64.b64decode(value, validate=True)) for name, value in xattrs.items()]
        mtime = number(entry["mtime"], -1 << 63, (1 << 63) - 1)
        with naming(path), mine: os.chown(at, uid if root else -1, gid, follow_symlinks=follow)
        for name in ACLS - xattrs.keys():  # that it inherited
            with contextlib.suppress(OSError): os.removexattr(at, name, follow_symlinks=follow)
        for name, value in values:
            with naming(path), mine: os.setxattr(at, name, value, follow_symlinks=follow)
        with naming(path):
            now = os.stat(at, follow_symlinks=follow)
            keep = mode & ~(stat.S_ISUID * (now.st_uid != uid) | stat.S_ISGID * (now.st_gid != gid))
            if follow: os.chmod(at, keep)
            os.utime(at, ns=(mtime, mtime), follow_symlinks=follow)
            need(keep == mode or not follow, "set-user-ID or set-group-ID is left out: its owner could not be set")
    def remember(self, entry: dict[str, Any], path: bytes, folder: Folder, name: bytes) -> None:
        if flags := sum(FLAGS.get(flag, 0) for flag in set(entry.get("flags", ()))):
            need(os.geteuid() == 0, "only root can make this immutable or append-only")
            self.flagged.append((path, folder.at(name), flags))
def opened(args: argparse.Namespace) -> Drive:
    base = os.path.join(args.drive, "KINEBACKUP" if os.path.isdir(os.path.join(args.drive, "KINEBACKUP")) else "")
    copies: list[bytes] = []
    for name in ("header.2", "header.1", "header"):  # as written: newest first (§3)
        with contextlib.suppress(OSError, ValueError): copies.append(read_file(os.path.join(base, name), 0, MIB))
    if not copies: raise stop(10, "pas un disque KineBackup / not a KineBackup drive")
    named = [re.findall(rb'"repository"\s*:\s*"(\w+)"', raw) for raw in copies]  # what most copies name comes first
    if file := args.passphrase_file or args.code_file:
        with open(file, "rb") as lines: text = re.sub(r"\r?\n\Z", "", lines.readline().decode())
    else: text = getpass.getpass("Phrase secrète ou code / passphrase or code: ")
    secrets = {} if args.code_file else {"passphrase": unicodedata.normalize("NFC", text).encode()}
    secrets |= {} if args.passphrase_file else {"recovery": code_secret(text)}
    code, why = 1, ""
    for raw, _ in sorted(zip(copies, named), key=lambda copy: -named.count(copy[1])):  # noqa: B905 -- of one length
        try: return Drive(base, *unlock(raw, secrets))
        except InvalidTag: code, why = 12, "phrase ou code faux / wrong passphrase or code"
        except Exception as error: why = why or str(error)
    raise stop(code, why)
def main() -> int:
    sys.setrecursionlimit(1 << 14)  # a folder in a folder is a call in a call
    resource.setrlimit(resource.RLIMIT_NOFILE, (most := resource.getrlimit(resource.RLIMIT_NOFILE)[1], most))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("drive", "--to", "--passphrase-file", "--code-file", "--snapshot", "--host"): parser.add_argument(name)
    for option in ("--list", "--salvage", "--numeric-owner"): parser.add_argument(option, action="store_true")
    parser.add_argument("--path", action="append")
    drive, snapshots, roots = opened(args := parser.parse_args()), [], set[str]()
    for name in drive.names("snapshots/*"):
        with naming("snapshots/" + name):
            about = json.loads(drive.record("snapshots", b"S", name).decode())
            need(re.fullmatch(TIME, about["time"]) and isinstance(about["root"], list), "not the form of a snapshot")
            roots.update(about["root"])
            if str(about.get("host")).casefold() == (args.host or str(about.get("host"))).casefold():
                snapshots.append((number(about["sequence"], 1, 1 << 63), about["time"], name, about))
    snapshots.sort(key=lambda s: s[:3])  # the newest is the last one taken (§8), whatever the clocks said
    if args.list or not args.to:
        for _, time, name, about in snapshots:
            mark = "  SUSPECT" * bool(about.get("suspicious"))
            lacks = f"  (-{about['files_lost']})" if about.get("files_lost") else ""
            sys.stdout.write(f"{name[:16]}  {time}  {about.get('host')!a} {about.get('sources')!a}{lacks}{mark}\n")
        return 3 if problems else 0
    best = sorted(snapshots, key=lambda s: not s[3].get("suspicious"))
    newest = {str(s[3].get("machine")): s for s in best}  # of each computer
    asked = best[-1:] if args.snapshot in (None, "latest") else [s for s in best if s[2].startswith(args.snapshot)]
    for _, time, _, about in newest.values() if asked == best[-1:] and len(newest) > 1 else ():
        sys.stderr.write(f"--host {about.get('host')!a}  {time}{'  <-' * (about is asked[0][3])}\n")
    if len(asked) != 1 and (asked or not args.salvage): raise stop(10, "sauvegarde inconnue / unknown snapshot; --list")
    os.makedirs(args.to, mode=0o700, exist_ok=True)
    os.umask(0)  # from here on each mode is given
    drive.load()
    about = asked[0][3] if asked else {"root": []}
    top, dates = Folder(os.fsencode(args.to)), {s[0]: s[1] for s in snapshots}
    if not asked: problems.append("the file of this backup is lost")
    Restore(drive, top, args, about, dates).run(bool(asked), roots)
    return 3 if problems else 0
if __name__ == "__main__":
    if not sys.flags.utf8_mode and sys.executable:  # names are bytes, and JSON is UTF-8, whatever the locale says
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 -- itself
    try: sys.exit(main())
    except (Exception, KeyboardInterrupt) as error: raise stop(1, repr(error)) from None
