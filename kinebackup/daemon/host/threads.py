"""Blocking work beside the event loop.

Owns: one thread for each piece of work, and bringing its result back. Does not know: what the work is.

Not asyncio's own pool: it waits for its threads at the end, and one that waits for a pulled drive may never end.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def in_thread(name: str, work: Callable[[], Result]) -> Result:
    """A thread that does not keep the process from ending: one that waits for a pulled drive cannot be ended."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Result] = loop.create_future()

    def give(result: Result | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]  # None only where Result has None

    def run() -> None:
        result: Result | None = None
        failed: BaseException | None = None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - carried to the one who waits, who raises it
            failed = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(give, result, failed)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await answer
