"""What the engine needs of the world, as values that a test can replace.

Owns: the list of it. Does not know: where it comes from.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from kinebackup.model import Entropy


class Names(Protocol):
    """Owners' names on this computer."""

    def users(self, uids: Collection[int]) -> dict[str, str]: ...

    def groups(self, gids: Collection[int]) -> dict[str, str]: ...

    def uid_of(self, name: str) -> int | None:
        """The number of the user of that name here; None where there is none."""

    def gid_of(self, name: str) -> int | None:
        """Likewise of the group."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What the engine needs of the world: random bytes, a monotonic clock in seconds, owners' names."""

    entropy: Entropy
    elapsed_s: Callable[[], float]
    names: Names
