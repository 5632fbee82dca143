"""Hearing that somebody set the computer's clock.

Owns: the kernel's timer that is cancelled when the clock is set (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET). Does not
know: what follows from it. Python has these calls since 3.13 only.
"""

import asyncio
import ctypes
import errno
import logging
import os
from collections.abc import Callable
from typing import Final

_CLOCK_REALTIME: Final = 0
_ABSTIME_CANCEL_ON_SET: Final = 0b11
_FAR: Final = 2**40  # seconds: the timer is never to fire, only to be cancelled

log = logging.getLogger("kinebackup.daemon")


class _TimerSpec(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class ClockWatch:
    """Calls ``jumped`` in the event loop after the clock was set."""

    def __init__(self, jumped: Callable[[], None]) -> None:
        self._jumped = jumped
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = -1

    def start(self) -> None:
        """Without these calls in the kernel, a new time is seen at the next tick."""
        self._fd = self._libc.timerfd_create(_CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0 or not self._arm():
            log.info("the kernel does not tell when the clock is set")
            return
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def stop(self) -> None:
        """Let go of the timer."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _arm(self) -> bool:
        spec = _TimerSpec(0, 0, _FAR, 0)
        return bool(self._libc.timerfd_settime(self._fd, _ABSTIME_CANCEL_ON_SET, ctypes.byref(spec), None) == 0)

    def _read(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
        self._arm()
        self._jumped()
