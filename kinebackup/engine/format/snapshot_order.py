"""Which of the snapshots of a drive is the newest: by their order there and their computer, by no clock (FORMAT.md §8).

Owns: that order, and what ``latest`` means to whom. Does not know: how snapshots are read, or which can be restored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kinebackup.engine.format.snapshot import NamedSnapshot
from kinebackup.errors import NotFound
from kinebackup.i18n import _


def by_sequence(named: NamedSnapshot) -> tuple[int, str, str]:
    """Time and name decide between two writers only that did not see each other's snapshots."""
    return named.snapshot.sequence, named.snapshot.time, named.id


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose snapshots are meant. ``machine``: the id of the computer that asks, empty where it has none. ``host``: the
    computer that a person names instead.
    """

    machine: str = ""
    host: str = ""

    def among(self, known: Sequence[NamedSnapshot]) -> Sequence[NamedSnapshot]:
        """Those of the computer that a person names; without a name, all. Raises ``NotFound`` where there is none."""
        found = [named for named in known if self.host.casefold() in ("", named.snapshot.host.casefold())]
        if known and not found:
            hosts = ", ".join(sorted({named.snapshot.host for named in known}))
            raise NotFound(
                _("no backup on this drive is of a computer called {name}").format(name=repr(self.host)),
                _("the computers of this drive are: {names}").format(names=hosts),
            )
        return found

    def is_known(self, known: Sequence[NamedSnapshot]) -> bool:
        """Whether the drive has snapshots of the computer that asks."""
        return any(named.snapshot.machine == self.machine for named in known)


ANYONE: Final = Whose()


def newest(known: Sequence[NamedSnapshot], whose: Whose) -> NamedSnapshot | None:
    """The last one taken by the computer that is meant: the named one, the one that asks, or, where the drive does not
    know that one, any. A suspicious one only where there is no other. ``known``: by their sequence.
    """
    meant = whose.among(known)
    if not whose.host and whose.is_known(known):
        meant = [named for named in known if named.snapshot.machine == whose.machine]
    sound = [named for named in meant if not named.snapshot.suspicious]
    return (sound or meant or (None,))[-1]


def newest_of_each(known: Sequence[NamedSnapshot]) -> tuple[NamedSnapshot, ...]:
    """The newest of each computer, the computer of the newest of all first."""
    machines = dict.fromkeys(named.snapshot.machine for named in reversed(known))
    found = (newest(known, Whose(machine)) for machine in machines)
    return tuple(named for named in found if named is not None)
