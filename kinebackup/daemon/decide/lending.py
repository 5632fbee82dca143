"""One drive gives another what that one has lost: when both are here, and who waits for it.

Owns: which drive lends to which, planning repairs, what is said of damage then. Does not know: the table of phases, or
how a repair is done.

What parity cannot heal is first saved again from this computer, in the same visit; the repair that follows says what is
lost all the same. Only then is anybody asked for anything: to plug in both drives together, once. Where both are here
already, nobody is.
"""

from datetime import datetime
from typing import Final

from kinebackup.daemon.decide.states import NO_ATTACHMENT, DriveState, State
from kinebackup.daemon.decide.step import Step
from kinebackup.daemon.decide.table import JOB_PHASES, WAITING, Intent
from kinebackup.policy.job_kinds import JobKind
from kinebackup.policy.notices import Notice, NoticeKind
from kinebackup.policy.phases import Phase
from kinebackup.policy.reminders import was_said_lately

ASK_EVERY_DAYS: Final = 7

_TAKES_PART: Final = WAITING | JOB_PHASES | {Phase.MOUNTING, Phase.AUTHENTICATING, Phase.UNMOUNTING}


def plan_repairs(step: Step) -> None:
    """A drive on which damage was found is repaired after its other work: alone once, and once with each drive that it
    meets until one has given what it has.
    """
    if not step.state.rules.automatic or step.state.alarm:
        return
    for drive in step.state.drives:
        if not (_takes_part(drive) and drive.intent is Intent.WORK and drive.known.history.last_backup):
            continue
        if "repair" in drive.plan or (drive.job is not None and drive.job.kind == "repair"):
            continue
        history, lender = drive.known.history, lender_for(step.state, drive)
        if lender is not None and history.to_take and drive.repaired_with != lender.attachment:
            step.put(drive, plan=(*drive.plan, "repair"), repaired_with=lender.attachment)
        elif history.to_repair and drive.repaired_with is None:
            step.put(drive, plan=(*drive.plan, "repair"), repaired_with=NO_ATTACHMENT)


def lender_for(state: State, drive: DriveState) -> DriveState | None:
    """Of the other drives that are here and stay, the one that was saved to last."""
    here = [each for each in state.drives if each.known.id != drive.known.id and _takes_part(each)]
    return _freshest(here)


def ready_lender(state: State, drive: DriveState) -> DriveState | None:
    """The same, of those that no process holds."""
    here = [each for each in state.drives if each.known.id != drive.known.id and each.orphaned_job is None]
    return _freshest([each for each in here if _takes_part(each) and each.phase in WAITING])


def is_awaited(state: State, drive: DriveState) -> bool:
    """Whether another drive is being repaired with this one, or is going to be."""
    return any(
        (each.job is not None and each.job.lender == drive.known.id)
        or ("repair" in each.plan and each.repaired_with == drive.attachment)
        for each in state.drives
        if each.known.id != drive.known.id
    )


def can_be_repaired(state: State, drive: DriveState) -> bool:
    """Whether a repair that was planned still makes sense: the other drive may have been unplugged since."""
    return drive.known.history.to_repair or ready_lender(state, drive) is not None


def told_of_damage(state: State, drive: DriveState, kind: JobKind, notice: Notice, *, now: datetime) -> Notice | None:
    """What is said where a job ends with that notice; None: nothing now, for another drive is here to help, or the
    person has been asked for both already.
    """
    if kind != "repair" or notice.kind is not NoticeKind.DAMAGE_FOUND or not drive.known.history.to_take:
        return notice
    if lender_for(state, drive) is not None:
        return None
    other = _freshest([each for each in state.drives if each.known.id != drive.known.id])
    if other is None:
        return notice
    asked = Notice(NoticeKind.PLUG_IN_BOTH, drive.known.id, other=other.known.id)
    return None if was_said_lately(asked, state.memory, state.rules.hours, ASK_EVERY_DAYS, now=now) else asked


def _takes_part(drive: DriveState) -> bool:
    """Plugged in, and not on its way out."""
    return drive.device is not None and drive.intent in (Intent.WORK, Intent.WAIT) and drive.phase in _TAKES_PART


def _freshest(drives: list[DriveState]) -> DriveState | None:
    saved = [(each.known.history.last_backup, each) for each in drives if each.known.history.last_backup is not None]
    return max(saved, key=lambda pair: pair[0], default=(None, None))[1]
