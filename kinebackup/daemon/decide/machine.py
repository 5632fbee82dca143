"""Every decision of the daemon: ``step(state, event) -> (state, actions)``.

Owns: what jobs, people, timers and the computer itself mean for the drives. Does not know: clocks, udev, mounts,
threads or the desktop; time comes with the events.

How to read it: ``step`` gives each event to one function (those about one attachment of a drive are in
attachments.py); that function changes what is known and fires triggers for drives. Where a trigger leads is in
table.py; what is done there is in transitions.py, which also starts the next drive that has work. Whatever the order of
events, ``step`` never raises: what makes no sense in a position changes nothing.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final, assert_never

from kinebackup.daemon.decide import events as ev
from kinebackup.daemon.decide.actions import Action, Log, Record
from kinebackup.daemon.decide.attachments import about_health, about_leaving, about_opening, about_presence
from kinebackup.daemon.decide.job_ends import ALL_JOBS, judge_cancelled, judge_failed, judge_finished
from kinebackup.daemon.decide.lending import is_awaited, told_of_damage
from kinebackup.daemon.decide.states import DriveState, State
from kinebackup.daemon.decide.step import Step
from kinebackup.daemon.decide.table import AT_WORK, JOB_PHASES, Intent, Trigger
from kinebackup.daemon.decide.transitions import can, fire, next_job, settle, stop_lending
from kinebackup.model import BackupReport
from kinebackup.policy import reminders, schedule
from kinebackup.policy.job_kinds import JobKind
from kinebackup.policy.notices import BEHAVIOUR, Notice, NoticeKey, NoticeKind
from kinebackup.policy.phases import Phase

LONG: Final = timedelta(minutes=10)
"""Shorter work is not announced."""


def step(state: State, event: ev.Event) -> tuple[State, tuple[Action, ...]]:
    """The state after the event, and what is to be done, in this order."""
    step = Step(state, event.time)
    _react(step, event)
    settle(step)
    return step.state, tuple(step.actions)


def _react(step: Step, event: ev.Event) -> None:
    match event:
        case ev.DriveAppeared() | ev.DriveChanged() | ev.DriveVanished() | ev.DrivesKnown():
            about_presence(step, event)
        case ev.Mounted() | ev.MountFailed() | ev.Authenticated() | ev.Refused():
            about_opening(step, event)
        case ev.Unmounted() | ev.UnmountFailed() | ev.PoweredOff() | ev.PowerOffRefused():
            about_leaving(step, event)
        case ev.HealthSeen(drive=drive, health=health):
            about_health(step, drive, health)
        case ev.JobProgress():
            _job_progressed(step, event)
        case ev.JobFinished() | ev.JobFailed() | ev.JobCancelled():
            _job_ended(step, event)
        case ev.BackUpNow() | ev.RestoreTestNow() | ev.Eject():
            _work_requested(step, event)
        case ev.Snooze() | ev.Acknowledge():
            _notice_answered(step, event)
        case ev.Tick():
            _tick(step, event)
        case ev.SourcesChecked():
            _sources_checked(step, event)
        case _:
            _about_computer(step, event)


def _about_computer(
    step: Step,
    event: ev.Suspending
    | ev.Resumed
    | ev.ClockJumped
    | ev.PowerChanged
    | ev.ShutdownRequested
    | ev.SettingsRead
    | ev.MassChange
    | ev.AlarmLifted,
) -> None:
    match event:
        case ev.Suspending():
            step.state = replace(step.state, asleep=True)
            _pause_all(step)
        case ev.Resumed():
            step.state = replace(step.state, asleep=False)
            _plan_what_is_due(step)
        case ev.ClockJumped():
            step.do(Log("the clock was set"))
            _plan_what_is_due(step)
        case ev.PowerChanged(on_battery=on_battery):
            step.state = replace(step.state, on_battery=on_battery)
            if not on_battery:
                _plan_what_is_due(step)
            elif step.state.rules.pause_on_battery:
                _pause_all(step, spare_requested=True)
        case ev.ShutdownRequested():
            step.state = replace(step.state, ending=True)
            _pause_all(step)
        case ev.SettingsRead(readable=readable):
            if readable:
                step.withdraw(NoticeKey(NoticeKind.SETTINGS_UNREADABLE, ""))
            else:
                step.notify_once(Notice(NoticeKind.SETTINGS_UNREADABLE))
        case ev.MassChange():
            step.state = replace(step.state, alarm=True)
            for drive in step.state.drives:
                _drop_plan(step, drive)
            step.notify(Notice(NoticeKind.ALARM))
        case ev.AlarmLifted():
            step.state = replace(step.state, alarm=False)
            step.withdraw(NoticeKey(NoticeKind.ALARM, ""))
            _plan_what_is_due(step)
        case _:
            assert_never(event)


def _job_progressed(step: Step, event: ev.JobProgress) -> None:
    drive = step.drive(event.drive)
    if drive is None or drive.job is None or drive.job.id != event.job:
        return
    if event.time - drive.job.started >= LONG:
        step.notify_once(Notice(NoticeKind.WORKING, event.drive))


def _job_ended(step: Step, event: ev.JobEnded) -> None:
    drive = step.drive(event.drive)
    if drive is not None and drive.orphaned_job == event.job:
        step.put(drive, orphaned_job=None)  # its end was recorded when the drive was pulled
        return
    if drive is None or drive.job is None or drive.job.id != event.job:
        step.do(Log("a job that nobody waits for has ended", event.drive))
        return
    kind, history = drive.job.kind, drive.known.history
    match event:
        case ev.JobFinished():
            judged = judge_finished(kind, history, event, drive.room, drive.saved)
        case ev.JobFailed(reason=reason):
            judged = judge_failed(kind, history, event.drive, reason, drive.room)
        case ev.JobCancelled():
            judged = judge_cancelled(kind, history, drive.room)
    plan = tuple(dict.fromkeys((*judged.first, *(each for each in drive.plan if each not in judged.drops))))
    if isinstance(event, ev.JobCancelled):  # paused, it goes on where it stopped; else nothing else is tried
        plan = tuple(dict.fromkeys((kind, *plan))) if drive.intent is Intent.WAIT else ()
    step.do(Record(event.drive, event.job, kind, judged.ending))
    step.put(
        drive,
        known=replace(drive.known, history=judged.history),
        job=None,
        plan=plan,
        outcome=judged.outcome or drive.outcome,
        saved=_snapshot_of(event) or drive.saved,
        room=judged.room if plan else "enough",
    )
    after = step.drive(event.drive)
    for notice in judged.notices:
        told = told_of_damage(step.state, after, kind, notice, now=step.now) if after is not None else notice
        if told is not None:
            step.notify(told)
    if kind == "repair" and not judged.history.to_take:
        step.withdraw(NoticeKey(NoticeKind.PLUG_IN_BOTH, event.drive))
    next_job(step, event.drive)


def _snapshot_of(event: ev.JobEnded) -> str:
    """What a backup that came to its end has written."""
    report = event.report if isinstance(event, ev.JobFinished) else None
    return (report.snapshot or "") if isinstance(report, BackupReport) else ""


def _work_requested(step: Step, event: ev.BackUpNow | ev.RestoreTestNow | ev.Eject) -> None:
    drive = step.drive(event.drive) if event.drive else _the_one_that_is_here(step.state)
    if drive is None or drive.phase is Phase.ABSENT:
        step.do(Log("a person asked for a drive that is not here", event.drive))
        return
    match event:
        case ev.BackUpNow():
            plan = schedule.plan(drive.known.history, step.state.rules, step.now, wanted=True)
            _add_to_plan(step, drive, plan)
        case ev.RestoreTestNow():
            _add_to_plan(step, drive, ("restore-test",))
        case ev.Eject():
            _let_go(step, drive)


def _the_one_that_is_here(state: State) -> DriveState | None:
    return next((drive for drive in state.drives if drive.phase not in (Phase.ABSENT, Phase.REFUSED)), None)


def _add_to_plan(step: Step, drive: DriveState, plan: tuple[JobKind, ...]) -> None:
    """Put these jobs before what is planned already. A drive that is on its way out comes back when it is there."""
    if step.state.alarm:
        step.notify(Notice(NoticeKind.ALARM))
        return
    if not can(drive, Trigger.WANTED):
        step.do(Log("a person asked for a drive that must be plugged in again", drive.known.id))
        return
    running = drive.job.kind if drive.job and drive.phase in JOB_PHASES else None
    merged = tuple(kind for kind in dict.fromkeys((*plan, *drive.plan)) if kind != running)
    step.put(drive, plan=merged, requested=True)
    fire(step, drive.known.id, Trigger.WANTED)


def _let_go(step: Step, drive: DriveState) -> None:
    """Stop what runs, unmount, and say so."""
    stop_lending(step, drive)
    if can(drive, Trigger.LET_GO):
        step.put(drive, plan=(), requested=False, room="enough")
        fire(step, drive.known.id, Trigger.LET_GO)


def _drop_plan(step: Step, drive: DriveState) -> None:
    """Let it go if it is at work; else see that it does not begin."""
    if drive.phase in AT_WORK:
        _let_go(step, drive)
    else:
        step.put(drive, plan=(), requested=False, room="enough")
        fire(step, drive.known.id, Trigger.ENOUGH)


def _pause_all(step: Step, *, spare_requested: bool = False) -> None:
    """Stop and unmount what is at work, to go on later."""
    for drive in step.state.drives:
        if not (spare_requested and drive.requested):
            fire(step, drive.known.id, Trigger.PAUSE)


def _plan_what_is_due(step: Step, only: frozenset[JobKind] = ALL_JOBS) -> None:
    """For drives that are here and idle. What was paused goes on first."""
    if not step.state.rules.automatic:
        return
    for drive in step.state.drives:
        if can(drive, Trigger.BEGIN) and not drive.plan:
            due = schedule.plan(drive.known.history, step.state.rules, step.now)
            step.put(drive, plan=tuple(kind for kind in due if kind in only))


def _tick(step: Step, event: ev.Tick) -> None:
    for drive in step.state.drives:
        fire(step, drive.known.id, Trigger.TRY_AGAIN)
    match event.what:
        case "backup-due":
            _plan_what_is_due(step)
        case "verification-due":
            _plan_what_is_due(step, frozenset({"verify"}))
        case "restore-test-due":
            _plan_what_is_due(step, frozenset({"restore-test"}))
        case "reminder-hour" | "rotation-day" | "still-plugged":
            for drive in step.state.drives:
                _let_go_if_idle(step, drive)
            views = [_view(drive) for drive in step.state.drives]
            for notice in reminders.remind(views, step.state.rules, step.state.memory, event.what, now=event.time):
                step.notify(notice)
        case _:
            assert_never(event.what)


def _let_go_if_idle(step: Step, drive: DriveState) -> None:
    """A drive for which nothing was due. That it may be unplugged is known only once no mount table has it."""
    if drive.phase is not Phase.APPEARED or drive.plan or drive.since is None or is_awaited(step.state, drive):
        return
    if step.now - drive.since >= schedule.STILL_PLUGGED_AFTER:
        _let_go(step, drive)


def _view(drive: DriveState) -> reminders.DriveView:
    return reminders.DriveView(
        id=drive.known.id,
        place=drive.known.place,
        plugged=drive.phase is not Phase.ABSENT,
        idle_since=drive.since if drive.phase is Phase.SAFE and not drive.plan else None,
        last_backup=drive.known.history.last_backup,
    )


def _notice_answered(step: Step, event: ev.Snooze | ev.Acknowledge) -> None:
    """The alarm is lifted by ``AlarmLifted`` only: a button of a notification is pressed too easily."""
    if BEHAVIOUR[event.kind].ends == "lifted":
        return
    if isinstance(event, ev.Snooze):
        memory = step.state.memory
        snoozed = reminders.snooze(memory, event.kind, event.drive, event.until, now=event.time)
        step.state = replace(step.state, memory=replace(memory, snoozed=snoozed))
    step.withdraw(NoticeKey(event.kind, event.drive))


def _sources_checked(step: Step, event: ev.SourcesChecked) -> None:
    """That all is well again does not take the notice back: somebody must have seen it."""
    match event.finding:
        case "suspicious":
            step.notify_once(Notice(NoticeKind.SOURCE_SUSPICIOUS))
        case "synced":
            step.notify_once(Notice(NoticeKind.SOURCE_SYNCED))
        case "sound":
            step.do(Log("the sources are as they should be"))
        case _:
            assert_never(event.finding)
