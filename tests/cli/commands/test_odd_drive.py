"""Every command on a drive of which one file is not what it was: it goes on, and says so by its exit code.

Owns: exit codes of reading, verifying and saving × one file of each kind. Does not know: what exactly is lost
(tests/engine/test_odd_files.py).
"""

import contextlib
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli.computer import Computer


def a_folder(place: Path) -> None:
    place.mkdir()
    (place / "x").touch()


def a_socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound, contextlib.chdir(place.parent):
        bound.bind("s")  # the path of a socket must be short
        Path("s").rename(place)


KINDS = ["header.1", "index/*", "packs/*/*", "snapshots/*"]


@pytest.mark.parametrize("oddity", [a_folder, a_socket], ids=["folder", "socket"])
def test_no_command_ends_because_of_one_file_of_the_drive(
    practice: Computer, tmp_path: Path, oddity: Callable[[Path], None]
) -> None:
    drive = practice.enroll("A")
    practice.back_up("A")
    (practice.patients / "Dupont" / "nouveau.txt").write_text("Nouveau\n" * 90, encoding="utf-8")
    practice.back_up("A")
    kept = tmp_path / "kept"
    shutil.copytree(drive, kept)
    for number, kind in enumerate(KINDS):
        shutil.rmtree(drive)
        shutil.copytree(kept, drive)
        victim = max((drive / "KINEBACKUP").glob(kind), key=lambda path: path.stat().st_size)
        victim.unlink()
        oddity(victim)
        reading = {
            "ls": practice.run("ls", "--drive", "A", "latest").code,
            "restore": practice.run("restore", "latest", "--drive", "A", "--to", tmp_path / f"out {number}").code,
        }
        assert set(reading.values()) <= {0, 3}, (kind, reading)
        assert practice.run("verify", "--drive", "A", "--full").code == 14, kind
        saved = practice.run("backup", "--drive", "A", "--json")
        assert saved.code in (0, 3), (kind, saved.err)
        again = tmp_path / f"again {number}"
        restored = practice.run("restore", saved.json["snapshot"], "--drive", "A", "--to", again, "--json")
        assert [p for p in restored.json["problems"] if p["kind"] == "damaged" and p["path"].startswith("/")] == []
        assert restored.json["files_restored"] == 7, kind
