"""Where the content of a file is cut into blobs (FORMAT.md §6 leaves that to the writer).

Owns: sizes, and which files are cut how. Does not know: what becomes of the pieces.

General files are cut where their content says (FastCDC), so that an insertion moves no other cut. Databases and disk
images change in place, page by page: they are cut at fixed and far shorter distances, so that one changed row costs one
small piece (docs/decisions/0004-chunking.md has the measurements).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from pyfastcdc import FastCDC

from kinebackup.engine.source import SQLITE_MAGIC

AVERAGE_BYTES = 512 * 2**10
MIN_BYTES = 128 * 2**10
MAX_BYTES = 2 * 2**20
WINDOW_BYTES = 4 * 2**20  # room for at least one longest piece after any cut

_MAGICS = (
    SQLITE_MAGIC,
    b"\x00\x01\x00\x00Standard ACE DB",  # Access 2007+
    b"\x00\x01\x00\x00Standard Jet DB",  # Access
    b"QFI\xfb",  # qcow2
    b"KDMV",  # VMware
    b"<<< Oracle VM VirtualBox",
)
_SUFFIXES = (
    ".fdb",
    ".gdb",
    ".ibd",
    ".mdf",
    ".dbf",
    ".img",
    ".raw",
    ".vdi",
    ".vhd",
    ".vhdx",
    ".hfsql",
    ".fic",
    ".mmo",
    ".ndx",
)
# Larger files get larger pieces, so that the lists of pieces stay small beside the file.
_PAGE_SIZES = ((2 * 2**30, 8 * 2**10), (16 * 2**30, 32 * 2**10), (2**63, 128 * 2**10))


@dataclass(frozen=True, slots=True)
class Pages:
    """Cut every ``size_bytes``."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class ContentDefined:
    """Cut where the content says; the seed keeps the cuts, and so the sizes, from being guessed."""

    seed: int


Cutting = Pages | ContentDefined


def cutting_for(name: str, head: bytes, size_bytes: int, seed: bytes) -> Cutting:
    """How to cut a file of that name, first bytes and size; ``seed`` is the repository's chunker seed."""
    if head.startswith(_MAGICS) or name.lower().endswith(_SUFFIXES):
        return Pages(next(page for limit, page in _PAGE_SIZES if size_bytes <= limit))
    return ContentDefined(int.from_bytes(seed[:4], "little"))


class Cutter:
    """Cuts one buffer after another of the same file."""

    def __init__(self, cutting: Cutting) -> None:
        self._page = cutting.size_bytes if isinstance(cutting, Pages) else 0
        if isinstance(cutting, ContentDefined):
            self._cdc = FastCDC(AVERAGE_BYTES, min_size=MIN_BYTES, max_size=MAX_BYTES, seed=cutting.seed)

    def cut(self, view: memoryview, *, last: bool) -> Iterator[tuple[int, int]]:
        """(start, end) of each piece that is certain; without ``last``, the rest belongs at the front of the next
        buffer.
        """
        if self._page:
            whole = len(view) if last else len(view) - len(view) % self._page
            yield from pairwise([*range(0, whole, self._page), whole] if whole else [])
            return
        pieces = [(chunk.offset, chunk.offset + chunk.length) for chunk in self._cdc.cut_buf(view)]
        # The end of the buffer ends the last piece, unless the file ends there too.
        yield from pieces if last else pieces[:-1]
