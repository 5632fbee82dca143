"""What a request does, and what stands in its way; without any bus."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.bus.recorded_daemon import NOW, RecordedDaemon

from kinebackup.daemon.bus_requests import Caller, Refusal, Requests
from kinebackup.daemon.bus_service import BURST, PENDING_AT_MOST, PENDING_OF_ONE, Gate
from kinebackup.daemon.decide.events import Acknowledge, AlarmLifted, BackUpNow, Eject, RestoreTestNow, Snooze
from kinebackup.daemon.ports import EnrolledDrive
from kinebackup.policy.notices import ActiveNotice, Notice, NoticeKind
from kinebackup.policy.phases import Phase

CABINET = EnrolledDrive("id of CABINET", "CABINET", Phase.APPEARED)
DOMICILE = EnrolledDrive("id of DOMICILE", "DOMICILE", Phase.ABSENT)
SOMEBODY = Caller(":1.7", interactive=True)
TOMORROW = int((NOW + timedelta(days=1)).timestamp())


def ask(daemon: RecordedDaemon, member: str, *body: Any, may: bool = True, root: bool = True) -> list[Any]:
    """One request of somebody who may, or may not."""

    async def answer(caller: Caller, action: str = "") -> bool:
        return may if action else root

    return asyncio.run(Requests(daemon, answer, answer).answer(SOMEBODY, member, list(body)))


def refused(daemon: RecordedDaemon, member: str, *body: Any, may: bool = True, root: bool = True) -> str:
    """The name of the error that one request is answered with."""
    with pytest.raises(Refusal) as raised:
        ask(daemon, member, *body, may=may, root=root)
    assert daemon.posted == []
    return raised.value.error.removeprefix("org.kinebackup.Error.")


def test_requests_become_events_about_the_drive_that_is_meant() -> None:
    daemon = RecordedDaemon(CABINET, DOMICILE)
    until = datetime(2030, 3, 7, 17, 30, tzinfo=UTC)
    for member, body in (
        ("BackUpNow", [""]),
        ("TestRestore", ["CABINET"]),
        ("Eject", [""]),
        ("Snooze", ["plug-in", "", TOMORROW]),
        ("Acknowledge", ["drive-full", "DOMICILE"]),
        ("LiftAlarm", []),
    ):
        assert ask(daemon, member, *body) == []
    assert daemon.posted == [
        BackUpNow(NOW, "id of CABINET"),
        RestoreTestNow(NOW, "id of CABINET"),
        Eject(NOW, "id of CABINET"),
        Snooze(NOW, NoticeKind.PLUG_IN, "", until),
        Acknowledge(NOW, NoticeKind.DRIVE_FULL, "id of DOMICILE"),
        AlarmLifted(NOW),
    ]


@pytest.mark.parametrize(
    ("member", "body"),
    [
        ("BackUpNow", [""]),
        ("TestRestore", [""]),
        ("Eject", [""]),
        ("Snooze", ["plug-in", "", TOMORROW]),
        ("Acknowledge", ["drive-full", "CABINET"]),
        ("LiftAlarm", []),
        ("LastReport", ["CABINET", "backup"]),
        ("Reload", []),
    ],
)
def test_who_may_not_changes_nothing_and_reads_no_report(member: str, body: list[Any]) -> None:
    daemon = RecordedDaemon(CABINET)
    assert refused(daemon, member, *body, may=False, root=False) == "NotAuthorized"
    assert daemon.reloads == 0


@pytest.mark.parametrize(
    ("drives", "label", "error"),
    [
        ((), "", "NotPluggedIn"),
        ((DOMICILE,), "", "NotPluggedIn"),
        ((DOMICILE,), "DOMICILE", "NotPluggedIn"),
        ((CABINET,), "NOWHERE", "NotFound"),
        ((CABINET,), "cabinet", "NotFound"),
        ((CABINET,), "x" * 100_000, "NotFound"),
        ((CABINET, replace(DOMICILE, phase=Phase.SAFE)), "", "SeveralDrives"),
        ((replace(CABINET, phase=Phase.REFUSED),), "", "Refused"),
        ((replace(CABINET, phase=Phase.REFUSED),), "CABINET", "Refused"),
    ],
)
def test_work_needs_a_drive_that_is_here_and_accepted(
    drives: tuple[EnrolledDrive, ...], label: str, error: str
) -> None:
    assert refused(RecordedDaemon(*drives), "BackUpNow", label) == error
    assert refused(RecordedDaemon(*drives), "TestRestore", label) == error


def test_a_refused_drive_is_not_counted_where_another_is_here() -> None:
    daemon = RecordedDaemon(CABINET, replace(DOMICILE, phase=Phase.REFUSED))
    ask(daemon, "BackUpNow", "")
    assert daemon.posted == [BackUpNow(NOW, "id of CABINET")]


def test_before_the_alarm_is_lifted_no_work_is_begun_but_drives_are_let_go() -> None:
    daemon = RecordedDaemon(CABINET)
    daemon.active = (ActiveNotice(Notice(NoticeKind.ALARM), NOW),)
    assert refused(daemon, "BackUpNow", "") == "Alarm"
    assert refused(daemon, "TestRestore", "CABINET") == "Alarm"
    ask(daemon, "Eject", "")
    assert daemon.posted == [Eject(NOW, "id of CABINET")]


@pytest.mark.parametrize("seconds", [-1, 0, 32 * 86_400, 10**12, -(10**12)])
def test_a_reminder_is_put_off_to_a_time_soon_to_come_only(seconds: int) -> None:
    until = int(NOW.timestamp()) + seconds
    assert refused(RecordedDaemon(CABINET), "Snooze", "plug-in", "", until) == "InvalidArgument"


@pytest.mark.parametrize(("kind", "drive", "error"), [("", "", "InvalidArgument"), ("plug-in", "NOWHERE", "NotFound")])
def test_only_a_notice_that_there_can_be_is_answered(kind: str, drive: str, error: str) -> None:
    assert refused(RecordedDaemon(CABINET), "Acknowledge", kind, drive) == error
    assert refused(RecordedDaemon(CABINET), "Snooze", kind, drive, TOMORROW) == error


def test_the_notice_of_a_drive_that_was_forgotten_can_still_be_answered() -> None:
    daemon = RecordedDaemon()
    daemon.active = (ActiveNotice(Notice(NoticeKind.DRIVE_FULL, "OLD"), NOW),)
    ask(daemon, "Acknowledge", "drive-full", "OLD")
    assert daemon.posted == [Acknowledge(NOW, NoticeKind.DRIVE_FULL, "OLD")]


def test_a_drive_that_is_pulled_while_the_password_is_typed_is_not_worked_on() -> None:
    daemon = RecordedDaemon(CABINET)

    async def typed(caller: Caller, action: str) -> bool:
        daemon.enrolled = (replace(CABINET, phase=Phase.ABSENT),)
        return True

    async def nobody(caller: Caller) -> bool:
        return False

    with pytest.raises(Refusal, match="not plugged in"):
        asyncio.run(Requests(daemon, typed, nobody).answer(SOMEBODY, "BackUpNow", ["CABINET"]))
    assert daemon.posted == []


def test_a_document_with_times_and_values_of_the_program_is_plain_json() -> None:
    daemon = RecordedDaemon()
    daemon.document = {"last": NOW, "phase": Phase.SAFE, "name": "caf\udce9"}
    assert ask(daemon, "Status") == [
        r'{"last": "2030-03-06T17:30:00Z", "phase": "safe to unplug", "name": "caf\udce9"}'
    ]


# --- a flood --------------------------------------------------------------------------------------------------------


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_client_gets_a_burst_and_then_so_many_a_second() -> None:
    time = Time()
    gate = Gate(time)
    opened = 0
    for _each in range(BURST + 10):
        if gate.enter(":1.1") == "open":
            gate.leave(":1.1")
            opened += 1
    assert opened == BURST
    time.now_s += 1
    assert [gate.enter(":1.1") for _each in range(3)] == ["open", "open", "open"]


def test_a_flood_is_told_once_and_not_again() -> None:
    gate = Gate(Time())
    answers = [gate.enter(":1.1") for _each in range(PENDING_OF_ONE + 3)]
    assert answers == ["open"] * PENDING_OF_ONE + ["full", "silent", "silent"]


def test_one_client_that_waits_does_not_keep_another_from_asking() -> None:
    gate = Gate(Time())
    for _each in range(100):
        gate.enter(":1.1")
    assert gate.enter(":1.2") == "open"


def test_all_clients_together_wait_with_a_bounded_number_of_requests() -> None:
    gate = Gate(Time())
    opened = [gate.enter(f":1.{client}") for client in range(PENDING_AT_MOST * 4)].count("open")
    assert opened == PENDING_AT_MOST
    gate.leave(":1.0")
    assert gate.enter(":1.5000") == "open"


def test_clients_that_come_and_go_are_forgotten() -> None:
    gate = Gate(Time())
    for client in range(100_000):
        if gate.enter(f":1.{client}") == "open":
            gate.leave(f":1.{client}")
    assert len(gate._clients) <= 512
