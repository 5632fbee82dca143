"""What the engine's parts cost on this machine: the figures that the design and the decisions quote.

Owns: small loops over single parts. Does not know: whole backups (compare.py).

    .venv/bin/python -m benchmarks.parts
"""

import os
import time
import tracemalloc
from collections.abc import Callable

from bitarray import bitarray
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kinebackup.engine.format import compression, index, parity, tree
from kinebackup.engine.format.constants import Codec, Kind
from kinebackup.engine.format.key_schedule import MasterKey, RepositoryKeys
from kinebackup.engine.format.pack import Pack, Segment
from kinebackup.engine.format.tree import Entry
from kinebackup.model import FileName

MIB = 2**20
LETTER = ("Bilan du patient : épaule droite, mobilité en progrès. " * 12).encode()[:500]


def seconds(work: Callable[[], object], *, runs: int) -> float:
    work()
    began = time.process_time()  # of this process alone: what else the machine does is not counted
    for _ in range(runs):
        work()
    return (time.process_time() - began) / runs


def an_index(blobs: int) -> bytes:
    ids = os.urandom(16 * blobs)
    places = b"".join(
        ids[16 * n : 16 * n + 16] + bytes(4) + (n % 1000).to_bytes(4, "little") + b"\1\0\0\0" for n in range(blobs)
    )
    segment = Segment(0, 48, 1016, 1001, Codec.ZSTD, Kind.DATA)
    return index.encode([Pack(FileName("ab" * 32), 10_000, bytes(32), (segment,), places)])


def entries() -> list[Entry]:
    return [
        Entry(name=f"séance-{n}.txt", type="file", mode=0o644, mtime=n, ctime=n, size=500, blobs=[os.urandom(16).hex()])
        for n in range(100)
    ]


def decode_all(directories: list[bytes]) -> None:
    for plain in directories:
        tree.decode(plain)


def held_bytes(work: Callable[[], object]) -> int:
    """How much memory it takes at most, its result included."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def main() -> None:
    keys = RepositoryKeys.derive(MasterKey(bytes(32)), bytes(16))
    noise = os.urandom(MIB)
    text = LETTER * (MIB // len(LETTER))
    compressor = compression.Compressor()
    cipher, room = AESGCM(bytes(32)), bytearray(MIB + 16)
    packed = compression.compress(text)
    directories = tree.encode(entries()) * 3000
    number = int.from_bytes(noise, "little")
    copied = parity.encode(os.urandom(16 * MIB), is_copy=True)
    pack, row = os.urandom(16 * MIB), bitarray(buffer=bytearray(MIB))
    rows = [
        ("zstd, a letter of 500 bytes", f"{seconds(lambda: compressor.compress(LETTER), runs=5000) * 1e6:.1f} µs"),
        ("BLAKE3 keyed", f"{MIB / seconds(lambda: keys.blob_id(Kind.DATA, noise), runs=500) / 1e9:.1f} GB/s"),
        (
            "AES-256-GCM into a buffer used again",
            f"{MIB / seconds(lambda: cipher.encrypt_into(bytes(12), noise, b'', room), runs=500) / 1e9:.1f} GB/s",
        ),
        (
            "zstd back, a segment of 1 MiB of text",
            f"{seconds(lambda: compression.decompress(packed), runs=200) * 1e3:.2f} ms",
        ),
        ("parity of a pack of 16 MiB", f"{seconds(lambda: parity.encode(pack, is_copy=False), runs=20) * 1e3:.1f} ms"),
        (
            "… of which checksums of its blocks",
            f"{seconds(lambda: parity.checksums(pack), runs=20) * 1e3:.1f} ms",
        ),
        (
            "a copy of a pack of 16 MiB, to be checked",
            f"{(len(copied) + held_bytes(lambda: parity.decode(copied))) / 1e6:.0f} MB",
        ),
        (
            "exclusive or of 1 MiB, bitarray",
            f"{seconds(lambda: row.__ixor__(bitarray(buffer=noise)), runs=200) * 1e3:.2f} ms",
        ),
        (
            "… as integers of Python",
            f"{seconds(lambda: number ^ int.from_bytes(noise, 'little'), runs=200) * 1e3:.2f} ms",
        ),
        ("decode 300,000 entries", f"{seconds(lambda: decode_all(directories), runs=3):.2f} s"),
    ]
    plain = an_index(200_000)
    tracemalloc.start()
    table = index.IndexTable(plain)
    held = len(plain) + tracemalloc.get_traced_memory()[0]
    rows.append(("index in memory", f"{held / table.count:.0f} bytes for each blob"))
    tracemalloc.stop()
    for name, figure in rows:
        print(f"{name:<42} {figure}")


if __name__ == "__main__":
    main()
