"""What may have changed since a snapshot, as the change journal of the sources says.

Owns: the form in which it is said, and what a backup leaves for the next one. Does not know: how changes are noticed,
or what a backup makes of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final


class DirtyDir:
    """A directory that has to be looked at: something in it, or further below, may have changed.

    ``below``: the subdirectories for which that holds as well. ``whole``: it holds for all that lies below.
    """

    __slots__ = ("below", "whole")

    def __init__(self, *, whole: bool = False) -> None:
        self.below: dict[str, DirtyDir] = {}
        self.whole = whole


EVERYTHING: Final = DirtyDir(whole=True)


class Changes:
    """Directories in which something may have changed, for each source that was watched without a gap.

    A directory that is not touched is as it was. Paths are absolute, as Python's file functions take them.
    """

    def __init__(self, sources: Iterable[str]) -> None:
        self._roots = {path: DirtyDir() for path in sources}

    def of_source(self, path: str) -> DirtyDir | None:
        """What to look at in a source; None where nothing is known of it."""
        return self._roots.get(path)

    def touch(self, path: str, *, whole: bool = False) -> None:
        """Something in that directory may have changed. What lies in no source is of no interest."""
        for source, here in self._roots.items():
            if path == source or path.startswith(f"{source}/"):
                for name in path[len(source) :].split("/"):
                    if name:
                        here = here.below.setdefault(name, DirtyDir())
                here.whole = here.whole or whole

    def listing(self) -> dict[str, list[tuple[str, bool]]]:
        """For each source, what ``touch`` needs to say the same again elsewhere: paths, and whether all below."""
        found: dict[str, list[tuple[str, bool]]] = {}
        for source, root in self._roots.items():
            found[source] = []
            waiting = [(source, root)]
            while waiting:
                path, here = waiting.pop()
                if here.whole or not here.below:
                    found[source].append((path, here.whole))
                waiting.extend((f"{path}/{name}", below) for name, below in here.below.items() if not here.whole)
        return found

    def covers(self, path: str) -> bool:
        """Whether a backup that follows this record looks into that directory. Folders on the way to a source always
        are.
        """
        for source, here in self._roots.items():
            if path == source or path.startswith(f"{source}/"):
                return _leads_to(here, path[len(source) :].split("/"))
        return True


def _leads_to(here: DirtyDir, names: Iterable[str]) -> bool:
    for name in names:
        if here.whole:
            return True
        if name:
            below = here.below.get(name)
            if below is None:
                return False
            here = below
    return True


@dataclass(frozen=True, slots=True)
class ChangesSince:
    """What may have changed since one snapshot: of the same drive, and since before its scan began."""

    snapshot: str
    changes: Changes


@dataclass(frozen=True, slots=True)
class TrackingResult:
    """What a backup leaves for the next one that follows the journal.

    ``always_rescan``: directories that the next one has to look at whatever the journal says, as what happens to hard
    links, databases and files with problems does not always show in their directory. ``changed_dirs``: directories that
    were not as the parent snapshot has them, where that was asked for; what has several names is left out. ``parent``:
    its id. ``followed``: whether the backup relied on the journal.
    """

    always_rescan: frozenset[str] = field(default_factory=frozenset)
    changed_dirs: frozenset[str] = field(default_factory=frozenset)
    parent: str = ""
    followed: bool = False
