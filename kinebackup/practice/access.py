"""From what a person calls a drive to an open repository on it.

Owns: finding drives by label or path, unlocking, the writer lock, keeping headers and key ring in step. Does not know:
what the repository is opened for, or how a secret was typed.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from kinebackup.engine import (
    FOLDER,
    FolderStore,
    LockHolder,
    Repository,
    Secret,
    WriterLock,
    format_time,
    header,
    keyring,
    read_header_copies,
    with_keyring,
)
from kinebackup.errors import Damaged, NotFound, WrongKey
from kinebackup.i18n import _
from kinebackup.model import Problem
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.known_drives import only_label
from kinebackup.practice.presence import folder_of
from kinebackup.practice.world import World
from kinebackup.state.records import Drive


@dataclass(frozen=True, slots=True)
class PresentDrive:
    """A drive that is here now. ``folder`` holds KINEBACKUP; ``record`` is None for one that is unknown here."""

    label: str
    folder: str
    record: Drive | None

    @property
    def root(self) -> str:
        return os.path.join(self.folder, FOLDER)


@dataclass(slots=True)
class OpenDrive:
    """An unlocked repository whose index is loaded.

    ``problems``: what loading and comparing with our memory showed. ``known``: damaged packs that a verification has
    told of already; who needs what was in them hears of it all the same.
    """

    drive: PresentDrive
    repository: Repository
    problems: list[Problem]
    key_slot: str
    known: Sequence[Problem] = ()


def present_drives(computer: ComputerKeys, world: World) -> list[PresentDrive]:
    """Every enrolled drive that is here now."""
    found = ((record, folder_of(record, world.system)) for record in computer.state.drives())
    return [PresentDrive(record.label, folder, record) for record, folder in found if folder is not None]


def find_drive(name: str | None, computer: ComputerKeys | None, world: World) -> PresentDrive:
    """The drive of that label or path; without a name, the only one that is here.

    Raises ``NotFound`` that says which drives are known, ``ConfigError`` where the choice is the person's.
    """
    if name is None:
        return _only_present(computer, world)
    records = computer.state.drives() if computer else ()
    for record in records:
        if record.label == name:
            folder = folder_of(record, world.system)
            if folder is None:
                raise NotFound(
                    _("the drive {label} is not plugged in").format(label=name),
                    _("plug it in, wait until it appears, and try again"),
                )
            return PresentDrive(name, folder, record)
    folder = os.path.abspath(name)
    folder = os.path.dirname(folder) if os.path.basename(folder) == FOLDER else folder
    if not os.path.isdir(os.path.join(folder, FOLDER)):
        labels = ", ".join(record.label for record in records)
        raise NotFound(
            _("no drive is called {name}, and no drive is at that path").format(name=name),
            _("the drives of this practice are: {labels}").format(labels=labels)
            if labels
            else _("give the path at which the drive is mounted, or enroll one: kinebackup drive enroll"),
        )
    found = _record_at(folder, records, world)
    return PresentDrive(found.label if found else os.path.basename(folder) or folder, folder, found)


def _record_at(folder: str, records: Sequence[Drive], world: World) -> Drive | None:
    real = os.path.realpath(folder)
    for record in records:
        known = folder_of(record, world.system)
        if known is not None and os.path.realpath(known) == real:
            return record
    return None


def _only_present(computer: ComputerKeys | None, world: World) -> PresentDrive:
    present = {drive.label: drive for drive in present_drives(computer, world)} if computer else {}
    known = [record.label for record in computer.state.drives()] if computer else []
    return present[only_label(list(present), known)]


@contextlib.contextmanager
def open_to_read(drive: PresentDrive, computer: ComputerKeys | None, secret: Secret | None) -> Iterator[OpenDrive]:
    """Open a drive without changing anything on it. With a secret, nothing of this computer's is used."""
    store = FolderStore(drive.root)
    try:
        repository, key_slot = _unlock(store, computer, secret)
        opened = _loaded(drive, repository, key_slot)
        if computer is not None and secret is None:
            _compare_with_memory(opened, computer)
        yield opened
    finally:
        store.close()


@contextlib.contextmanager
def open_to_write(drive: PresentDrive, computer: ComputerKeys, world: World, work: str) -> Iterator[OpenDrive]:
    """Open a drive as its only writer, and bring its key ring up to date. Raises ``Locked``."""
    store = FolderStore(drive.root)
    try:
        with WriterLock(drive.root, _holder(world, work)) as lock:
            repository, key_slot = _unlock(store, computer, None)
            opened = _loaded(drive, repository, key_slot)
            if lock.stale is not None:
                opened.problems.append(_taken_over(lock.stale))
            _compare_with_memory(opened, computer)
            _share_keyring(opened, computer)
            yield opened
    finally:
        store.close()


def _taken_over(left: LockHolder) -> Problem:
    """The kernel has let go of the lock, so that run is no more; what it left is found by this one."""
    message = _(
        "an earlier run did not end by itself ({work}, process {pid} on {host}, since {since}); this one goes on"
    )
    found = message.format(work=left.work, pid=left.pid, host=left.host, since=left.since)
    return Problem("healed", "lock", found)


def _loaded(drive: PresentDrive, repository: Repository, key_slot: str) -> OpenDrive:
    found = repository.load()
    known = [problem for problem in found if _is_known(problem, repository)]
    return OpenDrive(drive, repository, [p for p in found if p not in known], key_slot, known)


def _is_known(problem: Problem, repository: Repository) -> bool:
    is_damaged_pack = problem.kind == "damaged" and problem.path.startswith("packs/")
    return is_damaged_pack and problem.path.rpartition("/")[2] in repository.damaged_names


def update_keyring(drive: PresentDrive, computer: ComputerKeys, world: World) -> None:
    """Bring key slots of the drive and of this computer in step, and nothing else. Raises ``Locked`` and others."""
    store = FolderStore(drive.root)
    try:
        with WriterLock(drive.root, _holder(world, "key")):
            repository, key_slot = _unlock(store, computer, None)
            _share_keyring(OpenDrive(drive, repository, [], key_slot), computer)
    finally:
        store.close()


def _holder(world: World, work: str) -> LockHolder:
    return LockHolder(host=world.host, pid=world.pid, boot=world.boot, since=format_time(world.now()), work=work)


def _unlock(store: FolderStore, computer: ComputerKeys | None, secret: Secret | None) -> tuple[Repository, str]:
    if secret is not None:
        repository = Repository.open(store, secret)
        slot = repository.unlocked.slot
        return repository, f"{slot.kind} {slot.id}" if slot else ""
    if computer is None:
        raise NotFound(
            _("KineBackup is not set up on this computer, so it has no key of its own"),
            _("give --passphrase-file or --recovery-code-file"),
        )
    copies = header.candidates(read_header_copies(store))
    if all(found.practice != computer.keyring.practice for _data, found in copies):
        raise WrongKey(
            _("this drive belongs to another practice"),
            _("open it with the passphrase or recovery code of that practice, or take another drive"),
        )
    return Repository.open(store, computer.master()), "machine"


def _compare_with_memory(opened: OpenDrive, computer: ComputerKeys) -> None:
    """A drive that shows an older state than it had was copied back, by accident or by somebody."""
    repository, record = opened.repository, opened.drive.record
    if record is not None and record.repository != repository.id:
        raise Damaged(
            _("this drive is not the one that was enrolled as {label}").format(label=record.label),
            _("enroll it under a label of its own, or plug in the right one"),
        )
    if record is not None and repository.header.generation < record.header_generation:
        opened.problems.append(Problem("rolled-back", "header", _("the drive shows older key slots than it had")))
    seen = computer.state.seen(repository.id)
    if seen is None:
        return
    known, _unreadable = repository.snapshots()
    if len(known) < seen.snapshots and (not known or known[-1].snapshot.taken_at < seen.newest_snapshot_time):
        opened.problems.append(
            Problem("rolled-back", "snapshots", _("backups that were on the drive are not there any more"))
        )


def _put_together(opened: OpenDrive, computer: ComputerKeys) -> None:
    """Two computers changed the keys while they could not see each other's drive. Nobody is locked out by that."""
    slots = {slot.id: slot for slot in (*computer.keyring.slots, *opened.repository.header.slots)}
    both = msgspec.structs.replace(
        computer.keyring, generation=computer.keyring.generation + 1, slots=tuple(slots.values())
    )
    keyring.check(both)
    computer.save_keyring(both)
    with_keyring(opened.repository, both)
    message = _("the keys were changed on two computers at once; all of them are kept, see: kinebackup key list")
    opened.problems.append(Problem("healed", "header", message))


def _share_keyring(opened: OpenDrive, computer: ComputerKeys) -> None:
    """The newer of the two key rings goes to the other side; both are authenticated by the master key."""
    repository = opened.repository
    if repository.header.generation < computer.keyring.generation:
        with_keyring(repository, computer.keyring)
    elif repository.header.generation > computer.keyring.generation:
        computer.save_keyring(repository.header.keyring)
    elif repository.header.slots != computer.keyring.slots:
        _put_together(opened, computer)
    record = opened.drive.record
    if record is not None and record.header_generation != repository.header.generation:
        computer.state.update_drive(replace(record, header_generation=repository.header.generation))
