"""Whatever happens in whatever order: what must never happen does not, and the machine never raises."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.daemon.imagined_computer import (
    BEYOND_PARITY,
    CABINET,
    DOMICILE,
    LOST,
    MONDAY,
    PRUNED,
    RULES,
    STILL_LOST,
    ImaginedComputer,
    device_of,
    started,
)

from kinebackup.daemon.decide import actions as do
from kinebackup.daemon.decide import events as ev
from kinebackup.daemon.decide.machine import step
from kinebackup.daemon.decide.states import State
from kinebackup.daemon.decide.table import JOB_PHASES, Intent
from kinebackup.model import Health, JobFailure, MountFailure, NotOurs
from kinebackup.policy.notices import NoticeKind
from kinebackup.policy.phases import Phase
from kinebackup.policy.schedule import History, TickKind

NEW = History()
DRIVES = tuple(replace(known, history=NEW) for known in (CABINET, DOMICILE))
TICKS: tuple[TickKind, ...] = get_args(TickKind)
PASSING = [timedelta(minutes=m) for m in (0, 1, 20, 180, 525, 1440, 4320, -30, -1500, 60 * 24 * 400, -60 * 24 * 390)]

Choice = Callable[[ImaginedComputer], object]


def people(computer: ImaginedComputer) -> list[Choice]:
    """What hands and buttons can do now."""
    found: list[Choice] = []
    for known in DRIVES:
        if known.id in computer.plugged:
            found += [
                lambda c, known=known: c.pull(known.id),  # type: ignore[misc]  # mypy: lambda defaults
                lambda c, known=known: c.replug(known),  # type: ignore[misc]
                lambda c, known=known: c.replug(known),  # type: ignore[misc]  # twice: the more dangerous one
            ]
        else:
            found.append(lambda c, known=known: c.plug_in(known))  # type: ignore[misc]
        found += [
            lambda c, known=known: c.send(ev.BackUpNow(c.now, known.id)),  # type: ignore[misc]
            lambda c, known=known: c.send(ev.Eject(c.now, known.id)),  # type: ignore[misc]
            lambda c, known=known: c.send(ev.RestoreTestNow(c.now, known.id)),  # type: ignore[misc]
        ]
    return found


def surroundings() -> list[Choice]:
    """What the computer itself can do at any time."""
    return [
        lambda c: c.send(ev.Suspending(c.now)),
        lambda c: c.send(ev.Resumed(c.now)),
        lambda c: c.send(ev.PowerChanged(c.now, True)),
        lambda c: c.send(ev.PowerChanged(c.now, False)),
        lambda c: c.send(ev.ClockJumped(c.now)),
        lambda c: c.send(ev.MassChange(c.now)),
        lambda c: c.send(ev.AlarmLifted(c.now)),
        lambda c: c.send(ev.SettingsRead(c.now, readable=False)),
        lambda c: c.send(ev.SettingsRead(c.now, readable=True)),
        lambda c: c.send(ev.DriveAppeared(c.now, ev.Device("/dev/sdz1", "fs-1", "part-1", "another", 99))),
    ]


def answers(computer: ImaginedComputer) -> list[Choice]:
    """How what was asked of the computer can end badly now."""
    found: list[Choice] = []
    for request in computer.requests:
        found.append(lambda c, request=request: c.answer(request, well=False))  # type: ignore[misc]
        if isinstance(request, do.StartJob) and request.kind in ("verify", "repair"):
            report = BEYOND_PARITY if request.kind == "verify" else LOST if request.lender is None else STILL_LOST
            found += [lambda c, request=request, report=report: c.finish_job(request, report)] * 4  # type: ignore[misc]
        if isinstance(request, do.StartJob):
            found.append(lambda c, request=request: c.stop_job(request))  # type: ignore[misc]
    return found


def one_thing(data: st.DataObject, computer: ImaginedComputer) -> None:
    """Mostly what was asked for goes well: else no walk would ever get far from the start."""
    what = data.draw(
        st.sampled_from(
            ["well"] * 12 + ["badly", "hands", "hands", "hands", "computer", "time", "tick", "tick", "late"]
        )
    )
    if what == "well" and computer.requests:
        computer.answer(data.draw(st.sampled_from(computer.requests)))
    elif what == "badly" and computer.requests:
        data.draw(st.sampled_from(answers(computer)))(computer)
    elif what == "computer":
        data.draw(st.sampled_from(surroundings()))(computer)
    elif what == "time":
        computer.later(data.draw(st.sampled_from(PASSING)))
        computer.send(ev.Tick(computer.now, data.draw(st.sampled_from(TICKS))))
    elif what == "tick":
        tick = data.draw(st.sampled_from(TICKS))
        computer.to_the_next(tick)
        if data.draw(st.booleans()):
            computer.send(ev.Tick(computer.now, tick))  # one too many
    elif what == "late" and computer.past:
        event = data.draw(st.sampled_from(computer.past))
        # What comes twice is an answer or a nudge; hands and the kernel do what is so now.
        if isinstance(event, ev.Authenticated | ev.Unmounted | ev.JobFinished | ev.JobFailed | ev.PoweredOff):
            computer.send(event)
    else:
        data.draw(st.sampled_from(people(computer)))(computer)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_no_order_of_events_breaks_a_promise(data: st.DataObject) -> None:
    computer = ImaginedComputer(started(*DRIVES, last_code_test=None))
    for _turn in range(data.draw(st.sampled_from([10, 40, 80]))):
        one_thing(data, computer)
    for label in list(computer.plugged):
        computer.pull(label)
    computer.answer_all()
    assert computer.recorded.keys() == computer.started.keys()
    assert not computer.mounted
    assert not computer.awake_forced
    assert all(drive.phase is Phase.ABSENT and drive.orphaned_job is None for drive in computer.state.drives)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([CABINET, DOMICILE]), min_size=1, max_size=6), st.integers(0, 20))
def test_a_drive_that_stays_in_long_enough_is_always_let_go(order: list[ev.KnownDrive], pulled_after: int) -> None:
    computer = ImaginedComputer(started(*DRIVES))
    for known in order:
        if known.id in computer.plugged:
            computer.pull(known.id)
        else:
            computer.plug_in(known)
        for _answer in range(pulled_after):
            if computer.requests:
                computer.answer(computer.requests[0])
    computer.answer_all()
    for drive in computer.state.drives:
        assert drive.phase in (Phase.ABSENT, Phase.SAFE, Phase.APPEARED)
        if drive.known.id in computer.plugged:
            said = {kind for kind, label in computer.shown if label == drive.known.id}
            assert said & {NoticeKind.SAFE, NoticeKind.SAFE_TAKE_HOME, NoticeKind.UP_TO_DATE}


LABELS = st.sampled_from(["CABINET", "DOMICILE", "NOBODY", ""])
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  given below
VISITS = st.integers(0, 4).map(ev.AttachmentId)
JOBS = st.integers(0, 4).map(ev.JobId)
DEVICES = st.builds(device_of, st.sampled_from([CABINET, DOMICILE]), st.integers(0, 3)) | st.builds(
    ev.Device, st.just("/dev/sdb1"), st.sampled_from(["", "fs-1", "x"]), st.just(""), st.just(""), st.just(1)
)
ANYTHING = st.one_of(
    *(
        st.builds(kind, TIMES)
        for kind in (ev.Suspending, ev.Resumed, ev.ClockJumped, ev.ShutdownRequested, ev.MassChange, ev.AlarmLifted)
    ),
    st.builds(ev.SettingsRead, TIMES, st.booleans()),
    *(st.builds(kind, TIMES, DEVICES) for kind in (ev.DriveAppeared, ev.DriveChanged, ev.DriveVanished)),
    *(
        st.builds(kind, TIMES, LABELS, VISITS)
        for kind in (ev.Mounted, ev.Authenticated, ev.Unmounted, ev.UnmountFailed, ev.PoweredOff, ev.PowerOffRefused)
    ),
    st.builds(ev.MountFailed, TIMES, LABELS, VISITS, st.sampled_from(get_args(MountFailure))),
    st.builds(ev.Refused, TIMES, LABELS, VISITS, st.sampled_from(get_args(NotOurs))),
    *(st.builds(kind, TIMES, LABELS, JOBS) for kind in (ev.JobProgress, ev.JobCancelled)),
    st.builds(ev.JobFailed, TIMES, LABELS, JOBS, st.sampled_from(get_args(JobFailure))),
    st.builds(ev.JobFinished, TIMES, LABELS, JOBS, st.just(PRUNED)),
    *(st.builds(kind, TIMES, LABELS) for kind in (ev.BackUpNow, ev.RestoreTestNow, ev.Eject)),
    st.builds(ev.HealthSeen, TIMES, LABELS, st.sampled_from(get_args(Health))),
    st.builds(ev.Snooze, TIMES, st.sampled_from(NoticeKind), LABELS, TIMES),
    st.builds(ev.Acknowledge, TIMES, st.sampled_from(NoticeKind), LABELS),
    st.builds(ev.PowerChanged, TIMES, st.booleans()),
    st.builds(ev.SourcesChecked, TIMES, st.sampled_from(get_args(ev.SourceFinding))),
    st.builds(ev.Tick, TIMES, st.sampled_from(TICKS)),
    st.builds(ev.DrivesKnown, TIMES, st.sampled_from([(), DRIVES, DRIVES[:1]]), st.none()),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ANYTHING, max_size=40))
def test_no_event_at_all_makes_it_raise(events: list[ev.Event]) -> None:
    state = started(*DRIVES)
    for event in events:
        state, _actions = step(state, event)
        for drive in state.drives:
            assert (drive.device is None) == (drive.phase is Phase.ABSENT)
            assert (drive.job is not None) == (drive.phase in JOB_PHASES | {Phase.STOPPING})
            if drive.intent is Intent.WAIT and drive.phase is not Phase.STOPPING:
                assert drive.plan, "waits for nothing"


def test_every_event_is_among_those_that_are_drawn() -> None:
    drawn = {type(event) for event in _many_of(ANYTHING)}
    assert drawn == set(get_args(ev.Event))


def _many_of(strategy: "st.SearchStrategy[ev.Event]") -> list[ev.Event]:
    found: list[ev.Event] = []

    @settings(max_examples=600, deadline=None, database=None, derandomize=True)
    @given(strategy)
    def collect(event: ev.Event) -> None:
        found.append(event)

    collect()
    return found


def test_the_same_events_give_the_same_state_again() -> None:
    events: list[ev.Event] = [
        ev.DriveAppeared(MONDAY, device_of(CABINET, 1)),
        ev.Mounted(MONDAY, "CABINET", ev.AttachmentId(1)),
        ev.Authenticated(MONDAY, "CABINET", ev.AttachmentId(1)),
    ]
    states: list[State] = []
    for _again in range(2):
        state = started(*DRIVES, rules=RULES)
        for event in events:
            state, _actions = step(state, event)
        states.append(state)
    assert states[0] == states[1]
