"""A mount namespace for the tests of one file.

Owns: going into it and coming back. Does not know: what is mounted there.

A program that unshares its mounts at that moment, anywhere on the computer, would otherwise take a copy of what a test
has mounted, and keep the drive busy.
"""

import ctypes
import os
from collections.abc import Iterator

import pytest

_NEW_MOUNTS = 0x20000  # linux/sched.h: CLONE_NEWNS
_PRIVATE, _RECURSIVE = 0x40000, 0x4000  # linux/mount.h


@pytest.fixture(scope="module", autouse=True)
def own_namespace() -> Iterator[None]:
    """What is mounted by the tests of this file is seen by them and what they start."""
    if os.geteuid() != 0:  # each of these tests is skipped, or mounts nothing
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    before, folder = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC), os.getcwd()
    try:
        assert libc.unshare(_NEW_MOUNTS) == 0, os.strerror(ctypes.get_errno())
        assert libc.mount(None, b"/", None, ctypes.c_ulong(_PRIVATE | _RECURSIVE), None) == 0
        try:
            yield
        finally:
            assert libc.setns(before, _NEW_MOUNTS) == 0, os.strerror(ctypes.get_errno())
            os.chdir(folder)  # setns(2) leads to the root directory
    finally:
        os.close(before)
