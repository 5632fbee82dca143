"""Whether the parity file of a sound file would heal it.

Owns: comparing the two. Does not know: what is told or done about a parity file that would not.
"""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class ParityFound:
    """``survives_bytes``: how much of the file may become unreadable at any one place; None: all of it."""

    state: ParityState
    survives_bytes: int | None = None


def state_of_parity(store: Store, name: FileName, data: Buffer) -> ParityFound:
    """``data``: the file of that name, which is sound. Raises ``DriveFailed``.

    Its bytes come from the drive itself, not from memory.
    """
    path = parity_path(name)
    try:
        if store.size(path) > 2 * parity.MAX_FILE_BYTES:
            return ParityFound(ParityState.DAMAGED)
        store.drop_cache(path)
        found = parity.decode(store.read(path))
    except NotFound:
        return ParityFound(ParityState.MISSING)
    except Damaged:
        return ParityFound(ParityState.DAMAGED)
    if not (found.is_whole and found.belongs_to(data)):
        return ParityFound(ParityState.DAMAGED)
    return ParityFound(ParityState.SOUND, found.survives_bytes)
