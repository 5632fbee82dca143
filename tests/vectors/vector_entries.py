"""Bad trees and entries, each beside a witness that must be restored.

Owns: what departs from FORMAT.md §9. Does not know: how the repository around it is made.
"""

import base64
import hashlib
import struct
from collections.abc import Iterator

from vectors.vector_plans import OTHER, TARGET, WITNESS, Plan, dir_entry, file_entry, tree_of
from vectors.vector_writer import DATA, LIST, THIS, TREE, Json, Pack, Segment, dumps

EntryCase = tuple[str, str, Plan, str, dict[str, str]]
VICTIM = "home/cible.txt"


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


KEPT = {"home/temoin.txt": sha256(WITNESS)}


def entry_cases() -> Iterator[EntryCase]:
    yield from tree_cases()
    yield from name_cases()
    yield from form_cases()
    yield from content_cases()
    yield from link_cases()


def beside_witness(*entries: Json, **plan: list[bytes]) -> Plan:
    return Plan(home=tree_of(*entries, file_entry("temoin.txt", WITNESS)), **plan)  # type: ignore[arg-type]  # fields


def tree_cases() -> Iterator[EntryCase]:
    """The tree of /home/sous is bad; its sibling is not."""
    for name, tree, rule in (
        ("tree-not-json", b"{", "a tree that is not JSON"),
        ("tree-array", b"[]", "a tree that is not an object"),
        ("tree-no-entries", b"{}", "a tree without entries"),
        ("tree-entries-object", b'{"entries":{"a":1}}', "entries are not an array"),
        ("tree-not-utf-8", tree_of(file_entry("a", TARGET)).replace(b'"a"', b'"\xff"'), "a tree that is not UTF-8"),
        ("tree-byte-order-mark", b"\xef\xbb\xbf" + tree_of(file_entry("a", TARGET)), "a byte order mark"),
        ("tree-two-values", tree_of() + b"{}", "something follows the object"),
    ):
        plan = beside_witness(dir_entry("sous", tree), extra_trees=[tree])
        yield name, rule, plan, "home/sous", KEPT
    gone = b'{"entries": []}'
    yield "tree-gone", "a tree that no pack has", beside_witness(dir_entry("sous", gone)), "home/sous", KEPT
    good = tree_of(file_entry("feuille.txt", TARGET))
    bad = b"not a tree"
    plan = beside_witness(dir_entry("sous", bad, good), extra_trees=[bad, good])
    kept = KEPT | {"home/sous/feuille.txt": sha256(TARGET)}
    yield "tree-first-of-two", "one bad tree blob of a directory leaves the others", plan, "home/sous", kept


def name_cases() -> Iterator[EntryCase]:
    def raw(name: bytes) -> Json:
        made = file_entry("x", TARGET)
        del made["name"]
        return made | {"rawname": base64.b64encode(name).decode()}

    nameless = file_entry("x", TARGET)
    del nameless["name"]
    for name, entry, rule in (
        ("name-empty", file_entry("", TARGET), "an empty name"),
        ("name-dot", file_entry(".", TARGET), "the name ."),
        ("name-dot-dot", file_entry("..", TARGET), "the name .."),
        ("name-dot-dot-dir", dir_entry("..", tree_of(file_entry("fuite.txt", TARGET))), "the name .. of a directory"),
        ("name-traversal", file_entry("../fuite.txt", TARGET), "a name with /"),
        ("name-absolute", file_entry("/tmp/kinebackup-fuite.txt", TARGET), "a name with /"),
        ("name-slash-last", dir_entry("sous/"), "a name with /"),
        ("name-nul", file_entry("a\0b", TARGET), "a name with NUL"),
        ("name-surrogate", file_entry("x", TARGET) | {"name": "\ud800"}, "a name that is not valid Unicode"),
        ("name-number", file_entry("x", TARGET) | {"name": 7}, "a name that is not a string"),
        ("name-missing", nameless, "neither name nor rawname"),
        ("name-both", raw(b"\xff") | {"name": "x"}, "both name and rawname"),
        ("rawname-dot-dot", raw(b".."), "the name .., as rawname"),
        ("rawname-traversal", raw(b"../\xff"), "a name with /, as rawname"),
        ("rawname-nul", raw(b"\xff\0"), "a name with NUL, as rawname"),
        ("rawname-empty", raw(b""), "an empty name, as rawname"),
        ("rawname-not-base64", raw(b"\xff") | {"rawname": "*w=="}, "rawname is not base64"),
    ):
        trees = [tree_of(file_entry("fuite.txt", TARGET))]
        yield "entry-" + name, rule, beside_witness_ascii(entry, trees), "home", KEPT


def beside_witness_ascii(entry: Json, trees: list[bytes]) -> Plan:
    """With escapes in the JSON where a name cannot be UTF-8."""
    if entry.get("name") == "\ud800":
        whole = tree_of(entry | {"name": "@"}, file_entry("temoin.txt", WITNESS)).replace(b'"@"', b'"\\ud800"')
        return Plan(home=whole, extra_trees=trees)
    return beside_witness(entry, extra_trees=trees)


def form_cases() -> Iterator[EntryCase]:
    def changed(**members: object) -> Json:
        return file_entry("cible.txt", TARGET) | members

    for name, entry, rule in (
        ("type-unknown", changed(type="socket"), "an unknown type"),
        ("type-missing", {k: v for k, v in changed().items() if k != "type"}, "no type"),
        ("mode-large", changed(mode=0o100640), "mode beyond 0o7777"),
        ("mode-string", changed(mode="rw"), "mode is not a number"),
        ("mtime-large", changed(mtime=1 << 63), "a time beyond 64 bits"),
        ("mtime-float", changed(mtime=1.5), "a time that is not an integer"),
        ("mtime-missing", {k: v for k, v in changed().items() if k != "mtime"}, "no mtime"),
        ("mode-missing", {k: v for k, v in changed().items() if k != "mode"}, "no mode"),
        ("mode-fraction", changed(mode=416.0), "416.0 is not an integer"),
        ("mode-boolean", changed(mode=True), "true is not an integer"),
        ("uid-negative", changed(uid=-1), "uid below 0"),
        ("uid-nobody", changed(uid=(1 << 32) - 1), "uid above 2^32 - 2"),
        ("xattr-not-base64", changed(xattrs={"user.a": "*"}), "a value that is not base64"),
        (
            "symlink-no-target",
            {"name": "cible.txt", "type": "symlink", "mode": 0o777, "mtime": 0, "ctime": 0},
            "no target",
        ),
        ("carried-string", changed(carried="1"), "carried is not a number"),
        ("carried-large", changed(carried=1 << 63), "carried above 2^63 - 1"),
        ("carried-negative", changed(carried=-1), "carried below 0"),
        ("flags-string", changed(flags="immutable"), "flags are not an array"),
        ("flags-numbers", changed(flags=[16]), "a flag that is not a string"),
        ("symlink-target-nul", changed(type="symlink", target="a\0b"), "a target with NUL"),
        ("device-short", changed(type="char", device=[1]), "device is not [major, minor]"),
    ):
        yield "entry-" + name, rule, beside_witness(entry), VICTIM, KEPT


def content_cases() -> Iterator[EntryCase]:
    size = len(TARGET)
    absent = THIS.blob_id(DATA, b"nowhere").hex()
    one = THIS.blob_id(DATA, TARGET)
    lists = [one, one + b"\0"]
    where = [struct.pack("<2Q", 0, size), struct.pack("<2Q", size, 1), struct.pack("<2Q", 0, size)[:-1]]
    where.append(struct.pack("<2Q", 1 << 63, size))
    all_of_it, beyond, odd, hostile = ([THIS.blob_id(LIST, blob).hex()] for blob in where)
    list_ids = [THIS.blob_id(LIST, blob).hex() for blob in lists]
    tree_id = THIS.blob_id(TREE, tree_of()).hex()
    for name, members, rule in (
        ("size-larger", {"size": size + 1}, "content is not size bytes long"),
        ("size-smaller", {"size": size - 1}, "content is not size bytes long"),
        ("size-negative", {"size": -1}, "size below 0"),
        ("blob-missing", {"blobs": [absent]}, "a blob that no pack has"),
        ("blob-not-hex", {"blobs": [one.hex().upper()[:-1] + "G"]}, "an id that is not hex"),
        ("blob-capitals", {"blobs": [one.hex().upper()]}, "an id in capitals"),
        ("blob-blanks", {"blobs": [one.hex()[:16] + " " + one.hex()[16:]]}, "an id with a blank"),
        ("blob-short", {"blobs": [one.hex()[:-2]]}, "an id of 15 bytes"),
        ("blob-of-another-kind", {"blobs": [tree_id], "size": len(tree_of())}, "a tree where data is named"),
        ("blobs-and-lists", {"lists": list_ids[:1]}, "both blobs and lists"),
        ("list-odd", {"blobs": [], "lists": list_ids[1:]}, "a list that is not of whole ids"),
        ("list-is-data", {"blobs": [], "lists": [one.hex()]}, "data where a list is named"),
        ("extents-short", {"extents": [[0, size - 1]]}, "more content than extents"),
        ("extents-long", {"size": 2 * size, "extents": [[0, size + 1]]}, "more extents than content"),
        ("extents-overlap", {"size": 2 * size, "extents": [[0, 20], [19, size - 20]]}, "extents overlap"),
        ("extents-descend", {"size": 2 * size, "extents": [[size, 20], [0, size - 20]]}, "extents descend"),
        ("extents-beyond", {"extents": [[1, size]]}, "an extent ends after size"),
        ("extents-hostile", {"size": 2 * size, "extents": [[-1, size]]}, "a negative offset"),
        ("extent-lists-and-extents", {"extents": [[0, size]], "extent_lists": all_of_it}, "extents, and lists of them"),
        ("extent-lists-overlap", {"size": 2 * size, "extent_lists": all_of_it * 2}, "extents overlap, across lists"),
        ("extent-lists-beyond", {"extent_lists": all_of_it + beyond}, "an extent ends after size, in a list"),
        ("extent-lists-odd", {"extent_lists": odd}, "a list that is not of whole extents"),
        ("extent-lists-hostile", {"extent_lists": hostile}, "an offset that no file has"),
        ("extent-lists-data", {"extent_lists": [one.hex()]}, "data where a list of extents is named"),
        ("extent-lists-gone", {"extent_lists": [absent]}, "a list of extents that no pack has"),
        ("extents-triple", {"extents": [[0, size, 0]]}, "an extent is not a pair"),
    ):
        entry = file_entry("cible.txt", TARGET) | members
        plan = beside_witness(entry, extra_lists=lists + where, extra_trees=[tree_of()])
        yield "entry-" + name, rule, plan, VICTIM, KEPT
    second = file_entry("cible.txt", TARGET + OTHER) | {"blobs": [one.hex(), THIS.blob_id(DATA, OTHER).hex()]}
    plan = Plan(home=beside_witness(second).home, pack=Pack("target", [damaged_second(), Segment(DATA, 0, [TARGET])]))
    yield "entry-second-blob-damaged", "half a file must not stay", plan, VICTIM, KEPT


def fine_cases() -> Iterator[tuple[str, str, Plan]]:
    """Entries that no writer of ours makes, and that come back."""
    size = len(TARGET)
    good = file_entry("cible.txt", TARGET)
    nothing = [[0, 0], [0, size - 20], [size - 20, 0], [size - 20, 20], [size, 0]]
    for name, entry, rule in (
        ("extents-of-nothing", good | {"extents": nothing}, "extents of length 0 are ignored"),
        ("ctime-missing", {k: v for k, v in good.items() if k != "ctime"}, "ctime is 0 where it is not there"),
        ("inode-64-bits", good | {"inode": (1 << 64) - 1}, "integers are exact to 64 bits"),
        ("mtime-64-bits", good | {"mtime": -(1 << 53) - 1}, "integers are exact to 64 bits"),
        (
            "of-another-type",
            good | {"target": "x", "device": [1, 2], "tree": []},
            "members of another type are ignored",
        ),
        ("ctime-text", good | {"ctime": "gestern"}, "what only a writer needs is not looked at"),
        ("inode-negative", good | {"inode": -1}, "what only a writer needs is not looked at"),
        ("of-another-type-odd", good | {"target": 5, "device": "x"}, "members of another type are not looked at"),
        ("copied-otherwise", good | {"copied": {"by": "postgres", "size": 1}}, "a later way to copy a database"),
    ):
        yield "entry-" + name, rule, beside_witness(entry)
    twice = tree_of(good, file_entry("temoin.txt", WITNESS)).replace(b'"size":', b'"size":7,"size":')
    yield "entry-member-twice", "of a member that comes twice the last one counts", Plan(home=twice)
    unsorted = tree_of(file_entry("temoin.txt", WITNESS), good)
    yield "tree-unsorted", "entries in any order", Plan(home=unsorted)


def damaged_second() -> Segment:
    return Segment(DATA, 1, [OTHER], packed=b"not zstd at all")


def link_cases() -> Iterator[EntryCase]:
    """Entries that try to write through a link, or twice."""
    inner = tree_of(file_entry("fuite.txt", TARGET))
    link: Json = {"name": "lien", "type": "symlink", "mode": 0o777, "mtime": 0, "ctime": 0, "target": "../../dehors"}
    plan = beside_witness(link, dir_entry("lien", inner), extra_trees=[inner])
    kept = KEPT | {"home/lien": "symlink:../../dehors"}
    yield "entry-through-symlink", "a directory where a symlink stands", plan, "home/lien", kept
    plan = beside_witness(link, file_entry("lien", TARGET))
    yield "entry-over-symlink", "a file where a symlink stands", plan, "home/lien", kept
    plan = beside_witness(file_entry("temoin.txt", TARGET))
    kept = {"home/temoin.txt": sha256(TARGET)}
    yield "entry-twice", "the same name twice: the first is not overwritten", plan, "home/temoin.txt", kept


__all__ = ["dumps", "entry_cases", "fine_cases"]
