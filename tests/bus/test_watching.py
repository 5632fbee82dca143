"""What the daemon's signals mean for a client that waits for one drive.

Owns: signals in their order. Does not know: a bus, a terminal.
"""

import asyncio

import pytest

from kinebackup.bus.client import DaemonAbsent
from kinebackup.bus.values import DriveAtWork, JobEnd, JobProgress
from kinebackup.bus.watching import (
    BUSY,
    RESTING,
    DriveWatch,
    LetGo,
    WatchingStopped,
    WorkPhases,
    cause_of,
    let_go,
    waits_for,
)
from kinebackup.model import CancelToken, Problem
from kinebackup.policy.notices import Notice, NoticeKind
from kinebackup.policy.phases import Phase

SAVED = Notice(NoticeKind.SAFE, "CABINET")
IN_USE = Notice(NoticeKind.STILL_BUSY, "CABINET", program="nautilus")


class Drawn:
    """A ``Monitor`` that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def phase(self, name: str, *, files: int = 0, size_bytes: int = 0) -> None:
        self.told.append((name, files, size_bytes))

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        self.told.append((files, size_bytes))

    def problem(self, problem: Problem) -> None:
        raise AssertionError


def test_the_bar_goes_on_from_where_it_stood_and_begins_anew_with_each_job() -> None:
    async def play() -> list[tuple[object, ...]]:
        drawn = Drawn()
        watch = DriveWatch(label="CABINET", monitor=drawn)
        watch.progressed(JobProgress("DOMICILE", "backup", 1, 1, 1, 1))
        watch.progressed(JobProgress("CABINET", "verify", 0, 0, 500, 1000))
        watch.progressed(JobProgress("CABINET", "verify", 0, 0, 900, 1000))
        watch.progressed(JobProgress("CABINET", "backup", 10, 100, 50, 0))
        watch.progressed(JobProgress("CABINET", "backup", 15, 100, 60, 0))
        watch.progressed(JobProgress("CABINET", "backup", 2, 100, 10, 0))
        return drawn.told

    assert asyncio.run(play()) == [
        ("verify", 0, 1000),
        (0, 500),
        (0, 400),
        ("backup", 100, 0),
        (10, 50),
        (5, 10),
        ("backup", 100, 0),
        (2, 10),
    ]


@pytest.mark.parametrize(
    ("before", "phases", "over"),
    [
        ("appeared", ["mounting", "authenticating", "backing up"], False),
        ("appeared", ["mounting", "appeared"], True),  # it could not be opened
        ("appeared", ["mounting", "authenticating", "refused"], True),
        ("appeared", ["mounting", "authenticating", "backing up", "absent"], True),
        ("appeared", ["mounting", "authenticating", "backing up", "unmounting", "stuck"], True),
        ("appeared", ["mounting", "authenticating", "backing up", "powering off", "safe to unplug"], True),
        ("powering off", ["safe to unplug", "appeared"], False),  # it was on its way out, and comes back first
        ("safe to unplug", ["safe to unplug", "mounting"], False),
        ("verifying", ["unmounting", "safe to unplug"], True),  # the work under way ended, and there was no other
    ],
)
def test_work_is_over_when_the_drive_comes_to_rest_after_it_began(before: str, phases: list[str], over: bool) -> None:
    work = WorkPhases(before)
    for phase in phases:
        work.follow([phase])
    assert work.over is over
    at_once = WorkPhases(before)
    at_once.follow(phases)
    assert at_once == work


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        ("appeared", "backing up", "DOMICILE"),
        ("safe to unplug", "stopping", "DOMICILE"),
        ("appeared", "safe to unplug", None),
        ("mounting", "backing up", None),
    ],
)
def test_a_drive_at_rest_waits_for_the_one_at_work(own: str, other: str, expected: str | None) -> None:
    assert waits_for([DriveAtWork("CABINET", own), DriveAtWork("DOMICILE", other)], "CABINET") == expected


@pytest.mark.parametrize(
    ("phases", "notices", "expected"),
    [
        (["unmounting", "powering off", "safe to unplug"], [SAVED], LetGo("free", SAVED)),
        (["appeared", "safe to unplug"], [], LetGo("free")),
        (["powering off", "absent"], [SAVED], LetGo("free", SAVED)),  # powered off: the kernel forgets it
        (["backing up", "absent"], [SAVED], LetGo("unplugged")),
        (["unmounting", "stuck"], [SAVED, IN_USE], LetGo("stuck", IN_USE)),
        (["unmounting", "stuck"], [], LetGo("stuck", Notice(NoticeKind.STILL_BUSY, "CABINET"))),
        (["appeared", "refused"], [], LetGo("free")),
        (["safe to unplug"], [Notice(NoticeKind.SAFE, "DOMICILE")], LetGo("free")),
    ],
)
def test_how_a_drive_was_let_go_follows_from_phases_and_notices(
    phases: list[str], notices: list[Notice], expected: LetGo
) -> None:
    assert let_go("CABINET", phases, notices) == expected


def test_the_last_notice_that_is_an_error_says_why_there_was_no_work() -> None:
    full, failed = Notice(NoticeKind.DRIVE_FULL, "CABINET"), Notice(NoticeKind.BACKUP_FAILED, "CABINET")
    assert cause_of([failed, full, SAVED]) == full
    assert cause_of([SAVED]) is None


def test_what_was_said_of_other_drives_and_before_is_forgotten() -> None:
    watch = DriveWatch(label="CABINET")
    watch.job_ended(JobEnd("CABINET", 1, "backup", "good"))
    watch.phase_changed("CABINET", "backing up")
    watch.forget()
    watch.phase_changed("DOMICILE", "mounting")
    watch.phase_changed("CABINET", "mounting")
    watch.job_ended(JobEnd("DOMICILE", 2, "backup", "good"))
    assert (watch.take_phases(), watch.take_phases()) == (["mounting"], [])
    assert watch.end_of("backup") is None


def test_a_backup_that_comes_again_after_a_prune_has_not_ended() -> None:
    watch = DriveWatch(label="CABINET")
    watch.job_ended(JobEnd("CABINET", 1, "backup", "again"))
    assert watch.end_of("backup") is None
    watch.job_ended(JobEnd("CABINET", 3, "backup", "good"))
    assert watch.end_of("backup") == JobEnd("CABINET", 3, "backup", "good")


def test_who_watches_no_longer_and_a_daemon_that_ends_are_told_apart() -> None:
    cancelled = CancelToken()
    cancelled.cancel()
    with pytest.raises(WatchingStopped):
        asyncio.run(DriveWatch().next(cancelled))
    left = DriveWatch()
    left.daemon_left()
    with pytest.raises(DaemonAbsent):
        asyncio.run(left.next(CancelToken()))


def test_every_phase_that_a_client_knows_is_one_of_the_daemon() -> None:
    known = {Phase.ABSENT, *RESTING, *BUSY, Phase.STUCK, Phase.REFUSED, Phase.POWERING_OFF}
    assert known == {str(phase.value) for phase in Phase}
