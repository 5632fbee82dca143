"""What the jobs need of the outside, as values that a test can replace.

Owns: the list of it. Does not know: where it comes from (``wiring`` does).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from kinebackup.drives.system import System
from kinebackup.engine import Argon2Cost, Names
from kinebackup.model import Entropy


@dataclass(frozen=True, slots=True)
class World:
    """``now`` is aware; ``elapsed_s`` is monotonic; ``scratch``: for plaintext that must not stay, RAM-backed first."""

    now: Callable[[], datetime]
    zone: tzinfo
    elapsed_s: Callable[[], float]
    entropy: Entropy
    names: Names
    host: str
    boot: str
    pid: int
    is_root: bool
    system: System
    scratch: Sequence[str]
    cost: Argon2Cost = field(default_factory=Argon2Cost)
