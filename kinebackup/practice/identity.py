"""What opens a drive whose header copies are lost: this computer's memory of it, or a key export.

Owns: making a header of what is remembered, and which headers are tried besides the drive's own. Does not know: which
of them is right (engine), or what a key export looks like.

Nothing is kept twice for this. The key ring on this computer is that of every drive, and the state knows each drive's
repository: together they are its header. So a key that is removed is gone from here too.
"""

from collections.abc import Sequence

from kinebackup.engine import MasterKey, encode_header, format_time
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.state.records import Drive


def remembered_header(record: Drive, computer: ComputerKeys, master: MasterKey) -> bytes:
    """The drive's header as it would be written now."""
    created = format_time(record.enrolled_at)
    return encode_header(computer.keyring, master, repository=record.repository, created=created)


def headers_elsewhere(
    record: Drive | None, computer: ComputerKeys | None, given: Sequence[bytes] = ()
) -> tuple[bytes, ...]:
    """Those to try where no copy on the drive is right, the best first."""
    if computer is None or record is None:
        return tuple(given)
    return (remembered_header(record, computer, computer.master()), *given)
