"""From one phase of a drive to the next.

Owns: following the table of states.py, what is done on entering each phase, and which drive begins next. Does not know:
events; visits.py and machine.py turn them into the signs that are shown here.
"""

from dataclasses import replace
from typing import assert_never

from kinebackup.daemon.actions import (
    Authenticate,
    CancelJob,
    Detach,
    InhibitSleep,
    Mount,
    PowerOff,
    Record,
    ReleaseSleep,
    StartJob,
    Unmount,
)
from kinebackup.daemon.events import JobId
from kinebackup.daemon.states import (
    AT_WORK,
    NEEDS_UNMOUNT,
    SIGN_OF_JOB,
    TABLE,
    WAITING,
    DriveState,
    Job,
    Phase,
    Sign,
    State,
)
from kinebackup.daemon.turn import Turn
from kinebackup.policy import schedule
from kinebackup.policy.notices import Notice, NoticeKind


def show(turn: Turn, label: str, sign: Sign) -> None:
    """Show a sign to a drive. One that its phase does not list changes nothing."""
    drive = turn.drive(label)
    if drive is None or sign not in TABLE[drive.phase]:
        return
    _enter(turn, turn.put(drive, phase=TABLE[drive.phase][sign]), before=drive)


def show_if(turn: Turn, drive: DriveState, phase: Phase, sign: Sign) -> None:
    """Show a sign to a drive that is in that phase."""
    if drive.phase is phase:
        show(turn, drive.known.label, sign)


def _enter(turn: Turn, drive: DriveState, *, before: DriveState) -> None:
    """What a drive does in its new phase."""
    label, visit, device = drive.known.label, drive.visit, drive.device
    if drive.phase is Phase.ABSENT or device is None:
        _enter_absent(turn, before)
        return
    match drive.phase:
        case Phase.APPEARED | Phase.REFUSED:
            _rest(turn, drive)
        case Phase.MOUNTING:
            turn.withdraw_all("unplugged", label)
            turn.put(drive, halted=False, then="power-off", outcome="nothing", since=None)
            turn.do(Mount(label, visit, device))
        case Phase.AUTHENTICATING:
            turn.do(Authenticate(label, visit))
        case Phase.BACKING_UP | Phase.VERIFYING | Phase.TESTING | Phase.PRUNING:
            _enter_job(turn, drive)
        case Phase.STOPPING:
            if drive.job is not None:
                turn.do(CancelJob(label, drive.job.id))
        case Phase.UNMOUNTING:
            turn.withdraw_all("work-done", label)
            turn.do(Unmount(label, visit, device))
        case Phase.STUCK:
            pass  # said already; the next tick or *Éjecter* tries again
        case Phase.POWERING_OFF:
            turn.do(PowerOff(label, visit, device))
        case Phase.SAFE:
            _rest(turn, drive)
            if not drive.plan:
                tell_safe(turn, drive)
        case _:
            assert_never(drive.phase)


def _rest(turn: Turn, drive: DriveState) -> None:
    """A person's wish lasts until it has been fulfilled; what is begun afterwards is begun by itself."""
    wished = drive.by_person and bool(drive.plan)
    turn.put(drive, halted=False, then="power-off", by_person=wished, since=turn.now)


def _enter_job(turn: Turn, drive: DriveState) -> None:
    kind = drive.plan[0]
    job = Job(JobId(turn.state.next_job), kind, turn.now)
    turn.state = replace(turn.state, next_job=turn.state.next_job + 1)
    turn.put(drive, job=job, plan=drive.plan[1:])
    one_in = schedule.verify_one_in(drive.known.history, turn.state.rules, turn.now) if kind == "verify" else 1
    turn.do(StartJob(drive.known.label, drive.visit, job.id, kind, one_in))


def _enter_absent(turn: Turn, before: DriveState) -> None:
    """Whatever ran is over. The worker may not know yet: until it does, the job is dead, not forgotten."""
    label = before.known.label
    dead = before.job
    # Every field from ``plan`` on is about the visit that has just ended.
    turn.put(DriveState(before.known, dead_job=dead.id if dead else before.dead_job))
    if dead is not None:
        if before.phase is not Phase.STOPPING:
            turn.do(CancelJob(label, dead.id))
        turn.do(Record(label, dead.id, dead.kind, "interrupted"))
    if before.phase in NEEDS_UNMOUNT | {Phase.MOUNTING}:
        turn.do(Detach(label, before.visit))
    turn.withdraw_all("work-done", label)
    if before.phase in NEEDS_UNMOUNT:
        turn.withdraw_all("unplugged", label)
        turn.tell(Notice(NoticeKind.PULLED, label))
    elif not before.powered_off:
        turn.withdraw_all("unplugged", label)


def tell_safe(turn: Turn, drive: DriveState) -> None:
    """Said only where ``Unmounted`` came before: POWERING_OFF is entered by nothing else."""
    fresh = not schedule.backup_due(drive.known.history, turn.state.rules, turn.now)
    if not (drive.outcome == "saved" or (drive.outcome == "nothing" and fresh)):
        kind = NoticeKind.SAFE_NOT_SAVED
    elif drive.known.place == "domicile":
        kind = NoticeKind.SAFE_TAKE_HOME
    else:
        kind = NoticeKind.SAFE
    turn.tell(Notice(kind, drive.known.label))


def settle(turn: Turn) -> None:
    """Start the next drive that has work, if one may start; keep the computer awake while one is at work."""
    state = turn.state
    if not (state.alarm or state.asleep or state.ending or any(d.phase in AT_WORK for d in state.drives)):
        ready = [drive for drive in state.drives if _may_begin(drive, state)]
        # Who asked comes first; the label makes the order of the others the same on every run.
        ready.sort(key=lambda drive: (not drive.by_person, drive.known.label))
        if ready:
            show(turn, ready[0].known.label, Sign.BEGIN)
    busy = any(drive.phase in AT_WORK for drive in turn.state.drives)
    if busy != turn.state.inhibiting:
        turn.state = replace(turn.state, inhibiting=busy)
        turn.do(InhibitSleep() if busy else ReleaseSleep())


def _may_begin(drive: DriveState, state: State) -> bool:
    if drive.phase not in WAITING or drive.powered_off or not drive.plan or drive.dead_job is not None:
        return False
    return drive.by_person or not (state.on_battery and state.rules.pause_on_battery)


def next_job(turn: Turn, label: str) -> None:
    """Go on with the plan, if one may."""
    drive = turn.drive(label)
    if drive is not None:
        show(turn, label, Sign.ENOUGH if drive.halted or not drive.plan else SIGN_OF_JOB[drive.plan[0]])
