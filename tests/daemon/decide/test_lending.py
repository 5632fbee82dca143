"""What one drive has lost comes from another when they meet, and nobody is frightened before it is known what is lost.

Owns: when a repair is planned, with which drive, what is said. Does not know: how anything is repaired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from support.daemon.imagined_computer import (
    BEYOND_PARITY,
    CABINET,
    DOMICILE,
    FRESH,
    LOST,
    MONDAY,
    STILL_LOST,
    ImaginedComputer,
    started,
)

from kinebackup.daemon.decide import actions as do
from kinebackup.daemon.decide import events as ev
from kinebackup.model import Problem, Report
from kinebackup.policy.notices import Notice, NoticeKey, NoticeKind
from kinebackup.policy.phases import Phase
from kinebackup.policy.schedule import History

BROKEN = replace(FRESH, failed_check=True, to_take=True)  # a repair has said that something is lost, no other drive yet
ASKED = Notice(NoticeKind.PLUG_IN_BOTH, "CABINET", other="DOMICILE")


def practice(
    history: History = FRESH, *, other: ev.KnownDrive | None = DOMICILE, to_verify: bool = False
) -> ImaginedComputer:
    """Both drives were saved to today. ``to_verify``: a part of the first one is to be verified."""
    history = replace(history, last_verify=None) if to_verify else history
    known = [replace(CABINET, history=history), *([other] if other else [])]
    return ImaginedComputer(started(*known), now=MONDAY)


def work(it: ImaginedComputer, reports: Mapping[str, Report] = {}) -> list[do.Action]:
    """Everything goes well, and jobs of these kinds on the first drive end with these reports."""
    done: list[do.Action] = []
    while it.requests:
        request = it.requests[0]
        if isinstance(request, do.StartJob) and request.drive == "CABINET" and request.kind in reports:
            done += it.finish_job(request, reports[request.kind])
        else:
            done += it.answer(request)
    return done


def jobs(actions: Sequence[do.Action]) -> list[tuple[str, str, str]]:
    """Drive, kind, and which drive is read for it."""
    return [
        (each.drive, each.kind, each.lender.drive if each.lender else "")
        for each in actions
        if isinstance(each, do.StartJob)
    ]


def notices(actions: Sequence[do.Action]) -> list[Notice]:
    return [action.notice for action in actions if isinstance(action, do.Notify)]


def history(it: ImaginedComputer) -> History:
    return it.state.drives[0].known.history


def run_until(it: ImaginedComputer, kind: str) -> do.StartJob:
    while True:
        request = it.requests[0]
        if isinstance(request, do.StartJob) and request.kind == kind:
            return request
        it.answer(request)


def test_what_parity_cannot_heal_is_saved_again_and_if_nothing_is_lost_nobody_hears_of_it() -> None:
    it = practice(to_verify=True)
    it.plug_in(CABINET)
    actions = work(it, {"verify": BEYOND_PARITY})
    assert [kind for _drive, kind, _lender in jobs(actions)] == ["verify", "backup", "verify-written", "repair"]
    assert notices(actions) == [Notice(NoticeKind.SAFE, "CABINET")]
    assert (history(it).failed_check, history(it).to_take) == (False, False)


def test_what_is_lost_all_the_same_asks_once_for_both_drives() -> None:
    it = practice(to_verify=True)
    it.plug_in(CABINET)
    actions = work(it, {"verify": BEYOND_PARITY, "repair": LOST})
    assert notices(actions) == [ASKED, Notice(NoticeKind.SAFE, "CABINET")]
    assert (history(it).failed_check, history(it).to_repair, history(it).to_take) == (True, False, True)


def test_a_person_who_was_asked_is_not_asked_again_within_a_week() -> None:
    it = practice(to_verify=True)
    asked: list[bool] = []
    for _day in range(9):
        it.plug_in(CABINET)
        asked.append(ASKED in notices(work(it, {"verify": BEYOND_PARITY, "repair": LOST})))
        it.pull("CABINET")
        it.later(timedelta(days=1))
    assert asked == [True, *[False] * 6, True, False]


def test_where_no_other_drive_has_a_backup_damage_is_said() -> None:
    for other in (None, replace(DOMICILE, history=History())):
        it = practice(to_verify=True, other=other)
        it.plug_in(CABINET)
        actions = work(it, {"verify": BEYOND_PARITY, "repair": LOST})
        assert notices(actions)[0] == Notice(NoticeKind.DAMAGE_FOUND, "CABINET")


def test_what_older_backups_have_lost_says_nothing_against_the_one_just_read_back() -> None:
    older = Problem("damaged", "/x", "gone", ("4" * 64,))
    for problem, says in ((older, NoticeKind.SAFE), (replace(older, snapshots=("5" * 64,)), NoticeKind.SAFE_NOT_SAVED)):
        it = ImaginedComputer(
            started(CABINET, DOMICILE, now=MONDAY + timedelta(days=1)), now=MONDAY + timedelta(days=1)
        )
        it.plug_in(CABINET)
        actions = work(it, {"verify-written": replace(BEYOND_PARITY, problems=(problem,))})
        assert [kind for _drive, kind, _lender in jobs(actions)] == ["backup", "verify-written", "repair"]
        assert notices(actions)[-1] == Notice(says, "CABINET")
        assert (Notice(NoticeKind.DAMAGE_FOUND, "CABINET") in notices(actions)) == (says is NoticeKind.SAFE_NOT_SAVED)


def test_where_the_other_drive_is_here_it_gives_at_once_and_nobody_is_asked() -> None:
    it = practice(to_verify=True)
    it.plug_in(DOMICILE)  # nothing is due on it: it waits
    it.plug_in(CABINET)
    actions = work(it, {"verify": BEYOND_PARITY})
    assert jobs(actions)[-1] == ("CABINET", "repair", "DOMICILE")
    assert notices(actions) == [Notice(NoticeKind.SAFE, "CABINET"), Notice(NoticeKind.SAFE_TAKE_HOME, "DOMICILE")]
    assert not history(it).failed_check


@pytest.mark.parametrize("order", [(CABINET, DOMICILE), (DOMICILE, CABINET)])
def test_when_both_meet_the_repair_is_done_in_whichever_order_they_come(
    order: tuple[ev.KnownDrive, ev.KnownDrive],
) -> None:
    it = practice(BROKEN)
    for known in order:
        it.plug_in(known)
    actions = work(it)
    assert jobs(actions) == [("CABINET", "repair", "DOMICILE")]
    assert (history(it).failed_check, history(it).to_take) == (False, False)
    assert {drive.phase for drive in it.state.drives} == {Phase.SAFE}


def test_the_drive_that_gives_is_kept_until_the_other_is_repaired() -> None:
    it = practice(BROKEN, other=replace(DOMICILE, history=replace(FRESH, last_verify=None)))
    it.plug_in(DOMICILE)
    run_until(it, "verify")
    it.plug_in(CABINET)
    actions = work(it)
    assert jobs(actions) == [("CABINET", "repair", "DOMICILE")]
    assert [each.drive for each in actions if isinstance(each, do.PowerOff)] == ["CABINET", "DOMICILE"]
    assert not history(it).failed_check


def test_what_the_person_was_asked_for_is_taken_back_when_it_is_done() -> None:
    it = practice(to_verify=True)
    it.plug_in(CABINET)
    work(it, {"verify": BEYOND_PARITY, "repair": LOST})
    it.pull("CABINET")
    it.plug_in(DOMICILE)
    it.plug_in(CABINET)
    actions = work(it)
    assert jobs(actions)[-1] == ("CABINET", "repair", "DOMICILE")
    assert do.Withdraw(NoticeKind.PLUG_IN_BOTH, "CABINET") in actions
    assert it.state.notice(NoticeKey(NoticeKind.PLUG_IN_BOTH, "CABINET")) is None


def test_what_no_drive_has_is_said_as_damage_and_not_tried_again() -> None:
    it = practice(BROKEN)
    it.plug_in(CABINET)
    it.plug_in(DOMICILE)
    actions = work(it, {"repair": STILL_LOST})
    assert notices(actions)[0] == Notice(NoticeKind.DAMAGE_FOUND, "CABINET")
    assert (history(it).failed_check, history(it).to_take) == (True, False)
    for known in (CABINET, DOMICILE):
        it.pull(known.id)
    it.plug_in(CABINET)
    it.plug_in(DOMICILE)
    assert jobs(work(it)) == []


def test_unplugging_the_drive_that_gives_stops_the_repair_and_it_is_done_another_time() -> None:
    it = practice(BROKEN)
    it.plug_in(CABINET)
    it.plug_in(DOMICILE)
    request = run_until(it, "repair")
    actions = it.pull("DOMICILE")
    assert do.CancelJob("CABINET", request.job) in actions
    assert notices(actions) == []
    actions = (*it.stop_job(request), *work(it))
    assert jobs(actions) == []
    assert history(it).to_take
    it.pull("CABINET")
    it.plug_in(CABINET)
    it.plug_in(DOMICILE)
    assert jobs(work(it)) == [("CABINET", "repair", "DOMICILE")]


def test_a_person_who_wants_the_drive_that_gives_need_not_wait() -> None:
    it = practice(BROKEN)
    it.plug_in(CABINET)
    it.plug_in(DOMICILE)
    request = run_until(it, "repair")
    actions = it.send(ev.Eject(it.now, "DOMICILE"))
    assert do.CancelJob("CABINET", request.job) in actions
    assert [each.drive for each in actions if isinstance(each, do.Unmount)] == ["DOMICILE"]
    it.stop_job(request)
    assert jobs(work(it)) == []
    assert {drive.phase for drive in it.state.drives} == {Phase.SAFE}


def test_a_repair_that_cannot_begin_is_tried_once_for_each_meeting() -> None:
    it = practice(BROKEN)
    it.plug_in(CABINET)
    it.plug_in(DOMICILE)
    request = run_until(it, "repair")
    it.requests.remove(request)
    del it.running[request.job]
    actions = [*it.send(ev.JobFailed(it.now, "CABINET", request.job, "locked")), *work(it)]
    assert jobs(actions) == []
    assert [each.kind for each in notices(actions)] == [NoticeKind.SAFE, NoticeKind.SAFE_TAKE_HOME]
    assert history(it).to_take


def test_where_nothing_is_automatic_nothing_is_repaired() -> None:
    it = practice(BROKEN)
    it.state = replace(it.state, rules=replace(it.state.rules, automatic=False))
    it.plug_in(CABINET)
    it.plug_in(DOMICILE)
    assert jobs(work(it)) == []


def test_a_drive_that_waits_to_give_is_not_let_go_for_being_idle() -> None:
    it = practice(BROKEN)
    it.plug_in(CABINET)
    it.plug_in(DOMICILE)
    run_until(it, "repair")
    it.to_the_next("still-plugged")
    assert next(drive for drive in it.state.drives if drive.known.id == "DOMICILE").phase is Phase.APPEARED
    assert {drive.phase for drive in it.state.drives} == {Phase.APPEARED, Phase.REPAIRING}
