"""``kinebackup agent`` as a process of an ordinary user: small, idle, alone in its session, gone when told."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.desktop.noted_server import NotedServer
from support.desktop.session import Practice
from support.project import ROOT
from support.waiting import until

from kinebackup.desktop.notifications import session_bus_address
from kinebackup.errors import KineError
from kinebackup.policy.notices import Notice, NoticeKind
from tools.headless_desktop import SessionBus

pytest_plugins = ["support.desktop.desktop_fixtures"]

NOBODY = "65534"
SAFE = Notice(NoticeKind.SAFE_TAKE_HOME, "MAISON")
# An ordinary user, who may read the checkout wherever it lies.
AS_NOBODY = (
    *("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--no-new-privs"),
    *("--bounding-set", "-all,+dac_read_search"),
    *("--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search"),
)
BUTTONS = ("actions", "body")


def environment(session: SessionBus, practice: Practice, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DBUS_SESSION_BUS_ADDRESS": session.address,
        "DBUS_SYSTEM_BUS_ADDRESS": practice.system.address,
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


@contextmanager
def agent(environ: dict[str, str]) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        [*AS_NOBODY, sys.executable, "-m", "kinebackup", "agent"],
        env=environ,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(
    environ: dict[str, str], *arguments: str, user: tuple[str, ...] = AS_NOBODY
) -> "subprocess.CompletedProcess[str]":
    command = [*user, sys.executable, "-m", "kinebackup", "agent", *arguments]
    return subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 60))


def status_of(pid: int, field: str) -> int:
    found = re.search(rf"^{field}:\s*(\d+)", Path(f"/proc/{pid}/status").read_text("ascii"), re.MULTILINE)
    assert found is not None
    return int(found[1])


@pytest.mark.root
def test_the_process_is_small_idle_has_no_cryptography_and_goes_when_told(
    session: SessionBus, practice: Practice
) -> None:
    async def story() -> None:
        async with practice.open(), NotedServer(*BUTTONS).on(session.address) as server:
            practice.say(SAFE)
            with agent(environment(session, practice)) as process:
                await until(lambda: bool(server.shown), 20)
                assert status_of(process.pid, "Uid") == 65534
                assert status_of(process.pid, "VmRSS") <= 35 * 1024
                libraries = Path(f"/proc/{process.pid}/maps").read_text("utf-8")
                assert "dbus_fast" in libraries
                assert "cryptography" not in libraries
                assert "_sqlite3" not in libraries
                await asyncio.sleep(0.5)  # what it does once at its start is over
                before = status_of(process.pid, "voluntary_ctxt_switches")
                await asyncio.sleep(3)  # what is tested: in this time it does not wake once
                assert status_of(process.pid, "voluntary_ctxt_switches") == before, "it woke up for nothing"
                process.send_signal(signal.SIGTERM)
                await until(lambda: process.poll() is not None, 2)
                assert process.returncode == 0
                await until(lambda: not server.shown)

    play(story())


@pytest.mark.root
@pytest.mark.parametrize(
    ("language", "title"),
    [
        ({}, "La sauvegarde est terminée"),
        ({"LANG": "fr_FR.UTF-8"}, "La sauvegarde est terminée"),
        ({"LANG": "en_GB.UTF-8"}, "The backup is done"),
        ({"LANG": "fr_FR.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "The backup is done"),
    ],
)
def test_it_speaks_the_language_of_the_session(
    session: SessionBus, practice: Practice, language: dict[str, str], title: str
) -> None:
    async def story() -> None:
        async with practice.open(), NotedServer(*BUTTONS).on(session.address) as server:
            practice.say(SAFE)
            with agent(environment(session, practice, **language)):
                await until(lambda: bool(server.notes), 20)
                assert server.notes[0].summary == title

    play(story())


@pytest.mark.root
def test_a_second_agent_ends_quietly_where_it_is_told_to(session: SessionBus, practice: Practice) -> None:
    async def story() -> None:
        async with practice.open(), NotedServer(*BUTTONS).on(session.address) as server:
            practice.say(SAFE)
            with agent(environment(session, practice)):
                await until(lambda: bool(server.notes), 20)
                quiet = await asyncio.to_thread(run, environment(session, practice), "--unless-running")
                assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
                loud = await asyncio.to_thread(run, environment(session, practice))
                assert loud.returncode == 11
                assert "un autre agent" in loud.stderr
                assert len(server.notes) == 1

    play(story())


@pytest.mark.root
def test_root_has_no_session(session: SessionBus, practice: Practice) -> None:
    refused = run(environment(session, practice, LANG="en_US.UTF-8"), user=())
    assert refused.returncode == 2
    assert "the agent belongs to the session of a person, not to root" in refused.stderr


@pytest.mark.root
def test_without_a_session_it_ends_with_an_error(session: SessionBus, practice: Practice) -> None:
    environ = environment(session, practice, LANG="en_US.UTF-8")
    del environ["DBUS_SESSION_BUS_ADDRESS"]
    refused = run(environ)
    assert refused.returncode == 1
    assert "there is no desktop session here" in refused.stderr


def test_the_bus_of_the_session_is_where_it_is_said_or_where_systemd_puts_it(tmp_path: Path) -> None:
    (tmp_path / "bus").touch()
    assert session_bus_address({"DBUS_SESSION_BUS_ADDRESS": "unix:abstract=/x"}) == "unix:abstract=/x"
    assert session_bus_address({"XDG_RUNTIME_DIR": str(tmp_path)}) == f"unix:path={tmp_path}/bus"
    with pytest.raises(KineError):
        session_bus_address({"XDG_RUNTIME_DIR": str(tmp_path / "elsewhere")})
    with pytest.raises(KineError):
        session_bus_address({})
