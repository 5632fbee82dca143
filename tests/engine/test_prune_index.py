"""What a prune makes of an index that lists packs more than once, as a run leaves it that was cut off.

Owns: index files beside those that they replace. Does not know: which snapshots go (test_prune.py).
"""

from pathlib import Path

from support.engine.drives import back_up, enroll, make_patients, pruned, writable

from kinebackup.engine.format.index import merge
from kinebackup.engine.repository.index_files import write_index


def test_a_pack_that_is_listed_twice_is_not_taken_for_half_empty(tmp_path: Path) -> None:
    """A merge that was cut off leaves old index files beside the new one: no reason to write the whole drive anew."""
    drive = enroll(tmp_path / "drive")
    back_up(drive, make_patients(tmp_path / "Patients"))
    with writable(drive) as repository:
        for plain in merge(repository.index.tables, repository.packs):
            write_index(repository, plain, drive.dice)
    before = drive.files("packs")
    report = pruned(drive)
    assert (report.packs_repacked, report.packs_removed) == (0, 0)
    assert drive.files("packs") == before
