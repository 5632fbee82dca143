"""Where everything lies in a repository (FORMAT.md §2).

Owns: every path below the KINEBACKUP directory. Does not know: what is in the files, or whether they are there.

Paths are relative to that directory, with ``/``.
"""

from typing import Final

from kinebackup.model import REPOSITORY_FOLDER as FOLDER

__all__ = ["FOLDER"]

PACKS: Final = "packs"
INDEX: Final = "index"
SNAPSHOTS: Final = "snapshots"
REMOVALS: Final = "removals"
PARITY: Final = "parity"
PARITY_SUFFIX: Final = ".xor"
DAMAGED: Final = "damaged"
TMP: Final = "tmp"
DIRECTORIES: Final = (PACKS, INDEX, SNAPSHOTS, REMOVALS, PARITY, DAMAGED, TMP)
FIRST_HEADERS: Final = ("header", "header.1", "header.2")
SPREAD_HEADER: Final = "parity/header"
"""Written at another time than the first copies, so that it lies elsewhere: these are neighbours."""

HEADER_COPIES: Final = (*FIRST_HEADERS, SPREAD_HEADER)
LOCK: Final = "lock"
RESERVE: Final = "reserve"
FOR_PEOPLE: Final = ("LISEZMOI.txt", "README.txt", "recover.py", "FORMAT.md")
"""How to read the drive without this program; anyone may read these."""
FOR_READERS: Final = ("vectors/stages.json",)
"""Worked examples, for whoever writes another program that reads the drive."""
SUMS: Final = "SHA256SUMS"
"""The digests of all these, as ``sha256sum -c`` reads them."""

TOP: Final = ""
"""The KINEBACKUP directory itself."""


def is_file_name(name: str) -> bool:
    """Whether a name in packs, index, snapshots or removals is one of ours: 64 hexadecimal digits."""
    return len(name) == 64 and all(c in "0123456789abcdef" for c in name)


def pack_directory(name: str) -> str:
    """Packs are spread over 256 directories, by the first two digits of their names."""
    return f"{PACKS}/{name[:2]}"


def pack_path(name: str) -> str:
    return f"{PACKS}/{name[:2]}/{name}"


def index_path(name: str) -> str:
    return f"{INDEX}/{name}"


def snapshot_path(name: str) -> str:
    return f"{SNAPSHOTS}/{name}"


def removal_path(name: str) -> str:
    return f"{REMOVALS}/{name}"


def parity_directory(name: str) -> str:
    return f"{PARITY}/{name[:2]}"


def parity_path(name: str) -> str:
    """What heals the pack, index file, snapshot or removal record of that name."""
    return f"{PARITY}/{name[:2]}/{name}{PARITY_SUFFIX}"


def marker_path(name: str) -> str:
    """The empty file that says that the pack or snapshot of that name failed a check."""
    return f"{DAMAGED}/{name}"


def parity_marker_path(name: str) -> str:
    """The same of the parity file of the file of that name."""
    return f"{DAMAGED}/{name}{PARITY_SUFFIX}"
