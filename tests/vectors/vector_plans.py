"""The small repository that most vectors change in one place.

Owns: the content of ``base/`` and the knobs by which a case departs from it. Does not know: which cases there are.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from vectors.vector_writer import (
    DATA,
    LIST,
    THIS,
    TREE,
    Frame,
    Index,
    Json,
    Pack,
    Segment,
    compress,
    digest,
    dumps,
    header,
    index_of,
    nothing,
    one_record,
    put,
    slot,
)

PASSPHRASE = "une phrase d\u2019essai, p\u00e9dalo"
CODE = "2345Q-789AC-BCDEP-FGHJZ-KMNPB-QRSTN-UVWXY"
WITNESS = b"Le t\xc3\xa9moin est toujours l\xc3\xa0.\n"
TARGET = b"La cible de l'essai.\n" * 16  # 336 bytes: 21 ids, if it were a list
OTHER = b"Un autre morceau.\n"
MTIME = 1767600000123456789
HEADER_NAMES = ("header", "header.1", "header.2", "parity/header")


def code_symbols(code: str) -> bytes:
    return "".join(group[:4] for group in code.split("-")).encode()


def header_members() -> Json:
    return {
        "practice": THIS.practice.hex(),
        "repository": THIS.repository.hex(),
        "created": "2026-01-05T08:00:00.000000Z",
        "generation": 1,
        "slots": [
            slot("passphrase", PASSPHRASE.encode(), number=1),
            slot("recovery", code_symbols(CODE), number=2),
            slot("machine", digest("machine key"), number=3),
        ],
        "commitment": THIS.commitment.hex(),
    }


def header_files(raw: bytes) -> dict[str, bytes]:
    return {f"KINEBACKUP/{name}": raw for name in HEADER_NAMES}


def file_entry(name: str, content: bytes, **more: object) -> Json:
    blobs = [THIS.blob_id(DATA, content).hex()] if content else []
    made: Json = {"name": name, "type": "file", "mode": 0o640, "uid": 1000, "gid": 1000, "mtime": MTIME}
    made |= {"ctime": MTIME, "inode": 7, "size": len(content), "blobs": blobs}
    return made | more


def dir_entry(name: str, *trees: bytes, **more: object) -> Json:
    made: Json = {"name": name, "type": "dir", "mode": 0o750, "uid": 1000, "gid": 1000, "mtime": MTIME}
    made |= {"ctime": MTIME, "inode": 8, "tree": [THIS.blob_id(TREE, tree).hex() for tree in trees]}
    return made | more


def tree_of(*entries: Json) -> bytes:
    return dumps({"entries": list(entries)})


def snapshot_json(root: list[str], sequence: int, time: str, **more: object) -> Json:
    made: Json = {"sequence": sequence, "time": time, "host": "cabinet", "machine": digest("machine")[:16].hex()}
    made |= {"sources": ["/home"]}
    made |= {"root": root, "users": {"1000": "marie"}, "groups": {"1000": "marie"}, "problems": []}
    made |= {"counts": {"files": 2, "dirs": 1, "others": 0, "bytes": len(WITNESS) + len(TARGET)}}
    return made | {"suspicious": False, "drive": "essai", "program": "kinebackup 0.1.0", "files_by_source": [2]} | more


def good_home() -> list[Json]:
    return [file_entry("cible.txt", TARGET), file_entry("temoin.txt", WITNESS)]


def target_pack() -> Pack:
    return Pack("target", [Segment(DATA, 1, [TARGET]), Segment(DATA, 0, [OTHER])])


@dataclass(slots=True)
class Plan:
    """The base repository; each field that is not the default departs from it.

    ``home`` is the tree of /home; ``index_frame`` and the rest are of the second index, which lists the target's pack;
    ``snapshot_…`` are of the second snapshot.
    """

    head: bytes = field(default_factory=lambda: header(header_members()))
    home: bytes = field(default_factory=lambda: tree_of(*good_home()))
    extra_trees: list[bytes] = field(default_factory=list)
    extra_data: list[bytes] = field(default_factory=list)
    extra_lists: list[bytes] = field(default_factory=list)
    pack: Pack = field(default_factory=target_pack)
    list_target: bool = True
    index: Callable[[Index], None] = nothing
    index_plain: Callable[[bytes], bytes] = bytes
    index_compress: Callable[[bytes], bytes] = compress
    index_frame: Frame = field(default_factory=lambda: Frame(b"I", digest("index 2")))
    index_record: tuple[int, int] = (0, 1)
    index_raw: Callable[[bytes], bytes] = bytes
    snapshot: Json = field(default_factory=dict)
    snapshot_plain: Callable[[bytes], bytes] = bytes
    snapshot_frame: Frame = field(default_factory=lambda: Frame(b"S", digest("snapshot 2")))
    snapshot_compress: Callable[[bytes], bytes] = compress
    snapshot_raw: Callable[[bytes], bytes] = bytes
    pack_raw: Callable[[bytes], bytes] = bytes


@dataclass(slots=True)
class Made:
    """The files of a repository, and the paths of those that cases are about."""

    files: dict[str, bytes]
    pack: str
    index: str
    snapshot: str


def build(plan: Plan) -> Made:
    files = header_files(plan.head)
    root = tree_of(dir_entry("home", plan.home))
    segments = [Segment(DATA, 0, [WITNESS, *plan.extra_data]), Segment(TREE, 1, [plan.home, root, *plan.extra_trees])]
    if plan.extra_lists:
        segments.append(Segment(LIST, 0, plan.extra_lists))
    witness = Pack("witness", segments).build()
    put(files, "packs", witness.raw)
    target = plan.pack.build()
    target.raw = plan.pack_raw(target.raw)
    pack = put(files, "packs", target.raw)
    put(files, "index", one_record(Frame(b"I", digest("index 1")), compress(index_of([witness]).plain())))
    index = ""
    if plan.list_target:
        rows = index_of([target])
        plan.index(rows)
        packed = plan.index_compress(plan.index_plain(rows.plain()))
        raw = one_record(plan.index_frame, packed, number=plan.index_record[0], final=plan.index_record[1])
        index = put(files, "index", plan.index_raw(raw))
    ids = [THIS.blob_id(TREE, root).hex()]
    first = dumps(snapshot_json(ids, 1, "2026-01-05T18:00:00.000000Z"))
    put(files, "snapshots", one_record(Frame(b"S", digest("snapshot 1")), compress(first)))
    second = plan.snapshot_plain(dumps(snapshot_json(ids, 2, "2026-01-06T18:00:00.000000Z") | plan.snapshot))
    raw = one_record(plan.snapshot_frame, plan.snapshot_compress(second))
    snapshot = put(files, "snapshots", plan.snapshot_raw(raw))
    return Made(files, pack, index, snapshot)
