"""The product and recover.py take and refuse the same entries, whatever somebody wrote into a tree.

Owns: random members of random forms, by a seed. Does not know: which of the two is right, which the vectors say.
"""

import contextlib
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from support.ports import Stopwatch
from support.project import RECOVER
from vectors.vector_plans import CODE, TARGET, Plan, build, file_entry, tree_of
from vectors.vector_writer import DATA, LIST, THIS, Json

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
            content: object = os.readlink(path) if os.path.islink(path) else stat.st_size
            if os.path.isfile(path) and not os.path.islink(path) and stat.st_size < 10**6:
                content = Path(os.fsdecode(path)).read_bytes()
            found[os.fsdecode(os.path.relpath(path, os.fsencode(folder)))] = (stat.st_mode, stat.st_mtime_ns, content)
        del names
    return found


@pytest.mark.parametrize("seed", range(8))
def test_both_readers_bring_the_same_back_of_a_tree_that_somebody_forged(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    entries = [changed(dice, number) for number in range(ENTRIES)]
    for path, raw in build(Plan(home=tree_of(*entries), extra_lists=LISTS, extra_trees=[tree_of()])).files.items():
        (tmp_path / "drive" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "drive" / path).write_bytes(raw)
    with contextlib.closing(FolderStore(str(tmp_path / "drive" / "KINEBACKUP"))) as store:
        repository = Repository.open(store, RecoveryCode.of(CODE)).load()
        request = RestoreRequest(repository.find_snapshot("latest"), (), str(tmp_path / "product"), as_root=False)
        restore_snapshot(repository, request, Stopwatch(), cancel=CancelToken(), monitor=SilentMonitor())
    (tmp_path / "code").write_text(CODE)
    words = [sys.executable, "-I", str(RECOVER), str(tmp_path / "drive"), "--code-file", str(tmp_path / "code")]
    words += ["--to", str(tmp_path / "recover"), "--numeric-owner"]
    done = subprocess.run(words, capture_output=True, check=False, timeout=120)
    assert done.returncode == 3
    product, recover = below(tmp_path / "product"), below(tmp_path / "recover")
    by_name = {entry["name"]: entry for entry in entries if "name" in entry}
    differing = sorted(path for path in product.keys() | recover.keys() if product.get(path) != recover.get(path))
    told = [(by_name.get(path.rpartition("/")[2]), path in product, path in recover) for path in differing]
    assert not told, "\n".join(map(str, told))
    assert len(product) > ENTRIES // 3
