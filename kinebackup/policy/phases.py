"""Where a drive is, as everybody may know it: the daemon, its clients and the person.

Owns: the list. Does not know: what leads from one phase to the next (daemon/decide/table.py), or the words.
"""

from enum import StrEnum


class Phase(StrEnum):
    """Where one drive is. The values cross D-Bus: they do not change."""

    ABSENT = "absent"
    APPEARED = "appeared"  # plugged in, not mounted, and nothing to do yet
    MOUNTING = "mounting"
    AUTHENTICATING = "authenticating"
    BACKING_UP = "backing up"
    VERIFYING = "verifying"
    TESTING = "testing"
    PRUNING = "pruning"
    REPAIRING = "repairing"  # while another drive is read
    STOPPING = "stopping"  # the job was asked to stop and has not yet
    UNMOUNTING = "unmounting"
    STUCK = "stuck"  # mounted, and somebody keeps it busy
    POWERING_OFF = "powering off"  # unmounted already
    SAFE = "safe to unplug"
    REFUSED = "refused"  # not mounted, and not to be written to
