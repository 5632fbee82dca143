"""From one phase of a drive to the next.

Owns: following the table, what is done on entering each phase, and which drive begins next. Does not know: events;
attachments.py and machine.py turn them into the triggers that are fired here.
"""

from dataclasses import replace
from typing import assert_never

from kinebackup.daemon.decide.actions import (
    Authenticate,
    CancelJob,
    Detach,
    InhibitSleep,
    Lender,
    Mount,
    PowerOff,
    Record,
    ReleaseSleep,
    StartJob,
    Unmount,
)
from kinebackup.daemon.decide.events import JobId
from kinebackup.daemon.decide.lending import can_be_repaired, is_awaited, plan_repairs, ready_lender
from kinebackup.daemon.decide.states import DriveState, Job, State
from kinebackup.daemon.decide.step import Step
from kinebackup.daemon.decide.table import (
    AT_WORK,
    JOB_TRIGGERS,
    NEEDS_UNMOUNT,
    POWERED_OFF,
    TABLE,
    TRIGGER_OF_JOB,
    WAITING,
    Trigger,
)
from kinebackup.policy import schedule
from kinebackup.policy.notices import Notice, NoticeKind
from kinebackup.policy.phases import Phase


def can(drive: DriveState, trigger: Trigger) -> bool:
    """Whether the table lists that trigger for the drive as it is now."""
    return trigger in TABLE[drive.position]


def fire(step: Step, drive_id: str, trigger: Trigger) -> None:
    """Follow the table, and enter the phase that it leads to, where that is another one or another job."""
    drive = step.drive(drive_id)
    if drive is None or not can(drive, trigger):
        return
    phase, intent = TABLE[drive.position][trigger]
    after = step.put(drive, phase=phase, intent=intent)
    if phase is not drive.phase or trigger in JOB_TRIGGERS:
        _enter(step, after, before=drive)


def _enter(step: Step, drive: DriveState, *, before: DriveState) -> None:
    """What a drive does in its new phase."""
    drive_id, attachment, device = drive.known.id, drive.attachment, drive.device
    if drive.phase is Phase.ABSENT or device is None:
        _enter_absent(step, before)
        return
    match drive.phase:
        case Phase.APPEARED | Phase.REFUSED:
            _come_to_rest(step, drive)
        case Phase.MOUNTING:
            step.withdraw_all("unplugged", drive_id)
            step.put(drive, outcome="nothing", since=None)
            step.do(Mount(drive_id, attachment, device))
        case Phase.AUTHENTICATING:
            step.do(Authenticate(drive_id, attachment))
        case Phase.BACKING_UP | Phase.VERIFYING | Phase.TESTING | Phase.PRUNING | Phase.REPAIRING:
            _enter_job(step, drive)
        case Phase.STOPPING:
            if drive.job is not None:
                step.do(CancelJob(drive_id, drive.job.id))
        case Phase.UNMOUNTING:
            step.withdraw_all("work-done", drive_id)
            step.do(Unmount(drive_id, attachment, device))
        case Phase.STUCK:
            pass  # said already; the next tick or *Éjecter* tries again
        case Phase.POWERING_OFF:
            step.do(PowerOff(drive_id, attachment, device))
        case Phase.SAFE:
            _come_to_rest(step, drive)
            if not drive.plan:
                notify_safe(step, drive)
        case _:
            assert_never(drive.phase)


def _come_to_rest(step: Step, drive: DriveState) -> None:
    """A person's request lasts until its jobs are done; what begins afterwards is automatic."""
    step.put(drive, requested=drive.requested and bool(drive.plan), since=step.now)


def _enter_job(step: Step, drive: DriveState) -> None:
    kind = drive.plan[0]
    giving = ready_lender(step.state, drive) if kind == "repair" else None
    lender = None
    if giving is not None and giving.device is not None:
        lender = Lender(giving.known.id, giving.attachment, giving.device)
        step.put(giving, held=True)
    job = Job(JobId(step.state.next_job), kind, step.now, lender.drive if lender else "")
    step.state = replace(step.state, next_job=step.state.next_job + 1)
    step.put(drive, job=job, plan=drive.plan[1:])
    one_in = schedule.verify_one_in(drive.known.history, step.state.rules, step.now) if kind == "verify" else 1
    step.do(StartJob(drive.known.id, drive.attachment, job.id, kind, one_in, lender))


def _enter_absent(step: Step, before: DriveState) -> None:
    """Whatever ran is over. Its process may not have ended yet: until it has, nothing else begins on this drive."""
    drive_id = before.known.id
    orphan = before.job
    # Every other field is about the attachment that has just ended.
    step.put(DriveState(before.known, orphaned_job=orphan.id if orphan else before.orphaned_job))
    if orphan is not None:
        if before.phase is not Phase.STOPPING:
            step.do(CancelJob(drive_id, orphan.id))
        step.do(Record(drive_id, orphan.id, orphan.kind, "interrupted"))
    if before.phase in NEEDS_UNMOUNT | {Phase.MOUNTING}:
        step.do(Detach(drive_id, before.attachment))
    step.withdraw_all("work-done", drive_id)
    if before.phase in NEEDS_UNMOUNT:
        step.withdraw_all("unplugged", drive_id)
        step.notify(Notice(NoticeKind.PULLED, drive_id))
    elif before.position != POWERED_OFF:
        step.withdraw_all("unplugged", drive_id)


def notify_safe(step: Step, drive: DriveState) -> None:
    """Said only where ``Unmounted`` came before: POWERING_OFF is entered by nothing else."""
    fresh = not schedule.backup_due(drive.known.history, step.state.rules, step.now)
    if not (drive.outcome == "saved" or (drive.outcome == "nothing" and fresh)):
        kind = NoticeKind.SAFE_NOT_SAVED
    elif drive.known.place == "domicile":
        kind = NoticeKind.SAFE_TAKE_HOME
    else:
        kind = NoticeKind.SAFE
    step.notify(Notice(kind, drive.known.id))


def stop_lending(step: Step, drive: DriveState) -> None:
    """That drive goes: what is repaired with it stops, and what was taken until then is kept."""
    for each in step.state.drives:
        if each.job is not None and each.job.lender == drive.known.id:
            fire(step, each.known.id, Trigger.PAUSE)


def _release_held(step: Step) -> None:
    """A drive that was kept for the repair of another one goes when nobody needs it any more."""
    for drive in step.state.drives:
        if drive.held and drive.phase in WAITING and not is_awaited(step.state, drive):
            step.put(drive, held=False)
            if not drive.plan:
                fire(step, drive.known.id, Trigger.LET_GO)


def settle(step: Step) -> None:
    """Start the next drive that has work, if one may start; keep the computer awake while one is at work."""
    plan_repairs(step)
    _release_held(step)
    state = step.state
    if not (state.alarm or state.asleep or state.ending or any(d.phase in AT_WORK for d in state.drives)):
        ready = [drive for drive in state.drives if _may_begin(drive, state)]
        # Who asked comes first; the label makes the order of the others the same on every run.
        ready.sort(key=lambda drive: (not drive.requested, drive.known.label))
        if ready:
            fire(step, ready[0].known.id, Trigger.BEGIN)
    busy = any(drive.phase in AT_WORK for drive in step.state.drives)
    if busy != step.state.inhibiting:
        step.state = replace(step.state, inhibiting=busy)
        step.do(InhibitSleep() if busy else ReleaseSleep())


def _may_begin(drive: DriveState, state: State) -> bool:
    if not can(drive, Trigger.BEGIN) or not drive.plan or drive.orphaned_job is not None:
        return False
    return drive.requested or not (state.on_battery and state.rules.pause_on_battery)


def next_job(step: Step, drive_id: str) -> None:
    """A job could begin now: which one is next. Whether it does begin is for the table to say."""
    plan_repairs(step)  # what the job found that has just ended
    drive = step.drive(drive_id)
    if drive is None:
        return
    if drive.plan[:1] == ("repair",) and not can_be_repaired(step.state, drive):
        drive = step.put(drive, plan=drive.plan[1:])
    if drive.plan:
        fire(step, drive_id, TRIGGER_OF_JOB[drive.plan[0]])
    elif is_awaited(step.state, drive) and can(drive, Trigger.LEND):
        step.put(drive, held=True)
        fire(step, drive_id, Trigger.LEND)
    else:
        fire(step, drive_id, Trigger.ENOUGH)
