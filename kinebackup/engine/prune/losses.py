"""What backups needed, and nobody can follow any more: lost and damaged snapshots, lists of files that do not open.

Owns: finding it, telling it by name, and what a person gives up of it by those names. Does not know: what is deleted
then.

Where a snapshot or the list of a folder cannot be read, nobody knows what it referred to. So nothing that is
unreferenced can be told from what only these needed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from kinebackup.engine.format.removal import RemovedSnapshot
from kinebackup.engine.format.snapshot import NamedSnapshot
from kinebackup.engine.prune.missing_snapshots import MissingSnapshots, given_up
from kinebackup.engine.repository.references import ReferenceWalk, trace
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.engine.repository.snapshot_list import UnreadableSnapshot
from kinebackup.errors import ConfigError, NotFound
from kinebackup.i18n import _
from kinebackup.model import BlobId, FileName

NAMED: Final = 10  # in a message; of the others their number
_SHOWN: Final = 12  # digits of a name


@dataclass(frozen=True, slots=True)
class GivenUp:
    """What is not waited for any more. ``snapshots``: as a removal record names them; ``blobs``: lists of files."""

    snapshots: tuple[RemovedSnapshot, ...] = ()
    blobs: frozenset[BlobId] = frozenset()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Losses:
    """``lists``: those that do not open, each with the snapshots that need it; ``folders``: their paths, likewise."""

    unreadable: tuple[UnreadableSnapshot, ...]
    missing: MissingSnapshots
    lists: Mapping[BlobId, Collection[str]] = field(default_factory=dict)
    folders: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many things are lost."""
        return len(self.unreadable) + self.missing.count + len(self.lists)

    def give_up(self, names: Sequence[str]) -> "tuple[GivenUp, Losses]":
        """What these names give up, and what is left.

        A name is the beginning of a snapshot's id, or the number of one that is missing. That of a snapshot that is
        there gives up the lists of files that do not open in it, and the snapshot stays. Raises ``NotFound`` for what
        is not lost, ``ConfigError`` for what could be several.
        """
        chosen = [self._chosen(name) for name in names]
        ids = {each for each in chosen if isinstance(each, str)}
        numbers = {each for each in chosen if isinstance(each, int)}
        unreadable = [each for each in self.unreadable if each.name in ids]
        numbers_known = self.missing.remembered
        snapshots = [RemovedSnapshot(each.name, numbers_known.get(each.name, 0)) for each in unreadable]
        blobs = frozenset(blob for blob, needed_by in self.lists.items() if ids & set(needed_by))
        given = GivenUp(
            snapshots=(*snapshots, *given_up(self.missing, ids, numbers)),
            blobs=blobs,
            names=tuple(dict.fromkeys(str(each) for each in chosen)),
        )
        left = Losses(
            unreadable=tuple(each for each in self.unreadable if each.name not in ids),
            missing=self.missing.without(ids, numbers),
            lists={blob: needed_by for blob, needed_by in self.lists.items() if blob not in blobs},
            folders={path: needed_by for path, needed_by in self.folders.items() if not ids & set(needed_by)},
        )
        return given, left

    def _chosen(self, text: str) -> FileName | int:
        if text.isascii() and text.isdigit() and self.missing.has_number(int(text)):
            return int(text)
        names = {each.name for each in self.unreadable} | {each.id for each in self.missing.named}
        names |= {FileName(name) for needed_by in self.lists.values() for name in needed_by}
        found = [name for name in sorted(names) if text and name.startswith(text.lower())]
        if not found:
            raise NotFound(
                _("nothing of a backup {name} is lost").format(name=repr(text)),
                _("see what is lost: kinebackup verify --full"),
            )
        if len(found) > 1:
            raise ConfigError(
                _("several lost backups begin with {name}").format(name=repr(text)), _("give more of its id")
            )
        return found[0]

    def told(self) -> str:
        """The first of them by name, in words."""
        damaged, newer = _("backup {id} (damaged)"), _("backup {id} (of a newer KineBackup)")
        told = [(damaged if each.is_damage else newer).format(id=each.name[:_SHOWN]) for each in self.unreadable]
        missing = _("backup {id} (not there any more)")
        told += [missing.format(id=each.id[:_SHOWN]) for each in self.missing.named]
        told += [missing.format(id=number) for number in self.missing.first_numbers()]
        for path, needed_by in sorted(self.folders.items()):
            told.append(_("{path} (of the backup {id})").format(path=path, id=needed_by[-1][:_SHOWN]))
        more = [_("{count} more").format(count=len(told) - NAMED)] if len(told) > NAMED else []
        return ", ".join([*told[:NAMED], *more])

    def first_name(self) -> str:
        """A name by which the first of them is given up."""
        ids = [*(each.name for each in self.unreadable), *(each.id for each in self.missing.named)]
        ids += [FileName(name) for needed_by in self.lists.values() for name in sorted(needed_by)[:1]]
        return ids[0][:_SHOWN] if ids else str(self.missing.first_numbers()[0])


def find_losses(
    repository: LoadedRepository,
    kept: Sequence[NamedSnapshot],
    walk: ReferenceWalk,
    unreadable: Sequence[UnreadableSnapshot],
    missing: MissingSnapshots,
    given_up_before: Collection[BlobId],
) -> Losses:
    """What of these snapshots cannot be followed, where ``walk`` has followed those that are kept."""
    lost = set(walk.unfollowed)
    listed = repository.index.packs()
    if any(name not in listed for name in repository.packs):  # one whose table does not open may hold what is missing
        lost |= walk.missing
    lost -= set(given_up_before)
    found = trace(repository, kept, lost)
    everyone = {named.id for named in kept}
    lists = {blob: found.snapshots.get(blob, everyone) for blob in lost}
    return Losses(tuple(unreadable), missing, lists, found.paths if lost else {})
