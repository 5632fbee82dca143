"""What recover.py writes, and how: durable, over nothing, with the rights that it may give, and what it salvages.

Owns: small drives made by the vectors' own writer, each with what a test is about. Does not know: the product. The
program runs as it will be run: as a process.
"""

import base64
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.project import RECOVER
from vectors.vector_plans import MTIME, OTHER, PASSPHRASE, TARGET, WITNESS, Plan, build, dir_entry, file_entry, tree_of
from vectors.vector_writer import DATA, LIST, THIS, Json, Pack, Segment

AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="setting owners and inode flags needs root")
# Says what reaches the disk when: at each syncfs every unfinished file as it is then, at each rename the one renamed.
# REFUSED: the names that the destination refuses, TAKEN: those that it holds for one, as a foreign file system does.
WATCHING = """
import ctypes, errno, hashlib, json, os, runpy, sys
real, events, (top, log, refused) = ctypes.CDLL, [], sys.argv[1:4]
def state(path):
    return [hashlib.sha256(open(path, "rb").read()).hexdigest(), os.lstat(path).st_mode, os.lstat(path).st_mtime_ns]
def said(*event): open(log, "a").write(json.dumps(event) + "\\n")
class Libc:
    def __init__(self, *args, **more): self.libc = real(*args, **more)
    def syncfs(self, fd):
        paths = [os.path.join(d, n) for d, _, names in os.walk(top) for n in names]
        times = {os.path.relpath(d, top): os.stat(d).st_mtime_ns for d, _, _ in os.walk(top)}
        states = {os.path.relpath(p, top): state(p) for p in paths if os.path.isfile(p)}
        said("sync", states, times, os.fstat(fd).st_dev)
        return self.libc.syncfs(fd)
    def renameat2(self, old, part, new, name, flags):
        folder = os.readlink(f"/proc/self/fd/{old}")
        said("rename", os.path.relpath(os.path.join(folder, os.fsdecode(part)), top), os.fsdecode(name), flags,
             state(os.path.join(folder, os.fsdecode(part))))
        clash = name.lower() in [os.fsencode(n).lower() for n in os.listdir(old)]
        if refused and (clash or refused.encode() in name):
            ctypes.set_errno(errno.EEXIST if clash else errno.EINVAL)
            return -1
        return self.libc.renameat2(old, part, new, name, flags)
rename, lexists = os.rename, os.path.lexists
def refusing(old, new, **more):
    if refused and refused.encode() in new: raise OSError(errno.EINVAL, "Invalid argument")
    rename(old, new, **more)
def there(path):
    folder, name = os.path.split(path)
    return lexists(path) or bool(refused) and name.lower() in [other.lower() for other in os.listdir(folder)]
os.rename, os.path.lexists, sys.argv = refusing, there, sys.argv[4:]
ctypes.CDLL = lambda name, **more: (real if name else Libc)(name, **more)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    err: str


@dataclass(frozen=True, slots=True)
class Bench:
    """A drive that is made for a test, and a place to restore to."""

    top: Path

    @property
    def to(self) -> Path:
        return self.top / "back"

    @property
    def home(self) -> Path:
        return self.to / "home"

    def make(self, plan: Plan) -> str:
        """Returns the path of the second snapshot."""
        made = build(plan)
        for path, raw in made.files.items():
            target = self.top / "drive" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(raw)
        (self.top / "passphrase").write_text(PASSPHRASE + "\n", encoding="utf-8")
        return made.snapshot

    def run(self, *options: str, program: tuple[str, ...] = ("-I", str(RECOVER)), **environment: str) -> Ran:
        words = [sys.executable, *program, str(self.top / "drive"), "--passphrase-file", str(self.top / "passphrase")]
        done = subprocess.run(
            [*words, "--to", str(self.to), *options],
            capture_output=True,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | environment,
            timeout=120,
            check=False,
        )
        err = done.stderr.decode("utf-8", "backslashreplace")
        assert "Traceback" not in err, err
        return Ran(done.returncode, err)

    def watched(self, *options: str, refused: str = "") -> tuple[Ran, list[Any]]:
        log = self.top / "events"
        program = ("-I", "-c", WATCHING, str(self.to), str(log), refused, str(RECOVER))
        ran = self.run(*options, program=program)
        return ran, [json.loads(line) for line in log.read_text().splitlines()]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def home(*entries: Json, **more: Any) -> Plan:
    data = more.pop("extra_data", [])
    return Plan(home=tree_of(*entries), extra_data=[TARGET, *data], **more)


def names_below(top: Path) -> list[str]:
    return sorted(str(path.relative_to(top)) for path in top.rglob("*"))


# -- durable -------------------------------------------------------------------------------------------------------


def test_no_file_has_its_name_before_the_disk_has_all_of_it(bench: Bench) -> None:
    inner = tree_of(*(file_entry(f"{n:03}.txt", TARGET, mode=0o600) for n in range(700)))
    bench.make(home(dir_entry("sous", inner), file_entry("temoin.txt", WITNESS), extra_trees=[inner]))
    ran, events = bench.watched()
    assert ran.code == 0, ran.err

    on_disk: dict[str, Any] = {}
    renames = 0
    for event in events:
        if event[0] == "sync":
            on_disk = event[1]
        else:
            _, part, _name, flags, now = event
            assert on_disk[part] == now
            assert flags == 1
            renames += 1
    assert renames == 701
    last = events[-1]
    assert last[0] == "sync"
    assert [name for name in last[1] if "kinebackup-part" in name] == []
    assert len(last[1]) == 701
    assert {last[2][folder] for folder in ("home", "home/sous")} == {MTIME}


@pytest.mark.root
@needs_root
def test_each_disk_below_the_destination_has_all_of_it(bench: Bench) -> None:
    bench.make(home(file_entry("temoin.txt", WITNESS)))
    bench.home.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(bench.home)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        ran, events = bench.watched()
        disks = {bench.to.stat().st_dev, bench.home.stat().st_dev}
        assert (ran.code, len(disks)) == (0, 2), ran.err
        (renamed,) = [number for number, event in enumerate(events) if event[0] == "rename"]
        assert {event[3] for event in events[:renamed]} == {event[3] for event in events[renamed + 1 :]} == disks
    finally:
        subprocess.run(["umount", str(bench.home)], check=True)


def test_a_killed_run_leaves_no_name_but_hidden_ones_and_the_next_clears_them_away(bench: Bench) -> None:
    bench.make(home(file_entry("temoin.txt", WITNESS)))
    bench.home.mkdir(parents=True)
    (bench.home / ".kinebackup-part-7").write_text("half")
    assert bench.run().code == 0
    assert names_below(bench.to) == ["home", "home/temoin.txt"]


# -- over nothing --------------------------------------------------------------------------------------------------


def test_two_names_that_are_one_there_are_both_kept(bench: Bench) -> None:
    bench.make(
        home(file_entry("DUPONT.odt", TARGET), file_entry("Dupont.odt", WITNESS), file_entry("a:b.txt", WITNESS))
    )
    ran, _ = bench.watched(refused=":")
    assert ran.code == 3
    assert (bench.home / "DUPONT.odt").read_bytes() == TARGET
    assert sorted(os.listdir(bench.home)) == ["DUPONT.odt", "Dupont~3d416e.odt", "a_b~1f0f1e.txt"]
    others = [path for path in bench.home.iterdir() if "~" in path.name]
    assert [path.read_bytes() for path in others] == [WITNESS, WITNESS]
    assert "Dupont.odt" in ran.err
    assert "a:b.txt" in ran.err


# A C library, or a file system, that cannot rename without replacing: recover.py looks before it renames.
WITHOUT_PROMISE = """
import ctypes, runpy, sys, types
real = ctypes.CDLL
ctypes.CDLL = lambda name, **more: real(name, **more) if name else types.SimpleNamespace(syncfs=real(None).syncfs)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_without_a_rename_that_never_replaces_nothing_is_replaced_either(bench: Bench) -> None:
    entry, pack = three_parts()
    bench.make(home(entry, file_entry("temoin.txt", WITNESS), pack=pack))
    program = ("-I", "-c", WITHOUT_PROMISE, str(RECOVER))
    assert bench.run("--salvage", program=program).code == 3
    assert (bench.home / "temoin.txt").read_bytes() == WITNESS
    (bench.home / "cible.txt.damaged").write_text("mine")  # a name that is tried without a look at what was there
    ran = bench.run("--salvage", program=program)
    assert (ran.code, "'/home/cible.txt': exists already" in ran.err) == (3, True), ran.err
    assert (bench.home / "cible.txt.damaged").read_text() == "mine"
    assert sorted(os.listdir(bench.home)) == ["cible.txt.damaged", "temoin.txt"]


def test_hard_links_are_made_only_to_what_this_run_wrote(bench: Bench) -> None:
    linked = {"link": "8:77", "inode": 77}
    bench.make(home(file_entry("dur-1.txt", TARGET, **linked), file_entry("dur-2.txt", TARGET, **linked)))
    bench.home.mkdir(parents=True)
    (bench.home / "dur-1.txt").write_text("mine")
    ran = bench.run()
    assert ran.code == 3
    assert (bench.home / "dur-1.txt").read_text() == "mine"
    assert (bench.home / "dur-2.txt").read_bytes() == TARGET
    assert (bench.home / "dur-2.txt").stat().st_nlink == 1


def test_all_names_of_a_file_are_one_file_in_whatever_folder_and_of_whatever_kind(bench: Bench) -> None:
    link: Json = {"name": "lien", "type": "symlink", "mode": 0o777, "mtime": MTIME, "ctime": 0, "target": "absent"}
    kinds: list[Json] = [
        file_entry("fichier", TARGET, link="8:77"),
        link | {"link": "8:78"},
        {"name": "tube", "type": "fifo", "mode": 0o600, "mtime": MTIME, "ctime": 0, "link": "8:79"},
    ]
    other = file_entry("autre", WITNESS, link="8:77")  # of an earlier snapshot: the number has been given anew since
    many = [file_entry(f"{n:03}.txt", WITNESS) for n in range(600)]  # more than are given their names at once
    inner = tree_of(*kinds)
    bench.make(home(*kinds, *many, dir_entry("sous", inner), other, extra_trees=[inner]))
    ran = bench.run()
    assert ran.code == 0, ran.err
    for name in ("fichier", "lien", "tube"):
        first, second = (bench.home / name).lstat(), (bench.home / "sous" / name).lstat()
        assert (first.st_ino, first.st_nlink, first.st_mtime_ns) == (second.st_ino, 2, MTIME), name
    assert (bench.home / "lien").readlink() == Path("absent")
    assert (bench.home / "autre").read_bytes() == WITNESS


# -- rights --------------------------------------------------------------------------------------------------------


def test_a_folder_that_was_there_keeps_its_rights_and_its_owner(bench: Bench) -> None:
    bench.make(home(file_entry("temoin.txt", WITNESS)))
    bench.home.mkdir(parents=True)
    bench.home.chmod(0o700)
    before = bench.home.stat()
    assert bench.run().code == 0
    after = bench.home.stat()
    assert (stat.S_IMODE(after.st_mode), after.st_uid) == (0o700, before.st_uid)
    assert after.st_mtime_ns != MTIME


def test_what_a_folder_would_hand_down_is_taken_away_where_the_backup_has_none(bench: Bench) -> None:
    rows = ((1, 7, -1), (2, 7, 1234), (4, 7, -1), (16, 7, -1), (32, 7, -1))
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *row) for row in rows)
    inner = tree_of(file_entry("temoin.txt", WITNESS))
    bench.make(home(dir_entry("sous", inner), file_entry("temoin.txt", WITNESS), extra_trees=[inner]))
    bench.to.mkdir()
    try:
        os.setxattr(bench.to, "system.posix_acl_default", acl)
    except OSError:
        pytest.skip("this file system has no access control lists")
    assert bench.run().code == 0
    for name in ("home", "home/temoin.txt", "home/sous", "home/sous/temoin.txt"):
        assert [each for each in os.listxattr(bench.to / name) if "acl" in each] == [], name
    assert stat.S_IMODE((bench.home / "temoin.txt").stat().st_mode) == 0o640


def test_set_user_id_is_left_out_unless_the_owner_could_be_set(bench: Bench) -> None:
    bench.make(home(file_entry("prog", TARGET, mode=0o6755, uid=4321, gid=4321)))
    ran = bench.run()
    mode = stat.S_IMODE((bench.home / "prog").stat().st_mode)
    assert (oct(mode), ran.code) == (("0o6755", 0) if AS_ROOT else ("0o755", 3))


@pytest.mark.root
@needs_root
def test_owners_are_found_by_their_name_and_by_number_where_nobody_has_it(bench: Bench) -> None:
    users = {"users": {"1000": "daemon", "1001": "personne-ici"}, "groups": {"1000": "daemon"}}
    entries = [file_entry("a", TARGET), file_entry("b", TARGET, uid=1001), file_entry("c", TARGET, uid=1001)]
    bench.make(home(*entries, snapshot=users))
    ran = bench.run()
    assert ran.code == 0, ran.err
    assert [((bench.home / n).stat().st_uid, (bench.home / n).stat().st_gid) for n in "abc"] == [
        (1, 1),
        (1001, 1),
        (1001, 1),
    ]
    assert ran.err.count("personne-ici") == 1
    shutil.rmtree(bench.to)
    assert bench.run("--numeric-owner").code == 0
    assert (bench.home / "a").stat().st_uid == 1000


@pytest.fixture
def unflag(bench: Bench) -> Any:
    yield
    subprocess.run(["chattr", "-R", "-i", "-a", str(bench.top)], check=False, capture_output=True)


def test_inode_flags_are_left_to_the_person_and_told(bench: Bench) -> None:
    inner = tree_of(file_entry("dedans.txt", TARGET, flags=["append-only", "of-a-later-version"]))
    bench.make(home(dir_entry("fige", inner, flags=["immutable"]), extra_trees=[inner]))
    ran = bench.run()
    assert ran.code == 0, ran.err
    assert "'/home/fige': chattr: ['immutable']" in ran.err
    assert "'/home/fige/dedans.txt': chattr: ['append-only', 'of-a-later-version']" in ran.err
    assert (bench.home / "fige" / "dedans.txt").read_bytes() == TARGET


@pytest.mark.root
@needs_root
@pytest.mark.usefixtures("unflag")
def test_in_a_folder_where_nothing_can_be_renamed_nothing_is_written(bench: Bench) -> None:
    bench.make(home(file_entry("temoin.txt", WITNESS)))
    bench.home.mkdir(parents=True)
    if subprocess.run(["chattr", "+a", str(bench.home)], check=False, capture_output=True).returncode:
        pytest.skip("this file system has no inode flags")
    ran = bench.run()
    assert ran.code == 3
    assert "/home" in ran.err
    assert os.listdir(bench.home) == []


# -- salvage -------------------------------------------------------------------------------------------------------


def three_parts(**more: Any) -> tuple[Json, Pack]:
    """A file of three blobs, of which the second is damaged."""
    ids = [THIS.blob_id(DATA, part).hex() for part in (TARGET, OTHER, WITNESS)]
    size = len(TARGET) + len(OTHER) + len(WITNESS)
    entry = file_entry("cible.txt", TARGET) | {"blobs": ids, "size": size} | more
    return entry, Pack("target", [Segment(DATA, 1, [OTHER], packed=b"not zstd at all")])


def test_what_is_sound_of_a_damaged_file_comes_back_with_the_places_of_its_holes(bench: Bench) -> None:
    entry, pack = three_parts()
    bench.make(home(entry, file_entry("temoin.txt", WITNESS), pack=pack))
    ran = bench.run("--salvage")
    assert ran.code == 3
    assert sorted(os.listdir(bench.home)) == ["cible.txt.damaged", "temoin.txt"]
    assert (bench.home / "cible.txt.damaged").read_bytes() == TARGET + bytes(18) + WITNESS
    (listed,) = bench.to.glob("kinebackup-damaged-*.txt")
    assert listed.read_text() == "336 18 '/home/cible.txt'\n"
    assert (bench.home / "temoin.txt").read_bytes() == WITNESS


def test_no_name_of_a_damaged_file_of_several_names_is_taken_for_a_sound_one(bench: Bench) -> None:
    entry, pack = three_parts(link="8:77", inode=77)
    bench.make(home(entry, entry | {"name": "cible-2.txt"}, file_entry("temoin.txt", WITNESS), pack=pack))
    ran = bench.run("--salvage")
    assert ran.code == 3
    assert sorted(os.listdir(bench.home)) == ["cible-2.txt.damaged", "cible.txt.damaged", "temoin.txt"]
    (listed,) = bench.to.glob("kinebackup-damaged-*.txt")
    assert listed.read_text() == "336 18 '/home/cible.txt'\n336 18 '/home/cible-2.txt'\n"


def test_holes_of_a_damaged_sparse_file_are_where_its_extents_are(bench: Bench) -> None:
    entry, pack = three_parts(size=5000, extents=[[0, 340], [1000, 10], [4000, 33]])
    bench.make(home(entry, pack=pack))
    assert bench.run("--salvage").code == 3
    found = (bench.home / "cible.txt.damaged").read_bytes()
    assert found == TARGET + bytes(3668) + WITNESS + bytes(967)
    (listed,) = bench.to.glob("kinebackup-damaged-*.txt")
    assert [line.rsplit(" ", 1)[0] for line in listed.read_text().splitlines()] == ["336 4", "1000 10", "4000 4"]


def test_after_a_part_of_unknown_length_nothing_is_guessed(bench: Bench) -> None:
    entry, pack = three_parts()
    entry["blobs"][1] = "00" * 16  # the tables of no pack have it
    bench.make(home(entry, pack=pack))
    assert bench.run("--salvage").code == 3
    assert (bench.home / "cible.txt.damaged").read_bytes() == TARGET + bytes(18 + 29)


def test_a_list_that_is_lost_costs_what_it_lists(bench: Bench) -> None:
    ids = [THIS.blob_id(DATA, part) for part in (TARGET, WITNESS)]
    lists = [ids[0], ids[1]]
    entry = file_entry("cible.txt", TARGET) | {"blobs": [], "size": len(TARGET) + len(WITNESS)}
    entry["lists"] = [THIS.blob_id(LIST, blob).hex() for blob in lists]
    bench.make(home(entry, extra_lists=lists[:1]))
    assert bench.run("--salvage").code == 3
    assert (bench.home / "cible.txt.damaged").read_bytes() == TARGET + bytes(len(WITNESS))


def test_extents_may_stand_in_lists_of_their_own(bench: Bench) -> None:
    where = struct.pack("<4Q", 0, 100, 1000, 236)
    entry = file_entry("creux.img", TARGET) | {"size": 2000, "extent_lists": [THIS.blob_id(LIST, where).hex()]}
    bench.make(home(entry, extra_lists=[where]))
    ran = bench.run()
    assert ran.code == 0, ran.err
    assert (bench.home / "creux.img").read_bytes() == TARGET[:100] + bytes(900) + TARGET[100:] + bytes(764)


def lost_snapshots(bench: Bench, plan: Plan) -> None:
    bench.make(plan)
    for path in (bench.top / "drive" / "KINEBACKUP" / "snapshots").iterdir():
        path.unlink()


def test_a_lost_snapshot_is_salvaged_from_its_trees(bench: Bench) -> None:
    inner = tree_of(file_entry("dedans.txt", TARGET))
    lost_snapshots(bench, home(dir_entry("sous", inner), file_entry("temoin.txt", WITNESS), extra_trees=[inner]))
    assert bench.run().code == 10
    ran = bench.run("--salvage")
    assert ran.code == 3, ran.err
    (found,) = bench.to.iterdir()
    assert found.name.startswith("kinebackup-lost-")
    assert names_below(found) == ["home", "home/sous", "home/sous/dedans.txt", "home/temoin.txt"]
    assert stat.S_IMODE((found / "home").stat().st_mode) == 0o750


def test_a_lost_snapshot_may_be_asked_for_by_its_id(bench: Bench) -> None:
    path = bench.make(home(file_entry("temoin.txt", WITNESS)))
    (bench.top / "drive" / path).unlink()
    name = path.rpartition("/")[2]
    assert bench.run("--snapshot", name).code == 10
    assert not bench.to.exists()
    # Its only tree is that of the first snapshot too, which is there: nothing is an orphan.
    assert bench.run("--snapshot", name, "--salvage").code == 3
    assert names_below(bench.to) == []


def test_the_folders_of_a_damaged_list_come_back_without_their_name(bench: Bench) -> None:
    inner = tree_of(file_entry("dedans.txt", TARGET))
    gone = tree_of(dir_entry("sous", inner))
    bench.make(home(dir_entry("gone", gone), file_entry("temoin.txt", WITNESS), extra_trees=[inner]))
    ran = bench.run("--salvage")
    assert ran.code == 3
    (lost,) = bench.to.glob("kinebackup-lost-*")
    assert names_below(lost) == ["dedans.txt"]
    assert (bench.home / "temoin.txt").read_bytes() == WITNESS


# -- deep ----------------------------------------------------------------------------------------------------------


def test_folders_may_lie_eight_hundred_deep(bench: Bench) -> None:
    """One is gone through within the other: neither Python's stack nor the number of open files ends it."""
    trees = [tree_of(file_entry("fond.txt", TARGET))]
    while len(trees) < 800:
        trees.append(tree_of(dir_entry("d", trees[-1])))
    bench.make(home(dir_entry("d", trees[-1]), extra_trees=trees))
    ran = bench.run()
    assert ran.code == 0, ran.err
    assert bench.home.joinpath(*["d"] * 800, "fond.txt").read_bytes() == TARGET
    subprocess.run(["/bin/rm", "-r", str(bench.home / "d")], check=True)  # Python before 3.13 may not get so deep


# -- what a backup lacks -------------------------------------------------------------------------------------------


def test_what_the_backup_lacks_is_said(bench: Bench) -> None:
    problem = {"kind": "unreadable", "path": "/home/absent.txt", "message": "EIO"}
    note = {"kind": "skipped", "path": "/home/prise", "message": "a socket"}
    old = file_entry("vieux.txt", TARGET, carried=1)
    told = {"files_lost": 2, "problems": [problem, note]}
    bench.make(home(old, file_entry("temoin.txt", WITNESS), snapshot=told))
    ran = bench.run()
    assert ran.code == 3
    assert "'/home/absent.txt" in ran.err
    assert "'/home/vieux.txt': could not be read for this backup: it comes back as of 2026-01-05T18:00" in ran.err
    assert "prise" not in ran.err
    assert (bench.home / "vieux.txt").read_bytes() == TARGET


def test_what_was_not_asked_for_may_lack(bench: Bench) -> None:
    problem = {"kind": "unreadable", "path": "/home/absent.txt", "message": "EIO"}
    old = file_entry("vieux.txt", TARGET, carried=1)
    told = {"files_lost": 2, "problems": [problem]}
    bench.make(home(old, file_entry("temoin.txt", WITNESS), snapshot=told))
    assert bench.run("--path", "/home/temoin.txt").code == 0


# -- whatever the locale -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("locale", ["C", "POSIX", "fr_FR.ISO-8859-1", "C.UTF-8"])
def test_names_are_the_same_bytes_whatever_the_locale(bench: Bench, locale: str) -> None:
    link: Json = {
        "name": "lien",
        "type": "symlink",
        "mode": 0o777,
        "mtime": 0,
        "ctime": 0,
        "target": "B\u00e9n\u00e9dicte",
    }
    raw = {k: v for k, v in file_entry("x", WITNESS).items() if k != "name"}
    raw |= {"rawname": base64.b64encode(b"caf\xe9.txt").decode()}
    bench.make(home(file_entry("B\u00e9n\u00e9dicte.txt", TARGET), raw, link))
    loud = {"LANG": locale, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ran = bench.run("--path", "/home", program=(str(RECOVER),), **loud)
    assert ran.code == 0, ran.err
    names = ["B\u00e9n\u00e9dicte.txt".encode(), b"caf\xe9.txt", b"lien"]
    assert sorted(os.listdir(os.fsencode(bench.home))) == names
    assert os.readlink(os.fsencode(bench.home / "lien")) == "B\u00e9n\u00e9dicte".encode()
    by_path = bench.run("--path", "/home/B\u00e9n\u00e9dicte.txt", program=(str(RECOVER),), **loud)
    assert (by_path.code, "exists already" in by_path.err, "is not in" in by_path.err) == (3, True, False)
