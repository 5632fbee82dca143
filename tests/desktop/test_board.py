"""What the agent keeps on the screen, played without a screen."""

import random
from collections.abc import Sequence

import pytest

from kinebackup.desktop.board import Answer, Board, Close, Effect, Hidden, Show, Visible, Waiting
from kinebackup.policy.notices import Button, Notice, NoticeKey, NoticeKind

PLUG_IN = Notice(NoticeKind.PLUG_IN, "CABINET", days=1)
FAILED = Notice(NoticeKind.BACKUP_FAILED, "CABINET")
SAFE = Notice(NoticeKind.SAFE_TAKE_HOME, "MAISON")
PLUG_IN_KEY = NoticeKey(NoticeKind.PLUG_IN, "CABINET")
FAILED_KEY = NoticeKey(NoticeKind.BACKUP_FAILED, "CABINET")
SAFE_KEY = NoticeKey(NoticeKind.SAFE_TAKE_HOME, "MAISON")
FOUR_HOURS_S = 14_400.0


class Screen:
    """A server of notifications that does at once what it is told; its numbers begin at 1."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.shows: dict[int, Notice] = {}
        self.answers: list[Answer] = []
        self.next_id = 1

    def do(self, effects: Sequence[Effect]) -> None:
        waiting = list(effects)
        while waiting:
            match waiting.pop(0):
                case Show(key):
                    wanted = self.board.to_show(key)
                    if wanted is None:
                        continue
                    shown_id = wanted.replaces
                    if not shown_id:
                        shown_id, self.next_id = self.next_id, self.next_id + 1
                    self.shows[shown_id] = wanted.notice
                    waiting += self.board.is_shown(key, shown_id)
                case Close(shown_id):
                    self.shows.pop(shown_id, None)
                case Answer() as answer:
                    self.answers.append(answer)


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def screen(board: Board) -> Screen:
    return Screen(board)


def test_what_the_daemon_says_is_shown_once(board: Board, screen: Screen) -> None:
    screen.do(board.activate(PLUG_IN))
    assert screen.shows == {1: PLUG_IN}
    assert board.active == {PLUG_IN_KEY: Visible(1)}


def test_a_notice_of_the_same_kind_and_drive_takes_the_place_of_the_one_before(board: Board, screen: Screen) -> None:
    screen.do(board.activate(PLUG_IN))
    tomorrow = Notice(NoticeKind.PLUG_IN, "CABINET", days=2)
    screen.do(board.activate(tomorrow))
    assert screen.shows == {1: tomorrow}


def test_the_same_kind_for_another_drive_stands_beside_it(board: Board, screen: Screen) -> None:
    screen.do(board.activate(FAILED))
    other = Notice(NoticeKind.BACKUP_FAILED, "MAISON")
    screen.do(board.activate(other))
    assert screen.shows == {1: FAILED, 2: other}


def test_what_is_obsolete_leaves_the_screen(board: Board, screen: Screen) -> None:
    screen.do(board.activate(PLUG_IN))
    screen.do(board.withdraw(PLUG_IN_KEY))
    assert (screen.shows, dict(board.active)) == ({}, {})


def test_what_was_withdrawn_while_the_server_thought_about_it_is_closed(board: Board) -> None:
    board.activate(PLUG_IN)
    board.withdraw(PLUG_IN_KEY)
    assert board.is_shown(PLUG_IN_KEY, 7) == [Close(7)]


def test_withdrawing_what_never_stood_does_nothing(board: Board) -> None:
    assert board.withdraw(PLUG_IN_KEY) == []


def test_a_button_is_told_to_the_daemon_and_takes_the_notification_away(board: Board, screen: Screen) -> None:
    screen.do(board.activate(PLUG_IN))
    screen.do(board.is_pressed(1, "later", 0.0))
    assert screen.answers == [Answer(Button.LATER, PLUG_IN_KEY)]
    assert screen.shows == {}


def test_a_button_that_is_pressed_twice_is_told_once(board: Board, screen: Screen) -> None:
    screen.do(board.activate(PLUG_IN))
    screen.do(board.is_pressed(1, "later", 0.0))
    assert board.is_pressed(1, "later", 0.1) == []


@pytest.mark.parametrize("pressed", ["default", "eject", "", "LATER", "inline-reply"])
def test_a_button_that_the_notice_does_not_have_is_no_answer(board: Board, screen: Screen, pressed: str) -> None:
    screen.do(board.activate(PLUG_IN))
    assert board.is_pressed(1, pressed, 0.0) == []
    assert screen.shows == {1: PLUG_IN}


def test_buttons_of_other_programs_are_none_of_ours(board: Board, screen: Screen) -> None:
    screen.do(board.activate(PLUG_IN))
    assert board.is_pressed(99, "later", 0.0) == []
    assert board.is_closed(99, 2, 0.0, has_buttons=True) == []


def test_a_server_may_say_that_it_closed_before_it_says_which_button_did_it(board: Board, screen: Screen) -> None:
    screen.do(board.activate(FAILED))
    screen.do(board.is_closed(1, 2, 0.0, has_buttons=True))
    assert board.is_pressed(1, "done", 0.0) == [Close(1), Answer(Button.DONE, FAILED_KEY)]


def test_a_failure_that_was_waved_away_is_not_acknowledged_and_comes_back_after_four_hours(
    board: Board, screen: Screen
) -> None:
    screen.do(board.activate(FAILED))
    screen.do(board.is_closed(1, 2, 100.0, has_buttons=True))
    assert screen.answers == []
    assert board.next_due_s() == 100.0 + FOUR_HOURS_S
    assert board.show_due(100.0 + FOUR_HOURS_S - 1) == []
    screen.do(board.show_due(100.0 + FOUR_HOURS_S))
    assert board.active == {FAILED_KEY: Visible(2)}
    assert board.next_due_s() is None


@pytest.mark.parametrize("reason", [1, 2, 3, 4, 0, 77])
def test_a_reminder_that_was_closed_is_left_to_the_daemon(board: Board, screen: Screen, reason: int) -> None:
    """Which gives it again on the next day."""
    screen.do(board.activate(PLUG_IN))
    screen.do(board.is_closed(1, reason, 0.0, has_buttons=True))
    assert (screen.answers, board.next_due_s()) == ([], None)
    screen.do(board.activate(Notice(NoticeKind.PLUG_IN, "CABINET", days=2)))
    assert list(screen.shows.values())[-1] == Notice(NoticeKind.PLUG_IN, "CABINET", days=2)


def test_where_there_are_no_buttons_a_hand_that_closes_it_acknowledges(board: Board, screen: Screen) -> None:
    screen.do(board.activate(FAILED))
    screen.do(board.is_closed(1, 2, 0.0, has_buttons=False))
    assert screen.answers == [Answer(Button.DONE, FAILED_KEY)]


def test_where_there_are_no_buttons_time_does_not_acknowledge(board: Board, screen: Screen) -> None:
    screen.do(board.activate(FAILED))
    screen.do(board.is_closed(1, 1, 0.0, has_buttons=False))
    assert screen.answers == []


def test_the_alarm_is_not_acknowledged_by_closing_it(board: Board, screen: Screen) -> None:
    screen.do(board.activate(Notice(NoticeKind.ALARM)))
    screen.do(board.is_closed(1, 2, 0.0, has_buttons=False))
    assert screen.answers == []
    assert board.next_due_s() == FOUR_HOURS_S


def test_a_server_that_was_started_again_shows_what_was_on_the_screen(board: Board, screen: Screen) -> None:
    for notice in (PLUG_IN, FAILED, SAFE):
        screen.do(board.activate(notice))
    screen.do(board.is_closed(1, 2, 0.0, has_buttons=True))
    screen.shows, screen.next_id = {}, 1
    screen.do(board.server_is_new())
    assert screen.shows == {1: FAILED, 2: SAFE}


def test_numbers_of_an_earlier_server_mean_nothing(board: Board, screen: Screen) -> None:
    screen.do(board.activate(FAILED))
    screen.do(board.is_closed(1, 2, 0.0, has_buttons=True))
    board.server_is_new()
    assert board.is_pressed(1, "done", 0.0) == []


def test_without_a_server_notices_wait_for_one(board: Board, screen: Screen) -> None:
    board.activate(PLUG_IN)
    board.activate(SAFE)
    board.withdraw(PLUG_IN_KEY)
    assert board.active == {SAFE_KEY: Waiting()}
    screen.do(board.server_is_new())
    assert screen.shows == {1: SAFE}


def test_a_server_that_does_not_answer_is_asked_again_after_a_minute(board: Board, screen: Screen) -> None:
    board.activate(SAFE)
    board.is_not_shown(SAFE_KEY, 10.0)
    assert board.next_due_s() == 70.0
    screen.do(board.show_due(70.0))
    assert screen.shows == {1: SAFE}


def test_a_daemon_that_was_started_again_changes_nothing_on_the_screen(board: Board, screen: Screen) -> None:
    screen.do(board.replay([PLUG_IN, FAILED]))
    assert board.replay([PLUG_IN, FAILED]) == []


def test_a_replay_brings_nothing_back_that_somebody_closed(board: Board, screen: Screen) -> None:
    screen.do(board.replay([FAILED]))
    screen.do(board.is_closed(1, 2, 0.0, has_buttons=True))
    assert board.replay([FAILED]) == []
    assert board.next_due_s() == FOUR_HOURS_S


def test_a_replay_removes_adds_and_changes(board: Board, screen: Screen) -> None:
    screen.do(board.replay([PLUG_IN, FAILED]))
    changed = Notice(NoticeKind.PLUG_IN, "CABINET", days=5)
    screen.do(board.replay([changed, SAFE]))
    assert screen.shows == {1: changed, 3: SAFE}


def test_what_the_daemon_did_not_do_is_asked_again(board: Board, screen: Screen) -> None:
    screen.do(board.activate(Notice(NoticeKind.READY, "CABINET")))
    screen.do(board.is_pressed(1, "back-up-now", 0.0))
    screen.do(board.answer_failed(NoticeKey(NoticeKind.READY, "CABINET")))
    assert list(screen.shows.values()) == [Notice(NoticeKind.READY, "CABINET")]


def test_what_the_daemon_did_not_do_is_forgotten_with_its_notice(board: Board, screen: Screen) -> None:
    screen.do(board.activate(PLUG_IN))
    screen.do(board.is_pressed(1, "later", 0.0))
    screen.do(board.withdraw(PLUG_IN_KEY))
    assert board.answer_failed(PLUG_IN_KEY) == []


def test_at_the_end_nothing_stays_on_the_screen(board: Board, screen: Screen) -> None:
    screen.do(board.replay([PLUG_IN, FAILED, SAFE]))
    screen.do(board.clear())
    assert screen.shows == {}


def test_whatever_happens_the_screen_shows_what_stands_and_once_each() -> None:
    """A thousand random lives of one agent, each of forty happenings."""
    kinds = [NoticeKind.PLUG_IN, NoticeKind.BACKUP_FAILED, NoticeKind.WORKING, NoticeKind.SAFE, NoticeKind.ALARM]
    for seed in range(1000):
        chance = random.Random(seed)
        board = Board()
        screen = Screen(board)
        now_s = 0.0
        daemon: dict[NoticeKey, Notice] = {}
        for _ in range(40):
            now_s += chance.uniform(0, 3600)
            notice = Notice(chance.choice(kinds), chance.choice(["A", "B"]), days=chance.randrange(3))
            key = NoticeKey(notice.kind, notice.drive)
            shown_id = chance.randrange(1, screen.next_id + 1)
            match chance.randrange(7):
                case 0:
                    daemon[key] = notice
                    screen.do(board.activate(notice))
                case 1:
                    daemon.pop(key, None)
                    screen.do(board.withdraw(key))
                case 2:
                    screen.do(board.is_pressed(shown_id, chance.choice(["done", "later", "eject"]), now_s))
                case 3:
                    screen.shows.pop(shown_id, None)
                    screen.do(
                        board.is_closed(shown_id, chance.randrange(1, 5), now_s, has_buttons=chance.random() < 0.5)
                    )
                case 4:
                    screen.shows.clear()
                    screen.do(board.server_is_new())
                case 5:
                    screen.do(board.replay(list(daemon.values())))
                case 6:
                    screen.do(board.show_due(now_s))
            assert set(board.active) == set(daemon)
            visible = {
                visibility.shown_id: key for key, visibility in board.active.items() if isinstance(visibility, Visible)
            }
            assert {shown_id: daemon[key] for shown_id, key in visible.items()} == screen.shows
            assert not any(isinstance(each, Waiting) for each in board.active.values())
            assert all(
                visibility.until_s is None or visibility.until_s <= now_s + FOUR_HOURS_S for visibility in hidden(board)
            )


def hidden(board: Board) -> list[Hidden]:
    return [each for each in board.active.values() if isinstance(each, Hidden)]
