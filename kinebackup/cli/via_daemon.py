"""Work that the daemon does, asked for and watched from a terminal.

Owns: when a command goes by the daemon, and what is seen until the work has ended. Does not know: how the work is done,
or how its report is worded.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

import click

from kinebackup.bus.client import DaemonAbsent, DaemonClient, DaemonListener
from kinebackup.bus.query import daemon_is_running
from kinebackup.bus.values import DriveAtWork, JobEnd, JobProgress
from kinebackup.cli.session import Session, is_about_this_computer
from kinebackup.cli.terminal.words import can_unplug_text
from kinebackup.errors import (
    Cancelled,
    DriveFailed,
    ExitCode,
    KineError,
)
from kinebackup.i18n import _
from kinebackup.model import Monitor, Report
from kinebackup.policy.job_kinds import JOB_KINDS
from kinebackup.policy.notices import ActiveNotice, Notice, NoticeKind
from kinebackup.practice.known_drives import is_for_daemon, only_label
from kinebackup.texts.notices import notice_text

DaemonWork = Literal["backup", "restore-test"]
Result = TypeVar("Result")
Decorated = TypeVar("Decorated", bound=Callable[..., Any])

ABSENT: Final = "absent"
APPEARED: Final = "appeared"
SAFE: Final = "safe to unplug"
STUCK: Final = "stuck"
REFUSED: Final = "refused"
_RESTING: Final = frozenset({APPEARED, SAFE})
_WORKING: Final = frozenset({"mounting", "authenticating"} | {traits.phase for traits in JOB_KINDS.values()})
_BUSY: Final = _WORKING | {"stopping", "unmounting"}

_LOOK_S: Final = 0.2
"""How soon a Ctrl-C is seen."""

_SAFE_NOTICES: Final = frozenset({NoticeKind.SAFE, NoticeKind.SAFE_TAKE_HOME, NoticeKind.SAFE_NOT_SAVED})


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


@dataclass
class Watch(DaemonListener):
    """What was heard since ``forget``; of the drive ``label`` where that is known. Whatever is heard sets ``news``."""

    label: str = ""
    monitor: Monitor | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    notices: list[ActiveNotice] = field(default_factory=list)
    gone: bool = False
    _phases: list[DriveAtWork] = field(default_factory=list)
    _ends: list[JobEnd] = field(default_factory=list)
    _drawn: JobProgress | None = None

    def forget(self) -> None:
        """What was heard so far is about something else."""
        self.notices.clear()
        self._phases.clear()
        self._ends.clear()

    def take_phases(self) -> list[str]:
        """The phases of the drive since they were last taken."""
        taken = [each.phase for each in self._phases if each.label == self.label]
        self._phases.clear()
        return taken

    def end_of(self, kind: str) -> JobEnd | None:
        """How the drive's job of that kind has ended, if it has."""
        return next((end for end in self._ends if end.drive == self.label and end.kind == kind), None)

    def phase_changed(self, drive: str, phase: str) -> None:
        self._phases.append(DriveAtWork(drive, phase))
        self.news.set()

    def job_ended(self, end: JobEnd) -> None:
        self._ends.append(end)
        self.news.set()

    def notice_shown(self, notice: ActiveNotice) -> None:
        if notice.notice.drive in ("", self.label):
            self.notices.append(notice)

    def daemon_left(self) -> None:
        self.gone = True
        self.news.set()

    def connection_lost(self) -> None:
        self.daemon_left()

    def progressed(self, progress: JobProgress) -> None:
        """Draw it: the bar counts by itself from where the one before stood."""
        if self.monitor is None or progress.drive != self.label:
            return
        before = self._drawn
        totals = (progress.kind, progress.files_total, progress.bytes_total)
        if (
            before is None
            or (before.kind, before.files_total, before.bytes_total) != totals
            or progress.files_done < before.files_done
            or progress.bytes_done < before.bytes_done
        ):
            self.monitor.phase(_bar_of(progress.kind), files=progress.files_total, size_bytes=progress.bytes_total)
            before = JobProgress(progress.drive, progress.kind, 0, 0, 0, 0)
        self.monitor.advance(
            files=progress.files_done - before.files_done, size_bytes=progress.bytes_done - before.bytes_done
        )
        self._drawn = progress


def _bar_of(kind: str) -> str:
    """What the bar of a job is called; a newer daemon may have kinds that are not known here."""
    return next((traits.progress_phase for known, traits in JOB_KINDS.items() if known == kind), kind)


class WatchingStopped(Exception):
    """Ctrl-C: the person watches no longer. The work goes on."""


# --- whether to ask -------------------------------------------------------------------------------------------------


def goes_by_daemon(session: Session, drive: str | None) -> bool:
    """Whether the computer's daemon is meant: not a configuration of one's own, nor a path, nor a simulation."""
    if not is_about_this_computer(session) or (drive and "/" in drive) or not daemon_is_running():
        return False
    if not session.world.is_root:
        return True  # who may not read what this computer knows of its drives lets the daemon say it
    computer = session.computer_if_any
    return is_for_daemon(drive, computer.state.drives() if computer else ())


def no_daemon_option(command: Decorated) -> Decorated:
    """``--no-daemon`` as ``no_daemon``."""
    return click.option(
        "--no-daemon", is_flag=True, help=_("Do the work in this process, also where the KineBackup service runs.")
    )(command)


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

    async def watch(client: DaemonClient, heard: Watch) -> Done:
        before = await _choose(client, heard, drive)
        heard.label = before.label
        await (client.back_up_now(before.label) if kind == "backup" else client.test_restore(before.label))
        await _say_if_it_waits(session, client, before.label)
        heard.monitor = session.output.monitor()
        end = await _until_ended(session, client, heard, kind, before.phase)
        report = None
        if session.world.is_root and end.ending in ("good", "with-problems", "bad"):
            report = await client.last_report(end.drive, kind)
        return _done(end, report, heard)

    return _run(session, watch)


def eject(session: Session, drive: str | None) -> Ejected | None:
    """Have the daemon let a drive go; None where the person stopped watching.

    Raises ``KineError`` where somebody keeps it busy.
    """

    async def watch(client: DaemonClient, heard: Watch) -> Ejected:
        before = await _choose(client, heard, drive)
        heard.label = before.label
        await client.eject(before.label)
        phases = [before.phase, *await _phase_now(client, before.label)]
        if phases[-1] in _BUSY:
            session.output.say(_("Finishing the work on the drive {label} …").format(label=before.label))
        while phases[-1] not in (SAFE, STUCK, REFUSED, ABSENT):
            await _next(session, heard)
            phases += heard.take_phases()
        await client.drives()  # what was told together with the phase has been heard when this is answered
        return Ejected(before.label, _ejected(before.label, phases, heard))

    return _run(session, watch)


def _run(session: Session, watch: Callable[[DaemonClient, Watch], Coroutine[Any, Any, Result]]) -> Result | None:
    """One connection to the daemon, for as long as ``watch`` takes."""

    async def whole() -> Result:
        heard = Watch()
        client = DaemonClient(heard)
        await client.connect()
        try:
            return await watch(client, heard)
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


async def _phase_now(client: DaemonClient, label: str) -> list[str]:
    return [drive.phase for drive in await client.drives() if drive.label == label]


async def _choose(client: DaemonClient, heard: Watch, name: str | None) -> DriveAtWork:
    """The drive that is meant; without a label, the only one that is plugged in. What was heard so far is old."""
    drives = await client.drives()
    heard.forget()
    if name:  # of a label that it does not know, the daemon says so
        return next((drive for drive in drives if drive.label == name), DriveAtWork(name, ABSENT))
    here = {drive.label: drive for drive in drives if drive.phase not in (ABSENT, REFUSED)}
    return here[only_label(list(here), [drive.label for drive in drives])]


async def _say_if_it_waits(session: Session, client: DaemonClient, label: str) -> None:
    drives = await client.drives()
    waits = any(drive.label == label and drive.phase in _RESTING for drive in drives)
    other = next((drive.label for drive in drives if drive.label != label and drive.phase in _BUSY), None)
    if waits and other is not None:
        session.output.say(
            _("The drive {label} is next, after the work on the drive {other}.").format(label=label, other=other)
        )


async def _next(session: Session, heard: Watch) -> None:
    """Until something was heard. Raises ``WatchingStopped``, and ``DaemonAbsent`` where the daemon has ended."""
    while not heard.news.is_set():
        if session.cancel.cancelled:
            raise WatchingStopped
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(heard.news.wait(), _LOOK_S)
    heard.news.clear()
    if heard.gone:
        raise DaemonAbsent(
            _("the KineBackup service was stopped meanwhile"),
            _("what was finished is kept; to go on: systemctl start kinebackup"),
        )


async def _until_ended(session: Session, client: DaemonClient, heard: Watch, kind: DaemonWork, phase: str) -> JobEnd:
    """The end of the job; one without a kind where the drive came to rest and no such job had run."""
    begun = phase in _WORKING
    over = False
    while not over and not heard.end_of(kind):
        await _next(session, heard)
        for following in heard.take_phases():
            # A drive that was on its way out comes back first: it appears, or is safe, before the work begins.
            failed_to_open = following == APPEARED and phase == "mounting"
            over = over or following in (ABSENT, REFUSED, STUCK) or (following == SAFE and begun) or failed_to_open
            begun = begun or following in _WORKING
            phase = following
    await client.drives()  # what was told together with the end has been heard when this is answered
    return heard.end_of(kind) or JobEnd(heard.label, 0, "", "")


def _done(end: JobEnd, report: Report | None, heard: Watch) -> Done:
    causes = [(each.notice, each.notice.behaviour.error) for each in heard.notices]
    told = [(notice, error) for notice, error in causes if error is not None]
    match end.ending:
        case "good" | "with-problems" | "bad":
            return Done(end.drive, end.ending, report)
        case "cancelled":
            raise Cancelled(
                _("the work was stopped"), _("what was finished is kept, and the next run goes on from there")
            )
        case "interrupted":
            raise DriveFailed(
                _("the drive {label} was unplugged before the work was done").format(label=end.drive),
                _("earlier backups are not affected; plug it in again, and the work goes on"),
            )
    if told:
        notice, error = told[-1]
        words = notice_text(notice)
        raise error(words.title, words.body)
    raise KineError(
        _("the drive {label} could not be worked on").format(label=end.drive),
        _("see what the service says: journalctl -u kinebackup"),
    )


def _ejected(label: str, phases: list[str], heard: Watch) -> str:
    """``phases``: since the request, the last one last."""
    told = [each.notice for each in heard.notices if each.notice.drive == label]
    if phases[-1] == STUCK:
        words = notice_text(next((each for each in reversed(told) if each.kind is NoticeKind.STILL_BUSY), _busy(label)))
        raise KineError(words.title, words.body)
    if phases[-1] == ABSENT and "powering off" not in phases:
        return _("The drive {label} is not plugged in any more.").format(label=label)
    safe = next((each for each in reversed(told) if each.kind in _SAFE_NOTICES), None)
    if safe is not None:
        words = notice_text(safe)
        return f"{words.title}. {words.body}"
    return can_unplug_text(label)


def _busy(label: str) -> Notice:
    return Notice(NoticeKind.STILL_BUSY, label)
