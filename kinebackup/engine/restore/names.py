"""Names that a restore gives besides those of the snapshot.

Owns: temporary names, and what a file is called where its own name cannot be had; a set of very many names. Does not
know: directories.
"""

import errno
import hashlib
import os
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from itertools import count
from typing import Final

TEMPORARY_PREFIX: Final = ".kinebackup-part-"

_REFUSED: Final = frozenset({errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG, errno.ENOENT})  # the last: exFAT by FUSE
_LEFTOVER: Final = re.compile(re.escape(TEMPORARY_PREFIX) + r"(?:(?P<pid>[0-9a-f]+)-[0-9a-f]{8,16}|[0-9a-f]{16})\Z")
_FORBIDDEN: Final = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\ufffd]')  # on FAT, exFAT and NTFS
_SUBSTITUTE: Final = re.compile(r" \([0-9a-f]{8}\)(?:\.[^.]+)?\Z")
_LONGEST_BYTES: Final = 120  # an encrypted home folder takes names of 143
_LONGEST_SUFFIX: Final = 12
_numbers: Final = count(1)


def temporary_name(pid: int) -> str:
    """What a file is called until it is whole; no two are called the same, in that process or in another."""
    return f"{TEMPORARY_PREFIX}{pid:x}-{next(_numbers):08x}"


def leftover_of(name: str) -> int | None:
    """The process that gave a temporary name, 0 where it does not say; None for any other name."""
    found = _LEFTOVER.match(name)
    return int(found["pid"] or "0", 16) if found else None


def refuses_name(error: OSError) -> bool:
    """Whether the file system cannot hold a name, whatever lies there."""
    return error.errno in _REFUSED


def substitute_name(name: str) -> str:
    """Another name for a file, that every file system can hold: always the same, and for no other file."""
    raw = os.fsencode(name)
    mark = f" ({hashlib.sha256(raw).hexdigest()[:8]})"
    stem, suffix = os.path.splitext(_FORBIDDEN.sub("_", raw.decode("utf-8", "replace")))
    if len(suffix) > _LONGEST_SUFFIX or suffix == ".":
        stem, suffix = stem + suffix, ""
    short = stem.encode("utf-8")[:_LONGEST_BYTES].decode("utf-8", "ignore")
    return f"{short.rstrip(' .')}{mark}{suffix.rstrip(' .')}"


def is_substitute(name: str) -> bool:
    """Whether a name looks like one that ``substitute_name`` gave."""
    return _SUBSTITUTE.search(name) is not None


class NameSet:
    """Names, of which there may be a million, in eight bytes each: a name that is not in it may pass for one that is,
    by a chance of one in 10^13.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._hashes = array("q", sorted(map(hash, names)))

    def __contains__(self, name: object) -> bool:
        at = bisect_left(self._hashes, hash(name))
        return at < len(self._hashes) and self._hashes[at] == hash(name)
