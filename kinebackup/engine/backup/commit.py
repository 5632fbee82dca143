"""The last step of a backup: its snapshot, proven to be one before anybody is told that it is there.

Owns: that proof. Does not know: what was scanned, or what the snapshot says of it.
"""

from kinebackup.engine.backup.met_damage import MetDamage
from kinebackup.engine.environment import Environment
from kinebackup.engine.format import snapshot as snapshots
from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import SALT_BYTES, Kind
from kinebackup.engine.format.layout import snapshot_path
from kinebackup.engine.format.snapshot import NamedSnapshot, Snapshot
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.files import READ_BYTES, read_back, remove_unproven, write_file
from kinebackup.engine.repository.repository import WritableRepository
from kinebackup.errors import Damaged, DriveFailed, NotFound
from kinebackup.i18n import _
from kinebackup.model import FileName


def commit(
    repository: WritableRepository, made: Snapshot, world: Environment, met: MetDamage, *, from_drive: bool
) -> tuple[FileName, int]:
    """Write the snapshot, whose packs and index files are durable; its name, and its size in bytes.

    Its root is read before and itself after, and both are decoded as a restore would: a drive, or a defect, that makes
    them unreadable is found now, while the files are still there. A pack that does is marked: the next backup must not
    take its root from there again. ``from_drive``: the snapshot's bytes are asked of the drive itself, not of memory.
    Raises ``DriveFailed``; there is then no such snapshot.
    """
    _read_root(BlobReader(repository, on_damage=met.pack), made)
    written = snapshots.written(made)
    name, data = snapshots.seal(written, repository.keys, world.entropy(SALT_BYTES))
    path = snapshot_path(name)
    with repository.changing_snapshots():
        write_file(repository.store, path, data)
        if from_drive:
            read_back(repository.store, path, len(data), memoryview(bytearray(READ_BYTES)))
        with remove_unproven(repository.store, path):
            try:
                again = repository.read_snapshot(name)
            except (Damaged, NotFound) as error:
                raise _not_readable(error.message) from error
            if again != written:
                raise _not_readable(_("it does not say what was written"))
    repository.count_snapshot(NamedSnapshot(name, again))
    repository.parity.owe_copy(path, data)
    return name, len(data)


def _read_root(reader: BlobReader, made: Snapshot) -> None:
    try:
        for text in made.root:
            _entries, rejected = tree.decode(bytes(reader.read(Kind.TREE, tree.blob_id(text))))
            if rejected:
                raise _not_readable(_("its list of folders is not one"))
    except Damaged as error:
        raise _not_readable(error.message) from error


def _not_readable(reason: str) -> DriveFailed:
    return DriveFailed(
        _("the backup was written, and cannot be read again ({reason})").format(reason=reason),
        _("run the backup again; if it fails again, use another drive"),
    )
