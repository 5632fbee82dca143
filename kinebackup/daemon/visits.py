"""One stay of a drive: recognised, opened, let go, pulled.

Owns: which device is which enrolled drive, and the answers to mounting, authenticating, unmounting and powering off.
Does not know: jobs, people or timers.
"""

from dataclasses import replace

from kinebackup.daemon import events as ev
from kinebackup.daemon.actions import Detach, Log
from kinebackup.daemon.phases import next_job, show, tell_safe
from kinebackup.daemon.states import DriveState, Phase, Shown, Sign, State
from kinebackup.daemon.turn import Turn
from kinebackup.policy import schedule
from kinebackup.policy.notices import Notice, NoticeKind


def about_presence(turn: Turn, event: ev.DriveAppeared | ev.DriveChanged | ev.DriveVanished | ev.DrivesKnown) -> None:
    match event:
        case ev.DriveAppeared(device=device):
            _appeared(turn, device)
        case ev.DriveChanged(device=device):
            here = _drive_of_device(turn.state, device)
            if here is not None and not _is_same(here, device):
                _vanished(turn, here)
            _appeared(turn, device)
        case ev.DriveVanished(device=device):
            here = _drive_of_device(turn.state, device)
            if here is not None:
                _vanished(turn, here)
        case ev.DrivesKnown():
            _drives_known(turn, event)


def _drive_of_device(state: State, device: ev.Device) -> DriveState | None:
    key = (device.node, device.disk_sequence)
    return next((d for d in state.drives if d.device and (d.device.node, d.device.disk_sequence) == key), None)


def _is_same(drive: DriveState, device: ev.Device) -> bool:
    """Every identifier that was known when the drive was enrolled must agree; the header is asked later."""
    known = drive.known
    recorded = ((known.fs_uuid, device.fs_uuid), (known.part_uuid, device.part_uuid), (known.serial, device.serial))
    return all(expected in ("", found) for expected, found in recorded)


def _appeared(turn: Turn, device: ev.Device) -> None:
    if _drive_of_device(turn.state, device) is not None:
        return
    named = [drive for drive in turn.state.drives if device.fs_uuid and drive.known.fs_uuid == device.fs_uuid]
    mine = [drive for drive in named if _is_same(drive, device)]
    if not named:
        turn.do(Log("an unknown drive was plugged in; it is left alone"))
    elif not mine or mine[0].phase is not Phase.ABSENT:
        # Another disk with our UUID, or a second one beside ours: a copy, which nobody can tell from a trap.
        turn.do(Log("a copy of a drive was plugged in; it is left alone", named[0].known.label))
        turn.tell(Notice(NoticeKind.IMPOSTOR, named[0].known.label))
    else:
        _plugged_in(turn, mine[0], device)


def _plugged_in(turn: Turn, drive: DriveState, device: ev.Device) -> None:
    label = drive.known.label
    turn.put(drive, visit=ev.VisitId(turn.state.next_visit), device=device)
    turn.state = replace(turn.state, next_visit=turn.state.next_visit + 1)
    turn.withdraw_all("plugged-in", label)
    turn.withdraw_all("unplugged", label)  # what was said when it was powered off
    show(turn, label, Sign.PLUGGED_IN)
    if turn.state.alarm:
        turn.tell(Notice(NoticeKind.ALARM))
        return
    here = turn.drive(label)
    plan = schedule.plan(drive.known.history, turn.state.rules, turn.now)
    if here is None:
        return
    if not plan:
        turn.tell(Notice(NoticeKind.UP_TO_DATE, label))
    elif turn.state.rules.automatic:
        turn.put(here, plan=plan)
    else:
        turn.tell(Notice(NoticeKind.READY, label))


def _vanished(turn: Turn, drive: DriveState) -> None:
    label = drive.known.label
    if drive.phase is Phase.POWERING_OFF:
        # It was unmounted; that the kernel forgets it is what powering off does. So the person must hear of it now.
        turn.put(drive, powered_off=True)
        tell_safe(turn, drive)
    show(turn, label, Sign.PULLED)


def _drives_known(turn: Turn, event: ev.DrivesKnown) -> None:
    """A drive that was forgotten while it is here stays until it is unplugged."""
    before = {drive.known.label: drive for drive in turn.state.drives}
    after = {label: drive for label, drive in before.items() if drive.phase is not Phase.ABSENT or drive.dead_job}
    for known in event.drives:
        after[known.label] = replace(before.get(known.label, DriveState(known)), known=known)
    turn.state = replace(
        turn.state,
        drives=tuple(after[label] for label in sorted(after)),
        memory=replace(turn.state.memory, last_code_test=event.last_code_test),
    )


def about_opening(turn: Turn, event: ev.Mounted | ev.MountFailed | ev.Authenticated | ev.Refused) -> None:
    drive = turn.drive(event.drive)
    expected = Phase.MOUNTING if isinstance(event, ev.Mounted | ev.MountFailed) else Phase.AUTHENTICATING
    if drive is None or drive.visit != event.visit or drive.phase is not expected:
        turn.do(Log("an answer came too late", event.drive))
        if isinstance(event, ev.Mounted) and (drive is None or drive.visit != event.visit):
            turn.do(Detach(event.drive, event.visit))
        return
    match event:
        case ev.Mounted():
            turn.withdraw(Shown(NoticeKind.NOT_MOUNTED, event.drive))
            show(turn, event.drive, Sign.ENOUGH if drive.halted else Sign.MOUNTED)
        case ev.MountFailed(reason=reason, program=program):
            turn.put(drive, plan=(), by_person=False)
            kind = NoticeKind.BUSY if reason == "busy" else NoticeKind.NOT_MOUNTED
            turn.tell(Notice(kind, event.drive, program=program))
            show(turn, event.drive, Sign.NOT_MOUNTED)
        case ev.Authenticated():
            next_job(turn, event.drive)
        case ev.Refused(reason=reason):
            turn.put(drive, plan=(), by_person=False, halted=True, then="refuse")
            turn.tell(Notice(NoticeKind.IMPOSTOR if reason == "impostor" else NoticeKind.REFUSED, event.drive))
            show(turn, event.drive, Sign.NOT_OURS)


def about_leaving(turn: Turn, event: ev.Unmounted | ev.UnmountFailed | ev.PoweredOff | ev.PowerOffRefused) -> None:
    drive = turn.drive(event.drive)
    expected = Phase.UNMOUNTING if isinstance(event, ev.Unmounted | ev.UnmountFailed) else Phase.POWERING_OFF
    if drive is None or drive.visit != event.visit or drive.phase is not expected:
        turn.do(Log("an answer came too late", event.drive))
        return
    match event:
        case ev.Unmounted(complete=complete):
            turn.withdraw(Shown(NoticeKind.STILL_BUSY, event.drive))
            if (
                not complete
            ):  # the backup is on it, as far as it was read back; the drive cannot be relied on all the same
                turn.tell(Notice(NoticeKind.DRIVE_FAILED, event.drive))
                turn.put(drive, outcome="failed")
            show(turn, event.drive, _sign_of_unmounted(drive))
        case ev.UnmountFailed(program=program):
            turn.tell(Notice(NoticeKind.STILL_BUSY, event.drive, program=program))
            show(turn, event.drive, Sign.NOT_UNMOUNTED)
        case ev.PoweredOff():
            turn.put(drive, powered_off=True, plan=(), by_person=False)
            show(turn, event.drive, Sign.POWERED_OFF)
        case ev.PowerOffRefused():
            show(turn, event.drive, Sign.POWER_OFF_REFUSED)


def _sign_of_unmounted(drive: DriveState) -> Sign:
    if drive.then == "refuse":
        return Sign.UNMOUNTED_AS_REFUSED
    # Paused at the very moment at which the last job ended: there is nothing to wait for.
    return Sign.UNMOUNTED_TO_WAIT if drive.then == "wait" and drive.plan else Sign.UNMOUNTED
