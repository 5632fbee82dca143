"""A private mount namespace for this process.

Owns: leaving the shared one. Does not know: what is mounted afterwards.

Later mounts are visible to this process and its children only, and end with them: a drive never appears on the desktop,
and is not left mounted by a command that was killed.
"""

import ctypes
import os
from typing import Final

from kinebackup.errors import KineError
from kinebackup.i18n import _

# linux/sched.h and linux/mount.h
_NEW_NAMESPACE: Final = 0x00020000
_RECURSIVE: Final = 1 << 14
_SLAVE: Final = 1 << 19


def leave_shared_mounts() -> None:
    """For root, in the main thread and before others are started. Raises ``KineError`` where the kernel refuses.

    Mounts of the computer still propagate to us, none of ours to it (mount_namespaces(7), MS_SLAVE).
    """
    libc = ctypes.CDLL(None, use_errno=True)  # os.unshare exists from Python 3.12 on
    done = libc.unshare(_NEW_NAMESPACE) == 0
    if not done or libc.mount(b"none", b"/", None, ctypes.c_ulong(_RECURSIVE | _SLAVE), None) != 0:
        raise KineError(
            _("this computer does not let KineBackup mount the drive for itself ({reason})").format(
                reason=os.strerror(ctypes.get_errno())
            ),
            _("open the drive in the file manager, and give the folder where it is mounted"),
        )
