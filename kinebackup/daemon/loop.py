"""The daemon's event loop: gives each event to the machine, and carries out the actions that it returns.

Owns: the state, the order of events, that every action is answered, and that listeners get labels for ids of drives.
Does not know: what is to be done (machine.py), or how (the ports say who does it).

Everything here runs in one event loop. An event that is posted while another is processed waits in a queue, so ``step``
sees one after the other.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, assert_never

from kinebackup.daemon.decide import actions as act
from kinebackup.daemon.decide import events as ev
from kinebackup.daemon.decide.machine import step
from kinebackup.daemon.decide.states import State
from kinebackup.daemon.decide.table import AT_WORK
from kinebackup.daemon.labels import Labels
from kinebackup.daemon.persistence import PersistentState
from kinebackup.daemon.ports import (
    Enrolled,
    EnrolledDrive,
    Inhibitor,
    Listener,
    Mounter,
    Worker,
)
from kinebackup.drives.mounting import MountFailed
from kinebackup.drives.unmounting import StillMounted
from kinebackup.model import CancelToken, Progress, Report, counting
from kinebackup.policy.job_kinds import JobKind
from kinebackup.policy.notices import ActiveNotice, NoticeKey, NoticeKind
from kinebackup.policy.phases import Phase
from kinebackup.policy.schedule import Rules
from kinebackup.worker.protocol import Failure, JobRequest

_PROGRESS_EVERY: Final = timedelta(minutes=1)
"""How often the machine gets a ``JobProgress`` of a job; it announces work that takes longer than ten minutes."""

log = logging.getLogger("kinebackup.daemon")


class Loop:
    """Implements ``ports.Daemon``, but for what needs this computer's memory (``Service`` adds it)."""

    def __init__(
        self,
        rules: Rules,
        restored: PersistentState,
        *,
        now: Callable[[], datetime],
        mounter: Mounter,
        worker: Worker,
        inhibitor: Inhibitor,
        persist: Callable[[PersistentState], None],
        on_defect: Callable[[BaseException], None],
    ) -> None:
        """``persist`` is called whenever what must outlive a restart has changed.

        ``on_defect`` is called with an error that nobody foresaw: an action will never be answered, so the daemon must
        end, and systemd starts it again.
        """
        self.now = now
        self._mounter = mounter
        self._worker = worker
        self._inhibitor = inhibitor
        self._persist = persist
        self._on_defect = on_defect
        self._labels = Labels(restored.labels)
        self._state = State(rules, memory=restored.memory, alarm=restored.alarm, notices=restored.shown)
        self._persisted = restored
        self._queue: deque[ev.Event] = deque()
        self._processing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._cancels: dict[ev.JobId, CancelToken] = {}
        self._progress: dict[ev.JobId, Progress] = {}
        self._progress_posted: dict[ev.JobId, datetime] = {}
        self._lent: dict[ev.AttachmentId, asyncio.Event] = {}
        self._reports: dict[tuple[str, JobKind], Report] = {}
        self._listeners: list[Listener] = []

    # --- what others ask ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The state after the last event."""
        return self._state

    def post(self, event: ev.Event) -> None:
        """Something happened. It is processed after what was posted before."""
        self._queue.append(event)
        if self._processing:
            return
        self._processing = True
        try:
            while self._queue:
                self._process(self._queue.popleft())
        finally:
            self._processing = False

    def use_rules(self, rules: Rules) -> None:
        """The configuration was read anew. What is under way keeps to its plan."""
        self._state = replace(self._state, rules=rules)

    def set_enrolled(self, enrolled: Enrolled) -> None:
        """These are the enrolled drives now. For the machine a drive that was renamed is the one that it was."""
        renamed = self._labels.learn(enrolled.drives)
        self.post(ev.DrivesKnown(self.now(), tuple(enrolled.drives), enrolled.last_code_test))
        self._report_renamed(renamed)

    def listen(self, listener: Listener) -> None:
        """Tell this listener of everything from now on."""
        self._listeners.append(listener)

    def notices(self) -> tuple[ActiveNotice, ...]:
        """The active notices, with labels for drives, oldest first."""
        return tuple(self._labelled(each) for each in sorted(self._state.notices, key=lambda each: each.since))

    def key_of(self, kind: NoticeKind, label: str) -> NoticeKey | None:
        """By which the machine knows the notice of that kind and label: one that is active, else of a known drive."""
        active = [each.notice.drive for each in self._state.notices if each.notice.kind is kind]
        enrolled = [drive.known.id for drive in self._state.drives]
        others = [each.notice.drive for each in self._state.notices]
        return next((NoticeKey(kind, d) for d in (*active, *enrolled, *others) if self._labels.of(d) == label), None)

    def drives(self) -> tuple[EnrolledDrive, ...]:
        """Every enrolled drive, sorted by label."""
        return tuple(
            EnrolledDrive(
                drive.known.id,
                drive.known.label,
                drive.phase,
                drive.job.id if drive.job else None,
                drive.job.kind if drive.job else None,
                self._progress.get(drive.job.id) if drive.job else None,
            )
            for drive in self._state.drives
        )

    def last_report(self, drive: str, kind: JobKind) -> Report | None:
        """How the latest job of this kind on this drive went, if it came to its end. ``drive`` is an id."""
        return self._reports.get((drive, kind))

    @property
    def at_work(self) -> bool:
        """Whether a drive is mounted or a job runs, one of a drive that was pulled included."""
        return any(drive.phase in AT_WORK or drive.orphaned_job for drive in self._state.drives)

    async def wait_until_idle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    # --- one event after the other ------------------------------------------------------------------------------------

    def _process(self, event: ev.Event) -> None:
        before = self._state
        self._state, actions = step(before, event)
        self._persist_if_changed()
        self._report_phases(before)
        for action in actions:
            self._act(action)

    def _persist_if_changed(self) -> None:
        state = self._state
        now = PersistentState(state.memory, state.notices, state.alarm, self._labels.named_by(state.notices))
        if now != self._persisted:
            self._persisted = now
            self._persist(now)

    def _report_phases(self, before: State) -> None:
        phases = {drive.known.id: drive.phase for drive in before.drives}
        for drive in self._state.drives:
            if phases.get(drive.known.id, Phase.ABSENT) is not drive.phase:
                log.info("drive %s: %s", drive.known.label, drive.phase)
                for listener in self._listeners:
                    listener.phase_changed(drive.known.label, drive.phase)

    def _report_renamed(self, renamed: dict[str, str]) -> None:
        """Listeners know a drive by its label only: for them, one has gone and another has come."""
        for drive in self._state.drives:
            if drive.known.id in renamed:
                log.info("drive %s is called %s now", renamed[drive.known.id], drive.known.label)
                for listener in self._listeners:
                    if drive.phase is not Phase.ABSENT:
                        listener.phase_changed(renamed[drive.known.id], Phase.ABSENT)
                        listener.phase_changed(drive.known.label, drive.phase)
        moved = [each for each in self._state.notices if {each.notice.drive, each.notice.other} & renamed.keys()]
        for listener in self._listeners:
            for key in [each.notice.key for each in moved]:
                listener.notice_withdrawn(key.kind, renamed.get(key.drive, self._labels.of(key.drive)))
            for active in moved:  # afterwards: two drives may have changed names
                listener.notice_shown(self._labelled(active))

    def _labelled(self, active: ActiveNotice) -> ActiveNotice:
        return replace(active, notice=self._labels.labelled(active.notice))

    def _act(self, action: act.Action) -> None:
        match action:
            case act.Mount():
                self._start(self._mount(action))
            case act.Authenticate():
                self._start(self._authenticate(action))
            case act.StartJob():
                self._start_job(action)
            case act.CancelJob():
                if action.job in self._cancels:
                    self._cancels[action.job].cancel()
            case act.Unmount():
                self._start(self._unmount(action))
            case act.Detach():
                self._start(self._mounter.detach(action.attachment))
            case act.PowerOff():
                self._start(self._power_off(action))
            case act.Notify() | act.Withdraw():
                self._report_notice(action)
            case act.InhibitSleep():
                self._inhibitor.hold()
            case act.ReleaseSleep():
                self._inhibitor.release()
            case act.Record():
                label = self._labels.of(action.drive)
                log.info("drive %s: %s ended: %s", label, action.kind, action.ending)
                for listener in self._listeners:
                    listener.job_ended(label, action.job, action.kind, action.ending)
            case act.Log():
                log.info("%s%s", f"drive {self._labels.of(action.drive)}: " if action.drive else "", action.what)
            case _:
                assert_never(action)

    def _report_notice(self, action: act.Notify | act.Withdraw) -> None:
        for listener in self._listeners:
            if isinstance(action, act.Withdraw):
                listener.notice_withdrawn(action.kind, self._labels.of(action.drive))
            elif (active := self._state.notice(action.notice.key)) is not None:  # else the same step took it back
                listener.notice_shown(self._labelled(active))
        if isinstance(action, act.Notify) and action.notice.kind is NoticeKind.ALARM:
            log.warning("many files changed at once; nothing is written before a person has looked")

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_defect(error)

    # --- actions that take time, each with its one answer -------------------------------------------------------------

    async def _mount(self, action: act.Mount) -> None:
        await self._given_back(action.attachment)
        try:
            await self._mounter.mount(action.attachment, action.device)
        except MountFailed as error:
            log.warning("drive %s could not be opened: %s", self._labels.of(action.drive), error.message)
            self.post(ev.MountFailed(self.now(), action.drive, action.attachment, error.reason, error.program))
        else:
            self.post(ev.Mounted(self.now(), action.drive, action.attachment))

    async def _authenticate(self, action: act.Authenticate) -> None:
        reason = await self._worker.identify(action.drive, self._mounter.folder(action.attachment))
        if reason is None:
            self.post(ev.Authenticated(self.now(), action.drive, action.attachment))
        else:
            log.warning("drive %s is not to be written to: %s", self._labels.of(action.drive), reason)
            self.post(ev.Refused(self.now(), action.drive, action.attachment, reason))

    async def _unmount(self, action: act.Unmount) -> None:
        await self._given_back(action.attachment)
        try:
            complete = await self._mounter.unmount(action.attachment, action.device)
        except StillMounted as error:
            self.post(ev.UnmountFailed(self.now(), action.drive, action.attachment, error.program))
        else:
            self.post(ev.Unmounted(self.now(), action.drive, action.attachment, complete))

    async def _power_off(self, action: act.PowerOff) -> None:
        done = await self._mounter.power_off(action.device)
        answer = ev.PoweredOff if done else ev.PowerOffRefused
        self.post(answer(self.now(), action.drive, action.attachment))

    def _start_job(self, action: act.StartJob) -> None:
        # Made here, not in the task: the machine may cancel a job before its task has begun.
        self._cancels[action.job] = CancelToken()
        self._progress[action.job] = Progress()
        self._progress_posted[action.job] = self.now()
        self._start(self._run_job(action))

    async def _run_job(self, action: act.StartJob) -> None:
        drive, job, kind = action.drive, action.job, action.kind
        request = JobRequest(drive, self._mounter.folder(action.attachment), kind, action.one_in)
        if action.lender is None:
            result = await self._run(action, request)
        else:
            result = await self._run_with(action.lender, action, request)
        del self._cancels[job], self._progress[job], self._progress_posted[job]
        now = self.now()
        if not isinstance(result, Failure):
            self._reports[drive, kind] = result
            self.post(ev.JobFinished(now, drive, job, result, counting(result.problems)))
        elif result.cause is None:
            self.post(ev.JobCancelled(now, drive, job))
        else:
            self._reports.pop((drive, kind), None)
            self.post(ev.JobFailed(now, drive, job, result.cause))

    async def _run(self, action: act.StartJob, request: JobRequest) -> Report | Failure:
        cancel = self._cancels[action.job]
        return await self._worker.run(request, cancel, lambda progress: self._on_progress(action, progress))

    async def _run_with(self, lender: act.Lender, action: act.StartJob, request: JobRequest) -> Report | Failure:
        """The same while another drive is mounted too. Where it cannot be, the job is done another time."""
        back = self._lent[lender.attachment] = asyncio.Event()
        try:
            await self._mounter.mount(lender.attachment, lender.device)
        except MountFailed as error:
            log.warning(
                "drive %s could not be opened to repair another: %s", self._labels.of(lender.drive), error.message
            )
            return Failure("locked")
        else:
            folder = self._mounter.folder(lender.attachment)
            result = await self._run(action, replace(request, other=lender.drive, other_folder=folder))
            await self._unmount_lender(lender)
            return result
        finally:
            del self._lent[lender.attachment]
            back.set()

    async def _unmount_lender(self, lender: act.Lender) -> None:
        """It was only read: nothing is lost if it has gone, and where something holds it, letting it go says so."""
        try:
            await self._mounter.unmount(lender.attachment, lender.device)
        except StillMounted as error:
            log.warning("drive %s is still in use: %s", self._labels.of(lender.drive), error.program)

    async def _given_back(self, attachment: ev.AttachmentId) -> None:
        """Wait until a job that reads that drive for another one has ended: it was told to stop."""
        if attachment in self._lent:
            await self._lent[attachment].wait()

    def _on_progress(self, action: act.StartJob, progress: Progress) -> None:
        if action.job not in self._progress:
            return
        self._progress[action.job] = progress
        for listener in self._listeners:
            listener.progressed(self._labels.of(action.drive), action.kind, progress)
        now = self.now()
        if abs(now - self._progress_posted[action.job]) >= _PROGRESS_EVERY:
            self._progress_posted[action.job] = now
            self.post(ev.JobProgress(now, action.drive, action.job))
