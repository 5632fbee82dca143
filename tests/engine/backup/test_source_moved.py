"""A source is what is configured: where it leads elsewhere than before, that is noticed.

Owns: links and folders that take each other's place. Does not know: which links root follows (``tests/sources``).
"""

from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, opened

from kinebackup.engine.format.snapshot import Snapshot
from kinebackup.model import BackupReport


def filled(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.txt").write_text(str(number), encoding="utf-8")
    return folder


def latest(drive: Drive) -> Snapshot:
    with opened(drive) as repository:
        return repository.find_snapshot("latest").snapshot


def told(report: BackupReport) -> list[tuple[str, str]]:
    return [(problem.kind, problem.message) for problem in report.problems]


def test_a_snapshot_says_what_was_configured_and_where_it_led(drive: Drive, tmp_path: Path) -> None:
    filled(tmp_path / "data", 3)
    (tmp_path / "link").symlink_to("data")
    plain = filled(tmp_path / "plain", 1)
    report = back_up(drive, tmp_path / "link", plain)
    assert (report.problems, report.suspicious) == ((), False)
    found = latest(drive)
    assert found.sources == (str(tmp_path / "link"), str(plain))
    assert found.led_to == (str(tmp_path / "data"), str(plain))
    back_up(drive, plain)
    assert latest(drive).led_to == ()


@pytest.mark.parametrize("count", [2, 10])
@pytest.mark.parametrize("change", ["link", "way", "folder becomes link"])
def test_a_source_that_leads_elsewhere_is_suspicious_and_names_the_new_place(
    drive: Drive, tmp_path: Path, change: str, count: int
) -> None:
    base = tmp_path / "base"
    source = base / "docs" if change != "link" else base
    if change == "folder becomes link":
        filled(source, 10)
        old = source
    else:
        old = filled(tmp_path / "one" / "docs", 10)
        base.symlink_to(old if change == "link" else old.parent)
    assert not back_up(drive, source).suspicious
    new = filled(tmp_path / "two" / "docs", count)
    if change == "folder becomes link":
        source.rename(tmp_path / "away")
        source.symlink_to(new)
    else:
        base.unlink()
        base.symlink_to(new if change == "link" else new.parent)
    moved = ("source-moved", f"it is now {new}, and was {old}; confirm with --accept-shrink if this is meant")
    shrunk = ("source-shrunk", "2 files are left of 10; confirm with --accept-shrink if this is meant")
    for _ in range(2):
        report = back_up(drive, source)
        assert report.suspicious
        assert told(report) == ([moved, shrunk] if count == 2 else [moved])
        assert {problem.path for problem in report.problems} == {str(source)}
    assert latest(drive).files_by_source == (10,)
    assert not back_up(drive, source, accept_shrink=True).suspicious
    assert back_up(drive, source).problems == ()


def test_the_count_of_a_source_is_kept_while_it_is_not_saved(drive: Drive, tmp_path: Path) -> None:
    """A source that was left out of the configuration for a day is compared with the last time that it was in it."""
    docs, other = filled(tmp_path / "docs", 10), filled(tmp_path / "other", 1)
    back_up(drive, docs, other)
    back_up(drive, other)
    for number in range(9):
        (docs / f"{number}.txt").unlink()
    report = back_up(drive, docs, other)
    assert [kind for kind, _message in told(report)] == ["source-shrunk"]
    assert report.suspicious


def test_a_source_that_cannot_be_opened_counts_its_files_as_lost(drive: Drive, tmp_path: Path) -> None:
    docs, other = filled(tmp_path / "docs", 10), filled(tmp_path / "other", 1)
    back_up(drive, docs, other)
    docs.rename(tmp_path / "away")
    report = back_up(drive, docs, other)
    assert (report.suspicious, report.files_lost) == (True, 10)
