"""The parts of backups, from whichever of two drives has them.

Owns: asking the drive that is repaired first, then the other one, and remembering which it was. Does not know: which
parts are wanted.

A part's id depends on the practice's master key and its content alone (FORMAT.md §6), so it has the same on all drives
of a practice; and whatever the other drive gives is checked against that id before it is believed.
"""

from kinebackup.engine.format.constants import Kind
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.errors import Damaged, DriveFailed, OtherDriveFailed
from kinebackup.i18n import _
from kinebackup.model import BlobId


class PartReader:
    """Reads blobs of two repositories. ``from_other``: those that only the other one could give."""

    def __init__(self, own: LoadedRepository, other: LoadedRepository | None) -> None:
        self.from_other: set[BlobId] = set()
        self._own = BlobReader(own, looks_again=False)
        self._other = BlobReader(other) if other is not None else None

    def read(self, kind: Kind, blob_id: BlobId) -> bytes | memoryview:
        """Raises ``Damaged`` where neither has it, ``DriveFailed``, or ``OtherDriveFailed`` where that one is gone."""
        try:
            return self._own.read(kind, blob_id)
        except Damaged:
            if self._other is None:
                raise
        try:
            plain = self._other.read(kind, blob_id)
        except DriveFailed as error:
            raise other_drive_failed(error) from error
        self.from_other.add(blob_id)
        return plain


def other_drive_failed(error: DriveFailed) -> OtherDriveFailed:
    """What is said where the drive that gives is gone, and the one that takes is as good as before."""
    return OtherDriveFailed(
        _("the drive from which lost parts are taken answers no more ({reason})").format(reason=error.message),
        _("what was taken from it until then is kept; plug it in again, and run the same command again"),
    )
