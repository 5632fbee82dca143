"""Backups that follow the journal of changes, in processes of their own, with the kernel's inotify.

Owns: a practice whose folders are watched. Does not know: how the journal works.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.daemon.job_processes import command, drive_id, environ, folder, ignore
from support.jobs.small_practice import Office

from kinebackup.change_journal.journal import ChangeJournal
from kinebackup.change_journal.tracking import TrackedBackup
from kinebackup.config import Config, Paths, SourceConfig
from kinebackup.daemon.change_tracking import JournalTracking
from kinebackup.daemon.spawn import ProcessWorker
from kinebackup.engine.backup.parent.changes import TrackingResult
from kinebackup.model import BackupReport, CancelToken
from kinebackup.sources.folder import FolderSource
from kinebackup.wiring import make_journal
from kinebackup.worker import protocol as protocol
from kinebackup.worker.protocol import JobRequest


def config_of(office: Office) -> Config:
    state = office.place / "state"
    return Config(Paths(state, state, state), sources=(SourceConfig(office.patients),))


@pytest.fixture
def keeper(office: Office) -> Iterator[JournalTracking]:
    journals: list[ChangeJournal] = []

    def make(config: Config) -> tuple[tuple[FolderSource, ...], ChangeJournal]:
        sources = tuple(FolderSource(str(source.path)) for source in config.sources)
        journals.append(make_journal(sources, office.world))
        return sources, journals[-1]

    keeper = JournalTracking(make, office.world)
    keeper.use(config_of(office))
    assert journals[0].wait(10)
    yield keeper
    keeper.stop()


def back_up(office: Office, keeper: JournalTracking) -> BackupReport:
    async def story() -> BackupReport:
        worker = ProcessWorker(command(office), environ(), keeper)
        report = await worker.run(JobRequest(drive_id(office), folder(office), "backup"), CancelToken(), ignore)
        assert isinstance(report, BackupReport)
        return report

    return asyncio.run(asyncio.wait_for(story(), 60))


def crossed(tracked: TrackedBackup) -> TrackedBackup:
    """What arrives on the other side."""
    request = protocol.RunMessage(JobRequest("", "", "backup"), protocol.encode_tracked(tracked))
    arrived = protocol.decode(protocol.encode(request))
    assert isinstance(arrived, protocol.RunMessage)
    assert arrived.tracked is not None
    return protocol.decode_tracked(arrived.tracked)


def test_the_first_backup_looks_at_everything_and_the_next_one_at_what_changed(
    office: Office, keeper: JournalTracking
) -> None:
    first = back_up(office, keeper)
    tracked = keeper.begin(drive_id(office))
    assert tracked is not None
    assert tracked.since is not None
    assert tracked.since.snapshot == first.snapshot
    assert not tracked.since.changes.covers(str(office.patients / "Dupont"))
    (office.patients / "Dupont" / "nouveau.txt").write_text("Nouveau", encoding="utf-8")
    second = back_up(office, keeper)
    assert (second.files_new, second.files_changed, second.files_unmodified, second.problems) == (1, 0, 2, ())
    third = back_up(office, keeper)
    assert (third.files_new, third.files_unmodified) == (0, 3)


def test_names_that_are_no_text_cross_the_border_of_the_process(office: Office, keeper: JournalTracking) -> None:
    back_up(office, keeper)
    odd = bytes(office.patients) + b"/caf\xe9"
    Path(odd.decode(errors="surrogateescape")).mkdir()
    Path(odd.decode(errors="surrogateescape"), "lettre.txt").write_text("x", encoding="utf-8")
    tracked = keeper.begin(drive_id(office))
    assert tracked is not None
    assert tracked.since is not None
    arrived = crossed(tracked).since
    assert arrived is not None
    assert arrived.changes.listing() == tracked.since.changes.listing()
    assert arrived.changes.covers(odd.decode(errors="surrogateescape"))
    assert back_up(office, keeper).files_new == 1


def test_a_drive_that_is_not_known_has_no_snapshot_to_continue_from(keeper: JournalTracking) -> None:
    tracked = keeper.begin("B")
    assert tracked is not None
    assert (tracked.since, tracked.known) == (None, None)


def test_other_sources_begin_another_journal_and_none_end_it(office: Office, keeper: JournalTracking) -> None:
    back_up(office, keeper)
    keeper.use(config_of(office))  # read anew, and the same
    tracked = keeper.begin(drive_id(office))
    assert tracked is not None
    assert tracked.since is not None
    state = office.place / "state"
    keeper.use(Config(Paths(state, state, state)))
    assert keeper.begin(drive_id(office)) is None
    assert keeper.status().state == "off"


def test_a_journal_that_began_during_a_backup_vouches_for_nothing_of_it(
    office: Office, keeper: JournalTracking
) -> None:
    """Its numbers begin anew: what the journal before it meant by a moment is another one now."""
    report = back_up(office, keeper)
    tracked = keeper.begin(drive_id(office))
    assert tracked is not None
    config = config_of(office)
    keeper.use(replace(config, sources=()))
    keeper.use(config)
    keeper.end(tracked, report, TrackingResult(parent="", followed=False))
    again = keeper.begin(drive_id(office))
    assert again is not None
    assert again.known is None
