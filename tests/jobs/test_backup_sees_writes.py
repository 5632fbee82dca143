"""A backup job reads the sources when their file systems have written what programs left in memory.

Owns: a program that writes through a memory map between two backups. Does not know: why no time shows it.
"""

import mmap
from pathlib import Path

from support.jobs.small_practice import open_office


def test_what_a_program_writes_through_a_memory_map_is_in_the_next_backup(disk_path: Path, tmp_path: Path) -> None:
    with open_office(disk_path) as office:
        office.enroll("A", folder=tmp_path / "drive")  # the disk of a plain chroot has no mount point
        note = office.patients / "Dupont" / "agenda.bin"
        note.write_bytes(b"-" * 4096)
        with note.open("r+b") as file, mmap.mmap(file.fileno(), 4096) as page:
            page[:5] = b"avant"
            assert office.back_up("A").files_new == 3
            page[:5] = b"apres"
            report = office.back_up("A")
    assert (report.files_changed, report.files_unmodified) == (1, 2)
