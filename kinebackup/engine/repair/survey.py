"""Which files of a drive are damaged; what parity heals of them is healed at once.

Owns: reading them, healing, and marking what cannot be healed so that nothing relies on it. Does not know: what the
others are replaced by.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from kinebackup.engine.format.layout import REMOVALS, SNAPSHOTS, index_path, pack_path
from kinebackup.engine.pack_checker import PackChecker
from kinebackup.engine.repository.damage_markers import remove_markers, set_markers, set_parity_markers
from kinebackup.engine.repository.inventory import names_to_try, read_named
from kinebackup.engine.repository.redundancy.parity_state import ParityState, state_of_parity
from kinebackup.engine.repository.repository import WritableRepository
from kinebackup.errors import Damaged, NotFound
from kinebackup.model import CancelToken, FileName, Monitor


@dataclass(slots=True)
class Survey:
    """``bad``: packs that are there and do not give back all that was written, nor does their parity."""

    bad: set[FileName] = field(default_factory=set)
    good: set[FileName] = field(default_factory=set)
    bad_parity: set[FileName] = field(default_factory=set)
    bytes_read: int = 0


def survey_small_files(repository: WritableRepository, found: Survey) -> None:
    """Index files, snapshots and removal records, from the drive itself and not from memory."""
    store = repository.store
    tables = [table.name for table in repository.index.tables if table.name is not None]
    paths = [index_path(name) for name in tables]
    for directory in (SNAPSHOTS, REMOVALS):
        paths += [f"{directory}/{name}" for name in names_to_try(store.bare, directory)[0]]
    for path in paths:
        name = FileName(path.rpartition("/")[2])
        try:
            with suppress(Damaged, NotFound):  # whoever reads it says so
                store.drop_cache(path)
            data = read_named(store.bare, path)
        except (Damaged, NotFound):
            store.heal(path)
        else:
            if state_of_parity(store.bare, name, data).state is ParityState.DAMAGED:
                found.bad_parity.add(name)
    set_parity_markers(store, found.bad_parity)


def survey_packs(
    repository: WritableRepository,
    names: Sequence[FileName],
    found: Survey,
    on_checked: Callable[[FileName, bool], None],
    *,
    cancel: CancelToken,
    monitor: Monitor,
) -> None:
    """Read these packs to their last byte. Where somebody asks to stop, what was found is marked all the same.

    ``on_checked`` is told of each whether it is sound now. Raises ``DriveFailed`` or ``Cancelled``.
    """
    store, checker = repository.store, PackChecker(repository)
    monitor.phase("verify", files=len(names), size_bytes=sum(repository.packs[name] for name in names))
    try:
        for name in names:
            cancel.check()
            result = checker.check(name)
            path = pack_path(name)
            sound = result.ok or (store.heal(path) and store.is_on_drive(path))
            (found.good if sound else found.bad).add(name)
            if result.ok and result.parity.state is ParityState.DAMAGED:
                found.bad_parity.add(name)
            found.bytes_read += result.bytes_read
            on_checked(name, sound)
            monitor.advance(files=1, size_bytes=result.bytes_read)
    finally:
        marked = repository.inventory.marked
        set_markers(store, found.bad - marked)
        remove_markers(store, found.good & marked)
        set_parity_markers(store, found.bad_parity)
