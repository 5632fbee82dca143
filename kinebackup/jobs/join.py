"""Making this computer one of a practice that has drives already, by one of them and a passphrase or recovery code.

Owns: the order of these steps. Does not know: how the secret was typed.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kinebackup.engine import Secret, lock_store
from kinebackup.errors import TargetRefused
from kinebackup.jobs.backup import remember_snapshots
from kinebackup.jobs.enroll import EnrollRequest, examined, record_of_place, remembered
from kinebackup.model import Place
from kinebackup.policy.target_facts import TargetFacts
from kinebackup.practice.access import find_drive, lock_holder
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.known_drives import check_label
from kinebackup.practice.world import World
from kinebackup.state.records import Drive


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """``drive``: the path where a drive of the practice is mounted. ``label`` empty: as its newest backup calls it."""

    drive: str
    secret: Secret
    label: str
    place: Place
    sources: Sequence[str]


@dataclass(frozen=True, slots=True)
class Joined:
    """The practice, as this computer knows it now."""

    computer: ComputerKeys
    drive: Drive
    snapshots: int


def join(directory: Path, request: JoinRequest, world: World) -> Joined:
    """Raises ``KineError`` where this computer is set up already, ``NotFound``, ``WrongKey``, ``TargetRefused`` or
    ``Locked``."""
    drive = find_drive(request.drive, None, world)
    facts, simulated = _examined(request, drive.folder, world)
    with lock_store(drive.root, lock_holder(world, "join")) as locked:
        repository = locked.open(request.secret)
        known = repository.snapshots().readable
        label = request.label or (known[-1].snapshot.drive if known else "") or drive.label
        check_label(label)
        computer = ComputerKeys.join(directory, repository.unlocked.master, repository.header.keyring, world)
        repository.write_keyring(computer.keyring)
        enroll_request = _as_enrolled(replace(request, label=label), drive.folder, simulated=simulated)
        record = remembered(record_of_place(enroll_request, facts, repository, world), computer, enroll_request)
        remember_snapshots(repository, computer)
    return Joined(computer, record, len(known))


def _examined(request: JoinRequest, folder: str, world: World) -> tuple[TargetFacts, bool]:
    """A drive that is no USB drive was a simulated one; every other rule holds for both."""
    try:
        return examined(_as_enrolled(request, folder, simulated=False), world)[0], False
    except TargetRefused:
        return examined(_as_enrolled(request, folder, simulated=True), world)[0], True


def _as_enrolled(request: JoinRequest, folder: str, *, simulated: bool) -> EnrollRequest:
    return EnrollRequest(
        path=os.path.abspath(folder),
        label=request.label,
        place=request.place,
        simulated=simulated,
        allow_existing_files=True,
        sources=request.sources,
    )
