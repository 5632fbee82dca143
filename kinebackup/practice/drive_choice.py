"""Which of the plugged-in drives answers a question about snapshots, and what is doubtful in the answer.

Owns: the choice, and the doubts: a drive or a snapshot that cannot be read may be newer than what is taken for the
latest one. Does not know: what the snapshots are opened for, or how a doubt is shown.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kinebackup.engine import Condition, NamedSnapshot, Secret, Whose, newest_of_each, problem_of
from kinebackup.errors import KineError, NotFound
from kinebackup.model import Problem
from kinebackup.practice.access import OpenDrive, PresentDrive, find_drive, open_to_read, present_drives
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.world import World

LATEST: Final = "latest"


@dataclass(frozen=True, slots=True)
class Unlocking:
    """What opens a drive: this computer's own key, or a secret. With a secret, nothing of this computer's is used.

    ``headers``: of a key export, for drives that lost theirs.
    """

    computer: ComputerKeys | None
    secret: Secret | None
    headers: tuple[bytes, ...] = ()

    def whose(self, host: str) -> Whose:
        """Whose snapshots are meant: this computer's, or those of the one that a person names."""
        return Whose(self.computer.machine if self.computer else "", host)

    def open(self, drive: PresentDrive) -> contextlib.AbstractContextManager[OpenDrive]:
        """See ``open_to_read``."""
        return open_to_read(drive, self.computer, self.secret, self.headers)


@dataclass(frozen=True, slots=True)
class UnusableDrive:
    """A drive that was passed over because it could not be read: its backups may be newer than what is taken."""

    label: str
    error: KineError


@dataclass(frozen=True, slots=True)
class ChosenDrive:
    """The drive that answers.

    ``one_of_several``: others are plugged in too, and the person did not say which one is meant. Where the latest
    snapshot was asked for: ``unusable`` are the drives that were passed over, ``unreadable`` the damaged snapshots of
    this one that nobody has been told of, and ``has_known_damage`` says that there are others, which a verification has
    reported; where the drive does not know this computer, ``computers`` has the newest snapshot of each that it does.
    """

    opened: OpenDrive
    whose: Whose
    one_of_several: bool = False
    unusable: tuple[UnusableDrive, ...] = ()
    unreadable: tuple[Problem, ...] = ()
    has_known_damage: bool = False
    computers: tuple[NamedSnapshot, ...] = ()

    def find_snapshot(self, text: str) -> NamedSnapshot:
        """See ``Repository.find_snapshot``."""
        return self.opened.repository.find_snapshot(text, self.whose)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All that makes the answer doubtful, in words."""
        passed_over = (Problem("damaged", drive.label, drive.error.message) for drive in self.unusable)
        return (*self.opened.problems, *passed_over, *self.unreadable)


def drives_to_read(name: str | None, computer: ComputerKeys | None, world: World) -> tuple[PresentDrive, ...]:
    """The drive of that label or path; without one, all that are plugged in, the one that was saved to last first.

    Raises what ``find_drive`` raises where there is none.
    """
    present = present_drives(computer, world) if computer and name is None else []
    if computer is None or len(present) < 2:
        return (find_drive(name, computer, world),)
    return tuple(sorted(present, key=lambda drive: _last_backup(drive, computer), reverse=True))


def _last_backup(drive: PresentDrive, computer: ComputerKeys) -> int:
    run = computer.state.last_run(drive.record.repository, "backup") if drive.record else None
    return run.id if run else 0  # the order of runs, whatever the clock said


@contextlib.contextmanager
def open_with_snapshots(
    drives: Sequence[PresentDrive], unlocking: Unlocking, snapshots: Sequence[str] = (), *, host: str = ""
) -> Iterator[ChosenDrive]:
    """The first of these drives that can be read and has all these snapshots; without any, one with a snapshot at all.
    ``host``: of the computer of that name only.

    Raises what opening raised where there is one drive only, and the first failure where none of several will do.
    """
    with contextlib.ExitStack() as stack:
        if len(drives) == 1:
            chosen = ChosenDrive(stack.enter_context(unlocking.open(drives[0])), unlocking.whose(host))
        else:
            chosen = _first_with(drives, unlocking, unlocking.whose(host), snapshots or (LATEST,), stack)
        yield _with_doubts_about_latest(chosen) if LATEST in snapshots else chosen


def _first_with(
    drives: Sequence[PresentDrive],
    unlocking: Unlocking,
    whose: Whose,
    snapshots: Sequence[str],
    stack: contextlib.ExitStack,
) -> ChosenDrive:
    failures: list[UnusableDrive] = []
    for drive in drives:
        with contextlib.ExitStack() as attempt:
            try:
                opened = attempt.enter_context(unlocking.open(drive))
                for snapshot in snapshots:
                    opened.repository.find_snapshot(snapshot, whose)
            except KineError as error:  # another drive may have it, and be sound
                failures.append(UnusableDrive(drive.label, error))
                continue
            stack.enter_context(attempt.pop_all())
        doubtful = [failed for failed in failures if not isinstance(failed.error, NotFound)]
        passed_over = tuple(doubtful) if LATEST in snapshots else ()
        return ChosenDrive(opened, whose, one_of_several=True, unusable=passed_over)
    raise failures[0].error


def _with_doubts_about_latest(chosen: ChosenDrive) -> ChosenDrive:
    """A snapshot that cannot be read may be newer than the one that is now the newest."""
    files, whose = chosen.opened.repository.snapshots(), chosen.whose
    known = files.readable
    # A verification has told of the others, and backups have been made since, or should be.
    fresh = tuple(problem_of(each) for each in files.unreadable if each.condition is not Condition.DAMAGED)
    return replace(
        chosen,
        unreadable=fresh,
        has_known_damage=len(fresh) < len(files.unreadable),
        computers=() if whose.host or whose.is_known(known) else newest_of_each(known),
    )
