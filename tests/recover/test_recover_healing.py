"""recover.py on a drive with parity files: one place of damage takes nothing, and what is healed is said.

Owns: a drive of every kind of file with the parity that the product's own form gives it (FORMAT.md §12), and damage of
each. Does not know: which program writes parity, and when.
"""

import hashlib
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.engine.drives import noise
from support.project import RECOVER
from vectors.vector_plans import (
    CODE,
    HEADER_NAMES,
    OTHER,
    PASSPHRASE,
    TARGET,
    WITNESS,
    Plan,
    build,
    file_entry,
    header_members,
    tree_of,
)
from vectors.vector_writer import (
    DATA,
    THIS,
    Frame,
    Json,
    Pack,
    Segment,
    compress,
    digest,
    dumps,
    header,
    one_record,
    put,
)

from kinebackup.engine.format.parity import columns_of, encode

MIB = 2**20
LARGE = [noise(f"large {n}", 3 * MIB + n) for n in range(3)]
SAID = "RÉPARÉ / HEALED: "
# Reads of that path that meet those bytes fail as those of a worn drive do.
UNREADABLE = """
import errno, os, runpy, sys
pread, (path, first, last) = os.pread, (sys.argv[1], *map(int, sys.argv[2:4]))
def failing(fd, size, at):
    if os.readlink(f"/proc/self/fd/{fd}") == path and at < last and at + size > first:
        raise OSError(errno.EIO, "Input/output error")
    return pread(fd, size, at)
os.pread, sys.argv = failing, sys.argv[4:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def parity_path(path: str) -> str:
    name = path.rpartition("/")[2]
    return f"KINEBACKUP/parity/{name[:2]}/{name}.xor"


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    err: str

    @property
    def healed(self) -> list[str]:
        return [line.removeprefix(SAID) for line in self.err.splitlines() if line.startswith(SAID)]


@dataclass(frozen=True, slots=True)
class Healing:
    """A drive with parity, and a place to restore to. ``kinds``: the path of one file of each kind."""

    top: Path
    kinds: dict[str, str]
    content: dict[str, bytes]

    @property
    def drive(self) -> Path:
        return self.top / "drive"

    def run(self, *options: str, secret: str = PASSPHRASE, program: tuple[str, ...] = ()) -> Ran:
        (self.top / "secret").write_text(secret + "\n", encoding="utf-8")
        option = "--passphrase-file" if secret == PASSPHRASE else "--code-file"
        words = [sys.executable, "-I", *program, str(RECOVER), str(self.drive), option, str(self.top / "secret")]
        done = subprocess.run(
            [*words, "--to", str(self.top / "back"), *options], capture_output=True, timeout=120, check=False
        )
        err = done.stderr.decode()
        assert "Traceback" not in err, err
        return Ran(done.returncode, err)

    def back(self) -> dict[str, bytes]:
        folder = self.top / "back" / "home"
        return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}

    def damage(self, path: str, at: int, new: bytes) -> None:
        with (self.drive / path).open("r+b") as file:
            file.seek(at)
            file.write(new)


def make(top: Path) -> Healing:
    large = Pack("large", [Segment(DATA, 0, [blob]) for blob in LARGE])
    small = Segment(DATA, 0, [TARGET, OTHER])
    content = {"temoin.txt": WITNESS, "cible.txt": TARGET, "grand.bin": b"".join(LARGE)}
    ids: Json = {"blobs": [THIS.blob_id(DATA, blob).hex() for blob in LARGE]}
    entries = [file_entry(name, raw) | (ids if name == "grand.bin" else {}) for name, raw in content.items()]
    plan = Plan(home=tree_of(*entries), pack=Pack(large.label, [*large.segments, small]))
    made = build(plan)
    removal = dumps({"time": "2026-01-07T18:00:00.000000Z", "removed": [{"id": "00" * 32, "sequence": 3}]})
    removed = put(made.files, "removals", one_record(Frame(b"R", digest("removal")), compress(removal)))
    listed = [path for path in made.files if path.startswith("KINEBACKUP/packs/")]
    (other,) = [path for path in listed if path != made.pack]
    kinds = {"data pack": made.pack, "pack of trees": other, "index": made.index, "snapshot": made.snapshot}
    for path, raw in list(made.files.items()):
        if "/header" not in path:
            made.files[parity_path(path)] = encode(raw, is_copy=path != made.pack)
    for path, raw in made.files.items():
        (top / "drive" / path).parent.mkdir(parents=True, exist_ok=True)
        (top / "drive" / path).write_bytes(raw)
    return Healing(top, kinds | {"removal record": removed, "parity": parity_path(made.pack)}, content)


@pytest.fixture
def bench(tmp_path: Path) -> Healing:
    return make(tmp_path)


KINDS = ("data pack", "pack of trees", "index", "snapshot", "removal record", "parity")
DAMAGES = ("flip", "zeros of 4 KiB", "zeros of 64 KiB", "zeros of 1 MiB", "delete", "truncate", "append", "unreadable")


@pytest.mark.parametrize("where", [0.0, 0.37, 0.74, 1.0])
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_comes_back_of_what_one_place_of_damage_took(
    bench: Healing, kind: str, damage: str, where: float
) -> None:
    path = bench.drive / bench.kinds[kind]
    raw = path.read_bytes()
    at = int((len(raw) - 1) * where)
    program: tuple[str, ...] = ()
    if damage == "flip":
        bench.damage(bench.kinds[kind], at, bytes([raw[at] ^ 1]))
    elif damage.startswith("zeros"):
        _, _, length, unit = damage.split()
        bench.damage(bench.kinds[kind], at, bytes(int(length) * (MIB if unit == "MiB" else 1024))[: len(raw) - at])
    elif damage == "delete":
        if kind == "data pack":
            pytest.skip("parity is no copy: a whole pack of data comes from the other drive")
        path.unlink()
    elif damage == "truncate":
        path.write_bytes(raw[: max(at, len(raw) - MIB)] if kind == "data pack" else raw[:at])
    elif damage == "append":
        path.write_bytes(raw + b"more")
    else:
        program = ("-c", UNREADABLE, str(path), str(at), str(at + MIB))
    ran = bench.run(program=program)
    assert ran.code == 0, ran.err
    assert bench.back() == bench.content
    assert set(ran.healed) <= {str(path.relative_to(bench.drive / "KINEBACKUP"))}
    if kind == "snapshot" or (kind == "index" and damage != "delete"):  # of the others not every byte is read
        assert len(ran.healed) == 1, ran.err


def test_what_was_not_damaged_is_not_said_to_be_healed(bench: Healing) -> None:
    ran = bench.run()
    assert (ran.code, ran.healed) == (0, [])


def test_a_pack_that_no_index_lists_is_healed_by_its_parity(bench: Healing) -> None:
    for path in (bench.drive / "KINEBACKUP" / "index").iterdir():
        path.unlink()
        (bench.drive / parity_path(str(path))).unlink()
    size = (bench.drive / bench.kinds["data pack"]).stat().st_size
    bench.damage(bench.kinds["data pack"], size - 5000, bytes(5000))
    (bench.drive / bench.kinds["pack of trees"]).write_bytes(b"")
    ran = bench.run()
    assert ran.code == 0, ran.err
    assert bench.back() == bench.content
    assert len(ran.healed) == 2


def test_damage_of_both_the_parity_and_another_place_is_healed(bench: Healing) -> None:
    dice = random.Random(3)
    pack = bench.kinds["data pack"]
    columns = columns_of((bench.drive / pack).stat().st_size, is_copy=False)
    bench.damage(pack, 40 * 4096, dice.randbytes(4096 * 9))
    bench.damage(parity_path(pack), (bench.drive / parity_path(pack)).stat().st_size - columns * 4096, bytes(4096 * 30))
    ran = bench.run()
    assert (ran.code, bench.back()) == (0, bench.content), ran.err


def lose_a_column(bench: Healing) -> None:
    """Two wrong blocks of one column, both in the middle of the second blob of the large file; others elsewhere."""
    pack = bench.kinds["data pack"]
    columns = columns_of((bench.drive / pack).stat().st_size, is_copy=False)
    first = (3 * MIB + 200_000) // 4096
    for block in (first, first + columns, 5, 2000):
        bench.damage(pack, block * 4096, bytes(4096))


def test_beyond_what_parity_can_do_the_rest_comes_back_and_what_is_lost_is_named(bench: Healing) -> None:
    lose_a_column(bench)
    ran = bench.run()
    assert ran.code == 3
    assert bench.back() == {name: raw for name, raw in bench.content.items() if name != "grand.bin"}
    assert "'/home/grand.bin'" in ran.err


def test_beyond_what_parity_can_do_salvage_has_all_that_is_in_other_columns(bench: Healing) -> None:
    lose_a_column(bench)
    ran = bench.run("--salvage")
    assert ran.code == 3
    assert bench.back()["grand.bin.damaged"] == LARGE[0] + bytes(len(LARGE[1])) + LARGE[2]
    assert len(ran.healed) == 1


def test_a_parity_file_that_is_wrong_never_makes_good_bytes_worse(bench: Healing) -> None:
    for path in sorted((bench.drive / "KINEBACKUP").rglob("*.xor")):
        path.write_bytes(encode(b"of another file" * 700, is_copy=True))
    ran = bench.run()
    assert (ran.code, ran.healed, bench.back()) == (0, [], bench.content)


def test_parity_with_impossible_numbers_is_refused_before_memory_is_taken(bench: Healing) -> None:
    snapshot = bench.kinds["snapshot"]
    bench.damage(snapshot, 60, b"wrong")
    for at, value in ((16, b"\xff" * 8), (16, bytes(8)), (24, b"\xff" * 4), (24, bytes(4)), (8, b"\2"), (28, b"\1")):
        good = (bench.drive / parity_path(snapshot)).read_bytes()
        bench.damage(parity_path(snapshot), at, value)
        ran = bench.run("--snapshot", snapshot.rpartition("/")[2])
        assert (ran.code, ran.healed) == (10, []), ran.err
        (bench.drive / parity_path(snapshot)).write_bytes(good)


def test_parity_of_a_snapshot_that_is_gone_is_shown_and_that_of_other_files_is_not(bench: Healing) -> None:
    for kind in ("snapshot", "index", "removal record", "pack of trees"):
        (bench.drive / bench.kinds[kind]).unlink()
    ran = bench.run()
    assert ran.code == 0, ran.err
    assert bench.back() == bench.content
    assert f"snapshots/{bench.kinds['snapshot'].rpartition('/')[2]}" in ran.healed


# -- headers -------------------------------------------------------------------------------------------------------


def export(*headers: bytes) -> bytes:
    """What ``key export`` writes of several drives."""
    text = b"kinebackup key export 1\n"
    for number, raw in enumerate(headers, 1):
        text += b"drive DISQUE%d, 2026-01-05\n" % number + raw
    text += b"recover.py %s\nFORMAT.md %s\n" % ((b"ab" * 32,) * 2)
    return text + b"sum " + hashlib.sha256(text).hexdigest().encode() + b"\n"


def own_header(*, kinds: tuple[str, ...] = ("recovery",), **more: str) -> bytes:
    members = header_members() | more
    members["slots"] = [slot for slot in members["slots"] if slot["kind"] in kinds]
    return header(members)


def lose_headers(bench: Healing) -> Path:
    for name in HEADER_NAMES:
        (bench.drive / "KINEBACKUP" / name).write_bytes(bytes(1188))
    return bench.top / "export.txt"


def test_a_drive_that_lost_every_header_opens_by_a_key_export(bench: Healing) -> None:
    file = lose_headers(bench)
    assert bench.run(secret=CODE).code == 1
    foreign = own_header(repository="ab" * 16)
    file.write_bytes(export(foreign, own_header(), foreign))
    ran = bench.run("--header-from", str(file), secret=CODE)
    assert (ran.code, ran.err.count("PROBL"), bench.back()) == (0, 0, bench.content), ran.err


def test_a_drive_without_any_header_opens_by_a_key_export_that_went_through_another_system(bench: Healing) -> None:
    file = lose_headers(bench)
    for name in HEADER_NAMES:
        (bench.drive / "KINEBACKUP" / name).unlink()
    assert bench.run(secret=CODE).code == 10
    file.write_bytes(b"\xef\xbb\xbf" + export(own_header()).replace(b"\n", b"\r\n"))
    ran = bench.run("--header-from", str(file), secret=CODE)
    assert (ran.code, bench.back()) == (0, bench.content), ran.err
    assert "export" not in ran.err


def test_a_key_export_that_was_changed_is_said_to_be(bench: Healing) -> None:
    file = lose_headers(bench)
    raw = export(own_header())
    wrapped = re.search(rb'"wrapped":"(.)', raw)
    assert wrapped
    flipped = raw[: wrapped.start(1)] + (b"0" if wrapped[1] != b"0" else b"1") + raw[wrapped.end(1) :]
    file.write_bytes(flipped)
    ran = bench.run("--header-from", str(file), secret=CODE)
    assert (ran.code, "key export is altered" in ran.err) == (12, True)
    file.write_bytes(raw.replace(b"DISQUE1", b"DISQUE2"))
    ran = bench.run("--header-from", str(file), secret=CODE)
    assert (ran.code, "key export is altered" in ran.err, bench.back()) == (0, True, bench.content)


def test_a_file_that_holds_nothing_but_a_header_is_taken_as_well(bench: Healing) -> None:
    file = lose_headers(bench)
    file.write_bytes(own_header(kinds=("passphrase",)))
    ran = bench.run("--header-from", str(file))
    assert (ran.code, "altered" in ran.err, bench.back()) == (0, False, bench.content), ran.err


@pytest.mark.parametrize("kept", HEADER_NAMES)
def test_any_one_copy_of_the_header_opens_the_drive(bench: Healing, kept: str) -> None:
    raw = (bench.drive / "KINEBACKUP" / kept).read_bytes()
    lose_headers(bench)
    (bench.drive / "KINEBACKUP" / kept).write_bytes(raw)
    ran = bench.run()
    assert (ran.code, bench.back()) == (0, bench.content), ran.err


def test_headers_of_another_drive_do_not_lock_the_right_one_out(bench: Healing) -> None:
    for name in HEADER_NAMES[:3]:
        (bench.drive / "KINEBACKUP" / name).write_bytes(own_header(kinds=("passphrase",), repository="ab" * 16))
    ran = bench.run()
    assert (ran.code, bench.back()) == (0, bench.content), ran.err


def test_a_bit_of_no_importance_in_all_headers_does_not_lock_out(bench: Healing) -> None:
    for name in HEADER_NAMES:
        raw = (bench.drive / "KINEBACKUP" / name).read_bytes()
        (bench.drive / "KINEBACKUP" / name).write_bytes(raw.replace(b'"created":"2026', b'"created":"\xb226', 1))
    ran = bench.run()
    assert (ran.code, "is altered" in ran.err, bench.back()) == (0, True, bench.content), ran.err
