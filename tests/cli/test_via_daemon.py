"""Commands that have the daemon do the work: the real program, a real message bus, a daemon that plays a part."""

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.bus.private_bus import PrivateBus, private_bus
from support.cli.computer import Ran
from support.cli.playing_daemon import (
    Advances,
    Ends,
    Enters,
    PlayingDaemon,
    Says,
    Step,
    Stops,
    as_ordinary_user,
    as_root,
    at_once,
    played,
)

from kinebackup.daemon.decide.events import BackUpNow, Eject, JobId, RestoreTestNow
from kinebackup.daemon.ports import EnrolledDrive
from kinebackup.model import BackupReport, Problem, Progress, RestoreTestReport
from kinebackup.policy.notices import Notice, NoticeKind
from kinebackup.policy.phases import Phase
from kinebackup.state.records import Drive
from kinebackup.state.state_db import StateDb

HERE = EnrolledDrive("CABINET", "CABINET", Phase.APPEARED)
AWAY = EnrolledDrive("DOMICILE", "DOMICILE", Phase.ABSENT)
REPORT = BackupReport("ab" * 32, 3, 1, 90, 0, 4_000_000, 1_000_000, 2.0, suspicious=False)
UNREADABLE = Problem("unreadable", "/srv/Patients/bilan.txt", "permission denied")
TESTED = RestoreTestReport("ok", "ab" * 32, 20, 8_000_000, 20, 1.0, 7, "machine 1f2e3d4c")

OPENING: tuple[Step, ...] = (Enters(Phase.MOUNTING), Enters(Phase.AUTHENTICATING))
LEAVING: tuple[Step, ...] = (Enters(Phase.UNMOUNTING), Enters(Phase.POWERING_OFF), Enters(Phase.SAFE))


@pytest.fixture
def bus() -> Iterator[PrivateBus]:
    if os.geteuid() != 0:
        pytest.skip("needs root: only root may own the daemon's name")
    with private_bus() as made:
        yield made


@pytest.fixture
def memory(tmp_path: Path, practice_made_once: Path) -> Path:
    """The state directory of a computer that knows a real drive."""
    directory = tmp_path / "state"
    shutil.copytree(practice_made_once / "state", directory)
    with StateDb(directory) as state:
        enrolled = datetime(2030, 1, 1, tzinfo=UTC)
        state.add_drive(Drive("CABINET", "cabinet", False, "cd" * 16, enrolled, 1, fs_uuid="0000-TEST"))
    return directory


def run(bus: PrivateBus, daemon: PlayingDaemon, *arguments: str, memory: Path | None = None) -> Ran:
    """The program beside that daemon: as root where there is a memory, else as an ordinary user."""

    async def play() -> Ran:
        async with played(bus, daemon):
            if memory is not None:
                return await as_root(bus, memory, *arguments)
            return await as_ordinary_user(bus, *arguments)

    return asyncio.run(play())


# --- an ordinary user -----------------------------------------------------------------------------------------------


@pytest.mark.root
def test_an_ordinary_user_has_the_daemon_back_up_and_hears_how_it_ended(bus: PrivateBus) -> None:
    part = (*OPENING, Enters(Phase.BACKING_UP), Enters(Phase.VERIFYING), Ends("backup", "good", REPORT))
    daemon = PlayingDaemon(part, HERE, AWAY)
    done = run(bus, daemon, "backup")
    assert (done.code, done.out, done.err) == (0, "Saved on the drive CABINET.\n", "")
    assert daemon.posted == [BackUpNow(daemon.now(), "CABINET")]


@pytest.mark.root
@pytest.mark.parametrize(
    ("command", "kind", "ending", "code", "words"),
    [
        ("backup", "backup", "with-problems", 3, "with problems; root can see them"),
        ("backup", "backup", "bad", 3, "is not complete"),
        ("restore-test", "restore-test", "good", 0, "The data comes back"),
        ("restore-test", "restore-test", "bad", 14, "FAILED"),
    ],
)
def test_each_ending_has_its_sentence_and_its_exit_code(
    bus: PrivateBus, command: str, kind: str, ending: str, code: int, words: str
) -> None:
    part = (*OPENING, Enters(Phase.TESTING), Ends(kind, ending, REPORT))  # type: ignore[arg-type]  # from the table
    done = run(bus, PlayingDaemon(part, HERE), command)
    assert (done.code, done.err) == (code, "")
    assert words in done.out


@pytest.mark.root
def test_scripts_of_an_ordinary_user_get_a_document_that_names_no_file(bus: PrivateBus) -> None:
    part = (*OPENING, Enters(Phase.BACKING_UP), Ends("backup", "good", REPORT))
    done = run(bus, PlayingDaemon(part, HERE), "backup", "--json")
    assert json.loads(done.out) == {"drive": "CABINET", "job": "backup", "ending": "good"}


@pytest.mark.root
def test_who_may_not_is_told_so(bus: PrivateBus) -> None:
    daemon = PlayingDaemon((), HERE)

    async def play() -> Ran:
        async with played(bus, daemon, polkit=()):
            return await as_ordinary_user(bus, "backup")

    done = asyncio.run(play())
    assert done.code == 1
    assert "you may not ask that of KineBackup" in done.err
    assert daemon.posted == []


@pytest.mark.root
@pytest.mark.parametrize(
    ("drives", "arguments", "code", "words"),
    [
        ((AWAY,), ("backup",), 10, "no drive is plugged in"),
        ((AWAY,), ("backup", "--drive", "DOMICILE"), 10, "the drive DOMICILE is not plugged in"),
        ((AWAY,), ("restore-test", "--drive", "NOWHERE"), 10, "no drive is called NOWHERE"),
        ((), ("backup",), 10, "no drive has been enrolled yet"),
        (
            (HERE, EnrolledDrive("DOMICILE", "DOMICILE", Phase.SAFE)),
            ("backup",),
            2,
            "several drives are plugged in: CABINET, DOMICILE",
        ),
        (
            (EnrolledDrive("CABINET", "CABINET", Phase.REFUSED),),
            ("backup", "--drive", "CABINET"),
            1,
            "nothing is written to the drive",
        ),
    ],
)
def test_a_drive_that_cannot_be_meant_is_said_at_once(
    bus: PrivateBus, drives: tuple[EnrolledDrive, ...], arguments: tuple[str, ...], code: int, words: str
) -> None:
    daemon = PlayingDaemon((), *drives)
    done = run(bus, daemon, *arguments)
    assert done.code == code
    assert words in done.err
    assert daemon.posted == []


@pytest.mark.root
@pytest.mark.parametrize(
    ("part", "code", "words"),
    [
        (
            (
                Enters(Phase.MOUNTING),
                at_once(Enters(Phase.APPEARED), Says(Notice(NoticeKind.BUSY, "CABINET", program="nautilus"))),
            ),
            1,
            "It is used by nautilus",
        ),
        (
            (*OPENING, Enters(Phase.UNMOUNTING), Says(Notice(NoticeKind.IMPOSTOR, "CABINET")), Enters(Phase.REFUSED)),
            13,
            "This is not the drive CABINET",
        ),
        (
            (
                *OPENING,
                Enters(Phase.BACKING_UP),
                at_once(
                    Enters(Phase.UNMOUNTING),
                    Ends("backup", "failed"),
                    Says(Notice(NoticeKind.DRIVE_FULL, "CABINET")),
                ),
                *LEAVING[1:],
            ),
            1,
            "Drive CABINET is full",
        ),
        (
            (*OPENING, Enters(Phase.BACKING_UP), at_once(Enters(Phase.ABSENT), Ends("backup", "interrupted"))),
            1,
            "was unplugged before the work was done",
        ),
        ((*OPENING, Enters(Phase.BACKING_UP), Ends("backup", "cancelled"), *LEAVING), 130, "the work was stopped"),
        ((*OPENING, *LEAVING), 1, "could not be worked on"),
        ((*OPENING, Enters(Phase.BACKING_UP), Stops()), 1, "the KineBackup service was stopped meanwhile"),
    ],
)
def test_work_that_does_not_come_to_its_end_says_why(
    bus: PrivateBus, part: tuple[Step, ...], code: int, words: str
) -> None:
    done = run(bus, PlayingDaemon(part, HERE), "backup")
    assert (done.code, done.out) == (code, "")
    assert words in done.err


@pytest.mark.root
def test_a_drive_on_its_way_out_comes_back_before_the_work_begins(bus: PrivateBus) -> None:
    part = (
        Enters(Phase.POWERING_OFF),
        Enters(Phase.SAFE),
        *OPENING,
        Enters(Phase.BACKING_UP),
        Ends("backup", "good", REPORT),
    )
    done = run(bus, PlayingDaemon(part, EnrolledDrive("CABINET", "CABINET", Phase.UNMOUNTING)), "backup")
    assert (done.code, done.out) == (0, "Saved on the drive CABINET.\n")


@pytest.mark.root
def test_who_waits_for_the_other_drive_is_told(bus: PrivateBus) -> None:
    part = (*OPENING, Enters(Phase.BACKING_UP), Ends("backup", "good", REPORT))
    other = EnrolledDrive("DOMICILE", "DOMICILE", Phase.VERIFYING, JobId(2), "verify")
    done = run(bus, PlayingDaemon(part, HERE, other), "backup", "--drive", "CABINET")
    assert done.code == 0
    # Whether the work has begun by the time the drives are asked for is a matter of milliseconds.
    assert done.err in ("", "The drive CABINET is next, after the work on the drive DOMICILE.\n")


@pytest.mark.root
def test_ctrl_c_ends_the_watching_and_not_the_work(bus: PrivateBus) -> None:
    daemon = PlayingDaemon((*OPENING, Enters(Phase.BACKING_UP)), HERE)

    async def play() -> Ran:
        async with played(bus, daemon):
            return await as_ordinary_user(
                bus, "backup", interrupt_after=lambda: daemon.enrolled[0].phase is Phase.BACKING_UP
            )

    done = asyncio.run(play())
    assert done.code == 130
    assert "you stopped watching; the work itself goes on" in done.err
    assert daemon.posted == [BackUpNow(daemon.now(), "CABINET")]


# --- root -----------------------------------------------------------------------------------------------------------


@pytest.mark.root
def test_root_reads_the_same_report_as_of_a_backup_of_its_own(bus: PrivateBus, memory: Path) -> None:
    report = BackupReport("ab" * 32, 3, 1, 90, 0, 4_000_000, 1_000_000, 2.0, suspicious=False, problems=(UNREADABLE,))
    part = (*OPENING, Enters(Phase.BACKING_UP), Ends("backup", "with-problems", report))
    done = run(bus, PlayingDaemon(part, HERE), "backup", memory=memory)
    assert done.code == 3
    assert done.out == (
        "Saved on the drive CABINET: backup abababababab, in 2 s\n"
        "  files: 3 new, 1 changed, 90 unchanged, 0 removed\n"
        "  4.0 MB read, 1.0 MB written\n"
        "  1 problem\n"
        "The drive is being checked. Leave it plugged in until KineBackup says that you can unplug it.\n"
    )
    assert done.err == "! /srv/Patients/bilan.txt: permission denied\n"


@pytest.mark.root
def test_scripts_of_root_get_the_document_of_the_stand_alone_command(bus: PrivateBus, memory: Path) -> None:
    part = (*OPENING, Enters(Phase.TESTING), Ends("restore-test", "good", TESTED))
    daemon = PlayingDaemon(part, HERE)
    done = run(bus, daemon, "restore-test", "--json", memory=memory)
    assert done.code == 0, done.err
    assert json.loads(done.out)["files_compared_with_source"] == 20
    assert json.loads(done.out)["key_slot"] == "machine 1f2e3d4c"
    assert daemon.posted == [RestoreTestNow(daemon.now(), "CABINET")]


@pytest.mark.root
@pytest.mark.parametrize(
    "arguments",
    [("backup", "--no-daemon"), ("backup", "--dry-run"), ("backup", "--accept-shrink"), ("restore-test", "--all")],
)
def test_what_the_daemon_does_not_do_is_done_directly(
    bus: PrivateBus, memory: Path, arguments: tuple[str, ...]
) -> None:
    daemon = PlayingDaemon((), HERE)
    done = run(bus, daemon, *arguments, memory=memory)
    assert done.code == 10
    assert "no drive is plugged in" in done.err
    assert daemon.posted == []


# --- eject ----------------------------------------------------------------------------------------------------------


@pytest.mark.root
@pytest.mark.parametrize(
    ("part", "code", "words"),
    [
        (
            (*LEAVING[:2], at_once(LEAVING[2], Says(Notice(NoticeKind.SAFE_TAKE_HOME, "CABINET")))),
            0,
            "The backup is done. You can unplug the drive CABINET. Please take it home.\n",
        ),
        ((*LEAVING,), 0, "You can unplug the drive CABINET"),
        ((Enters(Phase.UNMOUNTING), Enters(Phase.POWERING_OFF), Enters(Phase.ABSENT)), 0, "You can unplug the drive"),
        ((Enters(Phase.UNMOUNTING), Enters(Phase.ABSENT)), 0, "is not plugged in any more"),
        (
            (
                Enters(Phase.STOPPING),
                Enters(Phase.UNMOUNTING),
                at_once(Enters(Phase.STUCK), Says(Notice(NoticeKind.STILL_BUSY, "CABINET", program="evince"))),
            ),
            1,
            "It is used by evince",
        ),
    ],
)
def test_eject_waits_until_the_drive_may_be_unplugged(
    bus: PrivateBus, part: tuple[Step, ...], code: int, words: str
) -> None:
    daemon = PlayingDaemon(part, EnrolledDrive("CABINET", "CABINET", Phase.BACKING_UP, JobId(4), "backup"))
    done = run(bus, daemon, "drive", "eject")
    assert done.code == code
    assert words in done.out + done.err
    assert daemon.posted == [Eject(daemon.now(), "CABINET")]


@pytest.mark.root
def test_a_drive_that_is_safe_already_is_said_to_be_so(bus: PrivateBus) -> None:
    done = run(
        bus, PlayingDaemon((), EnrolledDrive("CABINET", "CABINET", Phase.SAFE)), "drive", "eject", "CABINET", "--json"
    )
    assert json.loads(done.out) == {"drive": "CABINET", "can_unplug": True}


# --- status ---------------------------------------------------------------------------------------------------------

DOCUMENT: dict[str, object] = {
    "sentence": "No backup for 9 days: plug in the drive CABINET",
    "protected": False,
    "simulation": False,
    "say": "no-backup-for-days",
    "more": ["The drive DOMICILE holds no backup yet: plug it in"],
    "drives": [
        {
            "label": "CABINET",
            "place": "cabinet",
            "simulated": False,
            "present": True,
            "folder": None,
            "freshness": "stale",
            "backup_days": 9,
            "last_backup": "2030-02-25T16:30:00Z",
            "last_verify": None,
            "last_restore_test": None,
            "failed_check": False,
            "backups_missing": 0,
            "files_lost": 0,
            "health": "good",
            "faults": 0,
            "faults_since": None,
            "verify_due": True,
            "restore_test_due": True,
            "enrolled_at": "2030-01-01T00:00:00Z",
            "serial": "",
            "model": "",
            "repository": "cd" * 16,
            "phase": "backing up",
            "job": "backup",
        }
    ],
    "warnings": [],
}


@pytest.mark.root
def test_an_ordinary_user_gets_the_daemons_answer_shown_as_root_sees_it(bus: PrivateBus) -> None:
    daemon = PlayingDaemon((), HERE)
    daemon.document = DOCUMENT
    done = run(bus, daemon, "status")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "No backup for 9 days: plug in the drive CABINET."
    assert lines[1] == "  · The drive DOMICILE holds no backup yet: plug it in."
    assert lines[4].split()[:4] == ["CABINET", "practice", "backup", "running"]
    assert "out of date" in lines[4]
    assert json.loads(run(bus, daemon, "status", "--json").out) == DOCUMENT


@pytest.mark.root
def test_roots_status_says_what_each_drive_is_doing(bus: PrivateBus, memory: Path) -> None:
    daemon = PlayingDaemon((), EnrolledDrive("CABINET", "CABINET", Phase.VERIFYING, JobId(3), "verify"))
    done = run(bus, daemon, "status", memory=memory)
    assert done.code == 0
    assert "being checked" in done.out
    told = json.loads(run(bus, daemon, "status", "--json", memory=memory).out)["drives"][0]
    assert (told["present"], told["phase"], told["job"]) == (True, "verifying", "verify")


@pytest.mark.root
def test_a_document_of_another_version_is_said_and_no_defect(bus: PrivateBus) -> None:
    done = run(bus, PlayingDaemon((), HERE), "status")
    assert done.code == 1
    assert "of another version" in done.err


@pytest.mark.root
def test_without_a_daemon_everything_is_as_before(bus: PrivateBus) -> None:
    for arguments in (("status",), ("backup",), ("restore-test",)):
        done = asyncio.run(as_ordinary_user(bus, *arguments))
        assert done.code == 2
        assert "there is no configuration file" in done.err
    done = asyncio.run(as_ordinary_user(bus, "drive", "eject"))
    assert done.code == 1
    assert "eject the drive in the file manager" in done.err


# --- the progress bar -----------------------------------------------------------------------------------------------


@pytest.mark.root
def test_progress_does_not_disturb_what_scripts_read(bus: PrivateBus) -> None:
    part = (
        *OPENING,
        Enters(Phase.BACKING_UP),
        *(Advances("backup", Progress(n, 10, n * 100, 1000)) for n in range(10)),
        Ends("backup", "good", REPORT),
    )
    done = run(bus, PlayingDaemon(part, HERE), "backup")
    assert (done.code, done.out, done.err) == (0, "Saved on the drive CABINET.\n", "")
