"""One attachment of a drive: recognised, opened, let go, pulled.

Owns: which device is which enrolled drive, the answers to mounting, authenticating, unmounting and powering off, and
that a drive is ageing. Does not know: jobs, people or timers.
"""

from dataclasses import replace

from kinebackup.daemon.decide import events as ev
from kinebackup.daemon.decide.actions import Detach, Log
from kinebackup.daemon.decide.states import DriveState, State
from kinebackup.daemon.decide.step import Step
from kinebackup.daemon.decide.table import Trigger
from kinebackup.daemon.decide.transitions import fire, next_job, stop_lending
from kinebackup.model import Health
from kinebackup.policy import schedule
from kinebackup.policy.notices import Notice, NoticeKey, NoticeKind
from kinebackup.policy.phases import Phase


def about_presence(step: Step, event: ev.DriveAppeared | ev.DriveChanged | ev.DriveVanished | ev.DrivesKnown) -> None:
    match event:
        case ev.DriveAppeared(device=device):
            _appeared(step, device)
        case ev.DriveChanged(device=device):
            here = _drive_of_device(step.state, device)
            if here is not None and not _is_same(here, device):
                _vanished(step, here)
            _appeared(step, device)
        case ev.DriveVanished(device=device):
            here = _drive_of_device(step.state, device)
            if here is not None:
                _vanished(step, here)
        case ev.DrivesKnown():
            _drives_known(step, event)


def _drive_of_device(state: State, device: ev.Device) -> DriveState | None:
    key = (device.node, device.disk_sequence)
    return next((d for d in state.drives if d.device and (d.device.node, d.device.disk_sequence) == key), None)


def _is_same(drive: DriveState, device: ev.Device) -> bool:
    """Every identifier that was known when the drive was enrolled must agree; the header is asked later."""
    known = drive.known
    recorded = ((known.fs_uuid, device.fs_uuid), (known.part_uuid, device.part_uuid), (known.serial, device.serial))
    return all(expected in ("", found) for expected, found in recorded)


def _appeared(step: Step, device: ev.Device) -> None:
    if _drive_of_device(step.state, device) is not None:
        return
    named = [drive for drive in step.state.drives if device.fs_uuid and drive.known.fs_uuid == device.fs_uuid]
    mine = [drive for drive in named if _is_same(drive, device)]
    if not named:
        step.do(Log("an unknown drive was plugged in; it is left alone"))
    elif not mine or mine[0].phase is not Phase.ABSENT:
        # Another disk with our UUID, or a second one beside ours: a copy, which nobody can tell from a trap.
        step.do(Log("a copy of a drive was plugged in; it is left alone", named[0].known.id))
        step.notify(Notice(NoticeKind.IMPOSTOR, named[0].known.id))
    else:
        _plugged_in(step, mine[0], device)


def _plugged_in(step: Step, drive: DriveState, device: ev.Device) -> None:
    drive_id = drive.known.id
    step.put(drive, attachment=ev.AttachmentId(step.state.next_attachment), device=device)
    step.state = replace(step.state, next_attachment=step.state.next_attachment + 1)
    step.withdraw_all("plugged-in", drive_id)
    step.withdraw_all("unplugged", drive_id)  # what was said when it was powered off
    fire(step, drive_id, Trigger.PLUGGED_IN)
    if step.state.alarm:
        step.notify(Notice(NoticeKind.ALARM))
        return
    here = step.drive(drive_id)
    plan = schedule.plan(drive.known.history, step.state.rules, step.now)
    if here is None:
        return
    if not plan:
        step.notify(Notice(NoticeKind.UP_TO_DATE, drive_id))
    elif step.state.rules.automatic:
        step.put(here, plan=plan)
    else:
        step.notify(Notice(NoticeKind.READY, drive_id))


def _vanished(step: Step, drive: DriveState) -> None:
    drive_id = drive.known.id
    stop_lending(step, drive)
    if drive.phase is Phase.POWERING_OFF:
        # It was unmounted; that the kernel forgets it is what powering off does. So it is said now.
        _powered_off(step, drive)
    fire(step, drive_id, Trigger.PULLED)


def _drives_known(step: Step, event: ev.DrivesKnown) -> None:
    """A drive that was forgotten while it is here stays until it is unplugged."""
    before = {drive.known.id: drive for drive in step.state.drives}
    after = {
        drive_id: drive for drive_id, drive in before.items() if drive.phase is not Phase.ABSENT or drive.orphaned_job
    }
    for known in event.drives:
        after[known.id] = replace(before.get(known.id, DriveState(known)), known=known)
    step.state = replace(
        step.state,
        drives=tuple(sorted(after.values(), key=lambda drive: drive.known.label)),
        memory=replace(step.state.memory, last_code_test=event.last_code_test),
    )
    health = {known.id: known.health for known in event.drives}
    for drive_id in sorted({*health, *step.state.memory.told_ageing}):
        about_health(step, drive_id, health.get(drive_id, "good"))


def about_health(step: Step, drive_id: str, health: Health) -> None:
    """That a drive is ageing is said once, and taken back when it is not so any more, or the drive is none of ours."""
    told = step.state.memory.told_ageing
    if health == "replace" and drive_id not in told and step.drive(drive_id) is not None:
        step.state = replace(step.state, memory=replace(step.state.memory, told_ageing=(*told, drive_id)))
        step.notify(Notice(NoticeKind.DRIVE_AGES, drive_id))
    elif health != "replace" and drive_id in told:
        left = tuple(each for each in told if each != drive_id)
        step.state = replace(step.state, memory=replace(step.state.memory, told_ageing=left))
        step.withdraw(NoticeKey(NoticeKind.DRIVE_AGES, drive_id))


def about_opening(step: Step, event: ev.Mounted | ev.MountFailed | ev.Authenticated | ev.Refused) -> None:
    drive = step.drive(event.drive)
    expected = Phase.MOUNTING if isinstance(event, ev.Mounted | ev.MountFailed) else Phase.AUTHENTICATING
    if drive is None or drive.attachment != event.attachment or drive.phase is not expected:
        step.do(Log("an answer came too late", event.drive))
        if isinstance(event, ev.Mounted) and (drive is None or drive.attachment != event.attachment):
            step.do(Detach(event.drive, event.attachment))
        return
    match event:
        case ev.Mounted():
            step.withdraw(NoticeKey(NoticeKind.NOT_MOUNTED, event.drive))
            fire(step, event.drive, Trigger.MOUNTED)
        case ev.MountFailed(reason=reason, program=program):
            step.put(drive, plan=(), requested=False)
            kind = NoticeKind.BUSY if reason == "busy" else NoticeKind.NOT_MOUNTED
            step.notify(Notice(kind, event.drive, program=program))
            fire(step, event.drive, Trigger.NOT_MOUNTED)
        case ev.Authenticated():
            next_job(step, event.drive)
        case ev.Refused(reason=reason):
            step.put(drive, plan=(), requested=False)
            step.notify(Notice(NoticeKind.IMPOSTOR if reason == "impostor" else NoticeKind.REFUSED, event.drive))
            fire(step, event.drive, Trigger.NOT_OURS)


def about_leaving(step: Step, event: ev.Unmounted | ev.UnmountFailed | ev.PoweredOff | ev.PowerOffRefused) -> None:
    drive = step.drive(event.drive)
    expected = Phase.UNMOUNTING if isinstance(event, ev.Unmounted | ev.UnmountFailed) else Phase.POWERING_OFF
    if drive is None or drive.attachment != event.attachment or drive.phase is not expected:
        step.do(Log("an answer came too late", event.drive))
        return
    match event:
        case ev.Unmounted(complete=complete):
            step.withdraw(NoticeKey(NoticeKind.STILL_BUSY, event.drive))
            if not complete:  # the backup is on it as far as it was read back; the drive is not reliable all the same
                step.notify(Notice(NoticeKind.DRIVE_FAILED, event.drive))
                step.put(drive, outcome="failed")
            fire(step, event.drive, Trigger.UNMOUNTED)
        case ev.UnmountFailed(program=program):
            step.notify(Notice(NoticeKind.STILL_BUSY, event.drive, program=program))
            fire(step, event.drive, Trigger.NOT_UNMOUNTED)
        case ev.PoweredOff():
            _powered_off(step, drive)
        case ev.PowerOffRefused():
            fire(step, event.drive, Trigger.POWER_OFF_REFUSED)


def _powered_off(step: Step, drive: DriveState) -> None:
    """Nothing can be done with it any more, whatever was planned meanwhile."""
    step.put(drive, plan=(), requested=False)
    fire(step, drive.known.id, Trigger.POWERED_OFF)
