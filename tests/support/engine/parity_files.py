"""What the parity files of a drive say, compared with the files that they belong to.

Owns: the comparison, byte by byte. Does not know: when parity is to be there.
"""

from pathlib import Path

from support.engine.drives import Drive

from kinebackup.engine.format import parity
from kinebackup.engine.format.layout import INDEX, PACKS, REMOVALS, SNAPSHOTS, parity_path


def protected_files(drive: Drive) -> list[Path]:
    """Every file that is to have parity."""
    return [path for directory in (INDEX, SNAPSHOTS, REMOVALS, PACKS) for path in drive.files(directory)]


def parity_of(drive: Drive, file: Path) -> Path:
    return drive.root / parity_path(file.name)


def is_copied(drive: Drive, file: Path) -> bool:
    """Whether its parity file, which is there, holds all of it."""
    return parity.is_copy(parity_of(drive, file).read_bytes()) is True


def unprotected(drive: Drive) -> set[str]:
    """Files that have no parity file, or not the one that belongs to them; and parity files without a file."""
    there = {path.name.removesuffix(".xor"): path for path in drive.files("parity") if path.suffix == ".xor"}
    bad: set[str] = set()
    for path in protected_files(drive):
        found = there.pop(path.name, None)
        data = path.read_bytes()
        forms = [parity.encode(data, is_copy=True)]
        if path.parent.parent.name == PACKS:
            forms.append(parity.encode(data, is_copy=False))
        if found is None or found.read_bytes() not in forms:
            bad.add(str(path.relative_to(drive.root)))
    return bad | {str(path.relative_to(drive.root)) for path in there.values()}
