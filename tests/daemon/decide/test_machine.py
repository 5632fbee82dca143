"""The daemon's decisions, one story each: what happens, and what is done in answer, literally."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from support.daemon.imagined_computer import (
    BACKED_UP,
    CABINET,
    DOMICILE,
    FRESH,
    MONDAY,
    RULES,
    VERIFIED,
    ImaginedComputer,
    device_of,
    started,
)

from kinebackup.daemon.decide import actions as do
from kinebackup.daemon.decide import events as ev
from kinebackup.daemon.decide.machine import step
from kinebackup.daemon.decide.states import State
from kinebackup.model import BackupReport, Health, JobFailure, Problem, Report, RestoreTestReport, VerifyReport
from kinebackup.policy.notices import Notice, NoticeKind
from kinebackup.policy.phases import Phase
from kinebackup.policy.schedule import History

TUESDAY = MONDAY + timedelta(days=1)
ONE = ev.AttachmentId(1)
JOB = ev.JobId(1)


def computer(*drives: ev.KnownDrive, now: datetime = TUESDAY) -> ImaginedComputer:
    """A practice whose drives were all saved, verified and tested on Monday; it is Tuesday, and a backup is due."""
    return ImaginedComputer(started(*(drives or (CABINET, DOMICILE)), now=now), now=now)


def phase(of: ImaginedComputer, drive_id: str = "CABINET") -> Phase:
    drive = next(drive for drive in of.state.drives if drive.known.id == drive_id)
    return drive.phase


def notices(actions: Sequence[do.Action]) -> list[Notice]:
    return [action.notice for action in actions if isinstance(action, do.Notify)]


def jobs(actions: Sequence[do.Action]) -> list[str]:
    return [action.kind for action in actions if isinstance(action, do.StartJob)]


def until_the_backup_runs(of: ImaginedComputer) -> None:
    of.plug_in(CABINET)
    of.answer(of.requests[0])
    of.answer(of.requests[0])
    assert phase(of) is Phase.BACKING_UP


def test_a_drive_that_is_due_is_saved_verified_unmounted_and_may_then_be_unplugged() -> None:
    it = computer()
    device = device_of(CABINET, 1)
    assert it.plug_in(CABINET) == (do.Mount("CABINET", ONE, device), do.InhibitSleep())
    assert it.answer(it.requests[0]) == (do.Authenticate("CABINET", ONE),)
    assert it.answer(it.requests[0]) == (do.StartJob("CABINET", ONE, JOB, "backup"),)
    assert it.answer(it.requests[0]) == (
        do.Record("CABINET", JOB, "backup", "good"),
        do.StartJob("CABINET", ONE, ev.JobId(2), "verify-written"),
    )
    assert it.answer(it.requests[0]) == (
        do.Record("CABINET", ev.JobId(2), "verify-written", "good"),
        do.Unmount("CABINET", ONE, device),
    )
    assert it.answer(it.requests[0]) == (do.PowerOff("CABINET", ONE, device), do.ReleaseSleep())
    assert it.answer(it.requests[0]) == (do.Notify(Notice(NoticeKind.SAFE, "CABINET")),)
    assert phase(it) is Phase.SAFE


def test_a_new_drive_gets_everything_in_the_order_of_the_design() -> None:
    it = computer(replace(CABINET, history=History()))
    it.plug_in(CABINET)
    assert jobs(it.answer_all()) == ["backup", "verify-written", "verify", "restore-test", "prune"]


def test_the_drive_of_the_home_is_to_be_taken_home() -> None:
    it = computer()
    it.plug_in(DOMICILE)
    assert notices(it.answer_all()) == [Notice(NoticeKind.SAFE_TAKE_HOME, "DOMICILE")]


def test_a_drive_that_cannot_be_powered_off_may_be_unplugged_all_the_same() -> None:
    it = computer()
    until_the_backup_runs(it)
    while not isinstance(it.requests[0], do.PowerOff):
        it.answer(it.requests[0])
    assert notices(it.answer(it.requests[0], well=False)) == [Notice(NoticeKind.SAFE, "CABINET")]
    assert it.pull("CABINET") == (do.Withdraw(NoticeKind.SAFE, "CABINET"),)


def test_powering_off_makes_the_device_vanish_and_the_notice_stays_until_the_drive_comes_again() -> None:
    it = computer()
    it.plug_in(CABINET)
    it.answer_all()
    assert it.pull("CABINET") == ()
    assert phase(it) is Phase.ABSENT
    assert do.Withdraw(NoticeKind.SAFE, "CABINET") in it.plug_in(CABINET)


def test_a_device_that_vanishes_before_its_power_off_is_answered_may_be_unplugged_all_the_same() -> None:
    it = computer()
    until_the_backup_runs(it)
    while not isinstance(it.requests[0], do.PowerOff):
        it.answer(it.requests[0])
    assert notices(it.pull("CABINET")) == [Notice(NoticeKind.SAFE, "CABINET")]
    assert it.answer_all() == [do.Log("an answer came too late", "CABINET")]


def test_a_drive_that_was_saved_today_is_not_mounted() -> None:
    it = computer(now=MONDAY + timedelta(hours=5))
    assert it.plug_in(CABINET) == (do.Notify(Notice(NoticeKind.UP_TO_DATE, "CABINET")),)


def test_nor_is_it_called_safe_before_the_mount_tables_were_looked_at() -> None:
    it = computer(now=MONDAY + timedelta(hours=5))
    it.plug_in(CABINET)
    it.later(timedelta(minutes=14))
    assert it.send(ev.Tick(it.now, "still-plugged")) == ()
    it.later(timedelta(minutes=1))
    assert it.send(ev.Tick(it.now, "still-plugged")) == (
        do.Unmount("CABINET", ONE, device_of(CABINET, 1)),
        do.InhibitSleep(),
    )
    assert notices(it.answer_all()) == [Notice(NoticeKind.SAFE, "CABINET")]


def test_a_person_can_have_it_saved_again() -> None:
    it = computer(now=MONDAY + timedelta(hours=5))
    it.plug_in(CABINET)
    assert do.Mount("CABINET", ONE, device_of(CABINET, 1)) in it.send(ev.BackUpNow(it.now))
    assert jobs(it.answer_all()) == ["backup", "verify-written"]


def test_where_nothing_is_automatic_the_person_is_asked() -> None:
    it = ImaginedComputer(started(CABINET, now=TUESDAY, rules=replace(RULES, automatic=False)), now=TUESDAY)
    assert it.plug_in(CABINET) == (do.Notify(Notice(NoticeKind.READY, "CABINET")),)
    assert it.send(ev.Tick(it.now, "backup-due")) == ()
    it.send(ev.BackUpNow(it.now, "CABINET"))
    assert phase(it) is Phase.MOUNTING


def test_an_unknown_drive_is_never_touched() -> None:
    it = computer()
    stick = ev.Device("/dev/sdc1", "another", "other", "stick", 7)
    assert it.send(ev.DriveAppeared(it.now, stick)) == (do.Log("an unknown drive was plugged in; it is left alone"),)
    assert it.send(ev.DriveVanished(it.now, stick)) == ()


@pytest.mark.parametrize(
    "copy",
    [
        ev.Device("/dev/sdc1", "fs-1", "another", "serial-1", 7),
        ev.Device("/dev/sdc1", "fs-1", "part-1", "another", 7),
        ev.Device("/dev/sdc1", "fs-1", "part-1", "", 7),
    ],
)
def test_a_copied_uuid_on_another_disk_is_reported_and_never_mounted(copy: ev.Device) -> None:
    it = computer()
    assert notices(it.send(ev.DriveAppeared(it.now, copy))) == [Notice(NoticeKind.IMPOSTOR, "CABINET")]
    assert it.requests == []
    it.plug_in(CABINET)
    assert phase(it) is Phase.MOUNTING


def test_a_perfect_copy_beside_the_drive_is_reported_and_never_mounted() -> None:
    it = computer()
    until_the_backup_runs(it)
    copy = replace(device_of(CABINET, 7), node="/dev/sdc1")
    assert notices(it.send(ev.DriveAppeared(it.now, copy))) == [Notice(NoticeKind.IMPOSTOR, "CABINET")]
    assert phase(it) is Phase.BACKING_UP


def test_a_serial_number_that_was_not_known_at_enrollment_is_not_asked_for() -> None:
    it = computer(replace(CABINET, serial=""))
    it.plug_in(CABINET)
    assert phase(it) is Phase.MOUNTING


def test_the_same_device_reported_twice_begins_once() -> None:
    it = computer()
    it.plug_in(CABINET)
    assert it.send(ev.DriveAppeared(it.now, it.plugged["CABINET"])) == ()
    assert it.send(ev.DriveChanged(it.now, it.plugged["CABINET"])) == ()


def test_a_device_that_becomes_another_one_under_the_job_is_as_good_as_pulled() -> None:
    it = computer()
    until_the_backup_runs(it)
    formatted = replace(it.plugged["CABINET"], fs_uuid="new")
    actions = it.send(ev.DriveChanged(it.now, formatted))
    assert do.Record("CABINET", JOB, "backup", "interrupted") in actions
    assert phase(it) is Phase.ABSENT


def test_a_locked_drive_is_recognised_when_it_is_unlocked() -> None:
    it = computer()
    container = ev.Device("/dev/sdb1", "luks", "part-1", "serial-1", 1)
    it.send(ev.DriveAppeared(it.now, container))
    it.plugged["CABINET"] = ev.Device("/dev/dm-0", "fs-1", "part-1", "serial-1", 1)
    assert do.Mount("CABINET", ONE, it.plugged["CABINET"]) in it.send(ev.DriveChanged(it.now, it.plugged["CABINET"]))


def test_an_impostor_header_is_unmounted_unwritten_and_reported() -> None:
    it = computer()
    it.plug_in(CABINET)
    it.answer(it.requests[0])
    actions = it.answer(it.requests[0], well=False)
    assert actions == (
        do.Notify(Notice(NoticeKind.IMPOSTOR, "CABINET")),
        do.Unmount("CABINET", ONE, device_of(CABINET, 1)),
    )
    assert it.answer_all() == [do.ReleaseSleep()]
    assert phase(it) is Phase.REFUSED
    it.send(ev.BackUpNow(it.now, "CABINET"))
    it.send(ev.Tick(it.now + timedelta(days=1), "backup-due"))
    assert (phase(it), it.requests, it.started) == (Phase.REFUSED, [], {})


def test_a_drive_that_the_desktop_keeps_is_asked_for_by_the_program_that_has_it_and_tried_once() -> None:
    it = computer()
    it.plug_in(CABINET)
    assert it.answer(it.requests[0], well=False) == (
        do.Notify(Notice(NoticeKind.BUSY, "CABINET", program="nautilus")),
        do.ReleaseSleep(),
    )
    assert it.requests == []
    actions = it.send(ev.BackUpNow(it.now, "CABINET"))
    assert actions[0] == do.Withdraw(NoticeKind.BUSY, "CABINET")
    assert phase(it) is Phase.MOUNTING


def test_a_drive_that_could_not_be_opened_as_the_computer_woke_is_not_complained_of_once_it_can_be() -> None:
    it = computer()
    it.plug_in(CABINET)
    it.requests.clear()
    failed = ev.MountFailed(it.now, "CABINET", ONE, "failed")  # the kernel looks for the disk anew after each sleep
    assert notices(it.send(failed)) == [Notice(NoticeKind.NOT_MOUNTED, "CABINET")]
    it.replug(CABINET)
    assert do.Withdraw(NoticeKind.NOT_MOUNTED, "CABINET") in it.answer(it.requests[0])


def test_a_drive_that_cannot_be_let_go_is_not_called_safe_and_is_tried_again() -> None:
    it = computer()
    until_the_backup_runs(it)
    while not isinstance(it.requests[0], do.Unmount):
        it.answer(it.requests[0])
    assert notices(it.answer(it.requests[0], well=False)) == [
        Notice(NoticeKind.STILL_BUSY, "CABINET", program="nautilus")
    ]
    assert (phase(it), it.requests) == (Phase.STUCK, [])
    it.send(ev.Eject(it.now, "CABINET"))
    assert phase(it) is Phase.UNMOUNTING
    assert do.Withdraw(NoticeKind.STILL_BUSY, "CABINET") in it.answer_all()
    assert phase(it) is Phase.SAFE


def test_a_drive_that_did_not_take_all_may_be_unplugged_but_is_not_called_saved_nor_in_use() -> None:
    it = computer()
    until_the_backup_runs(it)
    while not isinstance(it.requests[0], do.Unmount):
        it.answer(it.requests[0])
    assert notices(it.answer(it.requests[0], complete=False)) == [Notice(NoticeKind.DRIVE_FAILED, "CABINET")]
    assert notices(it.answer(it.requests[0])) == [Notice(NoticeKind.SAFE_NOT_SAVED, "CABINET")]


# Pulled too early


@pytest.mark.parametrize("answers", [2, 3])
def test_a_drive_pulled_at_work_ends_its_job_urgently_and_goes_on_when_it_is_back(answers: int) -> None:
    it = computer()
    it.plug_in(CABINET)
    for _answer in range(answers):
        it.answer(it.requests[0])
    job, start = max(it.running.items())
    assert it.pull("CABINET") == (
        do.CancelJob("CABINET", ev.JobId(job)),
        do.Record("CABINET", ev.JobId(job), start.kind, "interrupted"),
        do.Detach("CABINET", ONE),
        do.Notify(Notice(NoticeKind.PULLED, "CABINET")),
        do.ReleaseSleep(),
    )


def test_plugged_in_again_it_waits_for_the_dead_job_and_then_goes_on() -> None:
    it = computer()
    until_the_backup_runs(it)
    it.pull("CABINET")
    assert it.plug_in(CABINET) == (do.Withdraw(NoticeKind.PULLED, "CABINET"),)
    assert phase(it) is Phase.APPEARED
    actions = it.answer(it.requests[0], well=False)  # the worker notices at last
    assert actions == (do.Mount("CABINET", ev.AttachmentId(2), it.plugged["CABINET"]), do.InhibitSleep())
    assert jobs(it.answer_all())[0] == "backup"


def test_the_late_success_of_a_dead_job_does_not_count() -> None:
    it = computer()
    until_the_backup_runs(it)
    it.pull("CABINET")
    assert it.answer_all() == []
    assert it.state.drives[0].known.history.last_backup == MONDAY
    assert it.recorded == {1: "interrupted"}


def test_pulled_while_it_unmounts_is_too_early_as_well() -> None:
    it = computer()
    until_the_backup_runs(it)
    while not isinstance(it.requests[0], do.Unmount):
        it.answer(it.requests[0])
    assert Notice(NoticeKind.PULLED, "CABINET") in notices(it.pull("CABINET"))


def test_pulled_while_it_is_being_stopped() -> None:
    it = computer()
    until_the_backup_runs(it)
    it.send(ev.Eject(it.now, "CABINET"))
    assert phase(it) is Phase.STOPPING
    actions = it.pull("CABINET")
    assert do.Record("CABINET", JOB, "backup", "interrupted") in actions
    assert not any(isinstance(action, do.CancelJob) for action in actions)


def test_pulled_while_it_mounts_nothing_was_written_and_a_late_mount_is_undone() -> None:
    it = computer()
    it.plug_in(CABINET)
    assert it.pull("CABINET") == (do.Detach("CABINET", ONE), do.ReleaseSleep())
    assert it.answer(it.requests[0]) == (
        do.Log("an answer came too late", "CABINET"),
        do.Detach("CABINET", ONE),
    )


def test_the_late_unmount_of_an_earlier_visit_does_not_make_this_one_safe() -> None:
    it = computer()
    until_the_backup_runs(it)
    while not isinstance(it.requests[0], do.Unmount):
        it.answer(it.requests[0])
    it.replug(replace(CABINET, history=FRESH))
    it.send(ev.Eject(it.now, "CABINET"))
    assert phase(it) is Phase.UNMOUNTING
    assert it.send(ev.Unmounted(it.now, "CABINET", ONE)) == (do.Log("an answer came too late", "CABINET"),)
    assert phase(it) is Phase.UNMOUNTING


def test_the_late_authentication_of_an_earlier_visit_does_not_let_this_one_be_written_to() -> None:
    it = computer()
    it.plug_in(CABINET)
    it.answer(it.requests[0])
    it.replug(CABINET)
    second = it.requests[1]
    assert isinstance(second, do.Mount)
    it.answer(second)
    assert phase(it) is Phase.AUTHENTICATING
    it.send(ev.Authenticated(it.now, "CABINET", ONE))
    assert (phase(it), it.started) == (Phase.AUTHENTICATING, {})


def test_a_wish_or_an_ejection_does_not_make_a_refused_drive_a_good_one() -> None:
    for request in (ev.BackUpNow(TUESDAY, "CABINET"), ev.Eject(TUESDAY, "CABINET")):
        it = computer()
        it.plug_in(CABINET)
        it.answer(it.requests[0])
        it.answer(it.requests[0], well=False)
        it.send(request)
        it.answer_all()
        assert (phase(it), it.started) == (Phase.REFUSED, {})


# People, sleep, battery, shutdown


def test_asking_for_a_backup_while_one_runs_does_not_make_two() -> None:
    it = computer()
    until_the_backup_runs(it)
    assert it.send(ev.BackUpNow(it.now, "CABINET")) == ()
    assert jobs(it.answer_all()) == ["verify-written"]


def test_asking_for_a_backup_while_the_drive_is_checked_makes_it_next() -> None:
    it = computer(replace(CABINET, history=replace(FRESH, last_backup=TUESDAY, last_verify=None)))
    it.plug_in(CABINET)
    it.answer(it.requests[0])
    assert jobs(it.answer(it.requests[0])) == ["verify"]
    it.send(ev.BackUpNow(it.now, "CABINET"))
    assert jobs(it.answer_all())[:2] == ["backup", "verify-written"]


def test_who_asked_comes_first() -> None:
    it = computer()
    it.send(ev.Suspending(it.now))
    it.plug_in(CABINET)
    it.plug_in(DOMICILE)
    it.send(ev.BackUpNow(it.now, "DOMICILE"))
    it.send(ev.Resumed(it.now))
    assert (phase(it), phase(it, "DOMICILE")) == (Phase.APPEARED, Phase.MOUNTING)


def test_who_wants_to_unplug_is_not_made_to_wait_for_the_computer_to_wake_up() -> None:
    it = computer()
    until_the_backup_runs(it)
    it.send(ev.Eject(it.now, "CABINET"))
    it.send(ev.Suspending(it.now))
    request = it.requests[0]
    assert isinstance(request, do.StartJob)
    it.stop_job(request)
    it.answer_all()
    assert phase(it) is Phase.SAFE


def test_a_backup_that_a_person_asked_for_goes_on_when_the_mains_fail() -> None:
    it = computer(now=MONDAY + timedelta(hours=5))
    it.plug_in(CABINET)
    it.send(ev.BackUpNow(it.now, "CABINET"))
    it.answer(it.requests[0])
    it.answer(it.requests[0])
    assert it.send(ev.PowerChanged(it.now, True)) == ()
    assert phase(it) is Phase.BACKING_UP


def test_a_wish_that_was_fulfilled_does_not_let_the_next_backup_drain_the_battery() -> None:
    it = computer()
    it.plug_in(CABINET)
    it.send(ev.BackUpNow(it.now, "CABINET"))
    while it.requests:
        it.answer(it.requests[0], well=not isinstance(it.requests[0], do.PowerOff))
    it.later(timedelta(days=1))
    it.send(ev.PowerChanged(it.now, True))
    it.send(ev.Tick(it.now, "backup-due"))
    assert (phase(it), it.requests) == (Phase.SAFE, [])


def test_a_drive_that_was_powered_off_has_to_be_plugged_in_again() -> None:
    it = computer()
    it.plug_in(CABINET)
    it.answer_all()
    assert it.send(ev.BackUpNow(it.now, "CABINET")) == (
        do.Log("a person asked for a drive that must be plugged in again", "CABINET"),
    )


def test_ejecting_stops_the_job_and_says_that_nothing_new_was_saved() -> None:
    it = computer()
    until_the_backup_runs(it)
    assert it.send(ev.Eject(it.now)) == (do.CancelJob("CABINET", JOB),)
    request = it.requests[0]
    assert isinstance(request, do.StartJob)
    assert it.stop_job(request)[0] == do.Record("CABINET", JOB, "backup", "cancelled")
    assert notices(it.answer_all()) == [Notice(NoticeKind.SAFE_NOT_SAVED, "CABINET")]


def test_ejecting_while_it_mounts_unmounts_before_anything_is_read() -> None:
    it = computer()
    it.plug_in(CABINET)
    it.send(ev.Eject(it.now, "CABINET"))
    assert it.answer(it.requests[0]) == (do.Unmount("CABINET", ONE, device_of(CABINET, 1)),)


@pytest.mark.parametrize(
    ("stop", "go_on"),
    [
        (ev.Suspending(TUESDAY), ev.Resumed(TUESDAY)),
        (ev.PowerChanged(TUESDAY, True), ev.PowerChanged(TUESDAY, False)),
    ],
)
def test_what_sleep_or_battery_interrupt_goes_on_afterwards(stop: ev.Event, go_on: ev.Event) -> None:
    it = computer()
    until_the_backup_runs(it)
    assert it.send(stop) == (do.CancelJob("CABINET", JOB),)
    request = it.requests[0]
    assert isinstance(request, do.StartJob)
    it.stop_job(request)
    assert it.answer_all() == [do.ReleaseSleep()]
    assert phase(it) is Phase.APPEARED
    assert do.Mount("CABINET", ONE, device_of(CABINET, 1)) in it.send(go_on)
    assert jobs(it.answer_all()) == ["backup", "verify-written"]


def test_on_battery_only_what_a_person_asks_for_is_done() -> None:
    it = computer()
    it.send(ev.PowerChanged(it.now, True))
    it.plug_in(CABINET)
    assert phase(it) is Phase.APPEARED
    it.send(ev.BackUpNow(it.now, "CABINET"))
    assert phase(it) is Phase.MOUNTING


def test_a_shutdown_stops_and_unmounts_and_nothing_begins_any_more() -> None:
    it = computer()
    until_the_backup_runs(it)
    assert it.send(ev.ShutdownRequested(it.now)) == (do.CancelJob("CABINET", JOB),)
    request = it.requests[0]
    assert isinstance(request, do.StartJob)
    it.stop_job(request)
    assert it.answer_all() == [do.ReleaseSleep()]
    it.plug_in(DOMICILE)
    assert it.requests == []


def test_two_drives_work_one_after_the_other() -> None:
    it = computer()
    until_the_backup_runs(it)
    assert it.plug_in(DOMICILE) == ()
    actions = it.answer_all()
    assert [action.drive for action in actions if isinstance(action, do.StartJob)] == [
        "CABINET",
        "DOMICILE",
        "DOMICILE",
    ]


def test_work_that_takes_long_is_announced_once() -> None:
    it = computer()
    until_the_backup_runs(it)
    assert it.send(ev.JobProgress(it.now + timedelta(minutes=9), "CABINET", JOB)) == ()
    late = ev.JobProgress(it.now + timedelta(minutes=10), "CABINET", JOB)
    assert it.send(late) == (do.Notify(Notice(NoticeKind.WORKING, "CABINET")),)
    assert it.send(late) == ()
    assert do.Withdraw(NoticeKind.WORKING, "CABINET") in it.answer_all()


# What jobs find


def test_a_mass_change_stops_everything_until_a_person_lifts_the_alarm() -> None:
    it = computer()
    until_the_backup_runs(it)
    assert it.send(ev.MassChange(it.now)) == (
        do.CancelJob("CABINET", JOB),
        do.Notify(Notice(NoticeKind.ALARM)),
    )
    request = it.requests[0]
    assert isinstance(request, do.StartJob)
    it.stop_job(request)
    it.answer_all()
    assert notices(it.plug_in(DOMICILE)) == [Notice(NoticeKind.ALARM)]
    assert notices(it.send(ev.BackUpNow(it.now, "DOMICILE"))) == [Notice(NoticeKind.ALARM)]
    assert it.send(ev.Acknowledge(it.now, NoticeKind.ALARM, "")) == ()
    assert it.send(ev.Snooze(it.now, NoticeKind.ALARM, "", it.now + timedelta(days=1))) == ()
    assert it.requests == []
    actions = it.send(ev.AlarmLifted(it.now))
    assert actions[0] == do.Withdraw(NoticeKind.ALARM, "")
    assert phase(it, "DOMICILE") is Phase.MOUNTING


def test_a_drive_that_somebody_keeps_busy_has_nothing_to_wait_for_once_the_alarm_has_dropped_its_work() -> None:
    it = computer()
    until_the_backup_runs(it)
    it.send(ev.Suspending(it.now))
    request = it.requests[0]
    assert isinstance(request, do.StartJob)
    it.stop_job(request)
    it.answer(it.requests[0], well=False)
    assert phase(it) is Phase.STUCK
    it.send(ev.MassChange(it.now))
    it.send(ev.Tick(it.now, "backup-due"))
    assert do.PowerOff("CABINET", ONE, device_of(CABINET, 1)) in it.answer(it.requests[0])


def test_settings_that_cannot_be_read_are_told_once_and_taken_back_when_they_can() -> None:
    it = computer()
    assert notices(it.send(ev.SettingsRead(it.now, readable=False))) == [Notice(NoticeKind.SETTINGS_UNREADABLE)]
    assert it.send(ev.SettingsRead(it.now, readable=False)) == ()
    assert it.send(ev.SettingsRead(it.now, readable=True)) == (do.Withdraw(NoticeKind.SETTINGS_UNREADABLE, ""),)
    assert it.send(ev.SettingsRead(it.now, readable=True)) == ()


def test_no_timer_begins_anything_during_an_alarm() -> None:
    it = computer()
    it.send(ev.MassChange(it.now))
    it.plug_in(CABINET)
    it.send(ev.Tick(it.now, "backup-due"))
    it.send(ev.Resumed(it.now))
    assert (phase(it), it.requests) == (Phase.APPEARED, [])


def finished(report: Report, history: History = FRESH, problems: int = 0) -> tuple[ImaginedComputer, list[do.Action]]:
    """A drive on which everything is due, and whose first job of that report's kind ends with it."""
    it = computer(replace(CABINET, history=history))
    until_the_backup_runs(it)
    kinds = {BackupReport: "backup", VerifyReport: "verify-written", RestoreTestReport: "restore-test"}
    actions: list[do.Action] = []
    while it.requests:
        request = it.requests[0]
        if isinstance(request, do.StartJob) and request.kind == kinds.get(type(report)):
            it.requests.remove(request)
            del it.running[request.job]
            actions += it.send(ev.JobFinished(it.now, "CABINET", request.job, report, problems))
        else:
            actions += it.answer(request)
    return it, actions


def test_a_source_that_shrank_is_kept_but_counts_as_no_backup_and_nothing_old_goes() -> None:
    it, actions = finished(replace(BACKED_UP, suspicious=True), History())
    assert jobs(actions) == ["verify-written", "verify", "restore-test"]
    assert notices(actions) == [
        Notice(NoticeKind.SOURCE_SUSPICIOUS),
        Notice(NoticeKind.SAFE_NOT_SAVED, "CABINET"),
    ]
    assert it.state.drives[0].known.history.last_backup is None


def test_a_backup_that_wrote_nothing_is_a_failed_one() -> None:
    _it, actions = finished(replace(BACKED_UP, snapshot=None))
    assert do.Record("CABINET", JOB, "backup", "bad") in actions
    assert jobs(actions) == []
    assert notices(actions) == [
        Notice(NoticeKind.BACKUP_FAILED, "CABINET"),
        Notice(NoticeKind.SAFE_NOT_SAVED, "CABINET"),
    ]


def test_a_backup_with_problems_counts_and_says_how_many() -> None:
    _it, actions = finished(BACKED_UP, problems=3)
    assert do.Record("CABINET", JOB, "backup", "with-problems") in actions
    assert notices(actions) == [
        Notice(NoticeKind.SAVED_WITH_PROBLEMS, "CABINET", count=3),
        Notice(NoticeKind.SAFE, "CABINET"),
    ]


def test_damage_that_a_backup_met_keeps_old_backups_and_is_repaired_and_the_backup_counts() -> None:
    met = (Problem("damaged", "packs/ab/ab", "wrong"), Problem("missing", "packs/cd/cd", "gone"))
    unreadable = Problem("unreadable", "/Patients/x", "refused")
    it, actions = finished(replace(BACKED_UP, problems=(*met, unreadable)), History(), problems=3)
    assert "prune" not in jobs(actions)
    assert jobs(actions)[-1] == "repair"  # it says what is lost: here, nothing
    assert notices(actions) == [
        Notice(NoticeKind.SAVED_WITH_PROBLEMS, "CABINET", count=1),
        Notice(NoticeKind.SAFE, "CABINET"),
    ]
    history = it.state.drives[0].known.history
    assert (history.failed_check, history.last_backup is None) == (False, False)


def test_damage_in_what_was_just_written_means_not_saved_and_keeps_old_backups() -> None:
    it, actions = finished(replace(VERIFIED, result="failed"), History())
    assert "prune" not in jobs(actions)
    assert Notice(NoticeKind.DAMAGE_FOUND, "CABINET") in notices(actions)
    assert notices(actions)[-1] == Notice(NoticeKind.SAFE_NOT_SAVED, "CABINET")
    assert jobs(actions)[-1] == "repair"
    assert not it.state.drives[0].known.history.failed_check  # the repair found nothing lost


def test_damage_that_heals_is_mended_by_a_backup_in_the_same_visit_and_frightens_nobody() -> None:
    healable = replace(VERIFIED, result="failed", healable=True)
    it = computer(replace(CABINET, history=replace(FRESH, last_verify=None)))
    until_the_backup_runs(it)
    actions: list[do.Action] = []
    while it.requests:
        request = it.requests[0]
        if isinstance(request, do.StartJob) and request.kind == "verify":
            it.requests.remove(request)
            del it.running[request.job]
            actions += it.send(ev.JobFinished(it.now, "CABINET", request.job, healable, 1))
        else:
            actions += it.answer(request)
    assert jobs(actions) == ["verify-written", "verify", "backup", "verify-written"]
    assert notices(actions) == [Notice(NoticeKind.SAFE, "CABINET")]
    assert not it.state.drives[0].known.history.failed_check


def test_what_heals_of_the_backup_that_was_just_read_back_waits_for_the_next_one() -> None:
    _it, actions = finished(replace(VERIFIED, result="failed", healable=True))
    assert jobs(actions) == ["verify-written"]
    assert notices(actions) == [Notice(NoticeKind.SAFE, "CABINET")]


def test_a_restore_test_that_fails_is_said_and_keeps_old_backups() -> None:
    _it, actions = finished(RestoreTestReport("failed", "5" * 64, 50, 1, 0, 1.0, 7, "machine"), History())
    assert "prune" not in jobs(actions)
    assert Notice(NoticeKind.RESTORE_TEST_FAILED, "CABINET") in notices(actions)


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("drive-failed", [Notice(NoticeKind.DRIVE_FAILED, "CABINET")]),
        ("damaged", [Notice(NoticeKind.DAMAGE_FOUND, "CABINET")]),
        ("locked", []),
        ("source", [Notice(NoticeKind.SOURCE_SUSPICIOUS)]),
        ("refused", [Notice(NoticeKind.REFUSED, "CABINET")]),
        ("defect", [Notice(NoticeKind.BACKUP_FAILED, "CABINET")]),
    ],
)
def test_each_failure_of_a_backup_has_its_notice_and_ends_the_visit(reason: JobFailure, told: list[Notice]) -> None:
    it = computer()
    until_the_backup_runs(it)
    it.requests.clear()
    it.running.clear()
    actions = it.send(ev.JobFailed(it.now, "CABINET", JOB, reason))
    assert actions[0] == do.Record("CABINET", JOB, "backup", "failed")
    assert notices(actions) == told
    assert notices(it.answer_all()) == [Notice(NoticeKind.SAFE_NOT_SAVED, "CABINET")]


# A full drive


def full(history: History = FRESH) -> ImaginedComputer:
    """The backup has just found the drive full."""
    it = computer(replace(CABINET, history=history))
    until_the_backup_runs(it)
    fail(it, "drive-full")
    return it


def fail(of: ImaginedComputer, reason: JobFailure) -> tuple[do.Action, ...]:
    """The job that runs cannot go on."""
    start = next(request for request in of.requests if isinstance(request, do.StartJob))
    of.requests.remove(start)
    del of.running[start.job]
    return of.send(ev.JobFailed(of.now, start.drive, start.job, reason))


def test_a_full_drive_is_pruned_at_once_and_then_saved_to_without_a_word() -> None:
    it = full()
    actions = it.answer_all()
    assert [(a.kind, a.ending) for a in records_of(actions)] == [
        ("prune", "good"),
        ("backup", "good"),
        ("verify-written", "good"),
    ]
    assert notices(actions) == [Notice(NoticeKind.SAFE, "CABINET")]
    assert it.recorded[1] == "again"


def test_a_drive_that_is_full_after_its_prune_is_called_full_and_not_pruned_again() -> None:
    it = full()
    it.answer(it.requests[0])
    actions = fail(it, "drive-full")
    assert (jobs(actions), notices(actions)) == ([], [Notice(NoticeKind.DRIVE_FULL, "CABINET")])
    assert notices(it.answer_all()) == [Notice(NoticeKind.SAFE_NOT_SAVED, "CABINET")]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("drive-full", [NoticeKind.DRIVE_FULL]),
        ("defect", [NoticeKind.PRUNE_FAILED, NoticeKind.DRIVE_FULL]),
        ("damaged", [NoticeKind.DAMAGE_FOUND, NoticeKind.DRIVE_FULL]),
        ("locked", [NoticeKind.DRIVE_FULL]),
    ],
)
def test_a_full_drive_whose_prune_fails_is_called_full_too(reason: JobFailure, told: list[NoticeKind]) -> None:
    it = full()
    assert [notice.kind for notice in notices(fail(it, reason))] == told
    assert notices(it.answer_all()) == [Notice(NoticeKind.SAFE_NOT_SAVED, "CABINET")]


def test_nothing_is_removed_from_a_full_drive_on_which_damage_was_found() -> None:
    it = computer(replace(CABINET, history=replace(FRESH, failed_check=True)))
    until_the_backup_runs(it)
    assert notices(fail(it, "drive-full")) == [Notice(NoticeKind.DRIVE_FULL, "CABINET")]
    assert jobs(it.answer_all()) == []


def test_a_full_drive_that_is_pulled_during_its_prune_begins_with_the_backup_when_it_is_back() -> None:
    it = full()
    it.pull("CABINET")
    assert it.state.drives[0].room == "enough"
    it.requests.clear()
    it.running.clear()
    it.send(ev.JobCancelled(it.now, "CABINET", ev.JobId(2)))
    it.plug_in(CABINET)
    assert jobs(it.answer_all())[0] == "backup"


def test_sleep_during_the_prune_of_a_full_drive_does_not_forget_the_backup_that_waits_for_it() -> None:
    it = full()
    it.send(ev.Suspending(it.now))
    it.requests = [request for request in it.requests if not isinstance(request, do.StartJob)]
    it.running.clear()
    it.send(ev.JobCancelled(it.now, "CABINET", ev.JobId(2)))
    it.answer_all()
    it.send(ev.Resumed(it.now))
    assert jobs(it.answer_all())[:2] == ["prune", "backup"]


def records_of(actions: Sequence[do.Action]) -> list[do.Record]:
    return [action for action in actions if isinstance(action, do.Record)]


# Notices


def test_a_reminder_is_withdrawn_when_it_is_obeyed() -> None:
    it = computer()
    it.later(timedelta(hours=8))  # half past five in Paris
    actions = it.send(ev.Tick(it.now, "reminder-hour"))
    assert actions == (do.Notify(Notice(NoticeKind.PLUG_IN, "CABINET", days=1)),)
    assert it.plug_in(DOMICILE)[0] == do.Withdraw(NoticeKind.PLUG_IN, "CABINET")


def test_a_tick_too_many_says_nothing_again() -> None:
    it = computer()
    assert len(it.to_the_next("reminder-hour")) == 1
    assert it.send(ev.Tick(it.now, "reminder-hour")) == ()
    assert it.send(ev.Tick(it.now, "rotation-day")) == ()


def test_a_louder_reminder_takes_the_place_of_the_quieter_one() -> None:
    it = computer()
    it.later(timedelta(hours=8, days=6))
    assert notices(it.send(ev.Tick(it.now, "reminder-hour")))[0].kind is NoticeKind.PLUG_IN
    it.later(timedelta(days=1))
    assert it.send(ev.Tick(it.now, "reminder-hour"))[:2] == (
        do.Withdraw(NoticeKind.PLUG_IN, "CABINET"),
        do.Notify(Notice(NoticeKind.OVERDUE, "CABINET", days=8)),
    )


def test_later_means_not_before_that_time() -> None:
    it = computer()
    it.later(timedelta(hours=8))
    it.send(ev.Tick(it.now, "reminder-hour"))
    snooze = ev.Snooze(it.now, NoticeKind.PLUG_IN, "CABINET", it.now + timedelta(days=2))
    assert it.send(snooze) == (do.Withdraw(NoticeKind.PLUG_IN, "CABINET"),)
    it.later(timedelta(days=1))
    assert it.send(ev.Tick(it.now, "reminder-hour")) == ()
    it.later(timedelta(days=1))
    assert len(it.send(ev.Tick(it.now, "reminder-hour"))) == 1


def test_a_failure_stays_until_it_is_acknowledged() -> None:
    it, _actions = finished(replace(BACKED_UP, snapshot=None))
    it.pull("CABINET")
    it.plug_in(CABINET)
    it.answer_all()
    assert (NoticeKind.BACKUP_FAILED, "CABINET") in it.shown
    seen = ev.Acknowledge(it.now, NoticeKind.BACKUP_FAILED, "CABINET")
    assert it.send(seen) == (do.Withdraw(NoticeKind.BACKUP_FAILED, "CABINET"),)
    assert it.send(seen) == ()


def test_a_suspicious_source_is_told_once_and_stays_told() -> None:
    it = computer()
    bad = ev.SourcesChecked(it.now, "suspicious")
    assert notices(it.send(bad)) == [Notice(NoticeKind.SOURCE_SUSPICIOUS)]
    assert it.send(bad) == ()
    assert notices(it.send(ev.SourcesChecked(it.now, "synced"))) == [Notice(NoticeKind.SOURCE_SYNCED)]
    it.send(ev.SourcesChecked(it.now, "sound"))
    assert (NoticeKind.SOURCE_SUSPICIOUS, "") in it.shown


# Time


def test_a_drive_that_stays_in_is_saved_again_when_the_next_day_begins() -> None:
    it = computer()
    until_the_backup_runs(it)
    while not isinstance(it.requests[0], do.PowerOff):
        it.answer(it.requests[0])
    it.answer(it.requests[0], well=False)
    assert it.send(ev.Tick(it.now + timedelta(hours=3), "backup-due")) == ()
    actions = it.send(ev.Tick(it.now + timedelta(days=1), "backup-due"))
    assert actions[0] == do.Withdraw(NoticeKind.SAFE, "CABINET")
    assert phase(it) is Phase.MOUNTING


def test_a_clock_set_back_makes_a_backup_that_lies_ahead_due() -> None:
    it = computer(now=MONDAY - timedelta(days=300))
    it.plug_in(CABINET)
    assert phase(it) is Phase.MOUNTING


def test_an_event_without_a_time_zone_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        ev.Resumed(datetime(2026, 11, 24))  # noqa: DTZ001  that is what is tested


# What is enrolled


def test_a_drive_forgotten_while_it_is_in_stays_until_it_is_unplugged() -> None:
    it = computer()
    until_the_backup_runs(it)
    it.send(ev.DrivesKnown(it.now, (DOMICILE,), None))
    assert phase(it) is Phase.BACKING_UP
    it.answer_all()
    it.pull("CABINET")
    it.send(ev.DrivesKnown(it.now, (DOMICILE,), None))
    assert [drive.known.id for drive in it.state.drives] == ["DOMICILE"]


def test_what_another_process_did_is_known_before_it_is_judged() -> None:
    it = computer()
    saved = replace(CABINET, history=replace(FRESH, last_backup=TUESDAY))
    it.send(ev.DrivesKnown(it.now, (saved, DOMICILE), None))
    assert notices(it.plug_in(CABINET)) == [Notice(NoticeKind.UP_TO_DATE, "CABINET")]


def test_step_changes_neither_its_state_nor_anything_else() -> None:
    before = started(CABINET, now=TUESDAY)
    kept = replace(before)
    event = ev.DriveAppeared(TUESDAY, device_of(CABINET, 1))
    assert step(before, event) == step(before, event)
    assert before == kept


# -- a drive that grows old ----------------------------------------------------------------------------------------


def ages(of: ImaginedComputer, health: Health, drive: str = "CABINET") -> Sequence[do.Action]:
    return of.send(ev.HealthSeen(of.now, drive, health))


AGES = Notice(NoticeKind.DRIVE_AGES, "CABINET")


def test_that_a_drive_is_ageing_is_said_once_and_a_watched_one_is_not_spoken_of() -> None:
    it = computer()
    assert ages(it, "watch") == ()
    assert ages(it, "replace") == (do.Notify(AGES),)
    assert ages(it, "replace") == ()
    it.send(ev.Acknowledge(it.now, NoticeKind.DRIVE_AGES, "CABINET"))
    assert ages(it, "replace") == ()


def test_it_is_not_said_again_after_a_restart() -> None:
    it = computer()
    ages(it, "replace")
    ageing = replace(CABINET, health="replace")
    after = State(RULES, memory=it.state.memory, notices=it.state.notices)
    assert step(after, ev.DrivesKnown(it.now, (ageing, DOMICILE), None))[1] == ()


def test_it_is_said_where_a_command_found_it_out_while_the_service_did_not_run() -> None:
    ageing = replace(CABINET, health="replace")
    assert step(State(RULES), ev.DrivesKnown(TUESDAY, (ageing, DOMICILE), None))[1] == (do.Notify(AGES),)


def test_it_is_taken_back_when_the_drive_is_good_again_or_was_forgotten() -> None:
    it = computer()
    ages(it, "replace")
    assert ages(it, "good") == (do.Withdraw(NoticeKind.DRIVE_AGES, "CABINET"),)
    assert ages(it, "replace") == (do.Notify(AGES),)
    gone = it.send(ev.DrivesKnown(it.now, (DOMICILE,), None))
    assert do.Withdraw(NoticeKind.DRIVE_AGES, "CABINET") in gone
    assert it.state.memory.told_ageing == ()


def test_nothing_is_said_of_a_drive_that_is_none_of_ours() -> None:
    assert ages(computer(), "replace", "another") == ()
