"""The agent between the daemon's real service and a server of notifications that a test plays."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest
from dbus_fast import BusType, Message
from dbus_fast.aio import MessageBus
from support.bus.recorded_daemon import NOW
from support.desktop.noted_server import NAME, PATH, Noted, NotedServer
from support.desktop.session import Practice, agent_in
from support.waiting import until

from kinebackup.daemon.decide.events import Acknowledge, BackUpNow, Eject, Snooze
from kinebackup.desktop.notifications import AgentRuns, Notifications
from kinebackup.errors import KineError
from kinebackup.policy.notices import Notice, NoticeKind
from tools.headless_desktop import SessionBus

pytest_plugins = ["support.desktop.desktop_fixtures"]

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("french")]

READY = Notice(NoticeKind.READY, "CABINET")
PLUG_IN = Notice(NoticeKind.PLUG_IN, "MAISON", days=2)
FAILED = Notice(NoticeKind.BACKUP_FAILED, "CABINET")
SAFE = Notice(NoticeKind.SAFE, "CABINET")
FULL = ("actions", "body", "body-markup", "persistence", "icon-static")


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 60))


def titles(server: NotedServer) -> list[str]:
    return [noted.summary for noted in server.shown.values()]


async def settle() -> None:
    """What is under way on the buses arrives: used where nothing more may come, and an absence takes its time."""
    await asyncio.sleep(0.2)


def test_a_notice_arrives_with_its_buttons_and_hints(session: SessionBus, practice: Practice) -> None:
    async def story() -> None:
        async with practice.open(), NotedServer(*FULL).on(session.address) as server:
            practice.say(READY)
            async with agent_in(session.address, practice):
                await until(lambda: bool(server.notes))
                assert server.notes == [
                    Noted(
                        app="KineBackup",
                        replaces=0,
                        icon="drive-removable-media",
                        summary="Le disque CABINET est branché",
                        body="Une sauvegarde est à faire. Voulez-vous la lancer maintenant\u00a0?",
                        actions=("back-up-now", "Sauvegarder maintenant", "eject", "Éjecter"),
                        hints=(("category", "device.added"), ("urgency", 1)),
                        timeout_ms=0,
                    )
                ]

    play(story())


@pytest.mark.parametrize(
    ("notice", "button", "posted"),
    [
        (READY, "back-up-now", BackUpNow(NOW, "CABINET")),
        (READY, "eject", Eject(NOW, "CABINET")),
        (PLUG_IN, "later", Snooze(NOW, NoticeKind.PLUG_IN, "MAISON", NOW + timedelta(hours=1))),
        (FAILED, "done", Acknowledge(NOW, NoticeKind.BACKUP_FAILED, "CABINET")),
        (Notice(NoticeKind.READY, "Été <2>"), "back-up-now", BackUpNow(NOW, "Été <2>")),
    ],
)
def test_a_button_reaches_the_daemon(
    session: SessionBus, practice: Practice, notice: Notice, button: str, posted: object
) -> None:
    async def story() -> None:
        async with practice.open(), NotedServer(*FULL).on(session.address) as server:
            practice.say(notice)
            async with agent_in(session.address, practice):
                await until(lambda: bool(server.shown))
                server.press(1, button)
                server.press(1, button)
                await until(lambda: bool(practice.daemon.posted))
                await settle()
                assert practice.daemon.posted == [posted]
                assert server.shown == {}

    play(story())


def test_a_refused_button_says_why_and_asks_again(session: SessionBus, practice: Practice) -> None:
    """The drive was pulled between the notification and the button."""

    async def story() -> None:
        async with practice.open(), NotedServer(*FULL).on(session.address) as server:
            practice.say(Notice(NoticeKind.READY, "MAISON"))
            async with agent_in(session.address, practice):
                await until(lambda: bool(server.shown))
                server.press(1, "back-up-now")
                await until(lambda: len(server.notes) == 3)
                assert titles(server) == ["Cela n’a pas fonctionné", "Le disque MAISON est branché"]
                assert server.notes[1].body.startswith("Le disque MAISON n’est pas branché.")
                assert practice.daemon.posted == []

    play(story())


def test_a_button_without_a_daemon_says_so(session: SessionBus, practice: Practice) -> None:
    async def story() -> None:
        async with NotedServer(*FULL).on(session.address) as server:
            practice.say(READY)
            async with agent_in(session.address, practice):
                async with practice.open():
                    await until(lambda: bool(server.shown))
                server.press(1, "back-up-now")
                await until(lambda: len(server.notes) == 3)
                assert titles(server) == ["Cela n’a pas fonctionné", "Le disque CABINET est branché"]

    play(story())


def test_notices_are_replaced_in_their_place_and_withdrawn(session: SessionBus, practice: Practice) -> None:
    async def story() -> None:
        server = NotedServer(*FULL)
        async with practice.open(), server.on(session.address), agent_in(session.address, practice):
            practice.say(PLUG_IN)
            await until(lambda: bool(server.shown))
            practice.say(Notice(NoticeKind.PLUG_IN, "MAISON", days=3))
            await until(lambda: len(server.notes) == 2)
            assert server.notes[1].replaces == 1
            assert list(server.shown) == [1]
            practice.take_back(PLUG_IN)
            await until(lambda: not server.shown)

    play(story())


def test_what_stands_is_shown_at_login_oldest_first(session: SessionBus, practice: Practice) -> None:
    async def story() -> None:
        practice.say(FAILED, PLUG_IN, SAFE)
        server = NotedServer(*FULL)
        async with practice.open(), server.on(session.address), agent_in(session.address, practice):
            await until(lambda: len(server.shown) == 3)
            assert [noted.hints[1][1] for noted in server.notes] == [2, 1, 1]
            assert titles(server) == [
                "La sauvegarde sur le disque CABINET a échoué",
                "C’est l’heure de la sauvegarde",
                "La sauvegarde est terminée",
            ]

    play(story())


def test_the_daemon_may_come_later_and_go_and_come_again(session: SessionBus, practice: Practice) -> None:
    async def story() -> None:
        async with NotedServer(*FULL).on(session.address) as server, agent_in(session.address, practice):
            await settle()
            assert server.notes == []
            practice.say(FAILED, PLUG_IN)
            async with practice.open():
                await until(lambda: len(server.shown) == 2)
            await settle()
            assert len(server.shown) == 2  # what was said is still true
            practice.take_back(PLUG_IN)
            practice.say(SAFE)
            async with practice.open():
                await until(lambda: titles(server)[-1] == "La sauvegarde est terminée")
                await settle()
                assert len(server.shown) == 2
                assert len(server.notes) == 3

    play(story())


def test_the_system_bus_may_be_started_again(session: SessionBus, practice: Practice) -> None:
    async def story() -> None:
        async with NotedServer(*FULL).on(session.address) as server, agent_in(session.address, practice):
            async with practice.open():
                practice.say(FAILED)
                await until(lambda: len(server.shown) == 1)
                practice.system.stop()
            practice.system.start()
            practice.say(SAFE)
            async with practice.open():
                await until(lambda: len(server.shown) == 2)

    play(story())


def test_a_server_of_notifications_that_comes_late_or_again_shows_what_stands(
    session: SessionBus, practice: Practice
) -> None:
    async def story() -> None:
        server = NotedServer(*FULL)
        async with practice.open(), agent_in(session.address, practice):
            practice.say(FAILED, PLUG_IN)
            await settle()
            async with server.on(session.address):
                await until(lambda: len(server.shown) == 2)
                server.dismiss(2)
                await settle()
            practice.say(SAFE)
            async with server.on(session.address):
                await until(lambda: len(server.shown) == 2)
                await settle()
                # In either order: the server and the new message come at the same time.
                shown = {"La sauvegarde sur le disque CABINET a échoué", "La sauvegarde est terminée"}
                assert (set(titles(server)), len(server.shown)) == (shown, 2)

    play(story())


def test_a_server_without_buttons_gets_text_only_and_closing_it_is_an_answer(
    session: SessionBus, practice: Practice
) -> None:
    async def story() -> None:
        async with practice.open(), NotedServer("body").on(session.address) as server:
            practice.say(READY, FAILED)
            async with agent_in(session.address, practice):
                await until(lambda: len(server.shown) == 2)
                assert [noted.actions for noted in server.notes] == [(), ()]
                assert server.notes[0].body.endswith("kinebackup backup --drive CABINET")
                server.dismiss(1)
                server.dismiss(2)
                await until(lambda: bool(practice.daemon.posted))
                await settle()
                assert practice.daemon.posted == [Acknowledge(NOW, NoticeKind.BACKUP_FAILED, "CABINET")]

    play(story())


def test_closing_is_no_answer_where_there_are_buttons_and_the_next_login_shows_it_again(
    session: SessionBus, practice: Practice
) -> None:
    async def story() -> None:
        async with practice.open(), NotedServer(*FULL).on(session.address) as server:
            practice.say(FAILED)
            async with agent_in(session.address, practice):
                await until(lambda: bool(server.shown))
                server.dismiss(1)
                await settle()
                assert practice.daemon.posted == []
            async with agent_in(session.address, practice):
                await until(lambda: bool(server.shown))

    play(story())


@pytest.mark.parametrize("steps", range(12))
def test_an_agent_can_be_ended_at_any_moment_of_showing(session: SessionBus, practice: Practice, steps: int) -> None:
    """The session ends so many steps of the loop after the server has the notice; the answer is on its way then."""

    async def story() -> None:
        async with practice.open(), NotedServer(*FULL).on(session.address) as server:
            practice.say(FAILED)
            async with agent_in(session.address, practice):
                while not server.shown:
                    await asyncio.sleep(0)
                for _ in range(steps):
                    await asyncio.sleep(0)
            assert server.shown == {}

    play(story())


def test_an_agent_that_ends_before_it_knows_the_number_of_a_notice_takes_it_away(
    session: SessionBus, practice: Practice
) -> None:
    async def story() -> None:
        async with practice.open(), NotedServer(*FULL).on(session.address) as server:
            server.answers_after = 200
            practice.say(FAILED)
            async with agent_in(session.address, practice):
                while not server.shown:
                    await asyncio.sleep(0)
            assert server.shown == {}

    play(story())


def test_a_server_that_never_says_a_number_keeps_no_other_notice_on_the_screen(
    session: SessionBus, practice: Practice
) -> None:
    async def story() -> None:
        async with practice.open(), NotedServer(*FULL).on(session.address) as server:
            practice.say(FAILED, PLUG_IN)
            async with agent_in(session.address, practice):
                while not server.shown:
                    await asyncio.sleep(0)
                server.answers_after = 10**9
                while len(server.shown) < 2:
                    await asyncio.sleep(0)
            assert list(server.shown) == [2]

    play(story())


def test_an_agent_that_ends_leaves_no_dead_buttons(session: SessionBus, practice: Practice) -> None:
    async def story() -> None:
        async with practice.open(), NotedServer(*FULL).on(session.address) as server:
            practice.say(FAILED, PLUG_IN)
            async with agent_in(session.address, practice):
                await until(lambda: len(server.shown) == 2)
            assert server.shown == {}
            assert len(practice.daemon.active) == 2

    play(story())


def test_markup_of_a_label_is_shown_and_not_obeyed(session: SessionBus, practice: Practice) -> None:
    async def story() -> None:
        async with practice.open(), NotedServer(*FULL).on(session.address) as server:
            practice.say(Notice(NoticeKind.SAFE, "Été <2>"))
            async with agent_in(session.address, practice):
                await until(lambda: bool(server.notes))
                assert "Été &lt;2&gt;" in server.notes[0].body

    play(story())


def test_a_signal_of_somebody_else_presses_no_button(session: SessionBus, practice: Practice) -> None:
    async def story() -> None:
        async with practice.open(), NotedServer(*FULL).on(session.address) as server:
            practice.say(READY)
            async with agent_in(session.address, practice):
                await until(lambda: bool(server.shown))
                stranger = await MessageBus(bus_address=session.address, bus_type=BusType.SESSION).connect()
                forged = Message.new_signal(PATH, NAME, "ActionInvoked", "us", [1, "back-up-now"])
                forged.destination = "org.kinebackup.Agent1"
                await stranger.send(forged)
                await settle()
                stranger.disconnect()
                await stranger.wait_for_disconnect()  # type: ignore[no-untyped-call]  # the library gives no annotation
                assert practice.daemon.posted == []
                assert len(server.shown) == 1

    play(story())


def test_a_session_has_one_agent(session: SessionBus, practice: Practice) -> None:
    async def story() -> None:
        async with practice.open(), agent_in(session.address, practice):
            await settle()
            with pytest.raises(AgentRuns):
                await Notifications(session.address, lambda _event: None).open()

    play(story())


def test_the_agent_ends_with_its_session(session: SessionBus, practice: Practice) -> None:
    async def story() -> None:
        async with practice.open(), agent_in(session.address, practice) as running:
            await settle()
            session.stop()
            await asyncio.wait_for(running, 5)

    play(story())


def test_without_a_session_the_agent_says_so(practice: Practice) -> None:
    async def story() -> None:
        with pytest.raises(KineError, match="session de bureau"):
            await Notifications("unix:path=/nowhere/bus", lambda _event: None).open()

    play(story())
