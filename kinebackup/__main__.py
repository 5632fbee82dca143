"""The program's first moments: ``kinebackup`` and ``python -m kinebackup``.

Owns: signals that come before the command line can answer them. Does not know: commands.
"""

import gc
import signal
from types import FrameType


def entry() -> None:
    """The console script. A Ctrl-C while the modules load stops the command as one that comes later does."""
    early: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        early.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    gc.disable()  # modules make much that stays, and no garbage to look for: a twelfth of a command's start
    from kinebackup.cli.main import entry as begin

    gc.enable()
    begin(early)


if __name__ == "__main__":
    entry()
