"""A worked example of each stage of the format, with every value on the way.

Owns: what is in ``stages.json``, which also lies on every drive. Does not know: how it is written to disk.
"""

import base64
import hashlib
import struct
import zlib
from typing import Final

from vectors.vector_plans import CODE, PASSPHRASE, code_symbols, header_members, snapshot_json
from vectors.vector_writer import (
    DATA,
    LIST,
    THIS,
    TREE,
    Frame,
    Json,
    Pack,
    Segment,
    argon2,
    compress,
    digest,
    dumps,
    header,
    hkdf,
    index_of,
    one_record,
    put,
)

TEXT: Final = b"Bonjour Marie.\n"
PIECES: Final = [TEXT * 20, TEXT * 3]
BLOCK: Final = 4096
NOTE: Final = (
    "Worked examples of KineBackup's repository format, version 1 (FORMAT.md), for whoever writes a reader. Values are "
    "hex, unless their name ends in _text or they are JSON. All keys are examples: they open no drive but the one in "
    "`files`, which is a whole one that a reader can restore: unhex each file to its path below the drive."
)


def slot_stage(number: int, secret: Json, key: bytes, info: str = "") -> Json:
    slot = header_members()["slots"][number]
    aad = b"kinebackup v1 slot" + THIS.practice + bytes.fromhex(slot["id"]) + slot["kind"].encode()
    derived: Json = {"info_text": info} if info else {name: slot[name] for name in ("memory_kib", "passes", "lanes")}
    made: Json = {"kind_text": slot["kind"], "id": slot["id"], **secret, "salt": slot["salt"], **derived}
    return made | {"K": key.hex(), "nonce": bytes(12).hex(), "aad": aad.hex(), "wrapped": slot["wrapped"]}


def slots() -> Json:
    salts = [bytes.fromhex(slot["salt"]) for slot in header_members()["slots"]]
    phrase, symbols, machine = PASSPHRASE.encode(), code_symbols(CODE), digest("machine key")
    infos = ["kinebackup v1 recovery", "kinebackup v1 machine"]
    return {
        "passphrase slot": slot_stage(
            0, {"passphrase_text": PASSPHRASE, "passphrase": phrase.hex()}, argon2(phrase, salts[0], 64, 1, 2)
        ),
        "recovery slot": slot_stage(
            1,
            {"code_text": CODE, "symbols_text": symbols.decode()},
            hkdf(symbols, infos[0].encode(), salts[1]),
            infos[0],
        ),
        "machine slot": slot_stage(
            2, {"machine_key": machine.hex()}, hkdf(machine, infos[1].encode(), salts[2]), infos[1]
        ),
    }


def keys() -> Json:
    labels = ("sealing", "blob id data", "blob id tree", "blob id list", "chunker", "header mac", "commitment")
    made: Json = {"M": THIS.master.hex(), "practice": THIS.practice.hex(), "R": THIS.repository.hex()}
    made["sub_keys"] = {"kinebackup v1 " + label: THIS.sub_key(label).hex() for label in labels}
    return made | {"commitment": THIS.commitment.hex()}


def head() -> tuple[Json, bytes]:
    raw = header(header_members())
    signed, mac = raw[:-69], raw[-65:-1]
    return {"signed_text": signed.decode(), "key": THIS.sub_key("header mac").hex(), "mac": mac.decode()}, raw


def blob(kind: int, plain: bytes) -> Json:
    key = THIS.sub_key(("blob id data", "blob id tree", "blob id list")[kind])
    return {"plain": plain.hex(), "key": key.hex(), "id": THIS.blob_id(kind, plain).hex()}


def record(frame: Frame, number: int, final: int, packed: bytes) -> Json:
    """One sealed record."""
    made: Json = {"nonce": frame.nonce(number).hex(), "aad": frame.aad(number, final).hex()}
    return made | {"packed": packed.hex(), "sealed": frame.seal(number, final, packed).hex()}


def sealed_file(frame: Frame, plain: bytes) -> tuple[Json, bytes]:
    """A file of one record."""
    raw = one_record(frame, compress(plain))
    made: Json = {"salt": frame.salt.hex(), "file_key": frame.file_key.hex(), "frame": frame.head.hex()}
    made |= {"plain": plain.hex(), "record": record(frame, 0, 1, compress(plain))}
    return made | {"name": hashlib.sha256(raw).hexdigest()}, raw


def parity(columns: int, data: bytes) -> Json:
    """The parity file of ``data``, in which block i belongs to column i mod ``columns``."""
    padded = data + bytes(-len(data) % BLOCK)
    blocks = [padded[at : at + BLOCK] for at in range(0, len(padded), BLOCK)]
    folded = [bytearray(BLOCK) for _ in range(columns)]
    for number, block in enumerate(blocks):
        column = folded[number % columns]
        for at, byte in enumerate(block):
            column[at] ^= byte
    sums = [zlib.crc32(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
    head_bytes = struct.pack("<7s1sIIQII", b"KINEBKP", b"X", 1, BLOCK, len(data), columns, 0)
    table = head_bytes + struct.pack(f"<{len(sums) + columns}I", *sums, *(zlib.crc32(each) for each in folded))
    table += struct.pack("<I", zlib.crc32(table))
    raw = table + b"".join(folded)
    made: Json = {"size": len(data), "columns": columns, "before_the_blocks": table.hex()}
    made["sha256_of_each_parity_block"] = [hashlib.sha256(each).hexdigest() for each in folded]
    return made | {"sha256": hashlib.sha256(raw).hexdigest()}


def stages() -> Json:
    """All of it, in the order in which a reader needs it."""
    data_ids = [THIS.blob_id(DATA, piece) for piece in PIECES]
    of_ids, of_extents = b"".join(data_ids), struct.pack("<4Q", 0, 300, 4096, 45)
    entry: Json = {"name": "lettre.txt", "type": "file", "mode": 0o640, "uid": 1000, "gid": 1000}
    entry |= {"mtime": 1767600000123456789, "ctime": 1767600000123456789, "inode": (1 << 64) - 1}
    raw_name: Json = entry | {"rawname": base64.b64encode(b"caf\xe9.txt").decode()}
    del raw_name["name"]
    entries = [
        raw_name | {"size": len(PIECES[1]), "blobs": [data_ids[1].hex()]},
        entry | {"size": 345, "lists": [THIS.blob_id(LIST, of_ids).hex()]},
        entry
        | {"name": "trous.img", "size": 5000, "lists": [THIS.blob_id(LIST, of_ids).hex()]}
        | {"extent_lists": [THIS.blob_id(LIST, of_extents).hex()]},
    ]
    tree = dumps({"entries": entries})
    pack = Pack("stages", [Segment(DATA, 1, PIECES), Segment(LIST, 0, [of_ids, of_extents]), Segment(TREE, 1, [tree])])
    pack.build()
    header_stage, header_raw = head()
    frame = Frame(b"P", digest("pack stages"))
    index_stage, index_raw = sealed_file(Frame(b"I", digest("index stages")), index_of([pack]).plain())
    about = snapshot_json([THIS.blob_id(TREE, tree).hex()], 1, "2026-01-05T18:00:00.000000Z")
    about |= {"counts": {"files": 3, "dirs": 0, "others": 0, "bytes": 5390}, "sources": ["/"], "files_by_source": [3]}
    snapshot_stage, snapshot_raw = sealed_file(Frame(b"S", digest("snapshot stages")), dumps(about))
    gone: Json = {"time": "2026-01-05T19:00:00.000000Z", "host": "cabinet", "machine": digest("machine")[:16].hex()}
    gone["removed"] = [{"id": "00" * 32, "sequence": 0}]
    removal_stage, removal_raw = sealed_file(Frame(b"R", digest("removal stages")), dumps(gone))
    files = {f"KINEBACKUP/{name}": header_raw for name in ("header", "header.1", "header.2")}
    for folder, raw in (
        ("packs", pack.raw),
        ("index", index_raw),
        ("snapshots", snapshot_raw),
        ("removals", removal_raw),
    ):
        put(files, folder, raw)
    table = struct.pack("<II", len(pack.rows), len(pack.blobs))
    table += b"".join(struct.pack("<4I", r.sealed_len, r.plain_len, r.codec, r.kind) for r in pack.rows)
    table += b"".join(struct.pack("<16s3I", b.id, b.segment, b.offset, b.length) for b in pack.blobs)
    packed = [compress(b"".join(PIECES)), of_ids + of_extents, compress(tree)]
    pack_stage: Json = {"salt": frame.salt.hex(), "file_key": frame.file_key.hex(), "frame": frame.head.hex()}
    pack_stage["segments"] = [record(frame, number, 0, each) for number, each in enumerate(packed)]
    pack_stage |= {"table": table.hex(), "table_record": record(frame, 3, 1, compress(table))}
    pack_stage |= {"trailer": pack.raw[-8:].hex(), "name": pack.name}
    made: Json = {"note_text": NOTE} | slots() | {"keys": keys(), "header": header_stage}
    made |= {"data blobs": [blob(DATA, piece) for piece in PIECES], "list blob": blob(LIST, of_ids)}
    made |= {"list blob of extents": blob(LIST, of_extents), "tree blob": blob(TREE, tree)}
    made |= {"pack": pack_stage, "index": index_stage, "snapshot": snapshot_stage, "removal record": removal_stage}
    copy = pack.raw
    made["parity of the pack as a copy"] = parity(-(-len(copy) // BLOCK), copy)
    made["parity of `Bonjour Marie.` and a line feed, 2000 times, in 3 columns"] = parity(3, TEXT * 2000)
    made["restored"] = {
        "lettre.txt": hashlib.sha256(TEXT * 23).hexdigest(),
        "trous.img": hashlib.sha256((TEXT * 23)[:300] + bytes(3796) + (TEXT * 23)[300:] + bytes(859)).hexdigest(),
        "rawname " + b"caf\xe9.txt".hex(): hashlib.sha256(TEXT * 3).hexdigest(),
    }
    return made | {"files": {path: raw.hex() for path, raw in files.items()}}
