"""Bring back what a KineBackup drive holds, with its passphrase or recovery code and without KineBackup.
Owns: a reader of format version 1, written from FORMAT.md alone (§ names its sections); it writes below DIR only, over
no file, and no byte that the keys do not prove. Does not know: the product.
Needs Linux, Python 3.11, the package "cryptography" (44 for a passphrase) and libzstd, which nearly every Linux has.
Exit codes: 0 all is back, 3 with problems, 10 no such drive or snapshot, 12 wrong passphrase or code, 1 other."""
import argparse, base64, contextlib, ctypes, datetime, fcntl, functools, getpass, glob, grp, hashlib, hmac
import itertools, json, operator, os, pwd, re, resource, stat, struct, sys, unicodedata, weakref, zlib
from typing import Any
try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    ZSTD = ctypes.CDLL("libzstd.so.1")
except (ImportError, OSError) as why: sys.exit(f'{why}: "apt install python3-cryptography libzstd1", or see README.txt')
DATA, TREE, LIST, MIB = 0, 1, 2, 1 << 20  # kinds of blobs (§6), and a size
SEGMENT = struct.Struct("<5I2BH")  # §7: pack, record number, offset, sealed_len, plain_len, codec, kind, zero
PLACE = struct.Struct("<16s5I2BH2I")  # of a blob: its id, all of its segment, offset there, length
HEADER = rb"(kinebackup header 1\n(.*)\n)mac ([0-9a-f]{64})\n"  # §3
NEEDED, TIME = "features_needed_to_read", re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z").findall
LOSSES = ("unreadable", "source-missing", "source-empty", "left-out")  # kinds of problems in snapshots (§8)
PART, NEW = b".kinebackup-part-", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW  # a file that is not on disk yet
LIBC, MOST = ctypes.CDLL(None), resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # open files at once
problems, note = list[str](), functools.cache(lambda text: sys.stderr.write(f"{text}\n"))  # what is noted, once
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
def read_file(path: str, at: int, size: int) -> bytes:  # page by page: one that cannot be read costs no other
    need(os.path.isfile(path) and not os.path.islink(path) and size <= 80 * MIB, "missing, not a file, or too large")
    with open(path, "rb") as f: return (vars(os)["posix_fadvise"](n := f.fileno(), 0, 0, 1), os.pread(n, size, at))[1]
def unzstd(frame: bytes, limit: int) -> bytes:  # of one zstd frame (RFC 8878) that says its size, and nothing else
    source = frame, ctypes.c_size_t(len(frame))
    size, end = ZSTD.ZSTD_getFrameContentSize(*source), ZSTD.ZSTD_findFrameCompressedSize(*source)  # cut to 32 bits
    need(frame[:4] == b"\x28\xb5\x2f\xfd" and end == len(frame) and 0 <= size <= limit, "not one frame, or too large")
    plain = ctypes.create_string_buffer(size)
    need(ZSTD.ZSTD_decompress(plain, ctypes.c_size_t(size), *source) == size, "not what its frame says, in 64 bits")
    return plain.raw
def hkdf(key: bytes, info: bytes, salt: bytes = b"") -> bytes:  # RFC 5869 with SHA-256, 32 bytes
    return hmac.digest(hmac.digest(salt, key, "sha256"), info + b"\x01", "sha256")
def code_secret(text: str) -> bytes:  # the 28 symbols of a recovery code (§4); none, if its checks find it wrong
    code = re.sub(r"[\s\u2010-\u2015\u2212-]", "", text).upper()
    groups = [(n, ["23456789ABCDEFGHJKMNPQRSTUVWXYZ".find(s) for s in code[5 * n - 5 : 5 * n]]) for n in range(1, 8)]
    wrong = [n for n, v in groups if -1 in v or (n + sum(i * x for i, x in enumerate(v[:4], 1))) % 31 not in v[4:]]
    if len(code) == 35 and wrong: note(f"code: groupe(s) / group(s) {wrong}?")
    return b"" if len(code) != 35 or wrong else re.sub("(.{4}).", r"\1", code).encode()
def slot_key(slot: dict[str, Any], secret: bytes) -> bytes:  # what wraps the master key (§4)
    need(slot["kdf"] == {"passphrase": "argon2id", "recovery": "hkdf"}[slot["kind"]], "its kdf is not that of its kind")
    if slot["kdf"] == "hkdf": return hkdf(secret, b"kinebackup v1 recovery", unhex(slot["salt"], 32))
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # here: where it is missing, a code works
    passes, lanes = (number(slot[member], 1, 16) for member in ("passes", "lanes"))
    memory, salt = number(slot["memory_kib"], 8 * lanes, MIB), unhex(slot["salt"], 32)
    return Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory).derive(secret)
def unlock(raw: bytes, secrets: dict[str, bytes]) -> tuple[bytes, bytes]:  # master key, repository of a header (§3, §4)
    lines = re.fullmatch(HEADER, raw)
    if not lines or len(raw) > MIB // 16: raise ValueError("header is not of version 1")
    header, refused = json.loads(lines[2].decode(errors="replace")), list[str]()
    practice, repository = (unhex(header[member], 16) for member in ("practice", "repository"))
    slots, _ = [s if type(s) is dict else {} for s in header["slots"]], number(header["generation"], 1, (1 << 63) - 1)
    need(0 < len({str(s.get("id", [n])) for n, s in enumerate(slots)}) == len(slots) <= 16, "not 1 to 16 slots, or ids")
    need(not header.get(NEEDED), f"a newer recover.py is needed: {header.get(NEEDED)}")
    def aad(s: Any) -> Any: return b"kinebackup v1 slot" + practice + unhex(s["id"], 4) + s["kind"].encode()
    for s in (s for s in slots if str(s.get("kind")) in secrets):  # what is wrong with one is no matter of the others
        try: master = AESGCM(slot_key(s, secrets[s["kind"]])).decrypt(bytes(12), unhex(s["wrapped"], 48), aad(s))
        except Exception as error: refused += [] if isinstance(error, InvalidTag) else [f"{s.get('id')!r}: {error}"]
        else:
            commitment = hmac.digest(hkdf(master, b"kinebackup v1 commitment"), practice, "sha256").hex()
            need(commitment == header["commitment"], "header has a wrong commitment")
            mac = hmac.digest(hkdf(master, b"kinebackup v1 header mac"), lines[1], "sha256").hex()
            if mac.encode() != lines[3]: note("en-tête altéré / header is altered")
            return master, repository
    raise ValueError(f"no slot opens; refused are {refused}") if refused else InvalidTag
class Drive:  # reads the sealed files of a repository (§5 to §8); a path begins with the letter of their type
    def __init__(self, base: str, master: bytes, repository: bytes) -> None:
        self.base, self.repository, self.sealing = base, repository, hkdf(master, b"kinebackup v1 sealing")
        self.packs, self.lacking = list[tuple[str, bytes]](), set[int]()  # path and salt (§7) of each; kinds of blobs
        self.places = [bytearray() for _ in range(1 << 16)]  # PLACEs of all blobs, by the first two bytes of their ids
    def paths(self, top: str) -> list[str]: return sorted(glob.glob(top + "[0-9a-f]" * 64, root_dir=self.base))
    @functools.lru_cache(6)  # noqa: B019 -- there is one drive
    def proven(self, use: Any, path: str, *more: Any) -> Any:  # what ``use`` makes of a file, or of it as it was (§12)
        try: return use(functools.partial(read_file, f"{self.base}/{path}"), path, *more)
        except Exception as error:
            try: whole = self.by_parity(f"{self.base}/{path}", f"{self.base}/parity/{path[-64:-62]}/{path[-64:]}.xor")
            except Exception: raise error from None
        found = use(lambda at, size: whole[at : at + size], path, *more)
        note(f"RÉPARÉ / HEALED: {path}")
        return found
    @functools.lru_cache(4)  # noqa: B019 -- as above
    def by_parity(self, file: str, parity: str) -> bytes:  # a file as it was, but zeros where too much is lost
        kind, size, columns, zero = struct.unpack("<16sQ2I", head := read_file(parity, 0, 32))
        n = -(-size // 4096)
        need(kind == b"KINEBKPX\1\0\0\0\0\x10\0\0" and columns <= n <= 20480 and not zero, "impossible numbers")
        *sums, checksum = struct.unpack(f"<{n + columns + 1}I", table := read_file(parity, 32, 4 * (n + columns + 1)))
        need(zlib.crc32(head + table[:-4]) == checksum, "its table is damaged")
        blocks, start = [b""] * len(sums), 32 + len(table)  # those of the file, and of parity; empty: wrong
        for i, crc in enumerate(sums):
            at = (file, 4096 * i, min(4096, size - 4096 * i)) if i < n else (parity, start + 4096 * (i - n), 4096)
            with contextlib.suppress(Exception):
                if zlib.crc32(block := read_file(*at)) == crc: blocks[i] = block.ljust(4096, b"\0")
        for i in [i for i in range(n) if not blocks[i]]:
            column = [blocks[n + i % columns], *blocks[i % columns : n : columns]]
            if column.count(b"") == 1:  # so it is the exclusive or of all others
                blocks[i] = functools.reduce(operator.xor, map(int.from_bytes, column)).to_bytes(4096)
        return b"".join(block or bytes(4096) for block in blocks[:n])[:size]
    def unseal(self, path: str, head: bytes, n: int, final: int, sealed: bytes) -> bytes:  # record n of a file (§5)
        kind = path[:1].upper().encode()  # its head is that of the file, or the salt alone, where an index says it
        need(len(head) == 32 or head[:16] == struct.pack("<7s1s2I", b"KINEBKP", kind, 1, 0), "unknown kind of file")
        key = AESGCM(hkdf(self.sealing, b"kinebackup v1 file" + self.repository + kind, head[-32:]))
        aad = struct.pack("<10sI16s1sQB", b"kinebackup", 1, self.repository, kind, n, final)
        return key.decrypt(n.to_bytes(12, "big"), sealed, aad)
    def record(self, read: Any, path: str) -> bytes:  # of an index file or snapshot
        need(hashlib.sha256(raw := read(0, 66 * MIB + 64)).hexdigest() == path[-64:], "its SHA-256 is not its name")
        return unzstd(self.unseal(path, raw[:48], 0, 1, raw[48:]), 64 * MIB)
    def opens(self, path: str) -> bool:  # which proves that the header is of this drive
        with contextlib.suppress(Exception): return bool(self.proven(self.record, path))
        return False
    def lost(self) -> list[str]:  # snapshots of which there is parity only
        there = {path[-64:] for top in ("packs/??/", "index/", "snapshots/", "removals/") for path in self.paths(top)}
        names = {path[10:74] for path in glob.glob("parity/??/*.xor", root_dir=self.base)}
        return list(filter(self.opens, (f"snapshots/{name}" for name in sorted(names - there))))
    def load(self) -> None:  # where all blobs are: the index files say it, and the packs that no good one lists
        for path in self.paths("index/"):
            with naming(path): self.take_in(self.proven(self.record, path))
        for path in sorted({p for p in self.paths("packs/??/") if p[6:8] == p[9:11]} - {p for p, _ in self.packs}):
            with naming(path): self.take_in(self.proven(self.table, path))
    def take_in(self, plain: bytes) -> None:  # an index file (§7), if all of it is possible
        p, s, b, zero = struct.unpack_from("<4I", plain)
        need(b <= MIB and not zero and len(plain) == 16 + 72 * p + 24 * s + 28 * b, "counts do not agree with length")
        _, packs, segments, ids, places = struct.unpack(f"16s{72 * p}s{24 * s}s{16 * b}s{12 * b}s", plain)
        listed = list(struct.iter_unpack("<32s32sQ", packs))
        for pack, record, offset, sealed_len, plain_len, codec, kind, zero in SEGMENT.iter_unpack(segments):
            need(48 <= offset <= listed[pack][2] - 8 - sealed_len and listed[pack][2] <= 80 * MIB and record < 1 << 16
                 and (1 if codec else plain_len) <= sealed_len - 16 <= plain_len + codec * (plain_len // 256 + 64)
                 and 0 < plain_len <= 16 * MIB and codec < 2 and kind < 3 and not zero, "impossible segment or pack")
        for n, start, length in struct.iter_unpack("<3I", places):
            need(0 < length <= SEGMENT.unpack_from(segments, 24 * n)[4] - start, "blob outside its segment, or empty")
        need(all(i <= after for i, after in itertools.pairwise(struct.iter_unpack("16s", ids))), "ids are out of order")
        for (i,), (n, *at) in zip(struct.iter_unpack("16s", ids), struct.iter_unpack("<3I", places), strict=True):
            pack, *segment = SEGMENT.unpack_from(segments, 24 * n)
            self.places[i[0] << 8 | i[1]] += PLACE.pack(i, len(self.packs) + pack, *segment, *at)
        self.packs += [(f"packs/{name.hex()[:2]}/{name.hex()}", salt) for name, salt, _ in listed]
    def table(self, read: Any, path: str) -> bytes:  # of a pack (§6), as an index file would say it
        raw = read(0, 80 * MIB)
        sealed_len, s = struct.unpack("<2I", raw[-8:])
        plain = unzstd(self.unseal(path, raw[:48], s, 1, raw[-8 - sealed_len : -8]), 64 * MIB)
        count, b = struct.unpack_from("<2I", plain)
        rows, blobs = list(struct.iter_unpack("<4I", plain[8 : 8 + 16 * s])), plain[8 + 16 * s :]
        offsets = list(itertools.accumulate((sealed for sealed, *_ in rows), initial=48))
        need(count == s == len(rows) and len(blobs) == 28 * b and offsets[-1] + sealed_len == len(raw) - 8, "no table")
        start = struct.pack("<4I32s32sQ", 1, s, b, 0, bytes.fromhex(path[-64:]), raw[16:48], len(raw))
        segments = (SEGMENT.pack(0, n, offsets[n], *row, 0) for n, row in enumerate(rows))
        pairs = sorted(struct.iter_unpack("16s12s", blobs))
        return b"".join([start, *segments, *(i for i, _ in pairs), *(at for _, at in pairs)])
    def segment(self, read: Any, path: str, head: bytes, n: int, at: int, sealed: int, size: int, codec: int) -> bytes:
        plain = self.unseal(path, head, n, 0, read(at, sealed))
        need(len(plain := unzstd(plain, size) if codec else plain) == size, "segment is not as long as its pack says")
        return bytes(plain)
    def found(self, text: str, kind: int) -> list[Any]:  # the PLACEs of a blob, by its id
        i = unhex(text, 16)
        return [row[1:] for row in PLACE.iter_unpack(self.places[i[0] << 8 | i[1]]) if (row[0], row[7]) == (i, kind)]
    def blob(self, text: str, kind: int, salvage: bool = False) -> bytes:  # from a good place; none to who salvages
        why = ValueError(f"blob {text} of kind {kind} is nowhere on the drive")
        for pack, *segment, _kind, _zero, start, length in self.found(text, kind):
            try: return bytes(self.proven(self.segment, *self.packs[pack], *segment)[start : start + length])
            except Exception as error: why = ValueError(f"{self.packs[pack][0]}: {type(error).__name__} {error}")
        self.lacking.add(kind)
        if salvage: return b""
        raise why
    def entries(self, tree_id: str) -> Any: return json.loads(self.blob(tree_id, TREE).decode())["entries"]
    def orphans(self, led_to: set[str]) -> list[str]:  # trees to which no snapshot and no tree leads: those are lost
        trees = {place[0].hex() for at in self.places for place in PLACE.iter_unpack(at) if place[7] == TREE}
        for tree_id in trees:
            with contextlib.suppress(Exception): led_to.update(*(e.get("tree", ()) for e in self.entries(tree_id)))
        return sorted(trees - led_to)
def rename_new(folder: int, part: bytes, name: bytes) -> None:  # never over another file
    if not getattr(LIBC, "renameat2", lambda *_: -1)(folder, part, folder, name, 1): return  # 1: RENAME_NOREPLACE
    if os.path.lexists(b"/proc/self/fd/%d/%s" % (folder, name)): raise FileExistsError("exists already")
    os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)  # where nothing can promise it, or to say what is wrong
class Folder:  # an open one of the destination; ``before``: the names that were in it when this run came to it
    def __init__(self, name: str | bytes, above: int | None = None) -> None:
        self.fd = os.open(name, os.O_DIRECTORY | os.O_NOFOLLOW * bool(above), dir_fd=above)
        weakref.finalize(self, os.close, self.fd)
        self.before, self.seen, flags = {*map(os.fsencode, os.listdir(self.fd))}, {b".", b".."}, bytearray(8)
        with contextlib.suppress(OSError): fcntl.ioctl(self.fd, 0x80086601, flags)  # FS_IOC_GETFLAGS
        need(not flags[0] & 0x30, "immutable or append-only: nothing could be renamed here, so nothing is written")
        for part in (name for name in self.before if name.startswith(PART)): self.drop(part)  # of a run that was killed
    def drop(self, part: bytes) -> None:
        with contextlib.suppress(OSError): os.unlink(part, dir_fd=self.fd)
class Restore:  # writes entries (§9) below ``top``: under other names until they are on disk (``due``), over nothing
    def __init__(self, drive: Drive, args: Any, about: dict[str, Any], dates: dict[int, str]) -> None:
        self.drive, self.salvage, self.about, self.dates, self.top = drive, args.salvage, about, dates, Folder(args.to)
        self.wanted = [os.path.normpath(b"/" + os.fsencode(p).lstrip(b"/")).rstrip(b"/") for p in args.path or "/"]
        self.found, self.holes, self.due = {b""}, list[str](), list[Any]()
        self.links, self.disks = dict[bytes, int](), dict[int, Folder]()  # open files of several names; what is synced
        self.names = {} if args.numeric_owner else {"uid": about.get("users", {}), "gid": about.get("groups", {})}
    def settle(self) -> None:
        for disk in self.disks.values(): need(not LIBC.syncfs(disk.fd), "the destination did not keep what was written")
        due, self.due = self.due, []
        for entry, path, name, folder, made in due:
            with naming(path):
                if isinstance(made, Folder): self.attributes(entry, path, made.fd)
                else: self.named(path, name, folder, functools.partial(rename_new, folder.fd, made))
            if isinstance(made, bytes): folder.drop(made)  # if it could have no name
    def run(self, asked: bool, led_to: set[str]) -> None:
        for told in self.about.get("problems", ()):
            path = os.fsencode(told["path"]).rstrip(b"/")
            if told["kind"] in LOSSES and any(inside(path, w) or inside(w, path) for w in self.wanted):
                problem(path or b"/", f"this backup could not save it: {told['message']}")
        self.tree(self.about["root"], b"", self.top)
        for path in set(self.wanted) - self.found if asked else (): problem(path, "is not in this snapshot")
        self.wanted = [b""]
        for tree_id in self.drive.orphans(led_to) if self.salvage and (TREE in self.drive.lacking or not asked) else ():
            with naming(name := b"kinebackup-lost-" + tree_id[:12].encode()):
                if name not in self.top.before: os.mkdir(name, 0o700, dir_fd=self.top.fd)
                self.tree([tree_id], b"/" + name, Folder(name, self.top.fd))
        if self.holes:
            listed = os.open(b"kinebackup-damaged-%d.txt" % os.getpid(), NEW, 0o600, dir_fd=self.top.fd)
            with open(listed, "w") as file: file.writelines(self.holes)
        for _ in "content", "names": self.settle()
    def tree(self, ids: list[str], path: bytes, folder: Folder) -> None:
        self.disks.setdefault(os.fstat(folder.fd).st_dev, folder)
        for tree_id in ids:
            with naming(path or b"/"):
                for entry in self.drive.entries(tree_id):
                    with naming(path + b"/?"):
                        name = text_bytes(entry, "name")
                        with naming(path + b"/" + name): self.entry(entry, path + b"/" + name, name, folder)
    def entry(self, entry: dict[str, Any], path: bytes, name: bytes, folder: Folder) -> None:
        need(name not in folder.seen and b"/" not in name, "forbidden name, or the second of that name in this folder")
        folder.seen.add(name)
        if not any(inside(path, w) or (entry["type"] == "dir" and inside(w, path)) for w in self.wanted): return
        if path in self.wanted: self.found.add(path)
        if at := number(entry.get("carried", 0), 0, (1 << 63) - 1):
            problem(path, f"could not be read for this backup: it comes back as of {self.dates.get(at, 'an old one')}")
        need(type(flags := entry.get("flags", [])) is list and all(type(f) is str for f in flags), "impossible flags")
        if flags: note(f"{os.fsdecode(path)!r}: chattr: {flags}")
        for m, low, high in (("mode", 0, 0o7777), ("mtime", -1 << 63, (1 << 63) - 1)): number(entry[m], low, high)
        fresh = name not in folder.before
        if entry["type"] == "dir":
            if fresh: name = self.named(path, name, folder, functools.partial(os.mkdir, mode=0o700, dir_fd=folder.fd))
            made: Any = Folder(name, folder.fd)
            self.tree(entry.get("tree", []), path, made)
        else:
            need(fresh, "exists already, and is left alone")
            made = PART + b"%d" % len(folder.seen)
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
            action(name := f"{stem[:50]}~{hashlib.sha256(name).hexdigest()[:6]}{end[:20]}".encode())
            problem(path, f"cannot have this name here: it is called {name!r}")
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
        size, lists, blob = number(entry.get("size", 0), 0, 1 << 62), entry.get("lists", ()), self.drive.blob
        need(not (lists and entry.get("blobs")) and not (entry.get("extent_lists") and "extents" in entry), "twice")
        pairs = [e for i in entry.get("extent_lists", ()) for e in struct.iter_unpack("<2Q", blob(i, LIST))]
        room = [(number(o, 0, size), number(n, 0, size)) for o, n in pairs or entry.get("extents", [(0, size)])]
        need(all(o + n <= after for (o, n), (after, _) in itertools.pairwise([*room, (size, 0)])), "extents overlap")
        room, holes = [extent for extent in reversed(room) if extent[1]], []
        ids = (i.hex() for t in lists for (i,) in struct.iter_unpack("16s", blob(t, LIST, self.salvage) or bytes(16)))
        for blob_id in itertools.chain(entry.get("blobs", ()), ids):
            piece = memoryview(blob(blob_id, DATA, self.salvage))
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
    def owner(self, member: str, value: int) -> int:  # who has the name here that the number had there
        name = self.names.get(member, {}).get(str(value), "")
        with contextlib.suppress(KeyError): return (pwd.getpwnam if member == "uid" else grp.getgrnam)(name)[2]
        if name: note(f"{name!a} n'existe pas ici / is not known here: {member} {value}")
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
            if entry["type"] != "symlink": os.chmod(at, keep)
            os.utime(at, ns=(entry["mtime"], entry["mtime"]), follow_symlinks=follow)
            need(keep == mode or not follow, "set-user-ID or set-group-ID is left out: its owner could not be set")
def opened(args: argparse.Namespace) -> Drive:
    base = os.path.join(args.drive, "KINEBACKUP" if os.path.isdir(os.path.join(args.drive, "KINEBACKUP")) else "")
    headers, drives, code, why = list[bytes](), list[Drive](), 1, ""
    for name in ("header", "header.1", "header.2", "parity/header"):
        with contextlib.suppress(OSError, ValueError): headers.append(read_file(os.path.join(base, name), 0, MIB))
    if args.header_from:
        export = read_file(args.header_from, 0, MIB).replace(b"\r\n", b"\n").removeprefix(b"\xef\xbb\xbf")
        headers += (found[0] for found in re.finditer(HEADER, export))
        if export not in headers and hashlib.sha256(export[:-69]).hexdigest().encode() not in export[-69:]:
            note("cet export de clés est altéré / this key export is altered")
    if not headers: raise stop(10, "pas un disque KineBackup / not a KineBackup drive; or --header-from")
    if secret_file := args.passphrase_file or args.code_file:
        with open(secret_file, "rb") as file: text = re.sub(r"\r?\n\Z", "", file.readline().decode("utf-8-sig"))
    else: text = getpass.getpass("Phrase secrète ou code / passphrase or code: ")
    secrets = {"passphrase": unicodedata.normalize("NFC", text).encode(), "recovery": code_secret(text)}
    for raw in dict.fromkeys(headers):
        try: drives.append(Drive(base, *unlock(raw, secrets)))
        except InvalidTag: code, why = 12, "phrase ou code faux / wrong passphrase or code"
        except Exception as error: why = why or f"no header opens the drive (--header-from): {error}"
    if not drives: raise stop(code, why)
    return next((d for d in drives if any(map(d.opens, d.paths("snapshots/")[:9] + d.paths("index/")[:9]))), drives[0])
def main() -> int:
    sys.setrecursionlimit(1 << 14)  # a folder in a folder is a call in a call
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST, MOST))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    how = dict.fromkeys(("drive", "--to", "--passphrase-file", "--code-file", "--header-from", "--snapshot", "--host"))
    how |= dict.fromkeys(("--list", "--salvage", "--numeric-owner"), "store_true") | {"--path": "append"}
    for option, action in how.items(): parser.add_argument(option, action=action or "store")
    drive, snapshots, roots = opened(args := parser.parse_args()), list[dict[str, Any]](), set[str]()
    for path in drive.paths("snapshots/") + drive.lost():
        with naming(path):
            about = json.loads(drive.proven(drive.record, path).decode())
            need(type(about["root"]) is list and datetime.datetime.fromisoformat(*TIME(about["time"])), "another form")
            need(not about.get(NEEDED), f"a newer recover.py is needed: {about.get(NEEDED)}")
            about["id"], _ = path[-64:], number(about["sequence"], 1, (1 << 63) - 1)
            roots.update(about["root"])
            if args.host is None or str(about.get("host")).casefold() == args.host.casefold(): snapshots.append(about)
    snapshots.sort(key=operator.itemgetter("sequence", "time", "id"))  # as they were taken (§8)
    if args.list or not args.to:
        for a in snapshots:
            mark = (f"  (-{n})" if (n := a.get("files_lost")) else "") + "  SUSPECT" * bool(a.get("suspicious"))
            sys.stdout.write(f"{a['id'][:16]}  {a['time']}  {a.get('host')!a} {a.get('sources')!a}{mark}\n")
        return 3 if problems else 0
    best = sorted(snapshots, key=lambda about: not about.get("suspicious"))
    newest = {str(about.get("machine")): about for about in best}  # of each computer
    asked = best[-1:] if args.snapshot in (None, "latest") else [a for a in best if a["id"].startswith(args.snapshot)]
    for about in newest.values() if asked == best[-1:] and len(newest) > 1 else ():
        sys.stderr.write(f"--host {about.get('host')!a}  {about['time']}{'  <-' * (about is asked[0])}\n")
    if len(asked) != 1 and (asked or not args.salvage): raise stop(10, "sauvegarde inconnue / unknown snapshot; --list")
    os.makedirs(args.to, mode=0o700, exist_ok=True)
    drive.load()
    about = asked[0] if asked else {"root": [], "problems": [{"kind": LOSSES[0], "path": "/", "message": "file lost"}]}
    Restore(drive, args, about, {a["sequence"]: a["time"] for a in snapshots}).run(bool(asked), roots)
    return 3 if problems else 0
if __name__ == "__main__":
    if not sys.flags.utf8_mode and sys.executable:  # names are bytes, and JSON is UTF-8, whatever the locale says
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 -- itself
    try: sys.exit(main())
    except (Exception, KeyboardInterrupt) as error: raise stop(1, repr(error)) from None
