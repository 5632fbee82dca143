"""Every bad vector: a name, the rule that it breaks, and what may still be restored.

Owns: one cause each, for every rule of FORMAT.md §13 and for what an attacker without the keys may do (§5). Does not
know: how bytes are made (vector_writer.py) nor what is around them (vector_plans.py).
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from vectors.vector_entries import entry_cases, fine_cases
from vectors.vector_headers import header_choices
from vectors.vector_parity import parity_cases
from vectors.vector_plans import (
    CODE,
    HEADER_NAMES,
    OTHER,
    PASSPHRASE,
    TARGET,
    WITNESS,
    Made,
    Plan,
    build,
    header_files,
    header_members,
)
from vectors.vector_writer import (
    DATA,
    THIS,
    BlobRow,
    Frame,
    Identity,
    Index,
    Json,
    Pack,
    Segment,
    SegmentRow,
    compress,
    digest,
    dumps,
    header,
    hmac_sha256,
    index_of,
    one_record,
    put,
    slot,
)
from vectors.vector_zstd import FINE, zstd_defects

WITNESS_PATH, TARGET_PATH = "home/temoin.txt", "home/cible.txt"
ALL = {WITNESS_PATH: WITNESS, TARGET_PATH: TARGET}
HALF = {WITNESS_PATH: WITNESS}
Files = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Case:
    """A bad vector; ``refused`` is the file (or, for entries, the path) that a reader must refuse and name."""

    name: str
    layer: str
    section: str
    rule: str
    files: Files
    refused: str
    exit: int
    restored: dict[str, str]
    secret: dict[str, str] = field(default_factory=lambda: {"passphrase": PASSPHRASE})
    header_from: bytes = b""


def sums(contents: Files) -> dict[str, str]:
    return {path: "sha256:" + hashlib.sha256(content).hexdigest() for path, content in contents.items()}


def all_cases() -> Iterator[Case]:
    yield from secret_cases()
    yield from header_cases()
    for name, section, rule, files, code, secret, export in header_choices():
        yield Case(name, "header", section, rule, files, "", code, {} if code else sums(ALL), secret, export)
    yield from frame_cases()
    yield from record_cases()
    for layer in ("index", "snapshot", "table", "segment"):
        yield from zstd_cases(layer)
    yield from table_cases()
    yield from index_cases()
    yield from snapshot_cases()
    yield from place_cases()
    yield from feature_to_write()
    yield from removal_cases()
    for name, rule, plan, refused, restored in entry_cases():
        layer = "tree" if name.startswith("tree-") else "entry"
        yield Case(name, layer, "§9", rule, build(plan).files, refused, 3, restored)
    for name, rule, files, refused, heals in parity_cases():
        yield Case(name, "parity", "§12", rule, files, refused, 0 if heals else 3, sums(ALL if heals else HALF))
    for name, rule, plan in fine_cases():
        yield Case(name, "entry", "§9", rule, build(plan).files, "", 0, sums(ALL))


def secret_cases() -> Iterator[Case]:
    files = build(Plan()).files
    for name, secret, rule in (
        ("secret-passphrase-wrong", {"passphrase": PASSPHRASE + "?"}, "no slot opens"),
        ("secret-passphrase-space", {"passphrase": PASSPHRASE + " "}, "a passphrase is never trimmed"),
        ("secret-passphrase-empty", {"passphrase": ""}, "no slot opens"),
        ("secret-code-wrong", {"code": "2345Q-789AC-BCDEP-FGHJZ-KMNPB-QRSTN-22227"}, "no slot opens"),
        ("secret-code-check", {"code": CODE[:-1] + "Z"}, "a check symbol is wrong"),
        ("secret-code-swap", {"code": CODE[6:11] + "-" + CODE[:5] + CODE[11:]}, "two groups are swapped"),
        ("secret-code-short", {"code": CODE[:-6]}, "seven groups of five"),
        ("secret-code-symbol", {"code": "O" + CODE[1:]}, "a symbol that is not of the alphabet"),
    ):
        yield Case(name, "secret", "§4", rule, files, "", 12, {}, secret)
    for name, secret, rule in (
        ("secret-code-dashes", {"code": CODE.replace("-", "\u2013", 3).replace("-", "\u2011")}, "other dashes"),
        ("secret-code-blanks", {"code": "\t" + CODE.replace("-", "\u00a0").lower() + " "}, "white space, lower case"),
        ("secret-code-mark", {"code": "\ufeff" + CODE}, "a byte order mark before the first line"),
        ("secret-passphrase-mark", {"passphrase": "\ufeff" + PASSPHRASE}, "a byte order mark before the first line"),
    ):
        yield Case(name, "secret", "§4", rule, files, "", 0, sums(ALL), secret)


def header_cases() -> Iterator[Case]:
    def members(**changes: object) -> bytes:
        return header(header_members() | changes)

    def argon(**changes: int) -> bytes:
        made = header_members()
        made["slots"][0] |= changes
        return header(made)

    good = header(header_members())
    lines = good.split(b"\n")
    slots = header_members()["slots"]
    many = [slots[0], slots[1], *(slot("machine", digest("machine key"), number=n) for n in range(3, 18))]
    twice = [slots[0], slots[1], slots[2] | {"id": slots[0]["id"]}]
    commitment = bytes(31) + b"\x01"
    for name, raw, rule, code in (
        ("header-empty", b"", "not three lines", 1),
        ("header-two-lines", b"\n".join(lines[:2]) + b"\n", "not three lines", 1),
        ("header-four-lines", good + b"\n", "not three lines", 1),
        ("header-no-last-lf", good[:-1], "not three lines", 1),
        ("header-first-line", header(header_members(), first=b"kinebackup kopf 1"), "another first line", 1),
        ("header-version", header(header_members(), first=b"kinebackup header 2"), "another version", 1),
        ("header-carriage-return", header(header_members(), first=b"kinebackup header 1\r"), "another first line", 1),
        ("header-not-json", good.replace(b"{", b"[", 1), "line 2 is not JSON", 1),
        ("header-too-large", members(padding="x" * 65536), "larger than 64 KiB", 1),
        ("header-memory-hostile", argon(memory_kib=1 << 31), "memory_kib above 1,048,576", 1),
        ("header-memory-large", argon(memory_kib=1048577), "memory_kib above 1,048,576", 1),
        ("header-memory-small", argon(memory_kib=15), "memory_kib below 8 x lanes", 1),
        ("header-passes-zero", argon(passes=0), "passes below 1", 1),
        ("header-passes-hostile", argon(passes=17), "passes above 16", 1),
        ("header-lanes-zero", argon(lanes=0), "lanes below 1", 1),
        ("header-lanes-hostile", argon(lanes=17, memory_kib=136), "lanes above 16", 1),
        ("header-generation-zero", members(generation=0), "generation below 1", 1),
        ("header-no-slot", members(slots=[]), "1 to 16 slots", 1),
        ("header-seventeen-slots", members(slots=many), "1 to 16 slots", 1),
        ("header-slot-id-twice", members(slots=twice), "duplicate slot ids", 1),
        ("header-byte-order-mark", header_with_mark(), "a byte order mark", 1),
        ("header-generation-exponent", good_with(b'"generation":1', b'"generation":1e0'), "1e0 is not an integer", 1),
        ("header-features-text", members(features_needed_to_read="inconnu"), "features that are not an array", 1),
        ("header-commitment-wrong", members(commitment=commitment.hex()), "the commitment is wrong", 1),
    ):
        yield Case(name, "header", "§3", rule, build(Plan(head=raw)).files, "KINEBACKUP/header", code, {})
    for name, raw, rule in (
        ("header-mac-wrong", header(header_members(), mac=bytes(32)), "an altered header opens the drive to be read"),
        ("header-time-altered", good.replace(b"2026", b"2027", 1), "an altered header opens the drive to be read"),
        ("header-time-no-text", good.replace(b"2026", b"20\xb26", 1), "a flipped bit in a text hides nothing else"),
    ):
        assert raw != good
        yield Case(name, "header", "§3", rule, build(Plan(head=raw)).files, "", 0, sums(ALL))
    raw = members(features_needed_to_read=["inconnu"])
    rule = "a feature that is needed to read, and unknown"
    yield Case("header-feature-to-read", "feature", "§1", rule, build(Plan(head=raw)).files, "", 1, {})
    other = replace(THIS, practice=digest("another practice")[:16])
    raw = members(slots=[slot("passphrase", PASSPHRASE.encode(), identity=other)])
    files = build(Plan(head=raw)).files
    yield Case("header-slot-of-another-practice", "header", "§4", "the AAD binds the practice", files, "", 12, {})
    yield from header_copy_cases(good)


def header_copy_cases(good: bytes) -> Iterator[Case]:
    """Copies that differ: none of these must stop a reader."""
    newer = header(header_members() | {"generation": 2})
    write_only = header(header_members() | {"features_needed_to_write": ["inconnu"]})
    for name, copies, rule in (
        ("header-feature-to-write", (write_only,) * 4, "an unknown feature that only a writer needs"),
        ("copies-first-torn", (good[:100], good, good, good), "a copy that does not parse is passed over"),
        ("copies-two-gone", (b"", b"", good, b""), "one good copy is enough"),
        ("copies-newest-altered", (good, good, good, newer.replace(b"2026", b"2027")), "mac"),
        ("copies-newest-first", (good, newer, newer, newer), "the highest generation comes first"),
    ):
        files = build(Plan()).files
        files |= {f"KINEBACKUP/{n}": raw for n, raw in zip(HEADER_NAMES, copies, strict=True)}
        yield Case(name, "header", "§3", rule, files, "", 0, sums(ALL))


def good_with(old: bytes, new: bytes) -> bytes:
    """The good header with something else in its second line, rightly signed."""
    first, line = header(header_members()).split(b"\n")[:2]
    signed = first + b"\n" + line.replace(old, new) + b"\n"
    return signed + b"mac " + hmac_sha256(THIS.sub_key("header mac"), signed).hex().encode() + b"\n"


def header_with_mark() -> bytes:
    return good_with(b'{"commitment"', b'\xef\xbb\xbf{"commitment"')


def frame_cases() -> Iterator[Case]:
    """The rules of a sealed file's first 64 bytes, each for an index, a snapshot and a pack."""
    changes: tuple[tuple[str, str, dict[str, object]], ...] = (
        ("magic", "another magic", {"magic": b"KINEBKQ"}),
        ("version", "an unknown version", {"version": 2}),
        ("version-zero", "an unknown version", {"version": 0}),
        ("reserved", "a non-zero reserved field", {"reserved": 1}),
        ("type", "the type of another directory", {"type": b"X"}),
        ("type-shown", "the type of another directory", {"shown_type": b"X"}),
    )
    for name, rule, change in changes:
        for layer, plan in frame_plans(partial(replace, **change)):
            yield about(f"frame-{name}-{layer}", "frame", "§5", rule, build(plan), layer)
    for layer, plan in (
        ("index", Plan(index_raw=lambda raw: raw[:63])),
        ("snapshot", Plan(snapshot_raw=lambda raw: raw[:63])),
        ("pack", Plan(pack_raw=lambda raw: raw[:63], list_target=False)),
    ):
        yield about(f"frame-short-{layer}", "frame", "§5", "shorter than 64 bytes", build(plan), layer)


def frame_plans(change: Callable[[Frame], Frame]) -> Iterator[tuple[str, Plan]]:
    yield "index", Plan(index_frame=change(Frame(b"I", digest("index 2"))))
    yield "snapshot", Plan(snapshot_frame=change(Frame(b"S", digest("snapshot 2"))))
    plan = Plan(list_target=False)
    plan.pack.frame = change(Frame(b"P", digest("pack target")))
    yield "pack", plan


def about(name: str, layer: str, section: str, rule: str, made: Made, what: str) -> Case:
    """A case whose refused file is the second index or snapshot (all is still restored) or the target's pack."""
    refused = {"index": made.index, "snapshot": made.snapshot}.get(what, made.pack)
    return Case(
        name, layer, section, rule, made.files, refused, 3, sums(ALL if what in ("index", "snapshot") else HALF)
    )


def record_cases() -> Iterator[Case]:
    """Records whose tag must fail: changed, or good records in another place."""
    other = Identity(repository=digest("another repository")[:16])
    changes: tuple[tuple[str, str, Callable[[Frame], Frame]], ...] = (
        ("other-repository", "moved from another repository", lambda frame: replace(frame, identity=other)),
        ("other-master", "sealed with another master key", lambda f: replace(f, identity=Identity(digest("other")))),
    )
    for name, rule, change in changes:
        for layer, plan in frame_plans(change):
            yield about(f"record-{name}-{layer}", "record", "§5", rule, build(plan), layer)
    for name, plan, what, rule in (
        ("record-index-final", Plan(index_record=(0, 0)), "index", "final is 0 in the only record"),
        ("record-index-number", Plan(index_record=(1, 1)), "index", "record number 1 in place of 0"),
        ("record-index-bit", Plan(index_raw=lambda raw: flip(raw, 70)), "index", "one bit of the ciphertext differs"),
        ("record-index-tag", Plan(index_raw=lambda raw: flip(raw, -1)), "index", "one bit of the tag differs"),
        ("record-index-salt", Plan(index_raw=lambda raw: flip(raw, 20)), "index", "one bit of the salt differs"),
        ("record-index-cut", Plan(index_raw=lambda raw: raw[:-1]), "index", "the last byte is missing"),
        ("record-index-longer", Plan(index_raw=lambda raw: raw + b"\0"), "index", "a byte follows the record"),
        ("record-snapshot-bit", Plan(snapshot_raw=lambda raw: flip(raw, 70)), "snapshot", "one bit differs"),
        ("record-segment-bit", Plan(pack_raw=lambda raw: flip(raw, 60)), "pack", "one bit of a segment differs"),
        ("record-segment-final", target(final=1), "pack", "final is 1 in a segment"),
        ("record-segment-number", target(number=5), "pack", "sealed under another record number"),
        ("record-segment-nonce", target_second(), "pack", "the nonce is big-endian"),
        ("record-segment-other-file", target(frame=Frame(b"P", digest("x"))), "pack", "moved from another pack"),
        ("record-segment-other-type", target(frame=Frame(b"S", digest("pack target"))), "pack", "of another type"),
        ("record-table-final", unlisted(table_final=0), "pack", "final is 0 in the table"),
        ("record-table-bit", Plan(list_target=False, pack_raw=lambda raw: flip(raw, -20)), "pack", "one bit differs"),
    ):
        yield about(name, "record", "§5", rule, build(plan), what)
    equal = [Segment(DATA, 0, [TARGET]), Segment(DATA, 0, [TARGET[:-1] + b"?"])]
    made = build(Plan(pack=Pack("target", equal, swap_records=True)))
    yield about("record-segments-swapped", "record", "§5", "two segments of one pack are swapped", made, "pack")


def flip(raw: bytes, at: int) -> bytes:
    changed = bytearray(raw)
    changed[at] ^= 1
    return bytes(changed)


def zero_frame(raw: bytes) -> bytes:
    return bytes(48) + raw[48:]


def target(**changes: object) -> Plan:
    """The base repository with something wrong in the segment that holds the target."""
    segment = replace(Segment(DATA, 1, [TARGET]), **changes)  # type: ignore[arg-type]  # names of its fields
    return Plan(pack=Pack("target", [segment, Segment(DATA, 0, [OTHER])]))


def target_second() -> Plan:
    wrong = Frame(b"P", digest("pack target"), nonce_order="little")
    return Plan(pack=Pack("target", [Segment(DATA, 0, [OTHER]), Segment(DATA, 1, [TARGET], frame=wrong)]))


def unlisted(**changes: object) -> Plan:
    """The same for the target's pack, when no index lists it: its table is needed."""
    pack = Pack("target", [Segment(DATA, 1, [TARGET]), Segment(DATA, 0, [OTHER])])
    return Plan(pack=replace(pack, **changes), list_target=False)  # type: ignore[arg-type]  # names of its fields


def zstd_cases(layer: str) -> Iterator[Case]:
    limit = 1 << 24 if layer == "segment" else 1 << 26
    for name, rule, change in zstd_defects(limit):
        plan = {
            "index": Plan(index_compress=change),
            "snapshot": Plan(snapshot_compress=change),
            "table": unlisted(compress_table=change),
            "segment": target(packed=change(TARGET)),
        }[layer]
        yield about(f"zstd-{name}-{layer}", "zstd", "§1", rule, build(plan), layer)
    if layer == "segment":
        for name, (rule, made) in FINE.items():
            files = build(target(packed=made(TARGET))).files
            yield Case(f"zstd-{name}-{layer}", "zstd", "§1", rule, files, "", 0, sums(ALL))


def table_cases() -> Iterator[Case]:
    def blob(**changes: int) -> Plan:
        def edit(rows: list[BlobRow]) -> None:
            for member, value in changes.items():
                setattr(rows[0], member, value)

        return unlisted(edit_blobs=edit)

    def row(**changes: int) -> Plan:
        plan = target(table=changes)
        plan.list_target = False
        return plan

    counts = "counts that do not agree with its length"
    size = "a trailer that does not agree with table or size"
    for name, plan, rule in (
        ("pack-trailer-count", unlisted(trailer=(0, 1)), size),
        ("pack-trailer-length", unlisted(trailer=(1, 0)), size),
        ("pack-trailer-hostile", unlisted(trailer=(0x7FFFFFF0, 0)), size),
        ("pack-after-trailer", unlisted(after=bytes(8)), size),
        ("pack-gap", unlisted(gap=b"gap"), size),
        ("pack-cut", Plan(list_target=False, pack_raw=lambda raw: raw[:-1]), size),
        ("table-longer", unlisted(edit_table=lambda table: table + b"\0"), counts),
        ("table-shorter", unlisted(edit_table=lambda table: table[:-1]), counts),
        ("table-blob-count", unlisted(edit_table=lambda t: t[:4] + b"\xff\xff\xff\xff" + t[8:]), counts),
        ("table-segment-count", unlisted(edit_table=lambda t: b"\x03" + t[1:]), counts),
        ("table-codec", row(codec=2), "an unknown codec"),
        ("table-kind", row(kind=3), "an unknown kind"),
        ("table-raw-sizes", row(codec=0), "sealed_len and plain_len do not agree"),
        ("table-frame-long", row(plain_len=1), "a frame that is longer than its content by far"),
        ("table-sealed-len", row(sealed_len=20), size),
        ("table-plain-len-large", row(plain_len=(1 << 24) + 1), "a segment longer than 16,777,216"),
        ("table-blob-empty", blob(length=0), "a zero-length blob"),
        ("table-blob-beyond", blob(length=len(TARGET) + 1), "a blob outside its segment"),
        ("table-blob-wraps", blob(offset=0xFFFFFFFF), "a blob outside its segment"),
        ("table-blob-segment", blob(segment=2), "a blob in a segment that does not exist"),
    ):
        yield about(name, "pack", "§6", rule, build(plan), "pack")
    for name, plan, rule in (
        ("segment-shorter", target(packed=compress(TARGET[:-1])), "plain_len is not the length"),
        ("segment-longer", target(packed=compress(TARGET + b"!")), "plain_len is not the length"),
        ("segment-raw-longer", target(codec=0, packed=TARGET + b"!"), "plain_len is not the length"),
        ("segment-raw-said-zstd", target(packed=TARGET), "not a zstd frame"),
    ):
        yield about(name, "segment", "§6", rule, build(plan), "pack")


def index_cases() -> Iterator[Case]:
    def rows(edit: Callable[[Index], None]) -> Plan:
        return Plan(index=edit)

    def segment(**changes: int) -> Plan:
        def edit(index: Index) -> None:
            for member, value in changes.items():
                setattr(index.segments[0], member, value)

        return rows(edit)

    def blob(**changes: int) -> Plan:
        def edit(index: Index) -> None:
            row = next(row for row in index.blobs if row.length == len(TARGET))
            for member, value in changes.items():
                setattr(row, member, value)

        return rows(edit)

    def sized(size: int) -> Plan:
        return rows(lambda i: i.packs.__setitem__(0, (*i.packs[0][:2], size)))

    def many(index: Index) -> None:
        index.blobs = [BlobRow(bytes(16), 0, 0, 1)] * 1048577

    counts = "counts that do not agree with its length"
    for name, plan, rule in (
        ("index-longer", Plan(index_plain=lambda plain: plain + b"\0"), counts),
        ("index-shorter", Plan(index_plain=lambda plain: plain[:-1]), counts),
        ("index-empty", Plan(index_plain=lambda plain: b""), counts),
        ("index-pack-count", rows(lambda i: setattr(i, "counts", (1, 0, 0))), counts),
        ("index-blob-count-hostile", rows(lambda i: setattr(i, "counts", (0, 0, 0xFFFFFF00))), counts),
        ("index-reserved", rows(lambda i: setattr(i, "reserved", 1)), "a non-zero reserved field"),
        ("index-too-many", rows(many), "more than 1,048,576 blobs"),
        ("index-out-of-order", rows(lambda i: i.blobs.reverse()), "ids out of order"),
        ("index-codec", segment(codec=2), "an unknown codec"),
        ("index-kind", segment(kind=3), "an unknown kind"),
        ("index-segment-reserved", segment(reserved=1), "a non-zero reserved field"),
        ("index-segment-pack", segment(pack=1), "a pack that the index does not list"),
        ("index-segment-early", segment(offset=47), "a segment outside its pack"),
        ("index-segment-late", segment(offset=0xFFFFFFFF), "a segment outside its pack"),
        ("index-segment-long", segment(sealed_len=0xFFFFFFFF), "a segment outside its pack"),
        ("index-plain-len-large", segment(plain_len=(1 << 24) + 1), "a segment longer than 16,777,216"),
        ("index-record-number", segment(number=65536), "a record number above 65,535"),
        ("index-raw-sizes", segment(codec=0), "sealed_len and plain_len do not agree"),
        ("index-frame-long", segment(plain_len=1), "a frame that is longer than its content by far"),
        ("index-sealed-len-empty", segment(sealed_len=16), "a segment of nothing"),
        ("index-pack-size-large", sized(83886081), "a pack of more than 83,886,080 bytes"),
        ("index-pack-size-hostile", sized((1 << 64) - 1), "a pack of more than 83,886,080 bytes"),
        ("index-pack-size-small", sized(71), "a pack of less than 72 bytes"),
        ("index-blob-empty", blob(length=0), "a zero-length blob"),
        ("index-blob-beyond", blob(length=len(TARGET) + 1), "a blob outside its segment"),
        ("index-blob-wraps", blob(offset=0xFFFFFFFF), "a blob outside its segment"),
        ("index-blob-segment", blob(segment=2), "a blob in a segment that does not exist"),
    ):
        yield about(name, "index", "§7", rule, build(plan), "index")


def snapshot_cases() -> Iterator[Case]:
    for name, plan, rule in (
        ("snapshot-byte-order-mark", Plan(snapshot_plain=lambda plain: b"\xef\xbb\xbf" + plain), "a byte order mark"),
        ("snapshot-sequence-exponent", number_as(b"2e0"), "2e0 is not an integer"),
        ("snapshot-sequence-fraction", number_as(b"2.0"), "2.0 is not an integer"),
        ("snapshot-time-fraction", Plan(snapshot={"time": "2026-01-06T18:00:00.5Z"}), "time is not a text time"),
        ("snapshot-feature-to-read", Plan(snapshot={"features_needed_to_read": ["inconnu"]}), "an unknown feature"),
        ("snapshot-time-month", Plan(snapshot={"time": "2026-13-06T18:00:00.000000Z"}), "time is no date"),
        ("snapshot-sequence-large", number_as(b"9223372036854775808"), "sequence above 2^63 - 1"),
        ("snapshot-not-json", Plan(snapshot_plain=lambda plain: b"{"), "not JSON"),
        ("snapshot-two-values", Plan(snapshot_plain=lambda plain: plain + b"{}"), "something follows the object"),
        ("snapshot-array", Plan(snapshot_plain=lambda plain: b"[" + plain + b"]"), "not an object"),
        ("snapshot-not-utf-8", Plan(snapshot_plain=lambda p: p.replace(b"cabinet", b"cabinet\xff")), "not UTF-8"),
        ("snapshot-utf-16", Plan(snapshot_plain=lambda p: p.decode().encode("utf-16")), "not UTF-8"),
        ("snapshot-deep", Plan(snapshot_plain=lambda p: b'{"time":' + b"[" * 200000), "not JSON"),
        ("snapshot-no-time", Plan(snapshot={"time": None}), "time is not a text time"),
        ("snapshot-time-short", Plan(snapshot={"time": "2026-01-06"}), "time is not a text time"),
        ("snapshot-no-sequence", Plan(snapshot={"sequence": None}), "sequence is not an integer"),
        ("snapshot-sequence-zero", Plan(snapshot={"sequence": 0}), "sequence is less than 1"),
        ("snapshot-root-string", Plan(snapshot={"root": "00"}), "root is not an array of ids"),
    ):
        yield about(name, "snapshot", "§8", rule, build(plan), "snapshot")


def feature_to_write() -> Iterator[Case]:
    files = build(Plan(snapshot={"features_needed_to_write": ["inconnu"], "original": "ab" * 32})).files
    rule = "an unknown feature that only a writer needs, and a snapshot that was written anew"
    yield Case("snapshot-feature-to-write", "snapshot", "§1", rule, files, "", 0, sums(ALL))


def number_as(text: bytes) -> Plan:
    return Plan(snapshot_plain=lambda plain: plain.replace(b'"sequence":2', b'"sequence":' + text))


def place_cases() -> Iterator[Case]:
    """Good bytes under the wrong name, or bytes that are gone."""
    made = build(Plan())
    for name, rule, change in (
        ("file-pack-frame-damaged", "the salt of the index opens a pack whose first bytes are damaged", zero_frame),
        ("file-pack-table-damaged", "an index needs no table of the pack", lambda raw: flip(raw, -20)),
        ("file-pack-trailer-gone", "an index needs no trailer of the pack", lambda raw: raw[:-8]),
    ):
        files = made.files | {made.pack: change(made.files[made.pack])}
        yield Case(name, "file", "§7", rule, files, "", 0, sums(ALL))
    yield from second_places()
    gone = {path: raw for path, raw in made.files.items() if path != made.pack}
    yield about(
        "file-pack-gone", "file", "§2", "a pack that an index lists is missing", replace(made, files=gone), "pack"
    )
    first = next(path for path in sorted(made.files) if "/snapshots/" in path and path != made.snapshot)
    files = made.files | {made.snapshot: made.files[first]}
    rule = "a file whose SHA-256 is not its name: an older snapshot in the place of a newer"
    yield about("file-snapshot-replaced", "file", "§2", rule, replace(made, files=files), "snapshot")
    # Two packs of one shape: every record of the one authenticates in the place of the other, under its own salt.
    twin = Pack(
        "twin", [Segment(DATA, 1, [TARGET.replace(b"cible", b"bicle")]), Segment(DATA, 0, [OTHER[::-1]])]
    ).build()
    assert len(twin.raw) == len(made.files[made.pack]), "the twin must have the shape of the pack it stands in for"
    rule = "a pack of the same shape in the place of another: its records are good, but not the blobs of the index"
    swapped = replace(made, files=made.files | {made.pack: twin.raw})
    yield about("file-pack-replaced-by-twin", "file", "§6", rule, swapped, "pack")


def second_places() -> Iterator[Case]:
    """The target is in two packs, and one of these places is no good; which is tried first is a reader's affair."""
    for name, rule, change in (
        (
            "file-place-damaged",
            "one of two places of a blob does not open: the other is tried",
            lambda raw: flip(raw, 60),
        ),
        ("file-place-cut", "one of two places of a blob is cut off: the other is tried", lambda raw: raw[:60]),
        ("file-place-gone", "one of two places of a blob has no pack: the other is tried", None),
    ):
        for which in ("first", "second"):
            made = build(Plan())
            again = Pack("again", [Segment(DATA, 0, [OTHER[::-1]]), Segment(DATA, 0, [TARGET])]).build()
            files = made.files
            twin = put(files, "packs", again.raw)
            put(files, "index", one_record(Frame(b"I", digest("index 3")), compress(index_of([again]).plain())))
            path = made.pack if which == "first" else twin
            raw = files.pop(path)
            if change is not None:
                files[path] = change(raw) if which == "first" or name != "file-place-damaged" else flip(raw, 100)
            yield Case(f"{name}-{which}", "file", "§7", rule, files, "", 0, sums(ALL))
    made = build(Plan(index=lambda index: setattr(index.segments[0], "kind", 1)))
    rule = "the index says another kind than the pack's table: the place is none for data"
    yield about("index-kind-other", "file", "§7", rule, made, "pack")


def removal_cases() -> Iterator[Case]:
    """Records of removed snapshots: what restores goes without them, what judges a drive refuses them."""
    made = build(Plan())
    machine = digest("machine")[:16].hex()
    good: Json = {"time": "2026-01-05T19:00:00.000000Z", "host": "cabinet", "machine": machine}
    good["removed"] = [{"id": digest("removed").hex(), "sequence": 1}]
    frame = Frame(b"R", digest("removal"))

    def record(about: object, shape: Frame = frame, number: int = 0, final: int = 1) -> bytes:
        return one_record(shape, compress(dumps(about)), number=number, final=final)

    def removed(**members: object) -> Json:
        return good | {"removed": [good["removed"][0] | members]}

    for name, raw, rule in (
        ("removal-magic", record(good, replace(frame, magic=b"KINEBKQ")), "another magic"),
        ("removal-version", record(good, replace(frame, version=2)), "an unknown version"),
        ("removal-reserved", record(good, replace(frame, reserved=1)), "a non-zero reserved field"),
        ("removal-type", record(good, Frame(b"S", digest("removal"))), "the type of another directory"),
        ("removal-short", record(good)[:63], "shorter than 64 bytes"),
        ("removal-bit", flip(record(good), 70), "one bit of the ciphertext differs"),
        ("removal-final", record(good, final=0), "final is 0 in the only record"),
        ("removal-number", record(good, number=1), "record number 1 in place of 0"),
        ("removal-array", record([good]), "not an object"),
        ("removal-time", record(good | {"time": "2026-01-05"}), "time is not a text time"),
        ("removal-removed-object", record(good | {"removed": {}}), "removed is not an array"),
        ("removal-sequence", record(removed(sequence=-1)), "sequence is less than 0"),
        ("removal-no-id", record(removed(id=None)), "a removed snapshot without its name"),
        ("removal-id-not-hex", record(removed(id="../snapshots")), "a removed snapshot's name is not 64 hex digits"),
        ("removal-id-short", record(removed(id="ab" * 31)), "a removed snapshot's name is not 64 hex digits"),
        ("removal-given-up-object", record(good | {"given_up": {}}), "given_up is not an array"),
        ("removal-given-up-number", record(good | {"given_up": [7]}), "an id that is given up is no text"),
        ("removal-given-up-not-hex", record(good | {"given_up": ["x" * 32]}), "an id that is given up is not hex"),
        ("removal-given-up-short", record(good | {"given_up": ["ab" * 15]}), "an id that is given up is too short"),
    ):
        files = dict(made.files)
        path = put(files, "removals", raw)
        yield Case(name, "removal", "§8", rule, files, path, 0, sums(ALL))
    files = made.files | {f"KINEBACKUP/removals/{digest('another name').hex()}": record(good)}
    path = f"KINEBACKUP/removals/{digest('another name').hex()}"
    yield Case("removal-renamed", "removal", "§2", "its SHA-256 is not its name", files, path, 0, sums(ALL))


__all__ = ["Case", "SegmentRow", "all_cases", "header_files"]
