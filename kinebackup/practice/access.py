"""From what a person calls a drive to an open repository on it.

Owns: finding drives by label or path, unlocking, the writer lock, keeping headers and key ring in step. Does not know:
what the repository is opened for, or how a secret was typed.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from kinebackup.engine import (
    NONE_MISSING,
    Keyring,
    LoadedRepository,
    LockedRepository,
    LockedStore,
    LockHolder,
    MasterKey,
    MissingSnapshots,
    Repository,
    Secret,
    Store,
    WritableRepository,
    find_missing_snapshots,
    format_time,
    lock_store,
    merge_keyrings,
    open_store,
    opens_without_computer,
    problem_of,
    read_headers,
    slot_name,
)
from kinebackup.errors import Damaged, KineError, NotFound, WrongKey
from kinebackup.i18n import _
from kinebackup.model import REPOSITORY_FOLDER, Problem, not_plugged_in
from kinebackup.practice.computer_keys import ComputerKeys, removed_from_ring
from kinebackup.practice.drive_findings import (
    BackupsGone,
    DriveFinding,
    HeaderAltered,
    HeaderFromExport,
    HeaderFromMemory,
    KeysChanged,
    KeysMerged,
    KeysNotKept,
    KeysRefused,
    OlderKeySlots,
    RemovalUnknown,
    RunCutOff,
    drive_problem,
)
from kinebackup.practice.identity import headers_elsewhere
from kinebackup.practice.known_drives import only_label
from kinebackup.practice.presence import folder_of
from kinebackup.practice.world import World
from kinebackup.state.database_errors import DiskTrouble
from kinebackup.state.records import Drive


@dataclass(frozen=True, slots=True)
class PresentDrive:
    """A drive that is here now. ``folder`` holds KINEBACKUP; ``record`` is None for one that is unknown here."""

    label: str
    folder: str
    record: Drive | None

    @property
    def root(self) -> str:
        return os.path.join(self.folder, REPOSITORY_FOLDER)


@dataclass(frozen=True, slots=True)
class OpenDrive:
    """An unlocked repository whose index is loaded, to be read.

    ``missing``: snapshots that should be there. ``findings``: what comparing with the drive's own numbers and with this
    computer's memory showed. ``problems``: the words for these, and for what loading showed that no verification has
    reported already.
    """

    drive: PresentDrive
    repository: LoadedRepository
    missing: MissingSnapshots = NONE_MISSING
    findings: list[DriveFinding] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def key_slot(self) -> str:
        """How reports name the key that opened it."""
        slot = self.repository.unlocked.slot
        return slot_name(slot) if slot else "machine"

    def find(self, found: DriveFinding) -> None:
        """One thing more."""
        self.findings.append(found)
        self.problems.append(drive_problem(found))


@dataclass(frozen=True, slots=True)
class WritableDrive(OpenDrive):
    """The same, held by its only writer."""

    repository: WritableRepository


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
                raise not_plugged_in(name)
            return PresentDrive(name, folder, record)
    folder = os.path.abspath(name)
    folder = os.path.dirname(folder) if os.path.basename(folder) == REPOSITORY_FOLDER else folder
    if not os.path.isdir(os.path.join(folder, REPOSITORY_FOLDER)):
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
def open_to_read(
    drive: PresentDrive, computer: ComputerKeys | None, secret: Secret | None, headers: Sequence[bytes] = ()
) -> Iterator[OpenDrive]:
    """Open a drive without changing anything on it. With a secret, nothing of this computer's is used.

    ``headers``: of a key export, to try where no copy on the drive is right.
    """
    with open_store(drive.root) as store:
        if secret is None:
            with _own_key(store, drive, computer) as key:
                repository = Repository.open(store, key, headers_elsewhere(drive.record, computer, headers)).load()
        else:
            repository = Repository.open(store, secret, headers).load()
        missing = _missing(repository, computer if secret is None else None)
        opened = OpenDrive(drive, repository, missing, problems=_news(repository))
        remembered = secret is None and drive.record is not None and drive.record.repository == repository.id
        _find_how_opened(opened, HeaderFromMemory() if remembered else HeaderFromExport())
        _find_missing(opened)
        if computer is not None and secret is None:
            _compare_with_memory(opened, computer)
        yield opened


Opener = Callable[[LockedStore, MasterKey, Sequence[bytes]], LockedRepository]


def _by_its_header(locked: LockedStore, key: MasterKey, headers: Sequence[bytes]) -> LockedRepository:
    return locked.open(key, headers)


@contextlib.contextmanager
def open_to_write(
    drive: PresentDrive, computer: ComputerKeys, world: World, work: str, opener: Opener = _by_its_header
) -> Iterator[WritableDrive]:
    """Open a drive as its only writer, and bring its key ring up to date. Raises ``Locked``."""
    with lock_store(drive.root, lock_holder(world, work)) as locked:
        with _own_key(locked.store, drive, computer) as key:
            repository = opener(locked, key, headers_elsewhere(drive.record, computer)).load()
        opened = WritableDrive(drive, repository, _missing(repository, computer), problems=_news(repository))
        _find_how_opened(opened, HeaderFromMemory())
        _find_missing(opened)
        if locked.left_by is not None:
            opened.find(RunCutOff(locked.left_by))
        _compare_with_memory(opened, computer)
        for found in _share_keyring(repository, drive, computer):
            opened.find(found)
        yield opened


def update_keyring(drive: PresentDrive, computer: ComputerKeys, world: World) -> list[Problem]:
    """Bring key slots of the drive and of this computer in step, and nothing else; what is to be told of it.

    Raises ``Locked`` and others.
    """
    with lock_store(drive.root, lock_holder(world, "key")) as locked:
        with _own_key(locked.store, drive, computer) as key:
            repository = locked.open(key, headers_elsewhere(drive.record, computer))
        found = _share_keyring(repository, drive, computer)
        return list(map(drive_problem, found))


def lock_holder(world: World, work: str) -> LockHolder:
    """What the lock file says of this run."""
    return LockHolder(host=world.host, pid=world.pid, boot=world.boot, since=format_time(world.now()), work=work)


def _news(repository: LoadedRepository) -> list[Problem]:
    inventory = repository.inventory
    return [problem_of(found) for found in inventory.findings if not inventory.is_known(found)]


@contextlib.contextmanager
def _own_key(store: Store, drive: PresentDrive, computer: ComputerKeys | None) -> Iterator[MasterKey]:
    """The master key by this computer's own slot, to open a drive of its practice with.

    Raises ``NotFound`` where this computer is not set up, ``WrongKey`` for a drive of another practice.
    """
    if computer is None:
        raise NotFound(
            _("KineBackup is not set up on this computer, so it has no key of its own"),
            _("give --passphrase-file or --recovery-code-file"),
        )
    if drive.record is None and _is_of_another_practice(store, computer):  # before its own key is asked for
        raise _another_practice()
    try:
        yield computer.master()
    except Damaged as error:
        if _is_of_another_practice(store, computer):
            raise _another_practice() from error
        raise


def _is_of_another_practice(store: Store, computer: ComputerKeys) -> bool:
    """Whether that is what all its headers say; of one without any nobody knows."""
    with contextlib.suppress(Damaged):
        return all(found.practice != computer.keyring.practice for found in read_headers(store))
    return False


def _another_practice() -> WrongKey:
    return WrongKey(
        _("this drive belongs to another practice"),
        _("open it with the passphrase or recovery code of that practice, or take another drive"),
    )


def _find_how_opened(opened: OpenDrive, elsewhere: DriveFinding) -> None:
    unlocked = opened.repository.unlocked
    if unlocked.altered:
        opened.find(HeaderAltered())
    elif unlocked.elsewhere:
        opened.find(elsewhere)


def _compare_with_memory(opened: OpenDrive, computer: ComputerKeys) -> None:
    """A drive that shows an older state than it had was copied back, by accident or by somebody."""
    repository, record = opened.repository, opened.drive.record
    if record is not None and record.repository != repository.id:
        raise Damaged(
            _("this drive is not the one that was enrolled as {label}").format(label=record.label),
            _("enroll it under a label of its own, or plug in the right one"),
        )
    if record is not None and repository.header.generation < record.header_generation:
        opened.find(OlderKeySlots())
    if record is not None:
        with contextlib.suppress(KineError):  # a computer that cannot write this down can still read a drive
            computer.state.snapshots.record_missing(repository.id, opened.missing.count)


def _missing(repository: Repository, computer: ComputerKeys | None) -> MissingSnapshots:
    """What should be on the drive, by its own numbers and, where there is one, by this computer's memory."""
    return find_missing_snapshots(repository, computer.state.snapshots.seen(repository.id) if computer else ())


def _find_missing(opened: OpenDrive) -> None:
    if opened.missing.count:
        opened.find(BackupsGone(opened.missing))
    for record in opened.missing.unreadable_records:
        opened.find(RemovalUnknown(record))


def _share_keyring(repository: LockedRepository, drive: PresentDrive, computer: ComputerKeys) -> list[DriveFinding]:
    """The newer of the two key rings goes to the other side; both are authenticated by the master key.

    Whoever has that key can make any ring: one that would lock out the person or this computer is left where it is.
    Raises ``WrongKey`` for the latter: a computer that was removed writes nothing to the drive any more.
    """
    found: list[DriveFinding] = []
    theirs, ours = repository.header.keyring, computer.keyring
    if theirs.generation < ours.generation:
        repository.write_keyring(ours)
    elif theirs.generation > ours.generation:
        found.append(_taken_over(theirs, computer))
    elif theirs.slots != ours.slots:
        found.append(_merged(repository, computer))
    record, generation = drive.record, repository.header.generation
    refused = any(isinstance(each, KeysRefused) for each in found)
    if record is not None and record.header_generation != generation and not refused:
        computer.state.update_drive(replace(record, header_generation=generation), lasting=False)
    return found


def _taken_over(newer: Keyring, computer: ComputerKeys) -> DriveFinding:
    if not opens_without_computer(newer.slots):
        return KeysRefused("no-person")
    if not computer.is_among(newer):
        raise removed_from_ring()
    before = computer.keyring.slots
    try:
        computer.save_keyring(newer)
    except DiskTrouble as trouble:
        return KeysNotKept(trouble.message)
    return KeysChanged(
        added=tuple(slot for slot in newer.slots if slot not in before),
        removed=tuple(slot for slot in before if slot not in newer.slots),
    )


def _merged(repository: LockedRepository, computer: ComputerKeys) -> DriveFinding:
    """Two computers had changed the keys apart from each other: both changes are kept."""
    try:
        both = merge_keyrings(computer.keyring, repository.header.keyring)
        computer.save_keyring(both)
    except Damaged:
        return KeysRefused("impossible")
    except DiskTrouble as trouble:
        return KeysNotKept(trouble.message)
    repository.write_keyring(both)
    return KeysMerged()
