"""The files beside the repository that show people of later years how to read it without KineBackup.

Owns: which files these are, putting them on a drive, telling damage of them from another version's. Does not know: what
is in the repository.
"""

import contextlib
import hashlib
import os
import re
from importlib import resources
from typing import Final

from kinebackup.engine import FolderStore, Store, layout
from kinebackup.errors import Damaged, KineError, NotFound
from kinebackup.i18n import _
from kinebackup.model import Problem

SUMS: Final = layout.SUMS
_MAX_LIST_BYTES: Final = 2**16
_PIECE_BYTES: Final = 2**20
_SUM: Final = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9._/-]+)")


def write_drive_files(root: str) -> None:
    """Bring those of a KINEBACKUP directory up to date. Raises ``DriveFailed``.

    Anyone may read them, even somebody who has only found the drive.
    """
    with contextlib.closing(FolderStore(root)) as store:
        _write(store)


def drive_file_problems(store: Store) -> list[Problem]:
    """Those that are not what the list of their digests on the drive says, and that list where it is wrong itself.

    Another version writes other ones: so the list decides. It proves no good will, for who has the drive can write both
    (docs/THREATS.md).
    """
    expected = {name: hashlib.sha256(data).hexdigest() for name, data in _expected().items()}
    there = {name: _digest(store, name) for name in expected}
    listed = _listed(store)
    if listed is None:
        ours = [name for name in expected if name != SUMS and there[name] != expected[name]]
        return [_problem(store, name) for name in (SUMS, *ours)]
    wrong = [name for name, digest in listed.items() if _digest(store, name) != digest]
    damaged = [name for name in wrong if there.get(name) is None or there[name] != expected.get(name)]
    unlisted = any(there[name] is not None for name in expected.keys() - listed.keys() - {SUMS})
    if unlisted or len(damaged) < len(wrong):
        damaged.insert(0, SUMS)
    return [_problem(store, name) for name in damaged]


def _expected() -> dict[str, bytes]:
    """Each file as this version has it. The list of their digests comes last, as it is written last."""
    folder = resources.files("kinebackup.recover")
    files = {name: (folder / name).read_bytes() for name in layout.FOR_PEOPLE}
    files |= {name: (folder / name.rpartition("/")[2]).read_bytes() for name in layout.FOR_READERS}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    return files | {SUMS: sums.encode("ascii")}


def _listed(store: Store) -> dict[str, str] | None:
    """The digest of each file by its name, as ``sha256sum -c`` reads it; None where it is no such list."""
    try:
        data = store.read(SUMS, 0, min(_MAX_LIST_BYTES, store.size(SUMS)))
    except (NotFound, Damaged):
        return None
    lines = data.decode("ascii", "replace").split("\n")
    rows = [_SUM.fullmatch(line) for line in (lines if lines[-1] else lines[:-1])]
    found = {row[2]: row[1] for row in rows if row and not {"", ".", ".."}.intersection(row[2].split("/"))}
    return found if found and len(found) == len(rows) else None


def _problem(store: Store, name: str) -> Problem:
    try:
        store.size(name)
    except NotFound:
        return Problem("missing", name, _("it is not on the drive; the next backup writes it again"), healable=True)
    except KineError:
        pass
    return Problem(
        "damaged", name, _("its bytes are not those that were written; the next backup writes it again"), healable=True
    )


def _write(store: FolderStore) -> None:
    changed: set[str] = set()
    for name, data in _expected().items():
        if _beginning(store, name, len(data) + 1) == data:
            continue
        folder = name.rpartition("/")[0]
        if folder:
            store.make_directories([folder])
            with contextlib.suppress(OSError):
                os.chmod(os.path.join(store.root, folder), 0o755)  # noqa: S103 -- there is nothing secret in it
        pending = store.create()
        try:
            pending.write(data)
            pending.commit(name)
            with contextlib.suppress(OSError):  # file systems without permissions let everyone read
                os.chmod(os.path.join(store.root, name), 0o644)
        except BaseException:
            pending.abandon()
            raise
        changed.update((folder, ""))
    store.sync_directories(sorted(changed))


def _digest(store: Store, name: str) -> str | None:
    """From the drive itself; None where it is not there or cannot be read. A drive that answers no more raises."""
    digest, buffer, at = hashlib.sha256(), memoryview(bytearray(_PIECE_BYTES)), 0
    try:
        store.drop_cache(name)
        while read := store.read_into(name, at, buffer):
            digest.update(buffer[:read])
            at += read
    except (NotFound, Damaged):
        return None
    return digest.hexdigest()


def _beginning(store: Store, name: str, size: int) -> bytes | None:
    try:
        return store.read(name, 0, min(size, store.size(name)))
    except KineError:
        return None
