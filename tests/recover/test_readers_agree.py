"""The product and recover.py take and refuse the same, whatever somebody wrote into a tree, a snapshot or an index.

Owns: random members of random forms, by a seed. Does not know: which of the two is right, which the vectors say.
"""

import contextlib
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ports import Stopwatch
from support.project import RECOVER
from vectors.vector_plans import (
    CODE,
    TARGET,
    Plan,
    build,
    dir_entry,
    file_entry,
    header_files,
    header_members,
    snapshot_json,
    tree_of,
)
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
    one_record,
    put,
)

from kinebackup.engine.format.keyring import RecoveryCode
from kinebackup.engine.repository.repository import Repository
from kinebackup.engine.repository.store import FolderStore
from kinebackup.engine.restore.restore import RestoreRequest, restore_snapshot
from kinebackup.model import CancelToken, SilentMonitor

ENTRIES = 150
SIZE = len(TARGET)
ID = THIS.blob_id(DATA, TARGET)
LISTS = [
    ID,
    ID * 2,
    ID + b"\0",
    struct.pack("<2Q", 0, SIZE),
    struct.pack("<2Q", 0, SIZE)[:-1],
    struct.pack("<4Q", 0, 20, 20, SIZE - 20),
    struct.pack("<2Q", 0, 0),
]
NUMBERS: list[object] = [0, 1, -1, 1.0, 1.5, 7, True, SIZE, SIZE + 1, 2 * SIZE, 2**31, 2**32 - 2, 2**32 - 1, 2**53 + 1]
NUMBERS += [2**63 - 1, 2**63 + 1, 2**64, -(2**63), -(2**63) - 1]
TEXTS: list[object] = ["x", "a\0b", "/", "..", "YQ==", "/w==", "Y", "immutable", "00" * 16]
ARRAYS: list[object] = [[], [0], [0, 0], [1, 2], ["x"], ["immutable"], [ID.hex()], [ID.hex().upper()], [ID.hex()] * 2]
ARRAYS += [[THIS.blob_id(LIST, blob).hex()] for blob in LISTS]
ARRAYS += [[[0, SIZE]], [[0, 20], [20, SIZE - 20]], [[0, 20], [0, SIZE - 20]], [[SIZE, 1]], [[0, 0]], [[0, -1]]]
ARRAYS += [[[0, 0], [0, SIZE], [SIZE, 0]], [[-1, SIZE]], [[0.0, SIZE]], [[0, SIZE, 1]]]
OBJECTS: list[object] = [{"a": "b"}, {"user.a": "YQ=="}, {"user.a": "*"}, {"user.a": "YQ"}, {"user.a": 1}, {"by": 1}]
# What a writer alone needs, and what is there for another type, is looked at by neither of them.
FREE = ("ctime", "inode", "uncertain", "copied", "other")
USED = {
    "file": ("type", "mode", "mtime", "uid", "gid", "size", "carried", "xattrs", "flags", "rawname"),
    "dir": ("type", "mode", "mtime", "carried", "flags", "rawname"),
    "symlink": ("type", "mode", "mtime", "uid", "gid", "target", "rawtarget", "carried", "flags"),
    "fifo": ("type", "mode", "mtime", "uid", "gid", "carried", "xattrs", "rawname"),
}
IDS = ("blobs", "lists", "extents", "extent_lists")


def changed(dice: random.Random, number: int) -> Json:
    kind = dice.choice(["file", "file", "file", "dir", "symlink", "fifo"])
    entry = file_entry(f"e{number:04d}", TARGET) | {"type": kind}
    if kind != "file":
        del entry["size"], entry["blobs"]
    if kind == "symlink":
        entry["target"] = "nowhere"
    for _ in range(dice.choice([1, 1, 2])):
        if kind == "file" and dice.random() < 0.4:
            entry[dice.choice(IDS)] = dice.choice(ARRAYS)
            continue
        member = dice.choice([*USED[kind], *FREE, *IDS] if kind != "file" else [*USED[kind], *FREE, "tree", "target"])
        if dice.random() < 0.1:
            entry.pop(member, None)
        else:
            entry[member] = dice.choice([*NUMBERS, *TEXTS, *ARRAYS, *OBJECTS])
    return entry


def below(folder: Path) -> dict[str, object]:
    """What is there, and all that a restore without root's rights gives to it."""
    found: dict[str, object] = {}
    for directory, _, names in os.walk(os.fsencode(folder)):
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            stat = os.lstat(path)
            content: object = os.readlink(path) if os.path.islink(path) else None
            if os.path.isfile(path) and not os.path.islink(path) and stat.st_size < 10**6:
                content = Path(os.fsdecode(path)).read_bytes()
            found[os.fsdecode(os.path.relpath(path, os.fsencode(folder)))] = (stat.st_mode, stat.st_mtime_ns, content)
        del names
    return found


def drive_of(tmp_path: Path, files: dict[str, bytes]) -> None:
    for path, raw in files.items():
        (tmp_path / "drive" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "drive" / path).write_bytes(raw)
    (tmp_path / "code").write_text(CODE)


@contextlib.contextmanager
def opened(tmp_path: Path) -> Iterator[Repository]:
    with contextlib.closing(FolderStore(str(tmp_path / "drive" / "KINEBACKUP"))) as store:
        yield Repository.open(store, RecoveryCode.of(CODE))


def restore_by_product(tmp_path: Path) -> dict[str, object]:
    with opened(tmp_path) as repository:
        request = RestoreRequest(repository.find_snapshot("latest"), (), str(tmp_path / "product"), as_root=False)
        restore_snapshot(repository.load(), request, Stopwatch(), cancel=CancelToken(), monitor=SilentMonitor())
    return below(tmp_path / "product")


def run_recover(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, "-I", str(RECOVER), str(tmp_path / "drive"), "--code-file", str(tmp_path / "code")]
    return subprocess.run([*words, *options], capture_output=True, check=False, timeout=120)


def restore_by_recover(tmp_path: Path) -> dict[str, object]:
    done = run_recover(tmp_path, "--to", str(tmp_path / "recover"), "--numeric-owner")
    assert done.returncode == 3
    return below(tmp_path / "recover")


@pytest.fixture
def unflagged(tmp_path: Path) -> Iterator[None]:
    """A folder with immutable files in it could not be removed afterwards."""
    yield
    if shutil.which("chattr") and os.geteuid() == 0:  # nobody else can have made one
        subprocess.run(["chattr", "-R", "-i", "-a", str(tmp_path)], check=False, capture_output=True)


@pytest.mark.usefixtures("unflagged")
@pytest.mark.parametrize("seed", range(8))
def test_both_readers_bring_the_same_back_of_a_tree_that_somebody_forged(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    entries = [changed(dice, number) for number in range(ENTRIES)]
    drive_of(tmp_path, build(Plan(home=tree_of(*entries), extra_lists=LISTS, extra_trees=[tree_of()])).files)
    product, recover = restore_by_product(tmp_path), restore_by_recover(tmp_path)
    by_name = {entry["name"]: entry for entry in entries if "name" in entry}
    differing = sorted(path for path in product.keys() | recover.keys() if product.get(path) != recover.get(path))
    told = [(by_name.get(path.rpartition("/")[2]), path in product, path in recover) for path in differing]
    assert not told, "\n".join(map(str, told))
    assert len(product) > ENTRIES // 3


TIMES: list[object] = ["2026-01-06T18:00:00.000000Z", "2026-01-06T18:00:00Z", "2026-01-06T18:00:00.5Z", "", 5, None]
TIMES += ["2026-01-06T18:00:00.000000+00:00", "2026-01-06 18:00:00.000000Z", "2026-01-06T18:00:00.0000000Z", []]


@pytest.mark.parametrize("seed", range(4))
def test_both_readers_list_the_same_snapshots(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    made = build(Plan())
    root = [THIS.blob_id(TREE, tree_of()).hex()]
    wanted: dict[str, Json] = {}
    for number in range(ENTRIES):
        about = snapshot_json(root, number + 3, "2026-01-06T18:00:00.000000Z")
        member = dice.choice(["sequence", "time", "root", "later", "features_needed_to_write"])
        forms: dict[str, list[object]] = {"time": TIMES, "root": ["00", {}, None, 5, [], root]}
        forms["features_needed_to_write"] = [[], ["inconnu"]]
        about[member] = dice.choice(forms.get(member, [*NUMBERS, *TEXTS, None]))
        if dice.random() < 0.1:
            del about[member]
        path = put(made.files, "snapshots", one_record(Frame(b"S", digest(f"s {number}")), compress(dumps(about))))
        wanted[path.rpartition("/")[2][:16]] = about
    drive_of(tmp_path, made.files)
    with opened(tmp_path) as repository:
        product = {named.id[:16] for named in repository.snapshots().readable}
    recover = {line.split()[0] for line in run_recover(tmp_path, "--list").stdout.decode().splitlines()}
    assert not product ^ recover, "\n".join(str(wanted[name]) for name in product ^ recover)
    assert len(product) > 10


def edited(dice: random.Random, index: Index) -> str:
    """One number of an index file of one pack is another one; says which."""
    numbers = [0, 1, 2, 3, 47, 48, 49, 2**16, 2**24, 2**24 + 1, 2**32 - 1]
    row, place = index.segments[0], dice.choice(index.blobs)
    of, member = dice.choice(
        [
            *(
                (row, member)
                for member in ("pack", "number", "offset", "sealed_len", "plain_len", "codec", "kind", "reserved")
            ),
            *((place, member) for member in ("segment", "offset", "length")),
            (index, "reserved"),
        ]
    )
    old = getattr(of, member)
    small = [0, 1, 2, 3, 255]
    value = dice.choice(small if member in ("codec", "kind", "reserved") else [*numbers, old + 1, max(old - 1, 0)])
    setattr(of, member, value)
    return f"{type(of).__name__} {member} {old} -> {value}"


@pytest.mark.parametrize("seed", range(4))
def test_both_readers_find_the_same_content_by_index_files_that_somebody_forged(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    files, edits = header_files(header(header_members())), dict[str, str]()
    contents = [f"Contenu {number} {dice.random()}\n".encode() * 3 for number in range(ENTRIES)]
    for number, content in enumerate(contents):
        pack = Pack(f"agree {number}", [Segment(DATA, number % 2, [content]), Segment(DATA, 0, [b"x" * 9])]).build()
        put(files, "packs", pack.raw)
        index = index_of([pack])
        said = edited(dice, index)
        edits[f"home/e{number:04d}"] = said
        index.blobs.sort(key=lambda blob: blob.id)
        put(files, "index", one_record(Frame(b"I", digest(f"agree {number}")), compress(index.plain())))
    home = tree_of(*(file_entry(f"e{number:04d}", content) for number, content in enumerate(contents)))
    root = tree_of(dir_entry("home", home))
    put(files, "packs", Pack("agree trees", [Segment(TREE, 1, [home, root])]).build().raw)
    about = snapshot_json([THIS.blob_id(TREE, root).hex()], 1, "2026-01-06T18:00:00.000000Z")
    put(files, "snapshots", one_record(Frame(b"S", digest("agree")), compress(dumps(about))))
    drive_of(tmp_path, files)
    product, recover = restore_by_product(tmp_path), restore_by_recover(tmp_path)
    differing = sorted(path for path in product.keys() | recover.keys() if product.get(path) != recover.get(path))
    assert not differing, "\n".join(f"{edits[path]} {path in product} {path in recover}" for path in differing)
    assert ENTRIES // 3 < len(product) < ENTRIES
