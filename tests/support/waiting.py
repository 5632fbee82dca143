"""Waiting for what happens elsewhere, and never longer than for that.

Owns: looking again and again, up to a deadline. Does not know: what is awaited.
"""

import asyncio
import time
from collections.abc import Callable

_LOOK_AGAIN_S = 0.01


async def until(condition: Callable[[], bool], within_s: float = 10) -> None:
    """Let the event loop run until that is so."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        await asyncio.sleep(_LOOK_AGAIN_S)


def wait_until(
    condition: Callable[[], bool],
    within_s: float = 10,
    *,
    look_again_s: float = _LOOK_AGAIN_S,
    otherwise: str = "it did not come to that",
) -> None:
    """The same without an event loop, for another thread, process or computer."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(look_again_s)
