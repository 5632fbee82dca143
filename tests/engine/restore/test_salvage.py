"""What comes back of damaged files, of damaged folders, and of snapshots whose own file is lost.

Owns: damage at every place of a drive, and what is salvaged. Does not know: the command line.
"""

import contextlib
import os
from pathlib import Path

from support.engine.drives import Drive, back_up, below, enroll, in_memory, loaded, noise, restored
from support.engine.forged_snapshot import an_entry, forge

from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.restore.orphans import find_orphans, folder_as_snapshot
from kinebackup.engine.restore.sound_parts import lay_out_sound_parts
from kinebackup.model import CancelToken, Salvaged

FOLDER = Path("/patients")


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


def holes_in(path: Path) -> list[tuple[int, int]]:
    lines = path.read_text("utf-8").splitlines()
    return [(int(offset), int(length)) for offset, length in (line.split(" ") for line in lines)]


def test_whatever_byte_of_a_pack_is_damaged_all_that_is_sound_comes_back(tmp_path: Path) -> None:
    with in_memory(tmp_path) as place:
        source = place / "patients"
        source.mkdir()
        whole = noise("film", 3_000_000)
        (source / "film.bin").write_bytes(whole)
        (source / "bilan.txt").write_bytes(noise("bilan", 3000))
        drive = enroll(place)
        back_up(drive, source)
        damaged = 0
        for pack in drive.files("packs"):
            size = pack.stat().st_size
            for at in range(60, size - 8, max(1, size // 12)):
                flip(pack, at)
                into = place / f"back-{pack.name[:6]}-{at}"
                report = restored(drive, into, salvage=True)
                back = below(into, source)
                for salvaged in report.salvaged:
                    damaged += 1
                    name = salvaged.path.rpartition("/")[2]
                    expected = bytearray((source / name).read_bytes())
                    for offset, length in salvaged.holes:
                        expected[offset : offset + length] = bytes(length)
                    assert (back / f"{name}.damaged").read_bytes() == expected
                    assert holes_in(back / f"{name}.damaged.txt") == list(salvaged.holes)
                    assert not (back / name).exists()
                    if name == "film.bin":
                        assert 0 < sum(length for _, length in salvaged.holes) < 3_000_000
                assert [p.kind for p in report.problems].count("damaged") >= len(report.salvaged)
                flip(pack, at)
        assert damaged > 5


def lose(drive: Drive, contents: bytes) -> None:
    """No pack has it any more, and the index says where it was."""
    with loaded(drive) as repository:
        (at,) = repository.index.locations(repository.keys.blob_id(Kind.DATA, contents))
        flip(drive.root / "packs" / at.pack[:2] / at.pack, at.segment.offset + 3)


def pieces(seed: str) -> bytes:
    return noise(seed, 70_000)  # does not compress: a segment of its own


def test_a_hole_of_a_sparse_file_is_where_its_extents_are(drive: Drive, tmp_path: Path) -> None:
    first, second, third = pieces("1"), pieces("2"), pieces("3")
    entry = an_entry("creux", [first, second, third], drive, size=500_000)
    entry.extents = [(0, 100_000), (200_000, 10_000), (300_000, 100_000)]
    forge(drive, FOLDER, [entry], [first])
    forge(drive, FOLDER, [entry], [second])
    forge(drive, FOLDER, [entry], [third])
    lose(drive, second)
    report = restored(drive, tmp_path / "back", salvage=True)
    assert report.salvaged == (Salvaged("/patients/creux", ((70_000, 30_000), (200_000, 10_000), (300_000, 30_000))),)
    found = (tmp_path / "back/patients/creux.damaged").read_bytes()
    assert found == first + bytes(260_000) + third + bytes(100_000)
    assert report.files_restored == 0


def test_what_follows_a_part_of_unknown_length_is_placed_from_the_end(drive: Drive, tmp_path: Path) -> None:
    first, last = pieces("1"), pieces("3")
    entry = an_entry("film", [first, last], drive, size=200_000)
    entry.blobs = [entry.blobs[0], "00" * 16, entry.blobs[1]]
    forge(drive, FOLDER, [entry], [first, last])
    report = restored(drive, tmp_path / "back", salvage=True)
    assert report.salvaged == (Salvaged("/patients/film", ((70_000, 60_000),)),)
    assert (tmp_path / "back/patients/film.damaged").read_bytes() == first + bytes(60_000) + last


def test_between_two_parts_of_unknown_length_nothing_is_guessed(drive: Drive, tmp_path: Path) -> None:
    first, middle, last = pieces("1"), pieces("2"), pieces("3")
    entry = an_entry("film", [first, middle, last], drive, size=300_000)
    entry.blobs = [entry.blobs[0], "00" * 16, entry.blobs[1], "11" * 16, entry.blobs[2]]
    forge(drive, FOLDER, [entry], [first, middle, last])
    report = restored(drive, tmp_path / "back", salvage=True)
    assert report.salvaged == (Salvaged("/patients/film", ((70_000, 160_000),)),)


def test_an_impossible_entry_leaves_nothing(drive: Drive, tmp_path: Path) -> None:
    entry = an_entry("faux", [pieces("1")], drive)
    entry.extents = [(0, 10), (5, 10)]
    forge(drive, FOLDER, [entry], [pieces("1")])
    report = restored(drive, tmp_path / "back", salvage=True)
    assert report.salvaged == ()
    assert os.listdir(tmp_path / "back/patients") == []


def test_without_being_asked_nothing_of_a_damaged_file_is_written(drive: Drive, tmp_path: Path) -> None:
    entry = an_entry("film", [pieces("1"), pieces("2")], drive)
    forge(drive, FOLDER, [entry], [pieces("1")])
    report = restored(drive, tmp_path / "back")
    assert report.salvaged == ()
    assert os.listdir(tmp_path / "back/patients") == []


def test_nothing_is_a_hole_in_a_sound_file(drive: Drive, tmp_path: Path) -> None:
    entry = an_entry("film", [pieces("1"), pieces("2")], drive)
    forge(drive, FOLDER, [entry], [pieces("1"), pieces("2")])
    with loaded(drive) as repository, contextlib.ExitStack() as stack:
        fd = os.open(tmp_path / "film", os.O_RDWR | os.O_CREAT)
        stack.callback(os.close, fd)
        assert lay_out_sound_parts(fd, entry, BlobReader(repository), CancelToken()) == []
    assert (tmp_path / "film").read_bytes() == pieces("1") + pieces("2")


# -- folders to which nothing leads --------------------------------------------------------------------------------


def orphans(drive: Drive) -> list[list[str]]:
    """The names in each orphan folder."""
    with loaded(drive) as repository:
        reader = BlobReader(repository)
        found = find_orphans(repository, repository.snapshots().readable, CancelToken())
        assert all(folder_as_snapshot(blob_id).snapshot.root == (blob_id.hex(),) for blob_id in found)
        trees = [tree.decode(bytes(reader.read(Kind.TREE, blob_id)))[0] for blob_id in found]
        return sorted([entry.path_name for entry in entries] for entries in trees)


def test_a_lost_snapshot_leaves_its_root_and_a_sound_drive_nothing(tmp_path: Path) -> None:
    source = tmp_path / "patients"
    (source / "Dupont").mkdir(parents=True)
    (source / "Dupont" / "bilan.txt").write_text("bilan")
    drive = enroll(tmp_path)
    first = back_up(drive, source).snapshot
    (source / "Dupont" / "bilan.txt").write_text("a second one")
    back_up(drive, source)
    assert orphans(drive) == []
    (drive.root / "snapshots" / str(first)).unlink()
    assert orphans(drive) == [[tmp_path.parts[1]]]
