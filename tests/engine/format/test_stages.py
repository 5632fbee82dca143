"""The worked examples that lie on every drive are what the product computes, stage by stage.

Owns: each value of ``stages.json`` against the product's own functions. Does not know: how the file was made.
"""

import contextlib
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.ports import Stopwatch
from support.project import PACKAGE, RECOVER, VECTORS

from kinebackup.engine.format import compression, header, keyring, recovery_code, removal, snapshot, tree
from kinebackup.engine.format.constants import INDEX, PACK, REMOVAL, SNAPSHOT, FileType, Kind
from kinebackup.engine.format.index import IndexTable
from kinebackup.engine.format.key_schedule import MasterKey, RepositoryKeys, commitment, hkdf
from kinebackup.engine.format.keyring import MachineKey, Passphrase, RecoveryCode, Secret
from kinebackup.engine.format.pack import open_segment, parse_table
from kinebackup.engine.format.parity import Encoder, encode
from kinebackup.engine.format.seal import RecordOpener
from kinebackup.engine.repository.repository import Repository
from kinebackup.engine.repository.store import FolderStore
from kinebackup.engine.restore.restore import RestoreRequest, restore_snapshot
from kinebackup.model import CancelToken, FileName, SilentMonitor

SAID: dict[str, Any] = json.loads((VECTORS / "stages.json").read_text(encoding="utf-8"))
FILES = {path: bytes.fromhex(text) for path, text in SAID["files"].items()}
MASTER = MasterKey(bytes.fromhex(SAID["keys"]["M"]))
KEYS = RepositoryKeys.derive(MASTER, bytes.fromhex(SAID["keys"]["R"]))
BLOCK = 4096


def file_of(name: str) -> bytes:
    return next(raw for path, raw in FILES.items() if path.endswith(name))


def test_the_file_is_small_and_the_one_that_is_put_on_drives() -> None:
    raw = (VECTORS / "stages.json").read_bytes()
    assert len(raw) < 64 * 1024
    assert (PACKAGE / "recover" / "stages.json").read_bytes() == raw


@pytest.mark.parametrize(
    ("stage", "secret"),
    [
        ("passphrase slot", Passphrase.of(SAID["passphrase slot"]["passphrase_text"])),
        ("recovery slot", RecoveryCode.of(SAID["recovery slot"]["code_text"])),
        ("machine slot", MachineKey(bytes.fromhex(SAID["machine slot"]["machine_key"]))),
    ],
)
def test_each_slot_opens_to_the_master_key(stage: str, secret: Secret) -> None:
    ring = header.decode(file_of("/header")).keyring
    master, slot = keyring.unlock(ring, secret)
    said = SAID[stage]
    assert master == MASTER
    assert (slot.id, slot.kind, slot.salt, slot.wrapped) == (
        said["id"],
        said["kind_text"],
        said["salt"],
        said["wrapped"],
    )
    if "info_text" in said:
        assert hkdf(secret.reveal(), said["info_text"].encode(), bytes.fromhex(said["salt"])).hex() == said["K"]


def test_the_symbols_of_the_code_are_those_that_count() -> None:
    said = SAID["recovery slot"]
    assert recovery_code.decode(said["code_text"]).decode() == said["symbols_text"]
    assert (
        Passphrase.of(SAID["passphrase slot"]["passphrase_text"]).reveal().hex()
        == SAID["passphrase slot"]["passphrase"]
    )


def test_every_key_is_derived_as_it_says() -> None:
    for label, key in SAID["keys"]["sub_keys"].items():
        assert hkdf(MASTER.reveal(), label.encode()).hex() == key
    assert commitment(MASTER, bytes.fromhex(SAID["keys"]["practice"])).hex() == SAID["keys"]["commitment"]


def test_the_header_is_the_signed_lines_and_their_mac() -> None:
    raw = file_of("/header")
    assert raw == f"{SAID['header']['signed_text']}mac {SAID['header']['mac']}\n".encode()
    assert header.authenticate(raw, header.decode(raw), MASTER).header_mac.hex() == SAID["header"]["key"]


@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        *((f"data blobs {number}", Kind.DATA) for number in (0, 1)),
        ("list blob", Kind.LIST),
        ("list blob of extents", Kind.LIST),
        ("tree blob", Kind.TREE),
    ],
)
def test_each_blob_has_its_id(stage: str, kind: Kind) -> None:
    name, _space, number = stage.rpartition(" ")
    said = SAID[name][int(number)] if number.isdigit() else SAID[stage]
    assert KEYS.id_key(kind).hex() == said["key"]
    assert KEYS.blob_id(kind, bytes.fromhex(said["plain"])).hex() == said["id"]


def test_a_tree_and_lists_say_what_they_should() -> None:
    entries, refused = tree.decode(bytes.fromhex(SAID["tree blob"]["plain"]))
    assert ([entry.path_name for entry in entries], refused) == (["caf\udce9.txt", "lettre.txt", "trous.img"], 0)
    assert {entry.inode for entry in entries} == {2**64 - 1}
    assert tree.decode_ids(bytes.fromhex(SAID["list blob"]["plain"])) == [blob["id"] for blob in SAID["data blobs"]]
    assert tree.decode_extents(bytes.fromhex(SAID["list blob of extents"]["plain"])) == [(0, 300), (4096, 45)]


@pytest.mark.parametrize(
    ("stage", "kind"), [("index", INDEX), ("snapshot", SNAPSHOT), ("removal record", REMOVAL)], ids=str
)
def test_each_file_of_one_record_is_opened_step_by_step(stage: str, kind: FileType) -> None:
    said, record = SAID[stage], SAID[stage]["record"]
    raw, salt = file_of(said["name"]), bytes.fromhex(said["salt"])
    assert hashlib.sha256(raw).hexdigest() == said["name"]
    assert raw.hex() == said["frame"] + record["sealed"]
    assert KEYS.file_key(salt, kind).hex() == said["file_key"]
    packed = RecordOpener(KEYS, kind, salt).open(0, bytes.fromhex(record["sealed"]), final=True)
    assert packed.hex() == record["packed"]
    assert compression.decompress(packed).hex() == said["plain"]


def test_what_the_files_of_one_record_hold_is_decoded() -> None:
    made = snapshot.unseal(file_of(SAID["snapshot"]["name"]), KEYS)
    assert (made.sequence, made.root, made.counts.files) == (1, (SAID["tree blob"]["id"],), 3)
    assert removal.unseal(file_of(SAID["removal record"]["name"]), KEYS).removed[0].sequence == 0
    table = IndexTable(bytes.fromhex(SAID["index"]["plain"]))
    assert [listed.name for listed in table.packs] == [SAID["pack"]["name"]]


def test_the_pack_is_opened_segment_by_segment() -> None:
    said = SAID["pack"]
    raw = file_of(said["name"])
    records = [*said["segments"], said["table_record"]]
    assert raw.hex() == said["frame"] + "".join(record["sealed"] for record in records) + said["trailer"]
    pack = parse_table(lambda at, size: raw[at : at + size], len(raw), KEYS, FileName(said["name"]))
    opener = RecordOpener(KEYS, PACK, pack.salt)
    plain = [
        open_segment(opener, segment, bytes.fromhex(record["sealed"]))
        for segment, record in zip(pack.segments, said["segments"], strict=True)
    ]
    blobs = [*SAID["data blobs"], SAID["list blob"], SAID["list blob of extents"], SAID["tree blob"]]
    found = [plain[place.segment][place.offset : place.offset + place.size].hex() for place in pack.places()]
    assert found == [blob["plain"] for blob in blobs]


def check_parity(said: dict[str, Any], raw: bytes) -> None:
    blocks_at = len(raw) - said["columns"] * BLOCK
    assert raw[:blocks_at].hex() == said["before_the_blocks"]
    blocks = [raw[at : at + BLOCK] for at in range(blocks_at, len(raw), BLOCK)]
    assert [hashlib.sha256(block).hexdigest() for block in blocks] == said["sha256_of_each_parity_block"]
    assert hashlib.sha256(raw).hexdigest() == said["sha256"]


def test_the_parity_is_what_is_computed() -> None:
    check_parity(SAID["parity of the pack as a copy"], encode(file_of(SAID["pack"]["name"]), is_copy=True))
    said = next(value for name, value in SAID.items() if name.endswith("in 3 columns"))
    data = b"Bonjour Marie.\n" * 2000
    encoder = Encoder(len(data), 3)
    encoder.update(data)
    assert said["size"] == len(data)
    check_parity(said, encoder.finish())


def check_restored(folder: Path) -> None:
    for name, digest in SAID["restored"].items():
        raw = bytes.fromhex(name.removeprefix("rawname ")) if name.startswith("rawname ") else name.encode()
        assert hashlib.sha256(Path(os_path(folder, raw)).read_bytes()).hexdigest() == digest


def os_path(folder: Path, name: bytes) -> str:
    return str(folder) + "/" + name.decode("utf-8", "surrogateescape")


def unpacked(folder: Path) -> Path:
    for path, raw in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(raw)
    return folder


def test_the_drive_of_the_example_is_restored_by_the_product(tmp_path: Path) -> None:
    drive = unpacked(tmp_path / "drive")
    with contextlib.closing(FolderStore(str(drive / "KINEBACKUP"))) as store:
        repository = Repository.open(store, RecoveryCode.of(SAID["recovery slot"]["code_text"])).load()
        request = RestoreRequest(repository.find_snapshot("latest"), wanted=(), destination=str(tmp_path / "back"))
        report = restore_snapshot(repository, request, Stopwatch(), cancel=CancelToken(), monitor=SilentMonitor())
    assert report.problems == ()
    check_restored(tmp_path / "back")


def test_the_drive_of_the_example_is_restored_by_recover_py(tmp_path: Path) -> None:
    drive, code = unpacked(tmp_path / "drive"), tmp_path / "code"
    code.write_text(SAID["recovery slot"]["code_text"])
    words = [sys.executable, "-I", str(RECOVER), str(drive), "--code-file", str(code), "--to", str(tmp_path / "back")]
    done = subprocess.run(words, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    check_restored(tmp_path / "back")
