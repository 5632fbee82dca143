"""The words for what reading a repository finds amiss.

Owns: turning a finding into a ``Problem``, for people. Does not know: what is decided upon findings: nobody reads these
words to learn what happened.
"""

from typing import assert_never

from kinebackup.engine.format.layout import index_path, pack_path, removal_path, snapshot_path
from kinebackup.engine.repository.inventory import (
    Finding,
    MissingPack,
    ResizedPack,
    UnlistableFolder,
    UnreadableIndexFile,
    UnreadablePack,
)
from kinebackup.engine.repository.snapshot_list import UnreadableRemoval, UnreadableSnapshot
from kinebackup.i18n import _
from kinebackup.model import FileName, Problem


def problem_of(found: Finding | UnreadableSnapshot | UnreadableRemoval, snapshots: tuple[str, ...] = ()) -> Problem:
    """``snapshots``: ids of those that it affects, where that is known."""
    match found:
        case MissingPack(pack=name):
            return Problem("missing", pack_path(name), _("a pack is not on the drive any more"), snapshots)
        case ResizedPack(pack=name):
            return Problem("damaged", pack_path(name), _("a pack has another length than was written"), snapshots)
        case UnreadablePack(pack=name, reason=reason):
            return Problem("damaged", pack_path(name), reason, snapshots)
        case UnreadableIndexFile(name=name, reason=reason):
            return Problem("damaged", index_path(name), reason, snapshots)
        case UnlistableFolder(path=path, reason=reason):
            return Problem("damaged", path, reason, snapshots)
        case UnreadableSnapshot(name=name, reason=reason):
            return Problem("damaged" if found.is_damage else "newer", snapshot_path(name), reason, (name,))
        case UnreadableRemoval(name=name, reason=reason):
            return Problem("damaged", removal_path(name), reason, snapshots)
        case _:
            assert_never(found)


def healed_header_copy(name: str) -> Problem:
    """A note: the copy of that name is as good as the others again."""
    return Problem("healed", name, _("this copy of the header was written anew from a sound one"))


def healed_removal_record(name: FileName) -> Problem:
    """A note: what is remembered of it stands in another record."""
    return Problem("healed", removal_path(name), _("this removal record could not be read, and was written anew"))
