"""Work that the daemon does, asked for from a terminal.

Owns: the words, errors and exit codes for how the work ended. Does not know: when a command goes by the daemon
(daemon_choice.py), how the work is done, what the daemon's signals mean (bus/watching.py), or how a report is worded.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from kinebackup.bus.client import DaemonClient
from kinebackup.bus.values import DriveAtWork
from kinebackup.bus.watching import (
    BUSY,
    DriveWatch,
    LetGo,
    WatchingStopped,
    cause_of,
    until_job_ended,
    until_let_go,
    waits_for,
)
from kinebackup.cli.session import Session
from kinebackup.cli.terminal.words import can_unplug_text
from kinebackup.errors import Cancelled, DriveFailed, ExitCode, KineError
from kinebackup.i18n import _
from kinebackup.model import Report
from kinebackup.policy.phases import Phase
from kinebackup.practice.known_drives import only_label
from kinebackup.texts.notices import notice_text

DaemonWork = Literal["backup", "restore-test"]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Done:
    """How the work ended. The report is there for root only, and where the work came to its end."""

    label: str
    ending: str
    report: Report | None


@dataclass(frozen=True, slots=True)
class Ejected:
    """What can be said of a drive that was let go."""

    label: str
    text: str


# --- how it ended ---------------------------------------------------------------------------------------------------


def say_ending(session: Session, done: Done, kind: DaemonWork) -> int:
    """What a user hears who may not read the report: it names files. Returns the exit code."""
    document = {"drive": done.label, "job": kind, "ending": done.ending}
    texts = {
        ("backup", "good"): _("Saved on the drive {label}."),
        ("backup", "with-problems"): _("Saved on the drive {label}, with problems; root can see them."),
        ("backup", "bad"): _("The backup on the drive {label} is not complete; please call for help."),
        ("restore-test", "good"): _("The data comes back: the restore test of the drive {label} went well."),
    }
    failed = _("FAILED: not everything came back from the drive {label}; please call for help.")
    text = texts.get((kind, done.ending), failed).format(label=done.label)
    session.output.result(document, lambda: text)
    if done.ending == "good":
        return ExitCode.OK
    return ExitCode.PROBLEMS if kind == "backup" else ExitCode.CHECK_FAILED


# --- asking and watching --------------------------------------------------------------------------------------------


def work(session: Session, kind: DaemonWork, drive: str | None) -> Done | None:
    """Have the daemon do it, and show how far it is until it ends; None where the person stopped watching.

    Raises what the stand-alone command raises, as far as the daemon tells the cause.
    """

    async def ask(client: DaemonClient, watch: DriveWatch) -> Done:
        before = await _choose(client, watch, drive)
        label = watch.label = before.label
        await (client.back_up_now(label) if kind == "backup" else client.test_restore(label))
        other = waits_for(await client.drives(), label)
        if other is not None:
            session.output.say(
                _("The drive {label} is next, after the work on the drive {other}.").format(label=label, other=other)
            )
        watch.monitor = session.output.monitor()
        end = await until_job_ended(client, watch, kind, before.phase, session.cancel)
        ending = end.ending if end else ""
        if ending not in ("good", "with-problems", "bad"):
            raise _why_not_done(ending, watch)
        return Done(label, ending, await client.last_report(label, kind) if session.world.is_root else None)

    return _run(session, ask)


def eject(session: Session, drive: str | None) -> Ejected | None:
    """Have the daemon let a drive go; None where the person stopped watching.

    Raises ``KineError`` where somebody keeps it busy.
    """

    async def ask(client: DaemonClient, watch: DriveWatch) -> Ejected:
        before = await _choose(client, watch, drive)
        label = watch.label = before.label
        await client.eject(label)
        phases = [before.phase, *(each.phase for each in await client.drives() if each.label == label)]
        if phases[-1] in BUSY:
            session.output.say(_("Finishing the work on the drive {label} …").format(label=label))
        return Ejected(label, _let_go_text(label, await until_let_go(client, watch, phases, session.cancel)))

    return _run(session, ask)


def _run(session: Session, ask: Callable[[DaemonClient, DriveWatch], Coroutine[Any, Any, Result]]) -> Result | None:
    """One connection to the daemon, for as long as ``ask`` takes."""

    async def whole() -> Result:
        watch = DriveWatch()
        client = DaemonClient(watch)
        await client.connect()
        try:
            return await ask(client, watch)
        finally:
            await client.close()

    try:
        return asyncio.run(whole())
    except WatchingStopped:
        session.output.error(
            Cancelled(
                _("you stopped watching; the work itself goes on"), _("to stop the work too: kinebackup drive eject")
            )
        )
        return None


async def _choose(client: DaemonClient, watch: DriveWatch, name: str | None) -> DriveAtWork:
    """The drive that is meant; without a label, the only one that is plugged in. What was said so far is old."""
    drives = await client.drives()
    watch.forget()
    if name:  # of a label that it does not know, the daemon says so
        return next((drive for drive in drives if drive.label == name), DriveAtWork(name, Phase.ABSENT))
    here = {drive.label: drive for drive in drives if drive.plugged_in and drive.phase != Phase.REFUSED}
    return here[only_label(list(here), [drive.label for drive in drives])]


def _why_not_done(ending: str, watch: DriveWatch) -> KineError:
    """What the stand-alone command ends with; ``ending`` is empty where there was no such job."""
    match ending:
        case "cancelled":
            return Cancelled(
                _("the work was stopped"), _("what was finished is kept, and the next run goes on from there")
            )
        case "interrupted":
            return DriveFailed(
                _("the drive {label} was unplugged before the work was done").format(label=watch.label),
                _("earlier backups are not affected; plug it in again, and the work goes on"),
            )
    cause = cause_of(watch.notices)
    if cause is not None and cause.behaviour.error is not None:
        words = notice_text(cause)
        return cause.behaviour.error(words.title, words.body)
    return KineError(
        _("the drive {label} could not be worked on").format(label=watch.label),
        _("see what the service says: journalctl -u kinebackup"),
    )


def _let_go_text(label: str, found: LetGo) -> str:
    """Raises ``KineError`` where somebody keeps it busy."""
    words = notice_text(found.notice) if found.notice else None
    if found.outcome == "stuck" and words is not None:
        raise KineError(words.title, words.body)
    if found.outcome == "unplugged":
        return _("The drive {label} is not plugged in any more.").format(label=label)
    return f"{words.title}. {words.body}" if words else can_unplug_text(label)
