"""The daemon's loop with real jobs on drives that are folders, which tests plug in and pull.

Owns: the bay of folders, and waiting for what the loop does. Does not know: mounts, udev or the bus.
"""

import asyncio
import contextlib
import hashlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.daemon.folder_bay import Awake, BrokenMounter, FolderMounter
from support.daemon.thread_worker import ThreadWorker
from support.engine.drives import noise
from support.jobs.small_practice import PASSPHRASE, Office, open_office
from support.loop_disk import MIB, mounted_ext4
from support.waiting import until, wait_until

from kinebackup.config import BackupConfig, Config, Paths, PracticeConfig, RetentionConfig, RotationConfig, SourceConfig
from kinebackup.daemon.decide import events as ev
from kinebackup.daemon.decide.actions import Ending
from kinebackup.daemon.loop import Loop
from kinebackup.daemon.persistence import PersistentState
from kinebackup.daemon.rules import rules_of
from kinebackup.daemon.service import Service, read_enrolled
from kinebackup.engine import FolderStore, layout
from kinebackup.errors import ConfigError
from kinebackup.jobs.backup import BackupJobRequest, run_backup
from kinebackup.jobs.restore import RestoreJobRequest, restore_files
from kinebackup.model import BackupReport, CancelToken, FileName, Progress, SilentMonitor
from kinebackup.policy.job_kinds import JobKind
from kinebackup.policy.notices import ActiveNotice, Notice, NoticeKind
from kinebackup.policy.phases import Phase
from kinebackup.practice.access import PresentDrive, open_to_read
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.reserve import make_reserve
from kinebackup.sources.folder import FolderSource
from kinebackup.worker.run import ProgressThrottle, Tools

MORNING = datetime(2040, 1, 2, 9, tzinfo=UTC)


@dataclass
class Heard:
    """A listener that remembers."""

    notices: list[NoticeKind] = field(default_factory=list)
    withdrawn: list[NoticeKind] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    ended: list[tuple[JobKind, Ending]] = field(default_factory=list)
    shown: list[tuple[NoticeKind, str]] = field(default_factory=list)
    taken_back: list[tuple[NoticeKind, str]] = field(default_factory=list)
    told: list[tuple[str, tuple[NoticeKind, str]]] = field(default_factory=list)
    phases_of: list[tuple[str, Phase]] = field(default_factory=list)

    def notice_shown(self, active: ActiveNotice) -> None:
        self.notices.append(active.notice.kind)
        self.shown.append((active.notice.kind, active.notice.drive))
        self.told.append(("shown", self.shown[-1]))

    def notice_withdrawn(self, kind: NoticeKind, drive: str) -> None:
        self.withdrawn.append(kind)
        self.taken_back.append((kind, drive))
        self.told.append(("taken back", (kind, drive)))

    def phase_changed(self, drive: str, phase: Phase) -> None:
        self.phases.append(phase)
        self.phases_of.append((drive, phase))

    def progressed(self, drive: str, kind: JobKind, progress: Progress) -> None:
        pass

    def job_ended(self, drive: str, job: ev.JobId, kind: JobKind, ending: Ending) -> None:
        self.ended.append((kind, ending))


@dataclass
class Cabinet:
    """A practice with a daemon. ``config`` may be replaced, or be an error."""

    office: Office
    mounter: FolderMounter = field(default_factory=FolderMounter)
    awake: Awake = field(default_factory=Awake)
    heard: Heard = field(default_factory=Heard)
    kept: PersistentState = field(default_factory=PersistentState)
    defects: list[BaseException] = field(default_factory=list)
    config_error: ConfigError | None = None
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    before_backup: Callable[[CancelToken], None] = lambda _cancel: None

    def config(self) -> Config:
        if self.config_error is not None:
            raise self.config_error
        state = self.office.place / "state"
        return Config(
            paths=Paths(state, state / "cache", state / "run"),
            sources=(SourceConfig(self.office.patients),),
            backup=BackupConfig(read_back=False),
            rotation=RotationConfig(),
            retention=self.retention,
        )

    def add_drive(self, label: str, uuid: str) -> ev.Device:
        enrolled = self.office.enroll(label)
        self.office.computer.state.update_drive(replace(enrolled.drive, fs_uuid=uuid, serial="SERIE-" + label))
        return ev.Device(enrolled.folder, uuid, "", "SERIE-" + label, 1)

    def loop(self) -> Loop:
        tools = Tools(
            self.config, self.office.world, lambda _config: [str(self.office.place / "scratch")], self._back_up
        )
        loop = Loop(
            rules_of(self.config(), UTC),
            self.kept,
            now=self.office.clock,
            mounter=self.mounter,
            worker=ThreadWorker(tools),
            inhibitor=self.awake,
            persist=self._keep,
            on_defect=self.defects.append,
        )
        loop.listen(self.heard)
        known = read_enrolled(self.config(), self.office.world)
        assert known is not None
        loop.set_enrolled(known)
        return loop

    def _keep(self, kept: PersistentState) -> None:
        self.kept = kept

    def _back_up(
        self,
        drive: PresentDrive,
        computer: ComputerKeys,
        config: Config,
        cancel: CancelToken,
        teller: ProgressThrottle,
    ) -> BackupReport:
        self.before_backup(cancel)
        request = BackupJobRequest([FolderSource(str(source.path)) for source in config.sources], config.backup)
        return run_backup(drive, computer, request, self.office.world, cancel=cancel, monitor=teller)


@pytest.fixture
def cabinet(tmp_path: Path) -> Iterator[Cabinet]:
    with open_office(tmp_path) as office:
        office.clock.now = MORNING
        yield Cabinet(office)


def play(story: Coroutine[None, None, None]) -> None:
    """Run a story to its end, which must come soon."""
    asyncio.run(asyncio.wait_for(story, 60))


def bytes_below(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_drive_that_is_not_ours_is_never_opened(cabinet: Cabinet, tmp_path: Path) -> None:
    cabinet.add_drive("A", "1234-ABCD")
    stranger = tmp_path / "stranger"
    stranger.mkdir()

    async def story() -> None:
        loop = cabinet.loop()
        loop.post(ev.DriveAppeared(loop.now(), ev.Device(str(stranger), "9999-9999", "", "X", 7)))
        await loop.wait_until_idle()

    play(story())
    assert cabinet.mounter.opened == []
    assert cabinet.heard.notices == []


def test_a_drive_with_our_identifiers_and_another_header_is_refused_and_not_written_to(
    cabinet: Cabinet, tmp_path: Path
) -> None:
    device = cabinet.add_drive("A", "1234-ABCD")
    other = cabinet.office.closing.enter_context(open_office(tmp_path / "other", seed="other"))
    enrolled = other.enroll("A")
    before = bytes_below(Path(enrolled.folder))

    async def story() -> None:
        loop = cabinet.loop()
        loop.post(ev.DriveAppeared(loop.now(), replace(device, node=enrolled.folder)))
        await loop.wait_until_idle()
        assert [drive.phase for drive in loop.drives()] == [Phase.REFUSED]

    play(story())
    assert cabinet.heard.notices == [NoticeKind.IMPOSTOR]
    assert bytes_below(Path(enrolled.folder)) == before
    assert cabinet.mounter.mounted == {}


def test_a_drive_with_an_empty_filesystem_of_our_uuid_is_refused(cabinet: Cabinet, tmp_path: Path) -> None:
    device = cabinet.add_drive("A", "1234-ABCD")
    (tmp_path / "empty").mkdir()

    async def story() -> None:
        loop = cabinet.loop()
        loop.post(ev.DriveAppeared(loop.now(), replace(device, node=str(tmp_path / "empty"))))
        await loop.wait_until_idle()

    play(story())
    assert cabinet.heard.notices == [NoticeKind.REFUSED]
    assert list((tmp_path / "empty").iterdir()) == []


def test_the_first_plug_in_saves_reads_back_tests_and_lets_go(cabinet: Cabinet, tmp_path: Path) -> None:
    device = cabinet.add_drive("A", "1234-ABCD")

    async def story() -> None:
        loop = cabinet.loop()
        loop.post(ev.DriveAppeared(loop.now(), device))
        await loop.wait_until_idle()
        report = loop.last_report(loop.drives()[0].id, "backup")
        assert isinstance(report, BackupReport)
        assert report.files_new == 2
        assert [drive.phase for drive in loop.drives()] == [Phase.SAFE]

    play(story())
    assert cabinet.defects == []
    assert cabinet.heard.ended == [
        ("backup", "good"),
        ("verify-written", "good"),
        ("verify", "good"),
        ("restore-test", "good"),
        ("prune", "good"),
    ]
    assert cabinet.heard.notices == [NoticeKind.SAFE]
    assert cabinet.awake.history == ["hold", "release"]
    assert cabinet.mounter.mounted == {}
    assert cabinet.mounter.powered_off == [device.node]
    target = tmp_path / "back"
    drive = PresentDrive("A", device.node, None)
    with open_to_read(drive, None, PASSPHRASE) as opened:
        order = RestoreJobRequest("latest", (), str(target))
        restore_files(opened.repository, order, cabinet.office.world, cancel=CancelToken(), monitor=SilentMonitor())
    restored = {name.rpartition("Patients/")[2]: digest for name, digest in bytes_below(target).items()}
    assert restored == bytes_below(cabinet.office.patients)


def test_a_drive_pulled_during_the_backup_ends_the_job_once_and_the_next_plug_in_resumes(cabinet: Cabinet) -> None:
    device = cabinet.add_drive("A", "1234-ABCD")
    begun, go_on = threading.Event(), threading.Event()

    def wait(_cancel: CancelToken) -> None:
        begun.set()
        go_on.wait(30)

    async def story() -> None:
        loop = cabinet.loop()
        cabinet.before_backup = wait
        loop.post(ev.DriveAppeared(loop.now(), device))
        await until(begun.is_set)
        loop.post(ev.DriveVanished(loop.now(), device))
        assert cabinet.heard.ended == [("backup", "interrupted")]
        assert cabinet.heard.notices == [NoticeKind.PULLED]
        cabinet.before_backup = lambda _cancel: None
        again = replace(device, disk_sequence=2)
        loop.post(ev.DriveAppeared(loop.now(), again))
        await asyncio.sleep(0.05)  # nothing may come of it: an absence takes its time
        assert [drive.phase for drive in loop.drives()] == [Phase.APPEARED]  # the dead job still holds the drive
        go_on.set()
        await loop.wait_until_idle()
        assert [drive.phase for drive in loop.drives()] == [Phase.SAFE]

    play(story())
    assert cabinet.defects == []
    assert cabinet.heard.ended[1:3] == [("backup", "good"), ("verify-written", "good")]
    assert cabinet.heard.withdrawn == [NoticeKind.PULLED]


def test_a_drive_that_somebody_works_on_is_not_taken_from_them(cabinet: Cabinet) -> None:
    device = cabinet.add_drive("A", "1234-ABCD")
    cabinet.mounter.busy = "nautilus"

    async def story() -> None:
        loop = cabinet.loop()
        loop.post(ev.DriveAppeared(loop.now(), device))
        await loop.wait_until_idle()
        assert [each.notice for each in loop.notices()] == [Notice(NoticeKind.BUSY, "A", program="nautilus")]
        cabinet.mounter.busy = ""
        loop.post(ev.BackUpNow(loop.now(), loop.drives()[0].id))
        await loop.wait_until_idle()

    play(story())
    assert cabinet.heard.ended[0] == ("backup", "good")


def test_a_drive_that_cannot_be_let_go_is_never_called_safe(cabinet: Cabinet) -> None:
    device = cabinet.add_drive("A", "1234-ABCD")
    cabinet.mounter.stuck = "bash"

    async def story() -> None:
        loop = cabinet.loop()
        loop.post(ev.DriveAppeared(loop.now(), device))
        await loop.wait_until_idle()
        assert cabinet.heard.notices == [NoticeKind.STILL_BUSY]
        cabinet.mounter.stuck = ""
        loop.post(ev.Eject(loop.now(), loop.drives()[0].id))
        await loop.wait_until_idle()

    play(story())
    assert cabinet.heard.notices == [NoticeKind.STILL_BUSY, NoticeKind.SAFE]


def test_a_configuration_that_cannot_be_read_is_a_failed_backup_that_stays_in_sight(cabinet: Cabinet) -> None:
    device = cabinet.add_drive("A", "1234-ABCD")

    async def story() -> None:
        loop = cabinet.loop()
        cabinet.config_error = ConfigError("line 3 is not TOML")
        loop.post(ev.DriveAppeared(loop.now(), device))
        await loop.wait_until_idle()

    play(story())
    assert cabinet.mounter.mounted == {}
    assert cabinet.heard.ended == []
    assert cabinet.heard.notices == [NoticeKind.REFUSED]


def test_a_job_with_a_defect_ends_as_failed_and_the_drive_is_let_go(cabinet: Cabinet) -> None:
    device = cabinet.add_drive("A", "1234-ABCD")

    def defect(_cancel: CancelToken) -> None:
        raise ZeroDivisionError

    async def story() -> None:
        loop = cabinet.loop()
        cabinet.before_backup = defect
        loop.post(ev.DriveAppeared(loop.now(), device))
        await loop.wait_until_idle()

    play(story())
    assert cabinet.heard.ended == [("backup", "failed")]
    assert cabinet.heard.notices == [NoticeKind.BACKUP_FAILED, NoticeKind.SAFE_NOT_SAVED]
    assert cabinet.mounter.mounted == {}


def test_a_request_to_end_stops_the_job_and_unmounts(cabinet: Cabinet) -> None:
    device = cabinet.add_drive("A", "1234-ABCD")
    begun = threading.Event()

    def until_cancelled(cancel: CancelToken) -> None:
        begun.set()
        wait_until(lambda: cancel.cancelled)

    async def story() -> None:
        loop = cabinet.loop()
        cabinet.before_backup = until_cancelled
        loop.post(ev.DriveAppeared(loop.now(), device))
        await until(begun.is_set)
        assert loop.at_work
        loop.post(ev.ShutdownRequested(loop.now()))
        await loop.wait_until_idle()
        assert not loop.at_work

    play(story())
    assert cabinet.heard.ended == [("backup", "cancelled")]
    assert cabinet.mounter.mounted == {}


def test_what_nobody_has_acknowledged_is_still_there_after_a_restart(cabinet: Cabinet) -> None:
    device = cabinet.add_drive("A", "1234-ABCD")
    cabinet.mounter.stuck = "bash"

    async def first() -> None:
        loop = cabinet.loop()
        loop.post(ev.DriveAppeared(loop.now(), device))
        await loop.wait_until_idle()

    async def second() -> None:
        loop = cabinet.loop()
        assert [each.notice.kind for each in loop.notices()] == [NoticeKind.STILL_BUSY]
        key = loop.key_of(NoticeKind.STILL_BUSY, "A")
        assert key is not None
        loop.post(ev.Acknowledge(loop.now(), key.kind, key.drive))
        assert loop.notices() == ()

    play(first())
    play(second())
    assert cabinet.kept.shown == ()


def renamed(cabinet: Cabinet, loop: Loop, old: str, new: str) -> None:
    """What ``kinebackup drive rename`` does, and what the daemon does when it is told."""
    state = cabinet.office.computer.state
    state.update_drive(replace(state.drive(old), label=new))
    known = read_enrolled(cabinet.config(), cabinet.office.world)
    assert known is not None
    loop.set_enrolled(known)


def test_a_drive_that_is_renamed_while_it_is_saved_keeps_its_job_and_its_history(cabinet: Cabinet) -> None:
    device = cabinet.add_drive("A", "1234-ABCD")
    begun, go_on = threading.Event(), threading.Event()

    def wait(_cancel: CancelToken) -> None:
        begun.set()
        go_on.wait(30)

    async def story() -> None:
        loop = cabinet.loop()
        cabinet.before_backup = wait
        loop.post(ev.DriveAppeared(loop.now(), device))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        before = loop.drives()[0]
        renamed(cabinet, loop, "A", "NOIR")
        assert loop.drives() == (replace(before, label="NOIR"),)
        go_on.set()
        await loop.wait_until_idle()
        assert [(drive.label, drive.phase) for drive in loop.drives()] == [("NOIR", Phase.SAFE)]
        assert isinstance(loop.last_report(before.id, "backup"), BackupReport)
        assert loop.state.drives[0].known.history.last_backup == MORNING
        assert [each.notice for each in loop.notices()] == [Notice(NoticeKind.SAFE, "NOIR")]

    play(story())
    assert cabinet.defects == []
    assert cabinet.heard.ended[0] == ("backup", "good")
    assert ("A", Phase.ABSENT) in cabinet.heard.phases_of
    assert cabinet.heard.phases_of[-1] == ("NOIR", Phase.SAFE)


def test_a_notice_follows_its_drive_to_its_new_name_and_is_neither_lost_nor_doubled(cabinet: Cabinet) -> None:
    device = cabinet.add_drive("A", "1234-ABCD")
    cabinet.mounter.busy = "nautilus"

    async def story() -> None:
        loop = cabinet.loop()
        loop.post(ev.DriveAppeared(loop.now(), device))
        await loop.wait_until_idle()
        since = loop.notices()[0].since
        renamed(cabinet, loop, "A", "NOIR")
        assert loop.notices() == (ActiveNotice(Notice(NoticeKind.BUSY, "NOIR", program="nautilus"), since),)
        assert loop.key_of(NoticeKind.BUSY, "A") is None
        loop.post(ev.DriveVanished(loop.now(), device))
        assert loop.notices() == ()

    play(story())
    assert cabinet.heard.shown == [(NoticeKind.BUSY, "A"), (NoticeKind.BUSY, "NOIR")]
    assert cabinet.heard.taken_back == [(NoticeKind.BUSY, "A"), (NoticeKind.BUSY, "NOIR")]


def test_two_drives_that_exchange_their_names_both_keep_their_notices(cabinet: Cabinet) -> None:
    devices = cabinet.add_drive("A", "1234-ABCD"), cabinet.add_drive("B", "5678-EFAB")
    cabinet.mounter.busy = "nautilus"

    async def story() -> None:
        loop = cabinet.loop()
        for device in devices:
            loop.post(ev.DriveAppeared(loop.now(), device))
        await loop.wait_until_idle()
        state = cabinet.office.computer.state
        for old, new in (("A", "C"), ("B", "A")):
            state.update_drive(replace(state.drive(old), label=new))
        renamed(cabinet, loop, "C", "B")
        assert {each.notice.drive for each in loop.notices()} == {"A", "B"}

    play(story())
    visible: set[tuple[NoticeKind, str]] = set()
    for what, key in cabinet.heard.told:
        visible = visible | {key} if what == "shown" else visible - {key}
    assert visible == {(NoticeKind.BUSY, "A"), (NoticeKind.BUSY, "B")}


def test_a_drive_that_is_renamed_while_the_daemon_does_not_run_has_its_notices_under_its_new_name(
    cabinet: Cabinet,
) -> None:
    device = cabinet.add_drive("A", "1234-ABCD")
    cabinet.mounter.stuck = "bash"

    async def first() -> None:
        loop = cabinet.loop()
        loop.post(ev.DriveAppeared(loop.now(), device))
        await loop.wait_until_idle()

    async def second() -> None:
        loop = cabinet.loop()
        assert [each.notice for each in loop.notices()] == [Notice(NoticeKind.STILL_BUSY, "NOIR", program="bash")]

    play(first())
    state = cabinet.office.computer.state
    state.update_drive(replace(state.drive("A"), label="NOIR"))
    play(second())


def test_a_notice_of_a_drive_that_was_forgotten_has_the_name_that_people_knew(cabinet: Cabinet) -> None:
    device = cabinet.add_drive("A", "1234-ABCD")
    cabinet.before_backup = _fail

    async def first() -> None:
        loop = cabinet.loop()
        loop.post(ev.DriveAppeared(loop.now(), device))
        await loop.wait_until_idle()

    async def second() -> None:
        loop = cabinet.loop()
        assert loop.drives() == ()
        assert Notice(NoticeKind.BACKUP_FAILED, "A") in [each.notice for each in loop.notices()]
        key = loop.key_of(NoticeKind.BACKUP_FAILED, "A")
        assert key is not None
        loop.post(ev.Acknowledge(loop.now(), key.kind, key.drive))
        assert NoticeKind.BACKUP_FAILED not in [each.notice.kind for each in loop.notices()]

    play(first())
    cabinet.office.computer.state.remove_drive("A")
    play(second())


def _fail(_cancel: CancelToken) -> None:
    raise ZeroDivisionError


def test_an_action_that_will_never_be_answered_is_a_defect_that_somebody_hears_of(cabinet: Cabinet) -> None:
    device = cabinet.add_drive("A", "1234-ABCD")

    cabinet.mounter = BrokenMounter()

    async def story() -> None:
        loop = cabinet.loop()
        loop.post(ev.DriveAppeared(loop.now(), device))
        await loop.wait_until_idle()

    play(story())
    assert [type(each) for each in cabinet.defects] == [AssertionError]


def test_a_source_that_a_cloud_has_is_warned_of_without_the_name_of_its_folder(cabinet: Cabinet) -> None:
    async def story() -> None:
        loop = cabinet.loop()
        config = replace(cabinet.config(), practice=PracticeConfig(language="en"))
        service = Service(loop, lambda: config, cabinet.office.world, lambda _config: None)
        service.reload()
        await service.check_sources()
        assert service.status_document()["warnings"] == []
        (cabinet.office.patients / ".stfolder").mkdir()
        await service.check_sources()
        assert service.status_document()["warnings"] == [
            "Syncthing synchronises a source, or may do so: its files leave this computer"
        ]
        await loop.wait_until_idle()
        assert NoticeKind.SOURCE_SYNCED in cabinet.heard.notices

    play(story())


def test_a_prune_that_a_person_has_to_confirm_is_no_damage(cabinet: Cabinet) -> None:
    cabinet.retention = RetentionConfig(keep_last=5, daily=0, weekly=0, monthly=0, yearly=0)
    device = cabinet.add_drive("A", "1234-ABCD")
    film = cabinet.office.patients / "film.bin"
    film.write_bytes(noise("film", 2**20))
    for day in range(6):
        cabinet.office.back_up("A")
        cabinet.office.clock.forward(days=1)
        film.write_bytes(b"%d" % day)

    async def story() -> None:
        loop = cabinet.loop()
        loop.post(ev.DriveAppeared(loop.now(), device))
        await loop.wait_until_idle()

    play(story())
    assert cabinet.heard.ended[-1] == ("prune", "failed")
    assert cabinet.heard.notices == [NoticeKind.PRUNE_FAILED, NoticeKind.SAFE]
    with open_to_read(PresentDrive("A", device.node, None), None, PASSPHRASE) as opened:
        assert len(opened.repository.snapshots().readable) == 7


# -- a full drive --------------------------------------------------------------------------------------------------


@pytest.fixture
def small_drive(cabinet: Cabinet) -> Iterator[Path]:
    """The place of the drive A, a file system of 16 MB on a loop device."""
    with mounted_ext4(cabinet.office.place, 16 * MIB, at=cabinet.office.place / "drives" / "A") as place:
        (place / "lost+found").rmdir()
        yield place


@pytest.mark.root
def test_a_drive_that_is_full_makes_room_by_its_own_rules_and_is_saved_to(cabinet: Cabinet, small_drive: Path) -> None:
    cabinet.retention = RetentionConfig(keep_last=1, daily=0, weekly=0, monthly=0, yearly=0)
    device = cabinet.add_drive("A", "1234-ABCD")
    film = cabinet.office.patients / "film.bin"
    with contextlib.closing(FolderStore(str(small_drive / "KINEBACKUP"))) as store:
        make_reserve(store)
    for day in range(3):
        film.write_bytes(noise(f"day {day}", 3 * 2**20))
        cabinet.office.back_up("A")
        cabinet.office.clock.forward(days=1)
    film.write_bytes(noise("today", 5 * 2**20))

    async def story() -> None:
        loop = cabinet.loop()
        loop.post(ev.DriveAppeared(loop.now(), device))
        await loop.wait_until_idle()

    play(story())
    assert cabinet.heard.ended[:4] == [
        ("backup", "again"),
        ("prune", "good"),
        ("backup", "good"),
        ("verify-written", "good"),
    ]
    assert cabinet.heard.notices == [NoticeKind.SAFE]
    with open_to_read(PresentDrive("A", device.node, None), None, PASSPHRASE) as opened:
        assert len(opened.repository.snapshots().readable) == 2


def data_packs(drive: PresentDrive) -> set[Path]:
    """Packs that hold contents of files and nothing else."""
    with open_to_read(drive, None, PASSPHRASE) as opened:
        tables = opened.repository.index.tables
        kinds = {
            name: {segment.kind for table in tables for segment in table.segments_of([name]).get(name, ())}
            for name in opened.repository.packs
        }
    return {Path(drive.root) / layout.pack_path(name) for name, found in kinds.items() if found == {0}}


def test_what_one_drive_has_lost_comes_from_the_other_when_both_are_plugged_in(
    cabinet: Cabinet, tmp_path: Path
) -> None:
    a, b = cabinet.add_drive("A", "1234-ABCD"), cabinet.add_drive("B", "5678-EFAB")
    old = cabinet.office.patients / "ancien.txt"
    old.write_text("Un dossier qui a été clos depuis\n" * 100, encoding="utf-8")

    async def story() -> None:
        loop = cabinet.loop()
        for device in (a, b):
            loop.post(ev.DriveAppeared(loop.now(), device))
        await loop.wait_until_idle()
        for device in (a, b):
            loop.post(ev.DriveVanished(loop.now(), device))
        old.unlink()
        for pack in data_packs(PresentDrive("A", a.node, None)):
            pack.unlink()
            (Path(a.node) / "KINEBACKUP" / layout.parity_path(FileName(pack.name))).unlink()
        cabinet.office.clock.forward(days=1)
        cabinet.heard.ended.clear()
        loop.post(ev.DriveAppeared(loop.now(), replace(a, disk_sequence=2)))
        await loop.wait_until_idle()
        assert cabinet.heard.ended == [("backup", "with-problems"), ("verify-written", "bad"), ("repair", "bad")]
        [asked] = [each.notice for each in loop.notices() if each.notice.kind is NoticeKind.PLUG_IN_BOTH]
        assert (asked.drive, asked.other) == ("A", "B")
        assert NoticeKind.DAMAGE_FOUND not in cabinet.heard.notices
        cabinet.heard.ended.clear()
        loop.post(ev.DriveAppeared(loop.now(), replace(b, disk_sequence=2)))
        await loop.wait_until_idle()
        assert cabinet.heard.ended[0] == ("repair", "good")
        assert not [each for each in loop.notices() if each.notice.kind is NoticeKind.PLUG_IN_BOTH]

    play(story())
    assert cabinet.defects == []
    assert cabinet.mounter.mounted == {}
    assert NoticeKind.DAMAGE_FOUND not in cabinet.heard.notices
    with open_to_read(PresentDrive("A", a.node, None), None, PASSPHRASE) as opened:
        first = opened.repository.snapshots().readable[0].id
        order = RestoreJobRequest(first, (), str(tmp_path / "back"))
        restore_files(opened.repository, order, cabinet.office.world, cancel=CancelToken(), monitor=SilentMonitor())
    [back] = (tmp_path / "back").rglob("ancien.txt")
    assert back.read_text(encoding="utf-8").startswith("Un dossier qui a été clos")
