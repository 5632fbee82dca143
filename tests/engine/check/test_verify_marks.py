"""That what a verification finds reaches the next backup, whatever the drive's folders look like.

Owns: the marker. Does not know: what is found (test_verify.py).
"""

from pathlib import Path

from support.engine.drives import back_up, enroll, make_patients, verified


def test_a_copy_of_a_drive_without_its_empty_folders_gets_its_markers(tmp_path: Path) -> None:
    drive = enroll(tmp_path / "drive")
    patients = make_patients(tmp_path / "Patients")
    back_up(drive, patients)
    (drive.root / "tmp").rmdir()
    (drive.root / "damaged").rmdir()
    victim = drive.files("packs")[0]
    data = bytearray(victim.read_bytes())
    data[100] ^= 1
    victim.write_bytes(data)
    assert verified(drive).result == "failed"
    assert [path.name for path in drive.files("damaged")] == [victim.name]
