"""The worked example of FORMAT.md §14 is true.

Owns: the recomputation of every value in it, from the primitives alone. Does not know: the product, nor the vectors.
"""

import hashlib
import re
import struct

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from support.project import ROOT


def example() -> dict[str, bytes]:
    """The ``name = hex`` lines of FORMAT.md §14; a line that is only hex goes on with the one before."""
    text = (ROOT / "docs" / "FORMAT.md").read_text(encoding="utf-8")
    section = text.split("## 14. Worked example")[1].split("## 15.")[0]
    values: dict[str, str] = {}
    name = ""
    for line in re.findall(r"```\n(.*?)```", section, re.DOTALL)[0].splitlines():
        if match := re.fullmatch(r"([a-z ]+?) += ([0-9a-f ]+)", line):
            name, digits = match[1], match[2]
            values[name] = digits
        elif line.strip():
            values[name] += line
    return {name: bytes.fromhex(digits) for name, digits in values.items()}


def hkdf(key: bytes, info: bytes, salt: bytes = b"") -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(key)


def test_the_worked_example_of_the_specification_is_true() -> None:
    said = example()
    sealing = hkdf(said["master key"], b"kinebackup v1 sealing")
    file_key = hkdf(sealing, b"kinebackup v1 file" + said["repository"] + b"P", said["salt"])
    ids = hkdf(said["master key"], b"kinebackup v1 blob id data")
    assert sealing == said["sealing key"]
    assert ids == said["data id key"]
    assert file_key == said["file key"]
    assert said["frame"] == b"KINEBKP" + b"P" + struct.pack("<II", 1, 0) + said["salt"]
    assert blake3(said["blob"], key=ids).digest(16) == said["blob id"]
    bound = b"kinebackup" + struct.pack("<I", 1) + said["repository"] + b"P"
    assert said["aad zero"] == bound + struct.pack("<QB", 0, 0)
    assert said["record zero"] == AESGCM(file_key).encrypt(said["nonce zero"], said["blob"], said["aad zero"])
    rows = struct.pack("<II", 1, 1) + struct.pack("<4I", len(said["record zero"]), len(said["blob"]), 0, 0)
    assert said["table"] == rows + said["blob id"] + struct.pack("<3I", 0, 0, len(said["blob"]))
    assert said["aad one"] == bound + struct.pack("<QB", 1, 1)
    assert said["nonce one"] == bytes(11) + b"\x01"
    sealed = AESGCM(file_key).encrypt(said["nonce one"], said["packed table"], said["aad one"])
    assert said["record one"] == sealed
    assert said["trailer"] == struct.pack("<II", len(sealed), 1)
    pack = said["frame"] + said["record zero"] + said["record one"] + said["trailer"]
    assert hashlib.sha256(pack).digest() == said["name"]
    assert said["packed table"][:4] == bytes.fromhex("28b52ffd")
