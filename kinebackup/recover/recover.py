#!/usr/bin/env python3
# fmt: off
"""Bring back what a KineBackup drive holds, with its passphrase or recovery code and without KineBackup.

    python3 recover.py DRIVE (--list | --to DIR) [--snapshot ID | --host NAME] [--path PATH]...
               [--passphrase-file F | --code-file F]

Owns: a reader of format version 1, written from FORMAT.md alone (§ names its sections); it writes below DIR only, over
no file, and no byte that the keys do not prove. Does not know: the product.
Needs Python 3.11, "cryptography" (44 for a passphrase), and zstd: Python 3.14, "backports.zstd" or the program "zstd".
Exit codes: 0 all is back, 3 with problems, 10 no such drive or snapshot, 12 wrong passphrase or code, 1 other.
"""
# ruff: noqa: E401, E701, I001, BLE001 -- BLE001: see naming(); the others keep the file within 300 lines
import argparse, base64, contextlib, functools, getpass, glob, hashlib, hmac, importlib, json, os, re, struct
import subprocess, sys, unicodedata
from bisect import bisect_left
from itertools import accumulate, chain, pairwise
from typing import Any
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DATA, TREE, LIST, MIB = 0, 1, 2, 1 << 20  # kinds of blobs (§6), and a size
SYMBOLS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # of the recovery code (§4)
PLACE = struct.Struct("<16s3I")  # id of a blob; its segment, offset there, length
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
NODES = {"fifo": 0o010000, "char": 0o020000, "block": 0o060000}  # as in st_mode
problems: list[str] = []
zstd: Any = None
for module in ("backports.zstd", "compression.zstd"):
    with contextlib.suppress(ImportError): zstd = importlib.import_module(module)
def stop(code: int, message: str) -> SystemExit:
    sys.stderr.write(message + "\n")
    return SystemExit(code)
@contextlib.contextmanager
def naming(what: bytes | str) -> Any:
    """What a drive holds may be damaged in any way: whatever it makes fail is named, and ends this block only."""
    try: yield
    except Exception as error:
        problems.append(f"{os.fsdecode(what)!r}: {str(error) or type(error).__name__}")  # !r: a name may hold anything
        sys.stderr.write(f"PROBLÈME / PROBLEM: {problems[-1]}\n")
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
def code_secret(text: str) -> bytes:  # the 28 symbols of a recovery code (§4); none, if its checks find it wrong
    values = [SYMBOLS.find(symbol) for symbol in re.sub("[ -]", "", text).upper()]
    groups = [(n, values[5 * n - 5 : 5 * n]) for n in range(1, 8)]
    wrong = [n for n, v in groups if -1 in v or (n + sum(i * x for i, x in enumerate(v[:4], 1))) % 31 not in v[4:]]
    if len(values) == 35 and wrong: sys.stderr.write(f"code: groupe(s) / group(s) {wrong}?\n")
    return b"" if len(values) != 35 or wrong else "".join(SYMBOLS[x] for _, v in groups for x in v[:4]).encode()
def unlock(raw: bytes, secrets: dict[str, bytes]) -> tuple[bytes, bytes]:
    """Master key and repository from one copy of the header (§3, §4); InvalidTag where no slot opens."""
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
    raise InvalidTag
@functools.lru_cache(6)
def segment(opener: Any, path: str, n: int, offset: int, sealed_len: int, plain_len: int, codec: int) -> bytes:
    record: bytes = opener(n, 0, read_file(path, offset, sealed_len))
    plain = unzstd(record, 16 * MIB) if codec else record
    need(len(plain) == plain_len, "segment is not as long as its pack says")
    return plain
class Drive:
    """Reads the sealed files of a repository (§5 to §8), and writes its entries (§9) below the open folder ``top``."""
    def __init__(self, base: str, master: bytes, repository: bytes) -> None:
        self.base, self.repository, self.sealing = base, repository, hkdf(master, b"kinebackup v1 sealing")
        self.segments: list[Any] = []  # what segment() wants, and the kind
        self.places: list[bytes] = []  # each PLACE of a blob, sorted; its segment is a number in self.segments
        self.top, self.wanted, self.found = -1, [b""], {b""}  # which paths to restore, and which were met
        self.links: dict[str, bytes] = {}  # where an inode of several names was written, by all that is said of it
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
        self.places.sort()
    def add(self, segments: list[Any], places: list[Any]) -> None:  # if all of it is possible
        for *_, sealed_len, plain_len, codec, kind in segments:
            need(sealed_len <= 17 * MIB and plain_len <= 16 * MIB and codec < 2 and kind < 3, "impossible segment")
        for _, n, start, length in places:
            need(length and start + length <= segments[n][5], "blob outside its segment, or empty")
        self.places += [PLACE.pack(blob_id, len(self.segments) + n, *rest) for blob_id, n, *rest in places]
        self.segments += segments
    def read_index(self, plain: bytes) -> set[str]:  # takes in an index file (§7), returns the packs listed
        p, s, b, zero = struct.unpack_from("<4I", plain)
        one, two, three = 16 + 72 * p, 16 + 72 * p + 24 * s, 16 + 72 * p + 24 * s + 16 * b
        need(b <= MIB and not zero and len(plain) == three + 12 * b, "counts do not agree with the length")
        packs, segments = list(struct.iter_unpack("<32s32sQ", plain[16:one])), []  # with salts: none passes for another
        paths = [f"{self.base}/packs/{name.hex()[:2]}/{name.hex()}" for name, _, _ in packs]
        openers = [self.opener(b"P", b"KINEBKPP" + struct.pack("<2I", 1, 0) + salt) for _, salt, _ in packs]
        for pack, n, offset, sealed_len, *rest, zero in struct.iter_unpack("<5I2BH", plain[one:two]):
            need(48 <= offset <= packs[pack][2] - 8 - sealed_len and not zero, "segment outside its pack")
            segments.append((openers[pack], paths[pack], n, offset, sealed_len, *rest))
        ids = [plain[at : at + 16] for at in range(two, three, 16)]
        need(all(one <= other for one, other in pairwise(ids)), "ids are out of order")
        self.add(segments, [(i, *at) for i, at in zip(ids, struct.iter_unpack("<3I", plain[three:]), strict=True)])
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
        places = list(PLACE.iter_unpack(table[8 + 16 * s :]))
        self.add([(opener, path, n, offsets[n], *row) for n, row in enumerate(rows)], places)
    def blob(self, text: str, kind: int) -> bytes:  # from the first of its places that is good
        blob_id, why = unhex(text, 16), ValueError(f"blob {text} is nowhere on the drive")
        for place in self.places[bisect_left(self.places, blob_id) : bisect_left(self.places, blob_id + b"\xff" * 13)]:
            _, number, start, length = PLACE.unpack(place)
            *where, found = self.segments[number]
            try:
                need(found == kind, "blob of another kind")
                return segment(*where)[start : start + length]
            except Exception as error: why = ValueError(f"{where[1][-70:]}: {type(error).__name__} {error}")
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
        if path in self.wanted: self.found.add(path)
        same = json.dumps({**entry, "name": "", "rawname": ""}, sort_keys=True) if "link" in entry else ""
        with contextlib.suppress(OSError, KeyError):  # KeyError: its first name; OSError: no link, so a copy is made
            os.link(self.links[same], name, src_dir_fd=self.top, dst_dir_fd=folder, follow_symlinks=False)
            return
        if kind == "dir":
            with contextlib.suppress(FileExistsError): os.mkdir(name, 0o700, dir_fd=folder)
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            try:
                self.tree(entry.get("tree", []), path, fd)
                self.attributes(entry, path, fd, mode)
            finally: os.close(fd)
        elif kind == "file":
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            with open(fd, "wb") as file:
                try:
                    self.content(entry, file)
                    self.attributes(entry, path, fd, mode)
                except BaseException:  # never half a file
                    os.unlink(name, dir_fd=folder)
                    raise
        elif kind == "symlink": os.symlink(text_bytes(entry, "target"), name, dir_fd=folder)
        else: os.mknod(name, NODES[kind] | mode, os.makedev(*entry.get("device", (0, 0))), dir_fd=folder)
        if kind not in ("dir", "file"): self.attributes(entry, path, b"/proc/self/fd/%d/%s" % (folder, name), mode)
        if same: self.links[same] = path[1:]
    def content(self, entry: dict[str, Any], file: Any) -> None:  # its blobs, laid out in its extents
        size, lists, blobs = number(entry.get("size", 0), 0, 1 << 62), entry.get("lists", []), entry.get("blobs", [])
        extents = [(number(o, 0, size), number(n, 0, size)) for o, n in entry.get("extents", [(0, size)])]
        apart = all(start + n <= next_start for (start, n), (next_start, _) in pairwise([*extents, (size, 0)]))
        need(apart and not (lists and blobs), "extents overlap, or both blobs and lists")
        ids = chain(blobs, (i.hex() for text in lists for (i,) in struct.iter_unpack("16s", self.blob(text, LIST))))
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
        uid, gid = (number(entry.get(member, 0), 0, (1 << 32) - 2) for member in ("uid", "gid"))
        mtime, follow = number(entry["mtime"], -1 << 63, (1 << 63) - 1), isinstance(at, int)
        xattrs = [(name, base64.b64decode(v, validate=True)) for name, v in entry.get("xattrs", {}).items()]
        mine = contextlib.suppress(*() if os.geteuid() == 0 else (PermissionError,))  # for root to give
        with naming(path), mine: os.chown(at, uid, gid, follow_symlinks=follow)  # first, as it drops other attributes
        for name, value in xattrs:
            with naming(path), mine: os.setxattr(at, name, value, follow_symlinks=follow)
        with naming(path):
            if follow: os.chmod(at, mode)
            os.utime(at, ns=(mtime, mtime), follow_symlinks=follow)
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("drive", "--to", "--passphrase-file", "--code-file", "--snapshot", "--host"): parser.add_argument(name)
    for option, action in (("--list", "store_true"), ("--path", "append")): parser.add_argument(option, action=action)
    drive, snapshots = opened(args := parser.parse_args()), []
    for name in drive.names("snapshots/*"):
        with naming("snapshots/" + name):
            about = json.loads(drive.record("snapshots", b"S", name).decode())
            need(re.fullmatch(TIME, about["time"]) and isinstance(about["root"], list), "not the form of a snapshot")
            if str(about.get("host")).casefold() == (args.host or str(about.get("host"))).casefold():
                snapshots.append((number(about["sequence"], 1, 1 << 63), about["time"], name, about))
    snapshots.sort(key=lambda s: s[:3])  # the newest is the last one taken (§8), whatever the clocks said
    if args.list or not args.to:
        for _, time, name, about in snapshots:
            mark = "  SUSPECT" * bool(about.get("suspicious"))
            sys.stdout.write(f"{name[:16]}  {time}  {about.get('host')!a} {about.get('sources')!a}{mark}\n")
        return 3 if problems else 0
    best = sorted(snapshots, key=lambda s: not s[3].get("suspicious"))
    newest = {str(s[3].get("machine")): s for s in best}  # of each computer
    asked = best[-1:] if args.snapshot in (None, "latest") else [s for s in best if s[2].startswith(args.snapshot)]
    if len(asked) != 1: raise stop(10, "sauvegarde inconnue / unknown snapshot; --list")
    for _, time, _, about in newest.values() if asked == best[-1:] and len(newest) > 1 else ():
        sys.stderr.write(f"--host {about.get('host')!a}  {time}{'  <-' * (about is asked[0][3])}\n")
    os.makedirs(args.to, mode=0o700, exist_ok=True)
    os.umask(0)  # from here on each mode is given
    drive.wanted = [os.path.normpath(b"/" + os.fsencode(p).lstrip(b"/")).rstrip(b"/") for p in args.path or ("/",)]
    drive.top = os.open(args.to, os.O_RDONLY | os.O_DIRECTORY)
    drive.load()
    drive.tree(asked[0][3]["root"], b"", drive.top)
    for path in set(drive.wanted) - drive.found:
        with naming(path): raise ValueError("is not in this snapshot")
    return 3 if problems else 0
if __name__ == "__main__":
    try: sys.exit(main())
    except (Exception, KeyboardInterrupt) as error: raise stop(1, repr(error)) from None
