"""One drive, watched by a client of the daemon until its work has ended, or until it may be unplugged.

Owns: what the daemon's signals mean for who waits. Does not know: why somebody waits, or what is shown meanwhile.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from kinebackup.bus.client import DaemonAbsent, DaemonClient, DaemonListener
from kinebackup.bus.values import DriveAtWork, JobEnd, JobProgress
from kinebackup.i18n import _
from kinebackup.model import CancelToken, Monitor
from kinebackup.policy.job_kinds import JOB_KINDS
from kinebackup.policy.notices import ActiveNotice, Notice, NoticeKind
from kinebackup.policy.phases import Phase

RESTING: Final = frozenset({Phase.APPEARED, Phase.SAFE})
WORKING: Final = frozenset({Phase.MOUNTING, Phase.AUTHENTICATING} | {traits.phase for traits in JOB_KINDS.values()})
BUSY: Final = WORKING | {Phase.STOPPING, Phase.UNMOUNTING}

_CANCEL_POLL_S: Final = 0.2
"""How soon a Ctrl-C is seen."""

_SAFE_NOTICES: Final = frozenset({NoticeKind.SAFE, NoticeKind.SAFE_TAKE_HOME, NoticeKind.SAFE_NOT_SAVED})


class WatchingStopped(Exception):
    """Ctrl-C: the person watches no longer. The work goes on."""


@dataclass
class DriveWatch(DaemonListener):
    """What the daemon said since ``forget`` of the drive ``label``, where that is known. Each signal sets ``news``."""

    label: str = ""
    monitor: Monitor | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    notices: list[Notice] = field(default_factory=list)
    gone: bool = False
    _phases: list[DriveAtWork] = field(default_factory=list)
    _ends: list[JobEnd] = field(default_factory=list)
    _drawn: JobProgress | None = None

    def forget(self) -> None:
        """What was said so far is about something else."""
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

    async def next(self, cancel: CancelToken) -> None:
        """Until there is a signal. Raises ``WatchingStopped``, and ``DaemonAbsent`` where the daemon has ended."""
        while not self.news.is_set():
            if cancel.cancelled:
                raise WatchingStopped
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CANCEL_POLL_S):
                    await self.news.wait()
        self.news.clear()
        if self.gone:
            raise DaemonAbsent(
                _("the KineBackup service was stopped meanwhile"),
                _("what was finished is kept; to go on: systemctl start kinebackup"),
            )

    # --- DaemonListener -----------------------------------------------------------------------------------------------

    def phase_changed(self, drive: str, phase: str) -> None:
        self._phases.append(DriveAtWork(drive, phase))
        self.news.set()

    def job_ended(self, end: JobEnd) -> None:
        """One that the same job follows is not the end of what was asked for."""
        if end.ending != "again":
            self._ends.append(end)
        self.news.set()

    def notice_shown(self, notice: ActiveNotice) -> None:
        if notice.notice.drive in ("", self.label):
            self.notices.append(notice.notice)

    def daemon_left(self) -> None:
        self.gone = True
        self.news.set()

    def connection_lost(self) -> None:
        self.daemon_left()

    def progressed(self, progress: JobProgress) -> None:
        """Pass it on: a monitor counts from where the signal before stood."""
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
            self.monitor.phase(
                _progress_phase(progress.kind), files=progress.files_total, size_bytes=progress.bytes_total
            )
            before = JobProgress(progress.drive, progress.kind, 0, 0, 0, 0)
        self.monitor.advance(
            files=progress.files_done - before.files_done, size_bytes=progress.bytes_done - before.bytes_done
        )
        self._drawn = progress


def _progress_phase(kind: str) -> str:
    """What a monitor calls such a job; a newer daemon may have kinds that are not known here."""
    return next((traits.progress_phase for known, traits in JOB_KINDS.items() if known == kind), kind)


# --- work -----------------------------------------------------------------------------------------------------------


@dataclass
class WorkPhases:
    """The phases of a drive since work on it was asked for. ``over``: it came to rest, so no such work will come."""

    phase: str
    over: bool = False
    begun: bool = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.phase in WORKING

    def follow(self, phases: Iterable[str]) -> None:
        """Further phases. A drive on its way out comes back first: it appears, or is safe, before the work begins."""
        for following in phases:
            failed_to_open = following == Phase.APPEARED and self.phase == Phase.MOUNTING
            is_over = following in (Phase.ABSENT, Phase.REFUSED, Phase.STUCK)
            came_to_rest = is_over or (following == Phase.SAFE and self.begun)
            self.over = self.over or came_to_rest or failed_to_open
            self.begun = self.begun or following in WORKING
            self.phase = following


async def until_job_ended(
    client: DaemonClient, watch: DriveWatch, kind: str, phase: str, cancel: CancelToken
) -> JobEnd | None:
    """The end of the job of that kind, asked for in that phase; None where the drive came to rest without one."""
    phases = WorkPhases(phase)
    while not phases.over and not watch.end_of(kind):
        await watch.next(cancel)
        phases.follow(watch.take_phases())
    await client.drives()  # what was sent together with the end has arrived when this is answered
    return watch.end_of(kind)


def waits_for(drives: Sequence[DriveAtWork], label: str) -> str | None:
    """The other drive that is worked on first; None where nothing holds the work on this one up."""
    if not any(drive.label == label and drive.phase in RESTING for drive in drives):
        return None
    return next((drive.label for drive in drives if drive.label != label and drive.phase in BUSY), None)


def cause_of(notices: Sequence[Notice]) -> Notice | None:
    """Of these, the one that says why there was no work: the last one."""
    return next((notice for notice in reversed(notices) if notice.behaviour.error is not None), None)


# --- letting go -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LetGo:
    """How it went to let a drive go. ``notice``: what the daemon says of it, if anything.

    *free*: it may be unplugged; *unplugged*: it was, before that; *stuck*: something keeps it busy.
    """

    outcome: Literal["free", "unplugged", "stuck"]
    notice: Notice | None = None


async def until_let_go(client: DaemonClient, watch: DriveWatch, phases: Sequence[str], cancel: CancelToken) -> LetGo:
    """``phases``: those since the daemon was asked, the present one last."""
    seen = list(phases)
    while seen[-1] not in (Phase.SAFE, Phase.STUCK, Phase.REFUSED, Phase.ABSENT):
        await watch.next(cancel)
        seen += watch.take_phases()
    await client.drives()  # what was sent together with the phase has arrived when this is answered
    return let_go(watch.label, seen, watch.notices)


def let_go(label: str, phases: Sequence[str], notices: Sequence[Notice]) -> LetGo:
    """What these phases, the last one last, and these notices say of that drive."""
    own = [notice for notice in reversed(notices) if notice.drive == label]
    if phases[-1] == Phase.STUCK:
        busy = next((notice for notice in own if notice.kind is NoticeKind.STILL_BUSY), None)
        return LetGo("stuck", busy or Notice(NoticeKind.STILL_BUSY, label))
    if phases[-1] == Phase.ABSENT and Phase.POWERING_OFF not in phases:
        return LetGo("unplugged")
    return LetGo("free", next((notice for notice in own if notice.kind in _SAFE_NOTICES), None))
