"""recover.py against the vectors: the good repository, every bad case, and damage.

Owns: what a stranger with the drive, the passphrase or the code and recover.py gets. Does not know: the product. The
program runs as it will be run: as a process, in Python's isolated mode.
"""

import ast
import base64
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.project import ROOT

RECOVER = ROOT / "kinebackup" / "recover" / "recover.py"
VECTORS = ROOT / "tests" / "vectors"
CASES = sorted(path.stem for path in (VECTORS / "bad").glob("*.json"))
KEYS = json.loads((VECTORS / "keys.json").read_text())
EXPECTED = json.loads((VECTORS / "expected.json").read_text())
FIRST, SECOND = sorted(EXPECTED["snapshots"], key=lambda name: str(EXPECTED["snapshots"][name]["time"]))
# A computer without libzstd: a library of that name cannot be found, as one that is not there.
WITHOUT_LIBZSTD = """
import ctypes, runpy, sys
real = ctypes.CDLL
ctypes.CDLL = lambda name, **more: real(name and "libzstd-absente.so.1", **more)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Desk:
    """A drive that may be changed, a place to restore to, and the secrets in files."""

    drive: Path
    to: Path
    passphrase: Path
    code: Path

    def run(self, *options: str, secret: str = "--passphrase-file", program: list[str] | None = None) -> Ran:
        file = self.passphrase if secret == "--passphrase-file" else self.code
        words = [sys.executable, "-I", *(program or [str(RECOVER)]), str(self.drive), secret, str(file), *options]
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        done = subprocess.run(words, capture_output=True, env=environment, timeout=120, check=False)
        out, err = done.stdout.decode(), done.stderr.decode()
        assert "Traceback" not in err, err
        return Ran(done.returncode, out, err)

    def restore(self, *options: str, **more: Any) -> Ran:
        return self.run("--to", str(self.to), *options, **more)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    shutil.copytree(VECTORS / "good", tmp_path / "drive")
    made = Desk(tmp_path / "drive", tmp_path / "out" / "back", tmp_path / "passphrase", tmp_path / "code")
    made.passphrase.write_text(KEYS["passphrase"] + "\n", encoding="utf-8")
    made.code.write_text(KEYS["code"] + "\n", encoding="utf-8")
    return made


@dataclass(frozen=True, slots=True)
class Allowed:
    """What this computer and this file system let a test make."""

    devices: bool
    user_attributes: bool
    acls: bool

    @property
    def exit_code(self) -> int:
        return 0 if self.devices and self.user_attributes and self.acls else 3


@pytest.fixture
def allowed(tmp_path: Path) -> Allowed:
    def works(action: Any) -> bool:
        try:
            action()
        except OSError:
            return False
        return True

    probe = tmp_path / "probe"
    probe.touch()
    acl = base64.b64decode(entry_of("home/marie/Patients/acl.txt")["xattrs"]["system.posix_acl_access"])
    return Allowed(
        works(lambda: os.mknod(tmp_path / "device", 0o020600, os.makedev(1, 5))),
        works(lambda: os.setxattr(probe, "user.note", b"x")),
        works(lambda: os.setxattr(probe, "system.posix_acl_access", acl)),
    )


def entries() -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = EXPECTED["snapshots"][FIRST]["entries"]
    return listed


def entry_of(path: str) -> dict[str, Any]:
    return next(entry for entry in entries() if entry["path"] == path)


def found_below(top: Path) -> Iterator[bytes]:
    """Every path below ``top``, relative, as bytes."""
    for folder, folders, files in os.walk(os.fsencode(top)):
        for name in folders + files:
            yield os.path.relpath(os.path.join(folder, name), os.fsencode(top))


def content_sum(path: bytes, entry: dict[str, Any]) -> str:
    """The SHA-256 of what lies in a file's extents, and a check that nothing lies between them."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for offset, length in entry.get("extents", [[0, entry["size"]]]):
            file.seek(offset)
            digest.update(file.read(length))
    if "extents" in entry:
        assert os.stat(path).st_blocks * 512 < 65536, "a hole was written"
    return digest.hexdigest()


def check_entry(top: Path, entry: dict[str, Any], allowed: Allowed) -> None:
    path = os.path.join(os.fsencode(top), base64.b64decode(entry["rawpath"]))
    if entry["type"] in ("char", "block") and not allowed.devices:
        return
    found = os.lstat(path)
    kinds = {"file": stat.S_ISREG, "dir": stat.S_ISDIR, "symlink": stat.S_ISLNK, "fifo": stat.S_ISFIFO}
    kinds |= {"char": stat.S_ISCHR, "block": stat.S_ISBLK}
    assert kinds[entry["type"]](found.st_mode), entry["path"]
    assert found.st_mtime_ns == entry["mtime"], entry["path"]
    if entry["type"] != "symlink":
        owned = (found.st_uid, found.st_gid) == (entry["uid"], entry["gid"])
        mode = entry["mode"] if owned else entry["mode"] & ~(stat.S_ISUID | stat.S_ISGID)
        assert oct(stat.S_IMODE(found.st_mode)) == oct(mode), entry["path"]
    if os.geteuid() == 0:
        assert (found.st_uid, found.st_gid) == (entry["uid"], entry["gid"]), entry["path"]
    if entry["type"] == "file":
        assert found.st_size == entry["size"], entry["path"]
        if not found.st_mode & stat.S_IRUSR:
            os.chmod(path, stat.S_IRUSR)  # its own mode has been compared
        assert content_sum(path, entry) == entry["sha256"], entry["path"]
    if entry["type"] == "symlink":
        target = entry["target"].encode() if "target" in entry else base64.b64decode(entry["rawtarget"])
        assert os.readlink(path) == target
    if "device" in entry and entry["type"] != "fifo":
        assert [os.major(found.st_rdev), os.minor(found.st_rdev)] == entry["device"]
    for name, value in entry.get("xattrs", {}).items():
        if allowed.user_attributes if name.startswith("user.") else allowed.acls:
            assert os.getxattr(path, name) == base64.b64decode(value)


def check_all(top: Path, allowed: Allowed) -> None:
    for entry in entries():
        check_entry(top, entry, allowed)
    wanted = {base64.b64decode(entry["rawpath"]) for entry in entries()}
    assert set(found_below(top)) - wanted == set()
    groups: dict[str, set[int]] = {}
    for entry in entries():
        if "link" in entry:
            path = os.path.join(os.fsencode(top), base64.b64decode(entry["rawpath"]))
            groups.setdefault(entry["link"], set()).add(os.lstat(path).st_ino)
    assert [len(inodes) for inodes in groups.values()] == [1]


def test_a_passphrase_brings_back_everything(desk: Desk, allowed: Allowed) -> None:
    ran = desk.restore()
    assert ran.code == allowed.exit_code, ran.err
    check_all(desk.to, allowed)


def test_a_recovery_code_brings_back_everything(desk: Desk, allowed: Allowed) -> None:
    desk.code.write_text(KEYS["code"].lower().replace("-", " ") + "\r\n")
    ran = desk.restore(secret="--code-file")
    assert ran.code == allowed.exit_code, ran.err
    check_all(desk.to, allowed)


def test_what_is_missing_is_named_with_what_is_to_be_installed(desk: Desk) -> None:
    install = "apt install python3-cryptography libzstd1"
    without_packages = desk.run("--list", program=["-S", str(RECOVER)])
    assert (without_packages.code, install in without_packages.err) == (1, True), without_packages.err
    assert "No module named 'cryptography'" in without_packages.err
    without_library = desk.run("--list", program=["-c", WITHOUT_LIBZSTD, str(RECOVER)])
    assert (without_library.code, install in without_library.err) == (1, True), without_library.err
    assert "libzstd" in without_library.err.partition(":")[0]


def test_tables_of_packs_are_enough_without_any_index(desk: Desk, allowed: Allowed) -> None:
    shutil.rmtree(desk.drive / "KINEBACKUP" / "index")
    ran = desk.restore()
    assert ran.code == allowed.exit_code, ran.err
    check_all(desk.to, allowed)


def test_the_passphrase_may_be_decomposed_and_the_path_may_be_of_the_repository(desk: Desk) -> None:
    desk.passphrase.write_bytes(unicodedata.normalize("NFD", KEYS["passphrase"]).encode() + b"\r\nanother line\n")
    inside = Desk(desk.drive / "KINEBACKUP", desk.to, desk.passphrase, desk.code)
    assert inside.run("--list").code == 0


def test_the_list_names_both_snapshots_and_marks_the_suspicious_one(desk: Desk) -> None:
    ran = desk.run("--list")
    first, second = ran.out.splitlines()
    assert ran.code == 0
    assert first.split()[:3] == [FIRST[:16], "2026-01-05T18:00:00.000000Z", "'cabinet'"]
    assert "SUSPECT" not in first
    assert second.split()[:2] == [SECOND[:16], "2026-01-06T18:00:00.000000Z"]
    assert second.endswith("SUSPECT")
    assert not desk.to.exists()


def test_a_snapshot_can_be_chosen_by_the_beginning_of_its_id(desk: Desk) -> None:
    ran = desk.restore("--snapshot", SECOND[:6])
    assert ran.code == 3, ran.err
    held = [b"home/marie/ancien.txt", b"home/marie/plus-ancien.txt"]
    assert sorted(found_below(desk.to)) == [b"home", b"home/marie", *held]
    assert "'/home/marie/ancien.txt': could not be read for this backup: it comes back as of 2026-01-05" in ran.err
    assert "'/home/marie/plus-ancien.txt': could not be read for this backup" in ran.err


@pytest.mark.parametrize("snapshot", ["ffffffffffff", "", "../index"])
def test_an_unknown_snapshot_ends_with_10(desk: Desk, snapshot: str) -> None:
    assert desk.restore("--snapshot", snapshot).code == 10
    assert not desk.to.exists()


def test_a_folder_that_is_no_drive_ends_with_10(desk: Desk) -> None:
    shutil.rmtree(desk.drive / "KINEBACKUP")
    assert desk.restore().code == 10


def test_a_missing_passphrase_file_ends_with_1_and_no_traceback(desk: Desk) -> None:
    desk.passphrase.unlink()
    assert desk.restore().code == 1


def test_only_the_paths_asked_for_come_back_with_the_folders_above_them(desk: Desk) -> None:
    ran = desk.restore("--path", "/home/marie/verrou", "--path", "srv/compta.txt")
    assert ran.code == 0, ran.err
    wanted = [b"home", b"home/marie", b"home/marie/verrou", b"home/marie/verrou/dedans.txt", b"srv", b"srv/compta.txt"]
    assert sorted(found_below(desk.to)) == wanted
    assert stat.S_IMODE((desk.to / "home/marie/verrou").stat().st_mode) == 0o555


def test_a_path_that_the_snapshot_lacks_is_a_problem(desk: Desk) -> None:
    ran = desk.restore("--path", "/home/marie/verrou/../absent")
    assert ran.code == 3
    assert "/home/marie/absent" in ran.err


def test_a_file_that_exists_is_named_and_left_alone(desk: Desk) -> None:
    mine = desk.to / "home/marie/verrou/dedans.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    ran = desk.restore("--path", "/home/marie/verrou")
    assert ran.code == 3
    assert "dedans.txt" in ran.err
    assert mine.read_text() == "mine"


def test_a_symbolic_link_in_the_destination_is_not_followed(desk: Desk, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (desk.to / "home").mkdir(parents=True)
    (desk.to / "home" / "marie").symlink_to(elsewhere)
    ran = desk.restore()
    assert ran.code == 3
    assert "/home/marie" in ran.err
    assert list(elsewhere.iterdir()) == []


def test_a_blob_in_two_packs_is_taken_from_the_good_one(desk: Desk) -> None:
    for label in ("data", "again"):
        pack = desk.drive / EXPECTED["packs"][label]
        good = pack.read_bytes()
        pack.write_bytes(good[:60] + bytes([good[60] ^ 1]) + good[61:])  # in the first segment: the letter is there
        ran = desk.restore("--path", "/home/marie/Patients/lettre.txt")
        assert ran.code == 0, ran.err
        shutil.rmtree(desk.to)
        pack.write_bytes(good)


GOOD_FILES = sorted(
    str(path.relative_to(VECTORS / "good")) for path in (VECTORS / "good" / "KINEBACKUP").rglob("*") if path.is_file()
)


@pytest.mark.parametrize("damage", ["delete", "truncate", "flip", "zero", "swap"])
@pytest.mark.parametrize("file", GOOD_FILES)
def test_damage_never_gives_a_wrong_byte(desk: Desk, allowed: Allowed, file: str, damage: str) -> None:
    path = desk.drive / file
    raw = path.read_bytes()
    half = len(raw) // 2
    match damage:
        case "delete":
            path.unlink()
        case "truncate":
            path.write_bytes(raw[:half])
        case "flip":
            path.write_bytes(raw[:half] + bytes([raw[half] ^ 16]) + raw[half + 1 :])
        case "zero":
            path.write_bytes(raw[:half] + bytes(512) + raw[half + 512 :])
        case _:
            siblings = [f for f in GOOD_FILES if f.split("/")[1] == file.split("/")[1]]
            path.write_bytes((VECTORS / "good" / siblings[siblings.index(file) - 1]).read_bytes())
    ran = desk.restore("--snapshot", FIRST)
    assert ran.code in (0, 3, 10), ran.err
    present = set(found_below(desk.to))
    missing = [entry for entry in entries() if base64.b64decode(entry["rawpath"]) not in present]
    for entry in entries():
        if entry not in missing:
            check_entry(desk.to, entry, allowed)
    if ran.code == 0:
        assert missing == [] or not allowed.devices


def apply(case: dict[str, Any], drive: Path) -> None:
    shutil.rmtree(drive)
    shutil.copytree(VECTORS / case["base"], drive)
    for path in case["remove"]:
        (drive / path).unlink()
    for path, packed in case["write"].items():
        (drive / path).parent.mkdir(parents=True, exist_ok=True)
        (drive / path).write_bytes(zlib.decompress(base64.b64decode(packed)))


def restored(top: Path) -> dict[str, str]:
    """What is below ``top`` besides folders, as bad cases say it."""
    said = {}
    for raw in found_below(top):
        path = top / os.fsdecode(raw)
        if path.is_symlink():
            said[os.fsdecode(raw)] = f"symlink:{path.readlink()}"
        elif not path.is_dir():
            said[os.fsdecode(raw)] = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    return said


@pytest.mark.parametrize("name", CASES)
def test_a_bad_case_is_refused_and_all_else_comes_back(desk: Desk, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "out"
    case = json.loads((VECTORS / "bad" / f"{name}.json").read_text())
    apply(case, desk.drive)
    ((kind, text),) = case["secret"].items()
    (desk.passphrase if kind == "passphrase" else desk.code).write_text(text + "\n", encoding="utf-8")
    (outside / "dehors").mkdir(parents=True)
    given: list[str] = []
    if "header_from" in case:
        (desk.code.parent / "export").write_bytes(zlib.decompress(base64.b64decode(case["header_from"])))
        given = ["--header-from", str(desk.code.parent / "export")]
    ran = desk.restore(*given, secret=f"--{kind}-file")
    assert ran.code == case["exit"], ran.err
    assert restored(desk.to) == case["restored"]
    assert sorted(path.name for path in outside.iterdir()) in (["back", "dehors"], ["dehors"])
    assert list((outside / "dehors").iterdir()) == []
    assert not Path("/tmp/kinebackup-fuite.txt").exists()
    if case["layer"] in ("index", "snapshot", "tree") or name.startswith("frame-"):
        assert case["refused"].rsplit("/", 1)[-1] in ran.err


def test_there_is_a_bad_case_for_each_rule_of_section_13() -> None:
    names = " ".join(CASES)
    for part in (
        *("header-two-lines", "header-first-line", "header-version", "header-memory-hostile", "header-slot-id-twice"),
        *("header-mac-wrong", "header-commitment-wrong", "frame-short-pack", "frame-magic-index"),
        *(
            "frame-version-snapshot",
            "frame-type-pack",
            "frame-reserved-index",
            "record-index-bit",
            "zstd-no-size-table",
        ),
        *("zstd-trailing-segment", "zstd-bomb-segment", "zstd-bomb-index", "zstd-size-long-snapshot", "pack-trailer"),
        *("table-blob-count", "index-longer", "table-codec", "index-kind", "table-blob-beyond", "index-segment-late"),
        *("index-out-of-order", "index-blob-empty", "tree-not-json", "snapshot-not-json", "entry-type-unknown"),
        *(
            "entry-name-dot-dot",
            "entry-name-nul",
            "entry-name-traversal",
            "entry-name-empty",
            "secret-passphrase-wrong",
            "removal-type",
            "removal-renamed",
            "entry-carried-negative",
            "entry-extent-lists-odd",
            "entry-flags-string",
            "zstd-dictionary-segment",
            "zstd-skippable-first-index",
            "snapshot-byte-order-mark",
            "snapshot-sequence-exponent",
            "entry-mtime-missing",
            "entry-blob-capitals",
            "file-place-damaged-second",
        ),
    ):
        assert part in names


def test_recover_fits_in_400_lines_and_needs_nothing_but_cryptography() -> None:
    text = RECOVER.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    imported = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}
