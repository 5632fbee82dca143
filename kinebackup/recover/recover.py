#!/usr/bin/env python3
"""Bring back what a KineBackup drive holds, with its passphrase or recovery code and without KineBackup.

Owns: a reader of format version 1, written from FORMAT.md alone (§ names its sections); it writes below DIR only, over
no file, and no byte that the keys do not prove. Does not know: the product.
Needs Python 3.11, "cryptography" (44 for a passphrase), and zstd: Python 3.14, "backports.zstd" or the program "zstd".
Exit codes: 0 all is back, 3 with problems, 10 no such drive or snapshot, 12 wrong passphrase or code, 1 other.
"""
import argparse, base64, contextlib, ctypes, errno, fcntl, functools, getpass, glob, grp, hashlib, hmac, importlib
import json, os, pwd, re, resource, stat, struct, subprocess, sys, unicodedata
from itertools import accumulate, chain, count, pairwise
from typing import Any
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
DATA, TREE, LIST, MIB = 0, 1, 2, 1 << 20  # kinds of blobs (§6), and a size
SEGMENT = struct.Struct("<5I2BH")  # §7: pack, record number, offset, sealed_len, plain_len, codec, kind, zero
PLACE = struct.Struct("<16s5I2BH2I")  # of a blob: its id, all of its segment, offset there, length
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
GET_FLAGS, SET_FLAGS, FLAGS = 0x80086601, 0x40086602, {"immutable": 0x10, "append-only": 0x20}  # linux/fs.h
LOSSES = ("unreadable", "source-missing", "source-empty", "left-out")  # kinds of problems in snapshots (§8)
PART, NEW = b".kinebackup-part-", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW  # a file that is not on disk yet
LIBC, MOST = ctypes.CDLL(None, use_errno=True), resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # open files at once
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
    value = entry[member].encode() if member in entry else base64.b64decode(entry["raw" + member], validate=True)
    need(value and b"\0" not in value and (member in entry) != ("raw" + member in entry), f"forbidden {member}")
    return bytes(value)
def inside(path: bytes, top: bytes) -> bool: return (path + b"/").startswith(top + b"/")
def read_file(path: str, offset: int, length: int) -> bytes:
    need(os.path.isfile(path) and not os.path.islink(path) and length <= 66 * MIB, "missing, not a file, or too large")
    with open(path, "rb") as file: return os.pread(file.fileno(), length, offset)
def unzstd(frame: bytes, limit: int) -> bytes:  # of one zstd frame (RFC 8878) that says its size, and nothing else
    need(frame[:4] == b"\x28\xb5\x2f\xfd" and frame[4] & 0xE0, "not zstd, or without content size")
    flags, last = frame[4], 0
    at = 5 + (not flags & 0x20) + (0, 1, 2, 4)[flags & 3]  # after the size of its window and the id of a dictionary
    end = at + (1 << (flags >> 6))
    size = int.from_bytes(frame[at:end], "little") + 256 * (flags >> 6 == 1)
    while not last and end < len(frame):  # a block says its length, its kind (1: one byte, repeated), and if it is last
        block = int.from_bytes(frame[end : end + 3], "little")
        last, end = block & 1, end + 3 + (1 if block >> 1 & 3 == 1 else block >> 3)
    need(last and end + (flags & 4) == len(frame) and size <= limit, "not one zstd frame, or too large")  # 4: checksum
    plain = (zstd.ZstdDecompressor().decompress if zstd else run_zstd)(frame, size + 1)
    need(len(plain) == size, 'not as long as its frame says, or neither "backports.zstd" nor "zstd" is there')
    return bytes(plain)
def run_zstd(frame: bytes, most: int) -> bytes:  # what zstd refuses becomes too long, and nothing longer than that
    shell = ["sh", "-c", f"(zstd -dcq || cat /dev/zero) | head -c {most}"]
    return subprocess.check_output(shell, input=frame, stderr=subprocess.DEVNULL)  # noqa: S603 -- a number is put in
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
    header = json.loads(lines[2].decode(errors="replace"))
    practice, repository, slots = unhex(header["practice"], 16), unhex(header["repository"], 16), header["slots"]
    need(0 < len({unhex(slot["id"], 4) for slot in slots}) == len(slots) <= 16, "not 1 to 16 slots, each with its id")
    number(header["generation"], 1, 1 << 63)
    known = [s for s in slots if (s["kind"], s.get("kdf")) in (("passphrase", "argon2id"), ("recovery", "hkdf"))]
    for slot in (slot for slot in known if slot["kdf"] == "argon2id"):  # all of them, before any is used
        slot["costs"] = {"iterations": number(slot["passes"], 1, 16), "lanes": number(slot["lanes"], 1, 16),
                         "memory_cost": number(slot["memory_kib"], 8 * slot["lanes"], MIB)}
    for slot in (slot for slot in known if slot["kind"] in secrets):
        if slot["kdf"] == "argon2id":
            from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # here: where it is missing, a code works
            key = Argon2id(salt=unhex(slot["salt"], 32), length=32, **slot["costs"]).derive(secrets["passphrase"])
        else: key = hkdf(secrets["recovery"], b"kinebackup v1 recovery", unhex(slot["salt"], 32))
        aad = b"kinebackup v1 slot" + practice + unhex(slot["id"], 4) + slot["kind"].encode()
        with contextlib.suppress(InvalidTag):
            master = AESGCM(key).decrypt(bytes(12), unhex(slot["wrapped"], 48), aad)
            commitment = hmac.digest(hkdf(master, b"kinebackup v1 commitment"), practice, "sha256").hex()
            mac = hmac.digest(hkdf(master, b"kinebackup v1 header mac"), lines[1], "sha256").hex()
            need(commitment == header["commitment"], "header has a wrong commitment")
            if mac.encode() != lines[3]: sys.stderr.write("en-tête altéré / header is altered\n")  # read all the same
            return master, repository
    strange = [slot["id"] for slot in slots if slot["kind"] in secrets and slot not in known]
    raise ValueError(f"no slot opens; of an unknown kdf are {strange}") if strange else InvalidTag
class Drive:  # reads the sealed files of a repository (§5 to §8); every byte of a pack comes through pack_bytes()
    def __init__(self, base: str, master: bytes, repository: bytes) -> None:
        self.base, self.repository, self.sealing = base, repository, hkdf(master, b"kinebackup v1 sealing")
        self.packs: list[tuple[str, bytes]] = []  # of each its path, and how it begins (§5)
        self.places = [bytearray() for _ in range(1 << 16)]  # PLACEs of all blobs, by the first two bytes of their ids
    def paths(self, top: str) -> list[str]: return sorted(glob.glob(top + "[0-9a-f]" * 64, root_dir=self.base))
    def unseal(self, kind: bytes, head: bytes, n: int, final: int, sealed: bytes) -> bytes:  # record n of a file (§5)
        need(head[:16] == struct.pack("<7s1s2I", b"KINEBKP", kind, 1, 0) and len(head) == 48, "unknown kind of file")
        key = AESGCM(hkdf(self.sealing, b"kinebackup v1 file" + self.repository + kind, head[16:]))
        aad = struct.pack("<10sI16s1sQB", b"kinebackup", 1, self.repository, kind, n, final)
        return key.decrypt(n.to_bytes(12, "big"), sealed, aad)
    def record(self, path: str, kind: bytes) -> bytes:  # of an index or snapshot file
        raw = read_file(f"{self.base}/{path}", 0, 66 * MIB)
        need(hashlib.sha256(raw).hexdigest() == path[-64:], "its SHA-256 is not its name")
        return unzstd(self.unseal(kind, raw[:48], 0, 1, raw[48:]), 64 * MIB)
    def pack_bytes(self, path: str, at: int, size: int) -> bytes: return read_file(f"{self.base}/{path}", at, size)
    def load(self) -> None:  # where all blobs are: the index files say it, and the packs that no good one lists
        for path in self.paths("index/"):
            with naming(path): self.take_in(self.record(path, b"I"))
        for path in sorted({p for p in self.paths("packs/??/") if p[6:8] == p[9:11]} - {p for p, _ in self.packs}):
            with naming(path): self.take_in(self.table(path))
    def take_in(self, plain: bytes) -> None:  # an index file (§7), if all of it is possible
        p, s, b, zero = struct.unpack_from("<4I", plain)
        need(b <= MIB and not zero and len(plain) == 16 + 72 * p + 24 * s + 28 * b, "counts do not agree with length")
        _, packs, segments, ids, places = struct.unpack(f"16s{72 * p}s{24 * s}s{16 * b}s{12 * b}s", plain)
        listed = list(struct.iter_unpack("<32s32sQ", packs))
        for pack, _, offset, sealed_len, plain_len, codec, kind, zero in SEGMENT.iter_unpack(segments):
            need(48 <= offset <= listed[pack][2] - 8 - sealed_len and not zero, "segment outside its pack")
            need(sealed_len <= 16 * MIB + 16 and plain_len <= 16 * MIB and codec < 2 and kind < 3, "impossible segment")
        for n, start, length in struct.iter_unpack("<3I", places):
            need(0 < length <= SEGMENT.unpack_from(segments, 24 * n)[4] - start, "blob outside its segment, or empty")
        need(all(i <= after for i, after in pairwise(struct.iter_unpack("16s", ids))), "ids are out of order")
        for (i,), (n, *at) in zip(struct.iter_unpack("16s", ids), struct.iter_unpack("<3I", places), strict=True):
            pack, *segment = SEGMENT.unpack_from(segments, 24 * n)
            self.places[i[0] << 8 | i[1]] += PLACE.pack(i, len(self.packs) + pack, *segment, *at)
        head = struct.pack("<7s1s2I", b"KINEBKP", b"P", 1, 0)  # with the salt of the index: no pack passes for another
        self.packs += [(f"packs/{name.hex()[:2]}/{name.hex()}", head + salt) for name, salt, _ in listed]
    def table(self, path: str) -> bytes:  # of a pack (§6), as an index file would say it
        size, head = os.path.getsize(f"{self.base}/{path}"), self.pack_bytes(path, 0, 48)
        sealed_len, s = struct.unpack("<2I", self.pack_bytes(path, size - 8, 8))
        end = size - 8 - sealed_len
        plain = unzstd(self.unseal(b"P", head, s, 1, self.pack_bytes(path, end, sealed_len)), 64 * MIB)
        count, b = struct.unpack_from("<2I", plain)
        rows, blobs = list(struct.iter_unpack("<4I", plain[8 : 8 + 16 * s])), plain[8 + 16 * s :]
        offsets = list(accumulate((sealed for sealed, *_ in rows), initial=48))
        need(count == s == len(rows) <= 1 << 16 and len(blobs) == 28 * b and offsets[-1] == end, "impossible table")
        start = struct.pack("<4I32s32sQ", 1, s, b, 0, bytes.fromhex(path[-64:]), head[16:], size)
        segments = (SEGMENT.pack(0, n, offsets[n], *row, 0) for n, row in enumerate(rows))
        pairs = sorted(struct.iter_unpack("16s12s", blobs))
        return b"".join([start, *segments, *(i for i, _ in pairs), *(at for _, at in pairs)])
    @functools.lru_cache(6)  # noqa: B019 -- there is one drive
    def segment(self, pack: int, record: int, offset: int, sealed_len: int, plain_len: int, codec: int) -> bytes:
        path, head = self.packs[pack]
        plain = self.unseal(b"P", head, record, 0, self.pack_bytes(path, offset, sealed_len))
        if codec: plain = unzstd(plain, plain_len)
        need(len(plain) == plain_len, "segment is not as long as its pack says")
        return plain
    def found(self, text: str, kind: int) -> list[Any]:  # the PLACEs of a blob, by its id
        i = unhex(text, 16)
        return [row[1:] for row in PLACE.iter_unpack(self.places[i[0] << 8 | i[1]]) if (row[0], row[7]) == (i, kind)]
    def blob(self, text: str, kind: int, salvage: bool = False) -> bytes:  # from a good place; none to who salvages
        why = ValueError(f"blob {text} of kind {kind} is nowhere on the drive")
        for *segment, _kind, _zero, start, length in self.found(text, kind):
            try: return self.segment(*segment)[start : start + length]
            except Exception as error: why = ValueError(f"{self.packs[segment[0]][0]}: {type(error).__name__} {error}")
        if salvage: return b""
        raise why
    def entries(self, tree_id: str) -> Any: return json.loads(self.blob(tree_id, TREE).decode())["entries"]
    def orphans(self, led_to: set[str]) -> list[str]:  # trees to which no snapshot and no tree leads: those are lost
        trees = sorted({place[0].hex() for at in self.places for place in PLACE.iter_unpack(at) if place[7] == TREE})
        for tree_id in trees:
            with contextlib.suppress(Exception):  # what does not open leads nowhere; it is named when it is restored
                for entry in self.entries(tree_id): led_to.update(entry.get("tree", ()))
        return [tree_id for tree_id in trees if tree_id not in led_to]

def rename_new(folder: int, part: bytes, name: bytes) -> None:  # RENAME_NOREPLACE, where the file system has that
    if not LIBC.renameat2(folder, part, folder, name, 1): return
    if (code := ctypes.get_errno()) != errno.EINVAL: raise OSError(code, os.strerror(code))
    if os.path.lexists(b"/proc/self/fd/%d/%s" % (folder, name)): raise FileExistsError(errno.EEXIST, "exists already")
    os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
class Folder:  # an open one of the destination; ``before``: the names that were in it when this run came to it
    def __init__(self, name: bytes, above: int | None = None) -> None:
        self.fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | (os.O_NOFOLLOW if above else 0), dir_fd=above)
        self.before, self.seen, flags = set(map(os.fsencode, os.listdir(self.fd))), {b".", b".."}, bytearray(8)
        with contextlib.suppress(OSError): fcntl.ioctl(self.fd, GET_FLAGS, flags)
        need(not flags[0] & 0x30, "immutable or append-only: nothing could be renamed here, so nothing is written")
        for part in (name for name in self.before if name.startswith(PART)): self.drop(part)
    def __del__(self) -> None:
        with contextlib.suppress(AttributeError): os.close(self.fd)
    def drop(self, part: bytes) -> None:
        with contextlib.suppress(OSError): os.unlink(part, dir_fd=self.fd)
class Restore:  # writes entries (§9) below ``top``: under other names until they are on the disk, and over nothing
    def __init__(self, drive: Drive, top: Folder, args: Any, about: dict[str, Any], dates: dict[int, str]) -> None:
        self.drive, self.top, self.salvage, self.about, self.dates = drive, top, args.salvage, about, dates
        self.wanted = [os.path.normpath(b"/" + os.fsencode(p).lstrip(b"/")).rstrip(b"/") for p in args.path or "/"]
        self.found, self.numbers, self.lost_trees, self.holes = {b""}, count(), False, list[str]()  # found: of those
        self.due, self.links = list[Any](), dict[bytes, int]()  # what waits for the disk; open files of several names
        self.names = {} if args.numeric_owner else {"uid": about.get("users", {}), "gid": about.get("groups", {})}
    def settle(self) -> None:
        if LIBC.syncfs(self.top.fd): raise OSError(ctypes.get_errno(), "the destination did not keep what was written")
        due, self.due, flagged = self.due, [], list[Any]()
        for entry, path, name, folder, made in due:
            with naming(path):
                if isinstance(made, Folder): self.attributes(entry, path, made.fd)
                else: name = self.named(path, name, folder, functools.partial(rename_new, folder.fd, made))
                if flags := sum(FLAGS.get(flag, 0) for flag in set(entry.get("flags", ()))):
                    flagged.append((path, os.open(name, os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder.fd), flags))
            if isinstance(made, bytes): folder.drop(made)  # if it could have no name
        for path, fd, flags in flagged:  # which cannot have another name any more
            with naming(path):
                need(os.geteuid() == 0, "only root can make this immutable or append-only")
                held = fcntl.ioctl(fd, GET_FLAGS, bytes(8))
                fcntl.ioctl(fd, SET_FLAGS, bytes([held[0] | flags]) + held[1:])
            os.close(fd)
    def run(self, asked: bool, led_to: set[str]) -> None:
        for told in self.about.get("problems", ()):
            path = os.fsencode(told["path"]).rstrip(b"/")
            if told["kind"] in LOSSES and any(inside(path, w) or inside(w, path) for w in self.wanted):
                problem(path or b"/", f"this backup could not save it: {told['message']}")
        self.tree(self.about["root"], b"", self.top)
        for path in set(self.wanted) - self.found if asked else (): problem(path, "is not in this snapshot")
        self.wanted = [b""]
        for tree_id in self.drive.orphans(led_to) if self.salvage and (self.lost_trees or not asked) else ():
            with naming(name := b"kinebackup-lost-" + tree_id[:12].encode()):
                if name not in self.top.before: os.mkdir(name, 0o700, dir_fd=self.top.fd)
                self.tree([tree_id], b"/" + name, Folder(name, self.top.fd))
        if self.holes:
            listed = os.open(b"kinebackup-damaged-%d.txt" % os.getpid(), NEW, 0o600, dir_fd=self.top.fd)
            with open(listed, "w") as file: file.writelines(self.holes)
        self.settle()
        self.settle()  # of the names themselves
    def tree(self, ids: list[str], path: bytes, folder: Folder) -> None:
        for tree_id in ids:
            entries: Any = None
            with naming(path or b"/"):
                entries = self.drive.entries(tree_id)
                for entry in entries:
                    with naming(path + b"/?"):
                        name = text_bytes(entry, "name")
                        with naming(path + b"/" + name): self.entry(entry, path + b"/" + name, name, folder)
            self.lost_trees |= entries is None
    def entry(self, entry: dict[str, Any], path: bytes, name: bytes, folder: Folder) -> None:
        need(name not in folder.seen and b"/" not in name, "forbidden name, or the second of that name in this folder")
        folder.seen.add(name)
        asked, directory = any(inside(path, w) for w in self.wanted), entry["type"] == "dir"
        if not asked and not (directory and any(inside(w, path) for w in self.wanted)): return
        if path in self.wanted: self.found.add(path)
        if (at := number(entry.get("carried", 0), 0, 1 << 63)) and asked:
            problem(path, f"could not be read for this backup: it comes back as of {self.dates.get(at, 'an old one')}")
        need(type(flags := entry.get("flags", [])) is list and all(type(f) is str for f in flags), "impossible flags")
        for m, low, high in (("mode", 0, 0o7777), ("mtime", -1 << 63, (1 << 63) - 1)): number(entry[m], low, high)
        fresh = name not in folder.before
        if directory:
            if fresh: name = self.named(path, name, folder, functools.partial(os.mkdir, mode=0o700, dir_fd=folder.fd))
            made: Any = Folder(name, folder.fd)
            self.tree(entry.get("tree", []), path, made)
        else:
            need(fresh, "exists already, and is left alone")
            made = PART + b"%d" % next(self.numbers)
            try: name = self.write(entry, path, name, folder, made)
            except BaseException:  # never half a file
                folder.drop(made)
                raise
        if fresh: self.due.append((entry, path, name, folder, made))
        if len(self.due) > 500 or entry.get("size", 0) > 64 * MIB: self.settle()
    def named(self, path: bytes, name: bytes, folder: Folder, action: Any) -> bytes:
        try: action(name)
        except OSError:  # this run has used the name already, or it cannot be here: it gets another one
            if name in folder.before: raise
            stem, end = os.path.splitext(re.sub(r'[\0-\x1f"*:<>?\\|\ufffd]|[. ]+$', "_", name.decode(errors="replace")))
            action(other := f"{stem[:50]}~{hashlib.sha256(name).hexdigest()[:6]}{end[:20]}".encode())
            problem(path, f"cannot have this name here: it is called {other!r}")
            return other
        return name
    def write(self, entry: dict[str, Any], path: bytes, name: bytes, folder: Folder, part: bytes) -> bytes:
        key = hashlib.sha256(json.dumps(entry | {"name": 0, "rawname": 0}, sort_keys=True).encode()).digest()
        with contextlib.suppress(KeyError, OSError):
            os.link(b"/proc/self/fd/%d" % self.links[key], part, dst_dir_fd=folder.fd, follow_symlinks=True)
            return name
        if entry["type"] == "file":
            with open(os.open(part, NEW, 0o600, dir_fd=folder.fd), "wb") as file:
                holes = self.content(entry, file)
                self.attributes(entry, path, file.fileno())
            if holes:
                self.holes += [f"{offset} {length} {os.fsdecode(path)!r}\n" for offset, length in holes]
                problem(path, f"damaged: {sum(n for _, n in holes)} bytes are zeros in {os.fsdecode(name)!r}.damaged")
                return name + b".damaged"
        elif entry["type"] == "symlink": os.symlink(text_bytes(entry, "target"), part, dir_fd=folder.fd)
        else:
            node = {"fifo": stat.S_IFIFO, "char": stat.S_IFCHR, "block": stat.S_IFBLK}[entry["type"]] | entry["mode"]
            os.mknod(part, node, os.makedev(*entry.get("device", (0, 0))), dir_fd=folder.fd)
        if entry["type"] != "file": self.attributes(entry, path, b"/proc/self/fd/%d/%s" % (folder.fd, part))
        if "link" in entry and key not in self.links and len(self.links) < MOST // 2:
            self.links[key] = os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder.fd)
        return name
    def content(self, entry: dict[str, Any], file: Any) -> list[tuple[int, int]]:  # returns what is damaged
        size, lists = number(entry.get("size", 0), 0, 1 << 62), entry.get("lists", ())
        need(not (lists and entry.get("blobs")) and not (entry.get("extent_lists") and "extents" in entry), "twice")
        pairs = [e for i in entry.get("extent_lists", ()) for e in struct.iter_unpack("<2Q", self.drive.blob(i, LIST))]
        room = [(number(o, 0, size), number(n, 0, size)) for o, n in pairs or entry.get("extents", [(0, size)])]
        need(all(o + n <= after for (o, n), (after, _) in pairwise([*room, (size, 0)])), "extents overlap")
        room, holes = [extent for extent in reversed(room) if extent[1]], []
        joined = (self.drive.blob(text, LIST, self.salvage) or bytes(16) for text in lists)
        listed = (i.hex() for ids in joined for (i,) in struct.iter_unpack("16s", ids))
        for blob_id in chain(entry.get("blobs", ()), listed):
            piece = memoryview(self.drive.blob(blob_id, DATA, self.salvage))
            left = len(piece) or next((n for *_, n in self.drive.found(blob_id, DATA)), sum(n for _, n in room))
            while left and room:  # where no table says how long it is, nobody knows where what follows has its place
                offset, length = room.pop()
                used = min(left, length)
                if used < length: room.append((offset + used, length - used))
                file.seek(offset)
                if piece: piece = piece[file.write(piece[:used]) :]
                else: holes.append((offset, used))
                left -= used
            need(not left or holes, "has more content than its size says")
        need(not room, "has less content than its size says")
        file.truncate(size)
        return holes
    @functools.cache  # noqa: B019 -- there is one
    def owner(self, member: str, value: int) -> int:  # who has the name here that the number had there
        name = self.names.get(member, {}).get(str(value), "")
        with contextlib.suppress(KeyError): return (pwd.getpwnam if member == "uid" else grp.getgrnam)(name)[2]
        if name: sys.stderr.write(f"{name!a} n'existe pas ici / is not known here: {member} {value}\n")
        return value
    def attributes(self, entry: dict[str, Any], path: bytes, at: int | bytes) -> None:
        root, follow, mode, xattrs = os.geteuid() == 0, isinstance(at, int), entry["mode"], entry.get("xattrs", {})
        mine = contextlib.suppress(*() if root else (PermissionError,))  # for root to give
        uid, gid = (self.owner(m, number(entry.get(m, 0), 0, (1 << 32) - 2)) for m in ("uid", "gid"))
        values = [(name, base64.b64decode(value, validate=True)) for name, value in xattrs.items()]
        with naming(path), mine: os.chown(at, uid if root else -1, gid, follow_symlinks=follow)
        for name in {"system.posix_acl_access", "system.posix_acl_default"} - xattrs.keys():  # that it inherited
            with contextlib.suppress(OSError): os.removexattr(at, name, follow_symlinks=follow)
        for name, value in values:
            with naming(path), mine: os.setxattr(at, name, value, follow_symlinks=follow)
        with naming(path):
            now = os.stat(at, follow_symlinks=follow)
            keep = mode & ~(stat.S_ISUID * (now.st_uid != uid) | stat.S_ISGID * (now.st_gid != gid))
            if follow: os.chmod(at, keep)
            os.utime(at, ns=(entry["mtime"], entry["mtime"]), follow_symlinks=follow)
            need(keep == mode or not follow, "set-user-ID or set-group-ID is left out: its owner could not be set")
def opened(args: argparse.Namespace) -> Drive:
    base = os.path.join(args.drive, "KINEBACKUP" if os.path.isdir(os.path.join(args.drive, "KINEBACKUP")) else "")
    copies, code, why = list[bytes](), 1, ""
    for name in ("header.2", "header.1", "header"):  # as written: newest first (§3)
        with contextlib.suppress(OSError, ValueError): copies.append(read_file(os.path.join(base, name), 0, MIB))
    if not copies: raise stop(10, "pas un disque KineBackup / not a KineBackup drive")
    named = [re.findall(rb'"repository"\s*:\s*"(\w+)"', raw) for raw in copies]  # what most copies name comes first
    if file := args.passphrase_file or args.code_file:
        with open(file, "rb") as lines: text = re.sub(r"\r?\n\Z", "", lines.readline().decode())
    else: text = getpass.getpass("Phrase secrète ou code / passphrase or code: ")
    secrets = {} if args.code_file else {"passphrase": unicodedata.normalize("NFC", text).encode()}
    secrets |= {} if args.passphrase_file else {"recovery": code_secret(text)}
    for raw, _ in sorted(zip(copies, named), key=lambda copy: -named.count(copy[1])):  # noqa: B905 -- of one length
        try: return Drive(base, *unlock(raw, secrets))
        except InvalidTag: code, why = 12, "phrase ou code faux / wrong passphrase or code"
        except Exception as error: why = why or str(error)
    raise stop(code, why)
def main() -> int:
    sys.setrecursionlimit(1 << 14)  # a folder in a folder is a call in a call
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST, MOST))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("drive", "--to", "--passphrase-file", "--code-file", "--snapshot", "--host"): parser.add_argument(name)
    for option in ("--list", "--salvage", "--numeric-owner"): parser.add_argument(option, action="store_true")
    parser.add_argument("--path", action="append")
    drive, snapshots, roots = opened(args := parser.parse_args()), [], set[str]()
    for path in drive.paths("snapshots/"):
        with naming(path):
            about = json.loads(drive.record(path, b"S").decode())
            need(isinstance(about["root"], list) and re.fullmatch(TIME, about["time"]), "not the form of a snapshot")
            roots.update(about["root"])
            if str(about.get("host")).casefold() == (args.host or str(about.get("host"))).casefold():
                snapshots.append((number(about["sequence"], 1, 1 << 63), about["time"], path[-64:], about))
    snapshots.sort(key=lambda s: s[:3])  # the newest is the last one taken (§8), whatever the clocks said
    if args.list or not args.to:
        for _, time, name, about in snapshots:
            mark = (f"  (-{n})" if (n := about.get("files_lost")) else "") + "  SUSPECT" * bool(about.get("suspicious"))
            sys.stdout.write(f"{name[:16]}  {time}  {about.get('host')!a} {about.get('sources')!a}{mark}\n")
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
    if not asked: problems.append("the file of this backup is lost")
    Restore(drive, Folder(os.fsencode(args.to)), args, about, {s[0]: s[1] for s in snapshots}).run(bool(asked), roots)
    return 3 if problems else 0
if __name__ == "__main__":
    if not sys.flags.utf8_mode and sys.executable:  # names are bytes, and JSON is UTF-8, whatever the locale says
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 -- itself
    try: sys.exit(main())
    except (Exception, KeyboardInterrupt) as error: raise stop(1, repr(error)) from None
