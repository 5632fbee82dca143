"""What a scan keeps of the directories that it is in.

Owns: the data. Does not know: what is done with it.
"""

from dataclasses import dataclass, field

from kinebackup.engine.backup.parent.carrying import Unlisted
from kinebackup.engine.backup.parent.changes import EVERYTHING, DirtyDir
from kinebackup.engine.backup.parent.directory import ParentDirectory
from kinebackup.engine.backup.tree_writer import Node
from kinebackup.engine.backup.windows import Windows
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.source import Border, Found, SourceDirectory


@dataclass(slots=True, eq=False)
class Below:
    """A subdirectory that is to be entered."""

    found: Found
    entry: Entry
    old: Entry | None
    touched: DirtyDir
    border: Border


@dataclass(slots=True, eq=False)
class OpenDirectory:
    """A directory on the scan's stack. ``node``, ``old`` and ``todo`` are of the window that is worked on."""

    directory: SourceDirectory
    path: str
    node: Node
    windows: Windows
    old: ParentDirectory = field(default_factory=ParentDirectory)
    touched: DirtyDir = EVERYTHING
    todo: list[Below] = field(default_factory=list)
    unlisted: Unlisted = field(default_factory=Unlisted)
