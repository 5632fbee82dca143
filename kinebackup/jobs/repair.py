"""Writing the header of a drive anew, where none of its three copies can be used any more.

Owns: the proof that the drive is the one that this computer remembers. Does not know: how a header is written.

Without a header neither a passphrase nor a recovery code opens the backups; but a computer that backed up to the drive
remembers its repository's id and holds the key ring. What these make is right if packs of the drive authenticate with
it, for nobody else could have sealed them.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from kinebackup.engine import (
    HEADER_COPIES,
    FolderStore,
    LockHolder,
    MasterKey,
    Repository,
    RepositoryKeys,
    Store,
    UnlockedHeader,
    WriterLock,
    format_time,
    header,
    heal_header,
    pack,
    write_header,
)
from kinebackup.errors import CheckFailed, Damaged, NotFound, WrongKey
from kinebackup.i18n import _
from kinebackup.jobs.backup import check_target, record_of
from kinebackup.practice.access import find_drive
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
    holder = LockHolder(host=world.host, pid=world.pid, boot=world.boot, since=format_time(world.now()), work="repair")
    store = FolderStore(drive.root)
    try:
        with WriterLock(drive.root, holder):
            master = computer.master()
            repository = _opened(store, master, record)
            if repository is not None:
                written = tuple(problem.path for problem in heal_header(repository))
            else:
                repository = _proven(store, master, computer, record, world)
                write_header(store, repository.header, repository.keys)
                written = HEADER_COPIES
            snapshots = len(repository.list_names("snapshots"))
            computer.state.update_drive(replace(record, header_generation=repository.header.generation))
    finally:
        store.close()
    write_drive_files(drive.root)
    return Repaired(record.label, drive.folder, written, snapshots)


def _opened(store: Store, master: MasterKey, record: Drive) -> Repository | None:
    """The repository by a copy of its own header, if there is one left."""
    with suppress(Damaged, WrongKey, NotFound):
        found = Repository.open(store, master)
        if found.id == record.repository:
            return found
    return None


def _proven(store: Store, master: MasterKey, computer: ComputerKeys, record: Drive, world: World) -> Repository:
    """The repository as this computer remembers it, once a pack has shown that its keys are those of the drive."""
    made = header.make(computer.keyring, repository=record.repository, created=format_time(world.now()))
    keys = RepositoryKeys.derive(master, bytes.fromhex(record.repository))
    repository = Repository(store, UnlockedHeader(header=made, master=master, keys=keys, slot=None))
    for name in repository.list_packs():
        with suppress(Damaged, NotFound):
            pack.read_table(store, keys, name)
            return repository
    raise CheckFailed(
        _("nothing on this drive shows that it is {label}").format(label=record.label),
        _("if it is another drive, enroll it under a label of its own; if it holds no backup, empty it first"),
    )
