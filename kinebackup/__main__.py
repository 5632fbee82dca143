"""The program's first moments: ``kinebackup`` and ``python -m kinebackup``.

Owns: signals that come before the command line can answer them, and the encoding of text. Does not know: commands.
"""

import gc
import os
import signal
import sys
from types import FrameType


def use_utf_8() -> None:
    """Begin again in Python's UTF-8 mode where the locale says another encoding.

    Names of files are UTF-8 on the drive and wherever they came from; under ISO-8859-1 an ``é`` would be stored as two
    other letters, and under C a name with one could not be restored. It has to be so before the first name is read.
    """
    if sys.getfilesystemencoding() == "utf-8" or "utf8" in sys._xoptions:
        return
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - this very program


def entry() -> None:
    """The console script. A Ctrl-C while the modules load stops the command as one that comes later does."""
    use_utf_8()
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
