"""A computer that exists only in memory: it carries out the machine's actions, answers when the test says so, and
checks what must hold after every single step.

Its knowledge of mounts, jobs and notices comes from the actions and answers alone, never from the machine's state.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from kinebackup.daemon.decide import actions as do
from kinebackup.daemon.decide import events as ev
from kinebackup.daemon.decide.machine import step
from kinebackup.daemon.decide.states import State
from kinebackup.model import (
    BackupReport,
    LostPart,
    Problem,
    PruneReport,
    RepairReport,
    Report,
    RestoreTestReport,
    VerifyReport,
    counting,
)
from kinebackup.policy.job_kinds import JobKind
from kinebackup.policy.notices import BEHAVIOUR, NoticeKind
from kinebackup.policy.reminders import reminder_key
from kinebackup.policy.schedule import History, PracticeHours, Rules, TickKind, next_ticks

PARIS = ZoneInfo("Europe/Paris")
MONDAY = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)  # half past nine in Paris
RULES = Rules(PracticeHours(PARIS))

FRESH = History(last_backup=MONDAY, last_verify=MONDAY, last_restore_test=MONDAY, last_prune=MONDAY, failed_check=False)
# The machine knows drives by their ids; their labels stand nowhere in what it does.
CABINET = ev.KnownDrive("CABINET", "the black one", "cabinet", "fs-1", "part-1", "serial-1", FRESH)
DOMICILE = ev.KnownDrive("DOMICILE", "the red one", "domicile", "fs-2", "part-2", "serial-2", FRESH)

SAYS_UNPLUG = frozenset(
    {
        NoticeKind.SAFE,
        NoticeKind.SAFE_TAKE_HOME,
        NoticeKind.SAFE_NOT_SAVED,
        NoticeKind.UNPLUG,
        NoticeKind.UNPLUG_TAKE_HOME,
    }
)

BACKED_UP = BackupReport("5" * 64, 1, 0, 9, 0, 100, 50, 1.0, False)
VERIFIED = VerifyReport("ok", False, 10, 1, 8, 1.0)
RESTORED = RestoreTestReport("ok", "5" * 64, 50, 1000, 50, 1.0, 7, "machine")
PRUNED = PruneReport(3, (), 0, 0, 0, 1.0)

REPAIRED = RepairReport("A", "B", 1, False, (), (), 0, 10, 10, 1.0)
BEYOND_PARITY = VerifyReport("failed", False, 10, 1, 8, 1.0, (Problem("damaged", "packs/ab/ab", "wrong"),))
LOST = RepairReport("A", None, 1, False, (), (LostPart("file", "/x", "gone"),), 1, 10, 0, 1.0)
STILL_LOST = replace(LOST, from_drive="B")
REPORTS: dict[JobKind, Report] = {
    "backup": BACKED_UP,
    "verify-written": VERIFIED,
    "verify": VERIFIED,
    "restore-test": RESTORED,
    "prune": PRUNED,
    "repair": REPAIRED,
}


def device_of(known: ev.KnownDrive, disk_sequence: int) -> ev.Device:
    return ev.Device("/dev/sdb1", known.fs_uuid, known.part_uuid, known.serial, disk_sequence)


def started(
    *drives: ev.KnownDrive, now: datetime = MONDAY, rules: Rules = RULES, last_code_test: datetime | None = MONDAY
) -> State:
    """A daemon that has just begun, and knows these drives."""
    return step(State(rules), ev.DrivesKnown(now, drives, last_code_test))[0]


@dataclass
class ImaginedComputer:
    state: State
    now: datetime = MONDAY
    plugged: dict[str, ev.Device] = field(default_factory=dict)
    requests: list[do.Action] = field(default_factory=list)
    mounted: set[tuple[str, int]] = field(default_factory=set)
    trusted: set[tuple[str, int]] = field(default_factory=set)
    let_go: set[tuple[str, int]] = field(default_factory=set)
    visits: dict[str, int] = field(default_factory=dict)
    running: dict[int, do.StartJob] = field(default_factory=dict)
    started: dict[int, do.StartJob] = field(default_factory=dict)
    recorded: dict[int, do.Ending] = field(default_factory=dict)
    stopped: set[int] = field(default_factory=set)
    said: list[tuple[NoticeKind, str, str]] = field(default_factory=list)
    shown: set[tuple[NoticeKind, str]] = field(default_factory=set)
    awake_forced: bool = False
    must_rest: set[str] = field(default_factory=set)
    past: list[ev.Event] = field(default_factory=list)
    _disks: int = 0

    def send(self, event: ev.Event) -> tuple[do.Action, ...]:
        """Let something happen; carry out what the machine wants, and check it."""
        self.past.append(event)
        self._note(event)
        self.state, actions = step(self.state, event)
        for action in actions:
            self._carry_out(action)
        return actions

    def _note(self, event: ev.Event) -> None:
        """Why no work may begin at present."""
        match event:
            case ev.MassChange():
                self.must_rest.add("alarm")
            case ev.AlarmLifted():
                self.must_rest.discard("alarm")
            case ev.Suspending():
                self.must_rest.add("sleep")
            case ev.Resumed():
                self.must_rest.discard("sleep")
            case ev.ShutdownRequested():
                self.must_rest.add("end")
            case _:
                pass

    def later(self, passed: timedelta) -> None:
        self.now += passed

    # What hands do

    def plug_in(self, known: ev.KnownDrive) -> tuple[do.Action, ...]:
        self._disks += 1
        self.visits.pop(known.id, None)  # not known before something is asked for
        self.plugged[known.id] = device_of(known, self._disks)
        return self.send(ev.DriveAppeared(self.now, self.plugged[known.id]))

    def replug(self, known: ev.KnownDrive) -> tuple[do.Action, ...]:
        """A loose cable: gone and back before anybody has answered anything."""
        return (*self.pull(known.id), *self.plug_in(known))

    def to_the_next(self, what: TickKind) -> tuple[do.Action, ...]:
        """Let time pass until the scheduler's next tick of that kind."""
        idle = [drive.since for drive in self.state.drives if drive.since is not None]
        found = [due for due in next_ticks(self.state.rules, self.now, idle_since=idle) if due.what == what]
        if not found:
            return ()
        self.now = found[0].at
        return self.send(ev.Tick(self.now, what))

    def pull(self, label: str) -> tuple[do.Action, ...]:
        actions = self.send(ev.DriveVanished(self.now, self.plugged.pop(label)))
        for job, start in self.started.items():
            assert start.drive != label or job in self.recorded, "a vanished drive always ends its job"
        assert all(drive.job is None for drive in self.state.drives if drive.known.id == label)
        return actions

    # What the machine's requests come to

    def answer(self, request: do.Action, *, well: bool = True, complete: bool = True) -> tuple[do.Action, ...]:
        """``complete``: whether the drive took all that was written, where it is to be unmounted."""
        self.requests.remove(request)
        return self.send(self._answer_to(request, well, complete))

    def finish_job(self, request: do.StartJob, report: Report) -> tuple[do.Action, ...]:
        """The job ends with that report."""
        self.requests.remove(request)
        del self.running[request.job]
        return self.send(ev.JobFinished(self.now, request.drive, request.job, report, counting(report.problems)))

    def answer_all(self) -> list[do.Action]:
        """Answer every request well, until there is none."""
        done: list[do.Action] = []
        while self.requests:
            done += self.answer(self.requests[0])
        return done

    def _answer_to(self, request: do.Action, well: bool, complete: bool) -> ev.Event:
        now = self.now
        match request:
            case do.Mount(drive, attachment):
                if not well:
                    return ev.MountFailed(now, drive, attachment, "busy", "nautilus")
                self.mounted.add((drive, attachment))
                return ev.Mounted(now, drive, attachment)
            case do.Authenticate(drive, attachment):
                if not well:
                    return ev.Refused(now, drive, attachment, "impostor")
                self.trusted.add((drive, attachment))
                return ev.Authenticated(now, drive, attachment)
            case do.StartJob(drive, job=job, kind=kind):
                del self.running[job]
                if not well:
                    return ev.JobFailed(now, drive, job, "drive-failed")
                return ev.JobFinished(now, drive, job, REPORTS[kind])
            case do.Unmount(drive, attachment):
                if not well:
                    return ev.UnmountFailed(now, drive, attachment, "nautilus")
                self.mounted.discard((drive, attachment))
                self.let_go.add((drive, attachment))
                return ev.Unmounted(now, drive, attachment, complete)
            case do.PowerOff(drive, attachment):
                return ev.PoweredOff(now, drive, attachment) if well else ev.PowerOffRefused(now, drive, attachment)
        raise AssertionError(f"{request} is not answered")

    def stop_job(self, request: do.StartJob) -> tuple[do.Action, ...]:
        self.requests.remove(request)
        del self.running[request.job]
        return self.send(ev.JobCancelled(self.now, request.drive, request.job))

    def _carry_out(self, action: do.Action) -> None:
        checks: dict[type, Callable[[do.Action], None]] = {
            do.Mount: self._mount,
            do.Authenticate: self.requests.append,
            do.StartJob: self._start,
            do.CancelJob: self._cancel,
            do.Unmount: self._unmount,
            do.PowerOff: self._power_off,
            do.Detach: self._detach,
            do.Record: self._record,
            do.Notify: self._notify,
            do.Withdraw: self._withdraw,
            do.InhibitSleep: self._inhibit,
            do.ReleaseSleep: self._release,
        }
        if type(action) in checks:
            checks[type(action)](action)

    def _mount(self, action: do.Action) -> None:
        assert isinstance(action, do.Mount)
        assert not self.must_rest, "no work begins during an alarm, asleep, or at the end"
        assert self.plugged[action.drive] == action.device, "what was never plugged in is not mounted"
        assert action.drive not in {start.drive for start in self.running.values()}
        self.visits[action.drive] = action.attachment
        self.let_go.discard((action.drive, action.attachment))
        self.requests.append(action)

    def _start(self, action: do.Action) -> None:
        assert isinstance(action, do.StartJob)
        assert not self.must_rest, "no work begins during an alarm, asleep, or at the end"
        assert action.drive not in {start.drive for start in self.running.values()}, "never two jobs on a drive"
        assert (action.drive, action.attachment) in self.mounted, "nothing is written to an empty mount point"
        assert (action.drive, action.attachment) in self.trusted, "nothing is written to an unauthenticated drive"
        assert action.job not in self.started
        if action.lender is not None:
            assert action.kind == "repair"
            assert self.plugged[action.lender.drive] == action.lender.device, "what is lent is plugged in"
            assert action.lender.drive not in {drive for drive, _visit in self.mounted}, "and nobody is at work on it"
            assert action.lender.drive not in {start.drive for start in self.running.values()}
        self.running[action.job] = self.started[action.job] = action
        self.requests.append(action)

    def _cancel(self, action: do.Action) -> None:
        assert isinstance(action, do.CancelJob)
        self.stopped.add(action.job)

    def _unmount(self, action: do.Action) -> None:
        assert isinstance(action, do.Unmount)
        assert action.drive not in self._at_work()
        for start in self.running.values():
            lent = start.lender is not None and start.lender.drive == action.drive
            assert not lent or start.job in self.stopped, "what is lent is let go when who reads it was told to stop"
        self.visits[action.drive] = action.attachment
        self.requests.append(action)

    def _at_work(self) -> set[str]:
        """Drives with a job that can still reach them: a dead one holds on to a device that is gone."""
        return {start.drive for start in self.running.values() if start.job not in self.recorded}

    def _power_off(self, action: do.Action) -> None:
        assert isinstance(action, do.PowerOff)
        assert (action.drive, action.attachment) not in self.mounted
        self.requests.append(action)

    def _detach(self, action: do.Action) -> None:
        assert isinstance(action, do.Detach)
        self.mounted.discard((action.drive, action.attachment))

    def _record(self, action: do.Action) -> None:
        assert isinstance(action, do.Record)
        assert action.job in self.started
        assert action.job not in self.recorded, "every started job ends in exactly one report"
        self.recorded[action.job] = action.ending

    def _notify(self, action: do.Action) -> None:
        assert isinstance(action, do.Notify)
        notice = action.notice
        self.shown.add((notice.kind, notice.drive))
        if notice.kind in SAYS_UNPLUG:
            assert notice.drive not in {drive for drive, _visit in self.mounted}, "safe to unplug while mounted"
            attachment = self.visits.get(notice.drive, 0)
            assert (notice.drive, attachment) in self.let_go, "safe to unplug before the mount tables were looked at"
            assert notice.drive not in self._at_work(), "safe to unplug while a job runs"
        if BEHAVIOUR[notice.kind].reminder is not None:
            day = self.now.astimezone(self.state.rules.hours.zone).date().isoformat()
            said = (*reminder_key(notice.kind, notice.drive), day)
            assert said not in self.said, "a reminder of a kind at most once a day"
            self.said.append(said)

    def _withdraw(self, action: do.Action) -> None:
        assert isinstance(action, do.Withdraw)
        self.shown.remove((action.kind, action.drive))  # only what is shown can be taken back

    def _inhibit(self, action: do.Action) -> None:
        assert not self.awake_forced
        self.awake_forced = True

    def _release(self, action: do.Action) -> None:
        assert self.awake_forced
        self.awake_forced = False
