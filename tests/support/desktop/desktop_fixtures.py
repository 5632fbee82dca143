"""Buses for the tests of the desktop."""

import os
from collections.abc import Iterator

import pytest
from support.bus.private_bus import private_bus
from support.desktop.session import Practice

from kinebackup.i18n import set_language
from tools.headless_desktop import SessionBus, session_bus


@pytest.fixture
def french() -> Iterator[None]:
    set_language("fr")
    yield
    set_language("en")


@pytest.fixture
def session() -> Iterator[SessionBus]:
    with session_bus() as bus:
        yield bus


@pytest.fixture
def practice() -> Iterator[Practice]:
    if os.geteuid() != 0:
        pytest.skip("needs root: only root may own the daemon's name")
    with private_bus() as bus:
        yield Practice(bus)
