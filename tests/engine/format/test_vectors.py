"""The product's decoders against vectors that were written from docs/FORMAT.md alone.

Owns: what the product must make of each vector. Does not know: how vectors are made (tests/vectors/README.md).
"""

import base64
import contextlib
import hashlib
import json
import os
import shutil
import stat as st
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.ports import Stopwatch
from support.project import VECTORS

from kinebackup.engine.check.verify import Budget, Verification
from kinebackup.engine.findings import problem_of
from kinebackup.engine.format import header, key_export, removal, snapshot
from kinebackup.engine.format.key_schedule import MasterKey, RepositoryKeys, commitment
from kinebackup.engine.format.keyring import MachineKey, Passphrase, RecoveryCode, Secret
from kinebackup.engine.format.snapshot import NamedSnapshot
from kinebackup.engine.pack_checker import PackChecker
from kinebackup.engine.repository.inventory import read_index_file, read_named
from kinebackup.engine.repository.repository import LoadedRepository, Repository
from kinebackup.engine.repository.store import FolderStore
from kinebackup.engine.restore.restore import RestoreRequest, restore_snapshot
from kinebackup.errors import Damaged, KineError, NeedsNewer
from kinebackup.model import CancelToken, FileName, Problem, SilentMonitor

BAD = sorted((VECTORS / "bad").glob("*.json"))
KEYS = json.loads((VECTORS / "keys.json").read_text(encoding="utf-8"))
EXPECTED = json.loads((VECTORS / "expected.json").read_text(encoding="utf-8"))
AS_ROOT = os.geteuid() == 0


@contextlib.contextmanager
def opened(drive: Path, secret: Secret, elsewhere: tuple[bytes, ...] = ()) -> Iterator[Repository]:
    with contextlib.closing(FolderStore(str(drive / "KINEBACKUP"))) as store:
        yield Repository.open(store, secret, elsewhere)


def restored(repository: LoadedRepository, named: NamedSnapshot, into: Path) -> tuple[Problem, ...]:
    request = RestoreRequest(snapshot=named, wanted=(), destination=str(into), as_root=AS_ROOT)
    return restore_snapshot(repository, request, Stopwatch(), cancel=CancelToken(), monitor=SilentMonitor()).problems


def found_below(folder: Path) -> dict[str, str]:
    """Everything but folders: what it is, and what is in it."""
    found: dict[str, str] = {}
    for directory, _, names in os.walk(os.fsencode(folder)):
        for name in names + [n for n in os.listdir(directory) if os.path.islink(os.path.join(directory, n))]:
            path = os.path.join(directory, name)
            relative = os.fsdecode(os.path.relpath(path, os.fsencode(folder)))
            if os.path.islink(path):
                found[relative] = f"symlink:{os.fsdecode(os.readlink(path))}"
            elif os.path.isfile(path):
                found[relative] = f"sha256:{hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest()}"
            else:
                found[relative] = "other"
    return found


# -- good ----------------------------------------------------------------------------------------------------------

SECRETS: list[Secret] = [
    Passphrase.of(KEYS["passphrase"]),
    RecoveryCode.of(KEYS["code"]),
    MachineKey(bytes.fromhex(KEYS["machine_key"])),
]


def test_every_derived_key_is_the_one_of_the_document() -> None:
    master = MasterKey(bytes.fromhex(KEYS["master"]))
    keys = RepositoryKeys.derive(master, bytes.fromhex(KEYS["repository"]))
    derived = {
        "sealing": keys.sealing,
        "blob id data": keys.data_id,
        "blob id tree": keys.tree_id,
        "blob id list": keys.list_id,
        "chunker": keys.chunker_seed,
        "header mac": keys.header_mac,
    }
    wanted = {name: value for name, value in KEYS["sub_keys"].items() if name in derived}
    assert {name: value.hex() for name, value in derived.items()} == wanted
    raw = (VECTORS / "good" / "KINEBACKUP" / "header").read_bytes()
    assert commitment(master, bytes.fromhex(KEYS["practice"])).hex() == header.decode(raw).commitment


@pytest.mark.parametrize("secret", SECRETS, ids=["passphrase", "recovery code", "machine key"])
def test_each_secret_opens_the_good_drive(secret: Secret) -> None:
    with opened(VECTORS / "good", secret) as repository:
        assert repository.unlocked.master.reveal().hex() == KEYS["master"]
        assert repository.id == KEYS["repository"]


def test_the_good_drive_passes_every_check() -> None:
    with opened(VECTORS / "good", SECRETS[1]) as repository:
        loaded = repository.load()
        assert loaded.inventory.findings == ()
        assert [pack.name for pack in loaded.inventory.unlisted] == [
            EXPECTED["packs"]["without index"].rpartition("/")[2]
        ]
        for name in loaded.packs:
            result = PackChecker(loaded).check(name)
            assert (result.ok, result.message) == (True, "")


def test_a_verification_of_the_good_drive_finds_nothing(tmp_path: Path) -> None:
    shutil.copytree(VECTORS / "good", tmp_path / "drive")
    with opened(tmp_path / "drive", SECRETS[1]) as repository:
        loaded = repository.load()
        check = Verification(
            loaded,
            list(loaded.packs),
            Budget(),
            lambda name, ok: None,
            cancel=CancelToken(),
            monitor=SilentMonitor(),
        )
        report = check.run(Stopwatch())
        assert (report.result, report.problems) == ("ok", ())


def test_the_newest_snapshot_that_is_not_suspicious_is_the_latest() -> None:
    with opened(VECTORS / "good", SECRETS[1]) as repository:
        known = repository.snapshots().readable
        assert repository.snapshots().unreadable == ()
        assert {named.id for named in known} == set(EXPECTED["snapshots"])
        by_time = sorted(EXPECTED["snapshots"], key=lambda name: str(EXPECTED["snapshots"][name]["time"]))
        assert [named.id for named in known] == by_time
        trusted = [name for name in by_time if not EXPECTED["snapshots"][name]["suspicious"]]
        assert repository.find_snapshot("latest").id == trusted[-1]


def entry_path(root: Path, entry: dict[str, Any]) -> str:
    return os.path.join(str(root), os.fsdecode(base64.b64decode(entry["rawpath"])))


def check_entry(root: Path, entry: dict[str, Any]) -> None:
    path = entry_path(root, entry)
    stat = os.lstat(path)
    formats = {
        "file": st.S_IFREG,
        "dir": st.S_IFDIR,
        "symlink": st.S_IFLNK,
        "fifo": st.S_IFIFO,
        "char": st.S_IFCHR,
        "block": st.S_IFBLK,
    }
    assert st.S_IFMT(stat.st_mode) == formats[entry["type"]]
    assert stat.st_mtime_ns == entry["mtime"]
    if entry["type"] != "symlink":
        assert st.S_IMODE(stat.st_mode) == entry["mode"]
    if AS_ROOT:
        assert (stat.st_uid, stat.st_gid) == (entry["uid"], entry["gid"])
    if entry["type"] == "file":
        check_content(path, stat, entry)
    if entry["type"] == "symlink":
        raw = base64.b64decode(entry["rawtarget"]) if "rawtarget" in entry else entry["target"].encode()
        assert os.fsencode(os.readlink(path)) == raw
    if "device" in entry:
        assert [os.major(stat.st_rdev), os.minor(stat.st_rdev)] == entry["device"]
    for attribute, value in entry.get("xattrs", {}).items():
        assert os.getxattr(path, attribute, follow_symlinks=False) == base64.b64decode(value)


def check_content(path: str, stat: os.stat_result, entry: dict[str, Any]) -> None:
    assert stat.st_size == entry["size"]
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        at = 0
        for offset, length in entry.get("extents", [[0, entry["size"]]]):
            if offset - at < 2**20:
                file.seek(at)
                assert not any(file.read(offset - at))
            file.seek(offset)
            digest.update(file.read(length))
            at = offset + length
    assert digest.hexdigest() == entry["sha256"]


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="making devices and giving files away needs root")
@pytest.mark.parametrize("name", sorted(EXPECTED["snapshots"]))
def test_a_good_snapshot_restores_to_what_is_expected(name: str, tmp_path: Path) -> None:
    entries = EXPECTED["snapshots"][name]["entries"]
    with opened(VECTORS / "good", SECRETS[1]) as repository:
        assert restored(repository.load(), repository.find_snapshot(name), tmp_path / "back") == ()
    for entry in entries:
        check_entry(tmp_path / "back", entry)
    paths = {entry_path(tmp_path / "back", entry) for entry in entries}
    there = {os.path.join(d, n) for d, ds, fs in os.walk(tmp_path / "back") for n in ds + fs}
    assert there == paths
    links: dict[str, set[int]] = {}
    for entry in entries:
        if "link" in entry:
            inode = os.lstat(entry_path(tmp_path / "back", entry)).st_ino
            links.setdefault(entry["link"], set()).add(inode)
    assert all(len(inodes) == 1 for inodes in links.values())


def test_the_removal_record_of_the_good_drive_names_what_is_not_there() -> None:
    path = EXPECTED["packs"]["removal"].removeprefix("KINEBACKUP/")
    with opened(VECTORS / "good", SECRETS[1]) as repository:
        record = removal.unseal(read_named(repository.store, path), repository.keys)
        there = sorted(named.snapshot.sequence for named in repository.snapshots().readable)
        found = repository.removals()
    assert ([each.sequence for each in record.removed], there) == ([1], [2, 3])
    assert record.given_up == ("c28c82ee630b9750f71f96766295fc53", "de7c50f164d78f306d34738783fdcd77")
    assert (found.highest, {blob.hex() for blob in found.given_up}) == (1, {*record.given_up})
    assert (found.unreadable, found.whole) == ((), True)


def test_what_the_product_writes_of_a_good_snapshot_it_reads_again() -> None:
    with opened(VECTORS / "good", SECRETS[1]) as repository:
        for named in repository.snapshots().readable:
            data = snapshot.seal(named.snapshot, repository.keys, bytes(32))[1]
            assert snapshot.unseal(data, repository.keys) == named.snapshot


# -- bad -----------------------------------------------------------------------------------------------------------


def case_of(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return case


def make_drive(case: dict[str, Any], drive: Path) -> None:
    shutil.copytree(VECTORS / case["base"], drive)
    for name in case["remove"]:
        (drive / name).unlink()
    for name, packed in case["write"].items():
        (drive / name).parent.mkdir(parents=True, exist_ok=True)
        (drive / name).write_bytes(zlib.decompress(base64.b64decode(packed)))


def secret_of(case: dict[str, Any]) -> Secret:
    given = {kind: text.removeprefix("\ufeff") for kind, text in case["secret"].items()}  # as reading its file does
    return Passphrase.of(given["passphrase"]) if "passphrase" in given else RecoveryCode.of(given["code"])


def given_headers(case: dict[str, Any]) -> tuple[bytes, ...]:
    """Those of the key export that a person gives with ``--header-from``."""
    packed = case.get("header_from")
    return key_export.decode(zlib.decompress(base64.b64decode(packed))).headers if packed else ()


def refuses(repository: LoadedRepository, drive: Path, refused: str) -> bool:
    """Whether decoding that file alone shows that it is damaged."""
    directory, _, name = refused.removeprefix("KINEBACKUP/").rpartition("/")
    try:
        match directory.split("/")[0]:
            case "":
                data = (drive / refused).read_bytes()
                header.authenticate(data, header.decode(data), repository.unlocked.master)
            case "index":
                read_index_file(repository.store, repository.keys, FileName(name))
            case "snapshots":
                repository.read_snapshot(FileName(name))
            case "removals":
                removal.unseal(read_named(repository.store, f"{directory}/{name}"), repository.keys)
            case _:
                return not PackChecker(repository).check(FileName(name)).ok
    except (Damaged, NeedsNewer):
        return True
    return False


@pytest.mark.parametrize("path", BAD, ids=[path.stem for path in BAD])
def test_a_bad_vector_is_refused_and_the_rest_comes_back(path: Path, tmp_path: Path) -> None:
    case = case_of(path)
    drive, back = tmp_path / "drive", tmp_path / "back"
    make_drive(case, drive)
    if case["exit"] in (1, 12):
        with pytest.raises(KineError) as caught, opened(drive, secret_of(case), given_headers(case)):
            pass
        assert caught.value.exit_code == (case["exit"] if case["exit"] == 12 or case["layer"] == "feature" else 14)
        assert case["restored"] == {}
        return
    with opened(drive, secret_of(case), given_headers(case)) as repository:
        loaded, snapshots = repository.load(), repository.snapshots()
        problems = [problem_of(found) for found in (*loaded.inventory.findings, *snapshots.unreadable)]
        good = [named for named in snapshots.readable if not named.snapshot.suspicious]
        if good:
            problems += restored(loaded, good[-1], back)
        refused = case["refused"]
        if case["exit"] == 3:
            assert problems
        if refused.startswith("KINEBACKUP/") and (case["exit"] == 3 or case["layer"] == "removal"):
            assert refuses(loaded, drive, refused)
    assert found_below(back) == case["restored"]
    assert sorted(os.listdir(tmp_path)) == (["back", "drive"] if good else ["drive"])
