"""Writing the header of a drive anew, where none of its copies can be used any more.

Owns: the proof that the drive is the one that this computer remembers. Does not know: how a header is written.

Without a header neither a passphrase nor a recovery code opens the backups; but a computer that backed up to the drive
remembers its repository's id and holds the key ring. What these make is right if packs of the drive authenticate with
it, for nobody else could have sealed them.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from kinebackup.engine import LockedRepository, LockedStore, format_time, layout, lock_store, read_pack_table
from kinebackup.errors import CheckFailed, Damaged, NotFound, WrongKey
from kinebackup.i18n import _
from kinebackup.jobs.backup import check_target, record_of
from kinebackup.practice.access import find_drive, lock_holder
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.drive_files import write_drive_files
from kinebackup.practice.world import World
from kinebackup.state.records import Drive


@dataclass(frozen=True, slots=True)
class Repaired:
    """``written``: the copies of the header that were written anew; none where all were sound."""

    label: str
    folder: str
    written: tuple[str, ...]
    snapshots: int


def repair(label: str, computer: ComputerKeys, world: World, *, sources: Sequence[str]) -> Repaired:
    """Give the drive of that label its header back.

    Raises ``CheckFailed`` where nothing on the drive proves that it is the one remembered, ``NotFound``, ``Locked``,
    ``TargetRefused``, ``WrongKey`` or ``DriveFailed``.
    """
    drive = find_drive(label, computer, world)
    record = record_of(drive)
    check_target(drive, sources, world)
    with lock_store(drive.root, lock_holder(world, "repair")) as locked:
        repository = _opened(locked, computer, record)
        if repository is not None:
            written = repository.heal_header()
        else:
            repository = _proven(locked, computer, record, world)
            repository.write_header()
            written = layout.HEADER_COPIES
        snapshots = len(repository.list_names(layout.SNAPSHOTS))
        computer.state.update_drive(replace(record, header_generation=repository.header.generation), lasting=False)
    write_drive_files(drive.root)
    return Repaired(record.label, drive.folder, written, snapshots)


def _opened(locked: LockedStore, computer: ComputerKeys, record: Drive) -> LockedRepository | None:
    """The repository by a copy of its own header, if there is one left."""
    with suppress(Damaged, WrongKey, NotFound):
        found = locked.open(computer.master())
        if found.id == record.repository:
            return found
    return None


def _proven(locked: LockedStore, computer: ComputerKeys, record: Drive, world: World) -> LockedRepository:
    """The repository as this computer remembers it, once a pack has shown that its keys are those of the drive."""
    repository = locked.assume(
        master=computer.master(),
        keyring=computer.keyring,
        repository=record.repository,
        created=format_time(world.now()),
    )
    for name in repository.list_packs():
        with suppress(Damaged, NotFound):
            read_pack_table(repository.store, repository.keys, name)
            return repository
    raise CheckFailed(
        _("nothing on this drive shows that it is {label}").format(label=record.label),
        _("if it is another drive, enroll it under a label of its own; if it holds no backup, empty it first"),
    )
