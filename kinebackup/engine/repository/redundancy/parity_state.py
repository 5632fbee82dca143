"""Whether the parity file of a sound file would heal it.

Owns: comparing the two. Does not know: what is told or done about a parity file that would not.
"""

from enum import Enum, auto

from kinebackup.engine.format import parity
from kinebackup.engine.format.constants import Buffer
from kinebackup.engine.format.layout import parity_path
from kinebackup.engine.repository.store import Store
from kinebackup.errors import Damaged, NotFound
from kinebackup.model import FileName


class ParityState(Enum):
    """Of one parity file."""

    SOUND = auto()
    DAMAGED = auto()
    MISSING = auto()


def state_of_parity(store: Store, name: FileName, data: Buffer) -> ParityState:
    """``data``: the file of that name, which is sound. Raises ``DriveFailed``.

    Its bytes come from the drive itself, not from memory.
    """
    path = parity_path(name)
    try:
        if store.size(path) > 2 * parity.MAX_FILE_BYTES:
            return ParityState.DAMAGED
        store.drop_cache(path)
        found = parity.decode(store.read(path))
    except NotFound:
        return ParityState.MISSING
    except Damaged:
        return ParityState.DAMAGED
    return ParityState.SOUND if found.is_whole and found.belongs_to(data) else ParityState.DAMAGED
