"""What a cloud service looks like from the outside.

Owns: the description of a service, and of a folder that one synchronises. Does not know: any service in particular.
"""

import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from kinebackup.drives.clouds.home import Home
from kinebackup.drives.mount_table import Mount
from kinebackup.drives.system import System


@dataclass(frozen=True, slots=True)
class SyncedFolder:
    """A folder that a service synchronises with another computer. ``evidence`` is the file that says so.

    ``certain`` is False where the service is installed but its folders could not be read; ``path`` is then the home
    in which any of them may lie.
    """

    service: str
    path: str
    evidence: str
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Marker:
    """A file that a client leaves in the folder it synchronises.

    ``name`` may be a glob. A directory marker with ``holds`` counts only if one of these names is in it.
    """

    name: str
    kind: Literal["file", "directory", "any"] = "any"
    holds: tuple[str, ...] = ()
    certain: bool = True

    @property
    def is_glob(self) -> bool:
        return "*" in self.name

    def matches_name(self, name: str) -> bool:
        return fnmatchcase(name, self.name)

    def is_at(self, system: System, path: str) -> bool:
        """Whether what is at ``path``, whose name matches, is this marker."""
        mode = system.mode(path)
        if not mode or (self.kind == "file" and not stat.S_ISREG(mode)):
            return False
        if self.kind == "directory" and not stat.S_ISDIR(mode):
            return False
        return not self.holds or any(system.mode(f"{path}/{name}") for name in self.holds)


@dataclass(frozen=True, slots=True)
class CloudService:
    """One service, and every trace by which it is recognised.

    ``in_home`` reads the configuration of one person, ``in_system`` that of the computer; both raise OSError or
    ValueError where a file is there but cannot be read or understood, which is then told as "to be checked".
    ``sources`` match the start of a mount's source, ``paths`` the start of a resolved path.
    """

    name: str
    kind: Literal["cloud", "network"] = "cloud"
    filesystems: frozenset[str] = frozenset()
    sources: re.Pattern[str] | None = None
    paths: re.Pattern[str] | None = None
    markers: tuple[Marker, ...] = ()
    in_home: Callable[[Home], Iterable[SyncedFolder]] | None = None
    in_system: Callable[[System], Iterable[SyncedFolder]] | None = None

    def has_source(self, mount: Mount) -> bool:
        return self.sources is not None and bool(self.sources.match(mount.source))
