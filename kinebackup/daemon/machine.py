"""Every decision of the daemon: ``step(state, event) -> (state, actions)``.

Owns: what jobs, people, timers and the computer itself mean for the drives. Does not know: clocks, udev, mounts,
threads or the desktop; time comes with the events.

How to read it: ``step`` gives each event to one function (those about one stay of a drive are in visits.py); that
function changes what is known and shows signs to drives. Which sign leads to which phase is the table of states.py;
what is done there is in phases.py, which also starts the next drive that has work. Whatever the order of events,
``step`` never raises: what makes no sense in a phase changes nothing.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final, assert_never

from kinebackup.daemon import events as ev
from kinebackup.daemon.actions import Action, Log, Record
from kinebackup.daemon.job_ends import ALL_JOBS, judge_cancelled, judge_failed, judge_finished
from kinebackup.daemon.phases import next_job, settle, show, show_if
from kinebackup.daemon.states import AT_WORK, JOB_PHASES, WAITING, DriveState, Phase, Shown, Sign, State
from kinebackup.daemon.turn import Turn
from kinebackup.daemon.visits import about_leaving, about_opening, about_presence
from kinebackup.policy import reminders, schedule
from kinebackup.policy.notices import BEHAVIOUR, Notice, NoticeKind
from kinebackup.policy.schedule import JobKind

LONG: Final = timedelta(minutes=10)
"""A person is told that work goes on only after this time."""


def step(state: State, event: ev.Event) -> tuple[State, tuple[Action, ...]]:
    """The state after the event, and what is to be done, in this order."""
    turn = Turn(state, event.time)
    _react(turn, event)
    settle(turn)
    return turn.state, tuple(turn.actions)


def _react(turn: Turn, event: ev.Event) -> None:
    match event:
        case ev.DriveAppeared() | ev.DriveChanged() | ev.DriveVanished() | ev.DrivesKnown():
            about_presence(turn, event)
        case ev.Mounted() | ev.MountFailed() | ev.Authenticated() | ev.Refused():
            about_opening(turn, event)
        case ev.Unmounted() | ev.UnmountFailed() | ev.PoweredOff() | ev.PowerOffRefused():
            about_leaving(turn, event)
        case ev.JobProgress():
            _job_goes_on(turn, event)
        case ev.JobFinished() | ev.JobFailed() | ev.JobCancelled():
            _job_ended(turn, event)
        case ev.BackUpNow() | ev.RestoreTestNow() | ev.Eject():
            _asked(turn, event)
        case ev.Snooze() | ev.Acknowledge():
            _answered(turn, event)
        case ev.Tick():
            _tick(turn, event)
        case ev.SourcesChecked():
            _sources_checked(turn, event)
        case _:
            _about_computer(turn, event)


def _about_computer(
    turn: Turn,
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
            turn.state = replace(turn.state, asleep=True)
            _pause_all(turn)
        case ev.Resumed():
            turn.state = replace(turn.state, asleep=False)
            _look_what_is_due(turn)
        case ev.ClockJumped():
            turn.do(Log("the clock was set"))
            _look_what_is_due(turn)
        case ev.PowerChanged(on_battery=on_battery):
            turn.state = replace(turn.state, on_battery=on_battery)
            if not on_battery:
                _look_what_is_due(turn)
            elif turn.state.rules.pause_on_battery:
                _pause_all(turn, spare_wished=True)
        case ev.ShutdownRequested():
            turn.state = replace(turn.state, ending=True)
            _pause_all(turn)
        case ev.SettingsRead(readable=readable):
            if readable:
                turn.withdraw(Shown(NoticeKind.SETTINGS_UNREADABLE, ""))
            else:
                turn.tell_once(Notice(NoticeKind.SETTINGS_UNREADABLE))
        case ev.MassChange():
            turn.state = replace(turn.state, alarm=True)
            for drive in turn.state.drives:
                _let_go(turn, drive, only_at_work=True)
            turn.tell(Notice(NoticeKind.ALARM))
        case ev.AlarmLifted():
            turn.state = replace(turn.state, alarm=False)
            turn.withdraw(Shown(NoticeKind.ALARM, ""))
            _look_what_is_due(turn)
        case _:
            assert_never(event)


def _job_goes_on(turn: Turn, event: ev.JobProgress) -> None:
    drive = turn.drive(event.drive)
    if drive is None or drive.job is None or drive.job.id != event.job:
        return
    if event.time - drive.job.started >= LONG:
        turn.tell_once(Notice(NoticeKind.WORKING, event.drive))


def _job_ended(turn: Turn, event: ev.JobEnded) -> None:
    drive = turn.drive(event.drive)
    if drive is not None and drive.dead_job == event.job:
        turn.put(drive, dead_job=None)  # its end was recorded when the drive was pulled
        return
    if drive is None or drive.job is None or drive.job.id != event.job:
        turn.do(Log("a job that nobody waits for has ended", event.drive))
        return
    kind, history = drive.job.kind, drive.known.history
    match event:
        case ev.JobFinished():
            judged = judge_finished(kind, history, event)
        case ev.JobFailed(reason=reason):
            judged = judge_failed(kind, history, event.drive, reason)
        case ev.JobCancelled():
            judged = judge_cancelled(kind, history)
    plan = tuple(each for each in drive.plan if each not in judged.drops)
    if isinstance(event, ev.JobCancelled):  # paused, it goes on where it stopped; else nothing else is tried
        plan = tuple(dict.fromkeys((kind, *plan))) if drive.then == "wait" else ()
    turn.do(Record(event.drive, event.job, kind, judged.ending))
    turn.put(
        drive,
        known=replace(drive.known, history=judged.history),
        job=None,
        plan=plan,
        outcome=judged.outcome or drive.outcome,
    )
    for notice in judged.notices:
        turn.tell(notice)
    next_job(turn, event.drive)


def _asked(turn: Turn, event: ev.BackUpNow | ev.RestoreTestNow | ev.Eject) -> None:
    drive = turn.drive(event.drive) if event.drive else _the_one_that_is_here(turn.state)
    if drive is None or drive.phase is Phase.ABSENT:
        turn.do(Log("a person asked for a drive that is not here", event.drive))
        return
    match event:
        case ev.BackUpNow():
            plan = schedule.plan(drive.known.history, turn.state.rules, turn.now, wanted=True)
            _want(turn, drive, plan)
        case ev.RestoreTestNow():
            _want(turn, drive, ("restore-test",))
        case ev.Eject():
            _let_go(turn, drive)


def _the_one_that_is_here(state: State) -> DriveState | None:
    return next((drive for drive in state.drives if drive.phase not in (Phase.ABSENT, Phase.REFUSED)), None)


def _want(turn: Turn, drive: DriveState, plan: tuple[JobKind, ...]) -> None:
    """Put these jobs before what is planned already. A drive that is on its way out comes back when it is there."""
    if turn.state.alarm:
        turn.tell(Notice(NoticeKind.ALARM))
        return
    running = drive.job.kind if drive.job and drive.phase in JOB_PHASES else None
    merged = tuple(kind for kind in dict.fromkeys((*plan, *drive.plan)) if kind != running)
    if drive.phase is Phase.REFUSED or drive.then == "refuse" or drive.powered_off:
        turn.do(Log("a person asked for a drive that must be plugged in again", drive.known.label))
        return
    returns = drive.halted or drive.phase in (Phase.STOPPING, Phase.UNMOUNTING, Phase.STUCK)
    turn.put(drive, plan=merged, by_person=True, then="wait" if returns else drive.then)
    show_if(turn, drive, Phase.STUCK, Sign.EJECT)


def _let_go(turn: Turn, drive: DriveState, *, only_at_work: bool = False) -> None:
    """Stop what runs, unmount, and say so."""
    if only_at_work and drive.phase not in AT_WORK:
        turn.put(drive, plan=(), by_person=False)
        return
    if drive.phase in (Phase.ABSENT, Phase.REFUSED, Phase.SAFE, Phase.POWERING_OFF):
        return
    turn.put(drive, plan=(), by_person=False, halted=True, then="refuse" if drive.then == "refuse" else "power-off")
    if drive.phase in JOB_PHASES:
        show(turn, drive.known.label, Sign.STOP)
    elif drive.phase in (Phase.APPEARED, Phase.STUCK):
        show(turn, drive.known.label, Sign.EJECT)


def _pause_all(turn: Turn, *, spare_wished: bool = False) -> None:
    """Stop and unmount what is at work, to go on later."""
    for drive in turn.state.drives:
        if drive.halted or (spare_wished and drive.by_person):
            continue
        if drive.phase in JOB_PHASES | {Phase.MOUNTING, Phase.AUTHENTICATING}:
            turn.put(drive, halted=True, then="wait")
            if drive.phase in JOB_PHASES:
                show(turn, drive.known.label, Sign.STOP)


def _look_what_is_due(turn: Turn, only: frozenset[JobKind] = ALL_JOBS) -> None:
    """For drives that are here and idle. What was paused goes on first."""
    if not turn.state.rules.automatic:
        return
    for drive in turn.state.drives:
        if drive.phase in WAITING and not drive.powered_off and not drive.plan:
            due = schedule.plan(drive.known.history, turn.state.rules, turn.now)
            turn.put(drive, plan=tuple(kind for kind in due if kind in only))


def _tick(turn: Turn, event: ev.Tick) -> None:
    for drive in turn.state.drives:
        show_if(turn, drive, Phase.STUCK, Sign.EJECT)
    match event.what:
        case "backup-due":
            _look_what_is_due(turn)
        case "verification-due":
            _look_what_is_due(turn, frozenset({"verify"}))
        case "restore-test-due":
            _look_what_is_due(turn, frozenset({"restore-test"}))
        case "reminder-hour" | "rotation-day" | "still-plugged":
            for drive in turn.state.drives:
                _let_go_if_idle(turn, drive)
            views = [_view(drive) for drive in turn.state.drives]
            for notice in reminders.remind(views, turn.state.rules, turn.state.memory, event.what, now=event.time):
                turn.tell(notice)
        case _:
            assert_never(event.what)


def _let_go_if_idle(turn: Turn, drive: DriveState) -> None:
    """A drive for which nothing was due. That it may be unplugged is known only once no mount table has it."""
    if drive.phase is not Phase.APPEARED or drive.plan or drive.since is None:
        return
    if turn.now - drive.since >= schedule.STILL_PLUGGED_AFTER:
        _let_go(turn, drive)


def _view(drive: DriveState) -> reminders.DriveView:
    return reminders.DriveView(
        label=drive.known.label,
        place=drive.known.place,
        plugged=drive.phase is not Phase.ABSENT,
        idle_since=drive.since if drive.phase is Phase.SAFE and not drive.plan else None,
        last_backup=drive.known.history.last_backup,
    )


def _answered(turn: Turn, event: ev.Snooze | ev.Acknowledge) -> None:
    """The alarm is lifted by ``AlarmLifted`` only: a button of a notification is pressed too easily."""
    if BEHAVIOUR[event.kind].ends == "lifted":
        return
    if isinstance(event, ev.Snooze):
        memory = turn.state.memory
        snoozed = reminders.snooze(memory, event.kind, event.drive, event.until, now=event.time)
        turn.state = replace(turn.state, memory=replace(memory, snoozed=snoozed))
    turn.withdraw(Shown(event.kind, event.drive))


def _sources_checked(turn: Turn, event: ev.SourcesChecked) -> None:
    """That all is well again does not take the notice back: somebody must have seen it."""
    match event.finding:
        case "suspicious":
            turn.tell_once(Notice(NoticeKind.SOURCE_SUSPICIOUS))
        case "synced":
            turn.tell_once(Notice(NoticeKind.SOURCE_SYNCED))
        case "sound":
            turn.do(Log("the sources are as they should be"))
        case _:
            assert_never(event.finding)
