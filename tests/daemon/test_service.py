"""What the daemon reads of this computer and says of it.

Owns: a practice and a loop that is never fed. Does not know: the bus.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from support.daemon.folder_bay import Awake, FolderMounter
from support.jobs.small_practice import Office, open_office

from kinebackup.config import Config, Paths, SourceConfig
from kinebackup.daemon.decide import events as ev
from kinebackup.daemon.loop import Loop
from kinebackup.daemon.persistence import PersistentState, read_persistent, write_persistent
from kinebackup.daemon.rules import rules_of
from kinebackup.daemon.service import Service, look_at_sources
from kinebackup.daemon.spawn import ProcessWorker
from kinebackup.errors import ConfigError, NotConfigured
from kinebackup.policy.notices import ActiveNotice, Notice, NoticeKind
from kinebackup.policy.verdicts import TargetWarning
from kinebackup.state.records import RunCounts
from kinebackup.state.state_db import StateDb


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as office:
        yield office


def config_of(office: Office) -> Config:
    state = office.place / "state"
    return Config(Paths(state, state, state), sources=(SourceConfig(office.patients),))


def service(office: Office, config: Config | ConfigError) -> tuple[Service, list[Config]]:
    read: list[Config] = []

    def load() -> Config:
        if isinstance(config, ConfigError):
            raise config
        return config

    loop = Loop(
        rules_of(config_of(office), UTC),
        PersistentState(),
        now=office.clock,
        mounter=FolderMounter(),
        worker=ProcessWorker(["/nowhere"], {}),
        inhibitor=Awake(),
        persist=lambda _persistent: None,
        on_defect=lambda _error: None,
    )
    return Service(loop, load, office.world, read.append), read


def test_a_computer_that_is_not_set_up_has_no_drives_and_waits(office: Office, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    made, read = service(office, Config(Paths(nowhere, nowhere, nowhere)))
    made.reload()
    assert (made.is_set_up, made.drives(), read) == (False, (), [])
    assert not nowhere.exists()


def test_a_configuration_that_became_unreadable_leaves_what_was_known(office: Office) -> None:
    enrolled = office.enroll("A")
    office.computer.state.update_drive(replace(enrolled.drive, simulated=False, fs_uuid="1234-ABCD"))
    made, read = service(office, config_of(office))
    made.reload()
    assert [drive.label for drive in made.drives()] == ["A"]
    made._load_config = _fails  # the person has just mistyped a line
    made.reload()
    assert [drive.label for drive in made.drives()] == ["A"]
    assert len(read) == 1
    assert made.settings_unreadable
    assert [each.notice.kind for each in made.notices()] == [NoticeKind.SETTINGS_UNREADABLE]
    made._load_config = lambda: config_of(office)
    made.reload()
    assert made.notices() == ()
    assert not made.settings_unreadable


def test_before_anybody_has_set_it_up_a_missing_configuration_is_nobody_s_trouble(office: Office) -> None:
    made, _read = service(office, NotConfigured("there is no configuration file"))
    made.reload()
    assert (made.notices(), made.settings_unreadable) == ((), False)


def _fails() -> Config:
    raise ConfigError("line 3")


def test_a_simulated_drive_is_none_of_the_daemon_s(office: Office) -> None:
    office.enroll("A")
    made, _read = service(office, config_of(office))
    made.reload()
    assert made.drives() == ()


def test_the_status_names_no_folder(office: Office) -> None:
    enrolled = office.enroll("A")
    office.computer.state.update_drive(replace(enrolled.drive, simulated=False, folder="", fs_uuid="1234-ABCD"))
    made, _read = service(office, config_of(office))
    made.reload()

    async def story() -> dict[str, object]:
        made.post(ev.DriveAppeared(made.now(), ev.Device("/dev/sdz1", "1234-ABCD", "", "", 3)))
        return made.status_document()

    document = asyncio.run(story())
    assert str(office.place) not in str(document)
    assert "mounting" in str(document)


def test_what_is_kept_survives_and_a_memory_of_another_version_is_left_out(office: Office) -> None:
    config = config_of(office)
    kept = PersistentState(shown=(ActiveNotice(Notice(NoticeKind.PULLED, "A"), office.clock()),), alarm=True)
    assert read_persistent(config) == PersistentState()
    write_persistent(config, kept)
    assert read_persistent(config) == kept
    with StateDb(config.paths.state) as state:
        state.store_value("daemon", '{"shown": [{"notice": {"kind": "from-the-future"}}]}')
    assert read_persistent(config) == PersistentState()
    assert read_persistent(None) == PersistentState()


def test_runs_of_more_than_a_year_ago_are_forgotten_but_for_the_last_good_ones(office: Office) -> None:
    enrolled = office.enroll("A")
    state = office.computer.state
    for days in (800, 500, 30):
        run = state.begin_run(enrolled.drive.repository, "backup", office.clock() - timedelta(days=days))
        state.finish_run(run, office.clock() - timedelta(days=days), "ok", counts=RunCounts())
    made, _read = service(office, config_of(office))
    made.reload()
    made.forget_old_runs()
    assert [run.started for run in state.runs(limit=10)] == [office.clock() - timedelta(days=30)]


def test_a_source_that_is_missing_or_empty_is_suspicious(office: Office, tmp_path: Path) -> None:
    config = config_of(office)
    assert look_at_sources(config, ()) == "sound"
    assert look_at_sources(config, [TargetWarning("a cloud has this source already", "")]) == "synced"
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "missing"):
        assert look_at_sources(replace(config, sources=(SourceConfig(path),)), ()) == "suspicious"


def test_after_a_job_the_service_says_once_that_a_drive_is_ageing_and_takes_it_back_when_it_is_forgotten(
    office: Office,
) -> None:
    enrolled = office.enroll("A")
    state = office.computer.state
    state.update_drive(replace(enrolled.drive, simulated=False, fs_uuid="1234-ABCD"))
    made, _read = service(office, config_of(office))
    made.reload()
    state.faults.record(enrolled.drive.repository, [("header", "healable")], [], office.clock())
    made.look_at_health("A")
    assert made.notices() == ()
    state.faults.record(enrolled.drive.repository, [("header.1", "healable")], [], office.clock() + timedelta(days=1))
    made.look_at_health("A")
    assert [each.notice for each in made.notices()] == [Notice(NoticeKind.DRIVE_AGES, "A")]
    assert made.status_document()["drives"][0]["health"] == "replace"  # type: ignore[index] # a JSON document
    made.post(ev.Acknowledge(made.now(), NoticeKind.DRIVE_AGES, enrolled.drive.repository))
    made.look_at_health("A")
    made.reload()
    assert made.notices() == ()
    state.remove_drive("A")
    made.reload()
    made.look_at_health("A")
    assert made.notices() == ()


def test_an_ageing_drive_that_is_forgotten_is_not_spoken_of_any_more(office: Office) -> None:
    enrolled = office.enroll("A")
    state = office.computer.state
    state.update_drive(replace(enrolled.drive, simulated=False, fs_uuid="1234-ABCD"))
    state.faults.record(enrolled.drive.repository, [("packs/aa/" + "aa" * 32, "lost")], [], office.clock())
    made, _read = service(office, config_of(office))
    made.reload()
    assert [each.notice.kind for each in made.notices()] == [NoticeKind.DRIVE_AGES]
    state.remove_drive("A")
    made.reload()
    assert made.notices() == ()
