"""Large files: cut in many pieces, listed in list blobs, read in lanes."""

from pathlib import Path

from support.engine.drives import back_up, below, enroll, noise, restored, seen, verified


def make_database(path: Path, pages: int) -> None:
    """A file that is cut every 8 KiB, like a database, and has no two equal pages."""
    path.write_bytes(b"SQLite format 3\0" + noise("database", pages * 8192 - 16))


def test_a_database_of_more_pieces_than_fit_in_its_entry_comes_back(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    make_database(source / "cabinet.sqlite", 3000)
    (source / "lettre.txt").write_text("Bilan")
    drive = enroll(tmp_path / "drive")

    back_up(drive, source)

    assert verified(drive).problems == ()
    assert restored(drive, tmp_path / "back").problems == ()
    assert seen(below(tmp_path / "back", source)) == seen(source)


def test_one_changed_page_of_a_large_database_stores_little(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    make_database(source / "cabinet.sqlite", 3000)
    drive = enroll(tmp_path / "drive")
    back_up(drive, source)

    with (source / "cabinet.sqlite").open("r+b") as database:
        database.seek(1000 * 8192)
        database.write(noise("one page", 8192))
    report = back_up(drive, source)

    # One page, one list of 1,024 ids, and the small change of tree, tables, index and snapshot.
    assert 8192 + 16_384 < report.bytes_written < 40_000
    assert restored(drive, tmp_path / "back").problems == ()
    assert seen(below(tmp_path / "back", source)) == seen(source)
