"""What people call each drive.

Owns: the way from a drive's id, by which the daemon knows it, to its label and back, for drives that were forgotten
while a notice still names them as well. Does not know: who asks, or where labels are kept.

A drive's id is that of its repository, and never changes; a person may rename a drive at any moment.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from kinebackup.daemon.decide.events import KnownDrive
from kinebackup.policy.notices import ActiveNotice, Notice


class Labels:
    """``remembered``: labels of the drives that notices of an earlier run name."""

    def __init__(self, remembered: Mapping[str, str]) -> None:
        self._labels = dict(remembered)

    def learn(self, drives: Iterable[KnownDrive]) -> dict[str, str]:
        """These are enrolled. Returns the labels of before of those that were renamed, by id."""
        renamed: dict[str, str] = {}
        for known in drives:
            before = self._labels.get(known.id, known.label)
            if before != known.label:
                renamed[known.id] = before
            self._labels[known.id] = known.label
        return renamed

    def of(self, drive: str) -> str:
        """Its label; of no drive, none. An id that is not known is taken for a label: older versions kept labels."""
        return self._labels.get(drive, drive)

    def named_by(self, notices: Iterable[ActiveNotice]) -> dict[str, str]:
        """The labels of the drives that these notices name, by id."""
        named = {drive for each in notices for drive in (each.notice.drive, each.notice.other)}
        return {drive: label for drive, label in sorted(self._labels.items()) if drive in named}

    def labelled(self, notice: Notice) -> Notice:
        """The notice as people see it: with labels for ids."""
        return replace(notice, drive=self.of(notice.drive), other=self.of(notice.other))
