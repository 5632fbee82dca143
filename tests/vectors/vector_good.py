"""The good repository: every kind of entry and every way of storing one.

Owns: what is in ``good/`` and what must come back from it. Does not know: how it is written to disk.
"""

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field

from vectors.vector_plans import MTIME, dir_entry, file_entry, header_files, header_members, snapshot_json, tree_of
from vectors.vector_writer import (
    DATA,
    LIST,
    THIS,
    TREE,
    Frame,
    Json,
    Pack,
    Segment,
    compress,
    digest,
    dumps,
    header,
    index_of,
    one_record,
    put,
)

SMALL = {name: f"Contenu de {name}.\n".encode() * 4 for name in ("lettre", "deux", "sans", "vieux", "avenir", "acl")}
NOISE = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(200))  # does not compress
PIECES = [bytes([n]) * (100 + n) for n in range(40)]
BEFORE_1970, AFTER_2038 = -86400_000000001, 4102444800_123456789
GIB = 1 << 30


@dataclass(slots=True)
class Good:
    """The files of the repository, and the expected content of each snapshot by its name, newest last."""

    files: dict[str, bytes]
    expected: dict[str, Json] = field(default_factory=dict)
    packs: dict[str, str] = field(default_factory=dict)


def raw_name(name: bytes, entry: Json) -> Json:
    return {k: v for k, v in entry.items() if k != "name"} | {"rawname": base64.b64encode(name).decode()}


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def other(name: str, kind: str, mode: int, **more: object) -> Json:
    made: Json = {"name": name, "type": kind, "mode": mode, "uid": 1000, "gid": 1000, "mtime": MTIME, "ctime": MTIME}
    return made | {"inode": 9} | more


def acl() -> bytes:
    """owner rw, user 1001 r, group r, mask r, others nothing: as Linux stores it."""
    rows = ((1, 6, -1), (2, 4, 1001), (4, 4, -1), (16, 4, -1), (32, 0, -1))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", tag, rights, owner) for tag, rights, owner in rows)


def lists() -> list[bytes]:
    ids = [THIS.blob_id(DATA, piece) for piece in PIECES]
    return [b"".join(ids[:25]), b"".join(ids[25:])]


EXTENTS = [[0, 30], [4096, 18], [8192, 12]]  # of a file that has them out of line, in two lists


def extent_lists() -> list[bytes]:
    packed = [struct.pack("<2Q", offset, length) for offset, length in EXTENTS]
    return [b"".join(packed[:2]), packed[2]]


def patient_entries() -> list[Json]:
    big = file_entry("grand.bin", b"".join(PIECES), blobs=[])
    big["lists"] = [THIS.blob_id(LIST, blob).hex() for blob in lists()]
    photo = file_entry(
        "photo.jpg", NOISE, blobs=[THIS.blob_id(DATA, part).hex() for part in (NOISE[:5000], NOISE[5000:])]
    )
    sparse = [[0, 40], [5 * GIB - 21, 20]]
    letter = SMALL["lettre"]
    copied = {"by": "sqlite", "size": 8192, "wal_size": 4152, "wal_mtime": MTIME}
    entries = [
        file_entry("lettre.txt", letter),
        file_entry("vide.txt", b""),
        photo,
        big,
        file_entry("creux.img", letter[:60], size=5 * GIB, extents=sparse),
        file_entry("creux-listes.img", letter[:60], size=9000)
        | {"extent_lists": [THIS.blob_id(LIST, blob).hex() for blob in extent_lists()]},
        file_entry("drapeaux.txt", letter, flags=["un-drapeau-inconnu"]),
        file_entry("tout-creux.img", b"", size=1 << 20, extents=[]),
        file_entry("deux\nlignes \x1b[31m.txt", SMALL["deux"]),
        raw_name(b"caf\xe9.txt", file_entry("x", letter)),
        file_entry("caf\u00e9.txt", letter, mode=0),
        other("lien", "symlink", 0o777, target="lettre.txt"),
        other("lien-absolu", "symlink", 0o777, target="/nulle/part"),
        other("lien-brut", "symlink", 0o777, rawtarget=b64(b"caf\xe9.txt")),
        file_entry("dur-1.txt", SMALL["deux"], link="8:77", inode=77),
        file_entry("dur-2.txt", SMALL["deux"], link="8:77", inode=77),
        other("tuyau", "fifo", 0o600),
        other("zero", "char", 0o666, device=[1, 5]),
        other("boucle", "block", 0o660, device=[7, 300]),
        file_entry("note.txt", letter, xattrs={"user.note": b64(b"\x00\xff note"), "user.vide": ""}),
        file_entry("acl.txt", SMALL["acl"], xattrs={"system.posix_acl_access": b64(acl())}),
        file_entry("vieux.txt", SMALL["vieux"], mtime=BEFORE_1970),
        file_entry("avenir.txt", SMALL["avenir"], mtime=AFTER_2038),
        file_entry("incertain.txt", letter, uncertain=True),
        file_entry("base.sqlite", NOISE[:5000], copied=copied),
        file_entry("sans-index.txt", SMALL["sans"]),
        file_entry("prog", letter, mode=0o4755, uid=0, gid=0),
        file_entry("nouveau.txt", letter, un_membre_inconnu={"a": [1]}),
    ]
    return sorted(entries, key=lambda e: base64.b64decode(e["rawname"]) if "rawname" in e else e["name"].encode())


def trees() -> dict[str, bytes]:
    """Tree blobs by what they are, and the root trees of the two snapshots last."""
    empty = tree_of()
    locked = tree_of(file_entry("dedans.txt", SMALL["lettre"]))
    first, second = tree_of(file_entry("a.txt", SMALL["lettre"])), tree_of(file_entry("b.txt", SMALL["deux"]))
    patients = tree_of(*patient_entries())
    marie = tree_of(
        dir_entry("Patients", patients),
        dir_entry("en-deux", first, second, mtime=BEFORE_1970),
        dir_entry("partage", empty, mode=0o1777) | {"tree": []},
        dir_entry("verrou", locked, mode=0o555),
        dir_entry("vide", empty),
    )
    home = tree_of(dir_entry("marie", marie, mode=0o700))
    srv = tree_of(file_entry("compta.txt", SMALL["vieux"], uid=0, gid=0))
    root = tree_of(dir_entry("home", home, uid=0, gid=0, mode=0o755), dir_entry("srv", srv, uid=0, gid=0, mode=0o755))
    held = tree_of(file_entry("ancien.txt", SMALL["lettre"], carried=2), file_entry("plus-ancien.txt", b"", carried=1))
    late_home = tree_of(dir_entry("marie", held, mode=0o700, carried=2))
    late = tree_of(dir_entry("home", late_home, uid=0, gid=0, mode=0o755))
    named = {"empty": empty, "locked": locked, "first": first, "second": second, "patients": patients, "marie": marie}
    return named | {"home": home, "srv": srv, "root": root, "held": held, "late_home": late_home, "late": late}


def expected(entry: Json, parent: bytes, children: dict[str, bytes]) -> list[Json]:
    """What must come back for an entry and all below it, paths from the top of the restored folder."""
    name = base64.b64decode(entry["rawname"]) if "rawname" in entry else entry["name"].encode()
    path = parent + b"/" + name if parent else name
    kept = ["type", "mode", "uid", "gid", "mtime", "size", "extents", "target", "rawtarget", "device", "link", "xattrs"]
    kept += ["carried", "flags"]
    made = {"path": path.decode("utf-8", "backslashreplace"), "rawpath": b64(path)}
    made |= {member: entry[member] for member in kept if member in entry}
    if "extent_lists" in entry:
        made["extents"] = EXTENTS
    if entry["type"] == "file":
        made["sha256"] = hashlib.sha256(content_of(entry)).hexdigest()
    out = [made]
    for tree_id in entry.get("tree", []):
        for child in entries_of(tree_id, children):
            out += expected(child, path, children)
    return out


def entries_of(tree_id: str, children: dict[str, bytes]) -> list[Json]:
    tree = next(tree for tree in children.values() if THIS.blob_id(TREE, tree).hex() == tree_id)
    entries: list[Json] = json.loads(tree)["entries"]
    return entries


def content_of(entry: Json) -> bytes:
    """The data blobs of a file, joined."""
    blobs = {THIS.blob_id(DATA, blob).hex(): blob for blob in data_blobs()}
    if entry.get("lists"):
        return b"".join(PIECES)
    return b"".join(blobs[blob_id] for blob_id in entry.get("blobs", []))


def data_blobs() -> list[bytes]:
    letter = SMALL["lettre"]
    return [*SMALL.values(), letter[:60], NOISE[:5000], NOISE[5000:], *PIECES]


def put_removal(made: Good) -> None:
    """The first snapshot was removed on purpose, and what it could not be read of was given up: nothing is lost."""
    gone = {"id": digest("removed").hex(), "sequence": 1}
    about: Json = {"time": "2026-01-05T19:00:00.000000Z", "host": "cabinet", "machine": digest("machine")[:16].hex()}
    given_up = [THIS.blob_id(TREE, b"lost").hex(), THIS.blob_id(LIST, b"lost").hex()]
    about |= {"removed": [gone], "given_up": given_up, "plus_tard": 1}
    raw = one_record(Frame(b"R", digest("good removal")), compress(dumps(about)))
    made.packs["removal"] = put(made.files, "removals", raw)


def build_good() -> Good:
    named = trees()
    letter = SMALL["lettre"]
    in_a = [SMALL[name] for name in ("lettre", "deux", "vieux", "avenir", "acl")]
    data = Pack("good data", [Segment(DATA, 1, [*in_a, letter[:60]]), Segment(DATA, 0, [NOISE[:5000], NOISE[5000:]])])
    data.segments += [Segment(DATA, 1, PIECES[:20]), Segment(DATA, 1, PIECES[20:])]
    meta = Pack("good trees", [Segment(TREE, 1, list(named.values())), Segment(LIST, 0, [*lists(), *extent_lists()])])
    orphan = Pack("good without index", [Segment(DATA, 1, [SMALL["sans"]])])
    again = Pack("good again", [Segment(DATA, 0, [letter, SMALL["deux"]])])
    made = Good(header_files(header(header_members() | {"generation": 3})))
    for pack in (data, meta, orphan, again):
        made.packs[pack.label.removeprefix("good ")] = put(made.files, "packs", pack.build().raw)
    for label, packs in (("1", [data, meta]), ("2", [again, meta])):
        put(
            made.files,
            "index",
            one_record(Frame(b"I", digest("good index " + label)), compress(index_of(packs).plain())),
        )
    lost: Json = {"kind": "unreadable", "path": "/home/marie", "message": "EIO"}
    led_to: Json = {"sources": ["/home/marie", "/compta"], "led_to": ["/home/marie", "/srv"]}
    damaged: Json = {"suspicious": True, "files_lost": 3, "problem_count": 1001, "problems": [lost]}
    for label, sequence, time, root, more in (
        ("1", 2, "2026-01-05T18:00:00.000000Z", "root", led_to),
        ("2", 3, "2026-01-06T18:00:00.000000Z", "late", damaged),
    ):
        ids = [THIS.blob_id(TREE, named[root]).hex()]
        about = snapshot_json(ids, sequence, time, **{"sources": ["/home/marie", "/srv"], "files_by_source": [29, 1]})
        about |= more
        about["index"] = sorted(path[-64:] for path in made.files if "/index/" in path)
        raw = one_record(Frame(b"S", digest("good snapshot " + label)), compress(dumps(about)))
        path = put(made.files, "snapshots", raw)
        entries = [line for entry in entries_of(ids[0], named) for line in expected(entry, b"", named)]
        made.expected[path[-64:]] = {"time": time, "suspicious": "suspicious" in more, "entries": entries}
    put_removal(made)
    made.files["KINEBACKUP/LISEZMOI.txt"] = "Un d\u00e9p\u00f4t d\u2019essai.\n".encode()
    made.files["KINEBACKUP/index/notes.txt"] = b"A reader ignores what has no name of 64 hex digits.\n"
    return made
