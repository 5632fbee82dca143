"""Drives that do not do what they should: full, read-only, broken, copied, or taken by the desktop before us."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from support.vm.bench import CABINET, Bench
from support.vm.machine import Plug
from support.vm.stick import Stick

pytestmark = [pytest.mark.vm, pytest.mark.root]
pytest_plugins = ["support.vm.vm_fixtures"]


def test_a_full_drive_is_said_to_be_full_and_keeps_what_it_had(bench: Bench) -> None:
    with bench.cabinet.in_hand() as drive:
        _fill(drive, bytes_left=2_000_000)
    bench.practice.set_clock(days=1)
    now = bench.practice.add_files("second day", 40, 1_000_000)  # more than the ballast that a prune gives back

    kinds = bench.practice.plug_and_wait(bench.cabinet, CABINET)

    assert kinds == "drive-full,safe-not-saved"
    bench.machine.pull(bench.cabinet)
    assert bench.cabinet.backups() == [bench.files]

    with bench.cabinet.in_hand() as drive:
        (drive / "ballast").unlink()
    assert bench.practice.plug_and_wait(bench.cabinet, CABINET) == "drive-full,safe"  # stays until somebody has seen it
    bench.machine.pull(bench.cabinet)
    assert bench.cabinet.backups() == [bench.files, now]


def test_a_read_only_drive_is_reported_and_left_as_it_is(bench: Bench) -> None:
    before = bench.cabinet.sha256()
    bench.practice.set_clock(days=1)

    kinds = bench.practice.plug_and_wait(bench.cabinet, CABINET, Plug(read_only=True))

    assert kinds == "not-mounted"
    assert not bench.practice.is_mounted_anywhere("/dev/sd")
    bench.machine.pull(bench.cabinet)
    assert bench.cabinet.sha256() == before


def test_a_drive_that_fails_while_it_is_written_to_is_no_backup_and_the_next_plug_in_goes_on(bench: Bench) -> None:
    bench.practice.set_clock(days=1)
    now = bench.practice.add_files("second day", 40, 300_000)

    kinds = bench.practice.plug_and_wait(bench.cabinet, CABINET, Plug(write_errors_after=8))

    assert kinds == "drive-failed,safe-not-saved"
    assert not bench.practice.is_mounted_anywhere("/dev/sd")
    bench.machine.pull(bench.cabinet)
    assert bench.cabinet.backups() == [bench.files]

    assert "safe" in bench.practice.plug_and_wait(bench.cabinet, CABINET).split(",")
    bench.machine.pull(bench.cabinet)
    assert bench.cabinet.backups() == [bench.files, now]


def test_bad_sectors_are_mended_in_the_same_visit_without_a_word_and_status_remembers_them(bench: Bench) -> None:
    bench.practice.set_clock(days=5)  # a part of the drive is read every few days

    bad = Plug(bad_sectors=bench.cabinet.sectors_of("packs/*/*"))
    kinds = bench.practice.plug_and_wait(bench.cabinet, CABINET, bad)

    assert kinds == "safe"
    drives = json.loads(bench.practice.kinebackup("status", "--json").out)["drives"]
    assert [drive["health"] for drive in drives if drive["label"] == CABINET] == ["watch"]
    bench.machine.pull(bench.cabinet)
    assert bench.cabinet.backups() == [bench.files] * 3  # the first, the day's, and the one that mended


def test_a_copy_of_a_drive_is_never_written_to_alone_or_beside_its_original(bench: Bench) -> None:
    copy = bench.cabinet.copy(bench.place, serial="COPY")
    before = copy.sha256()
    bench.practice.set_clock(days=1)

    bench.machine.plug(copy)
    bench.practice.await_notice(CABINET, "impostor")
    assert bench.practice.phase(CABINET) == "absent"
    bench.practice.call("Acknowledge", "ss", "impostor", CABINET)

    assert bench.practice.plug_and_wait(bench.cabinet, CABINET) == "safe"
    bench.machine.pull(copy)
    bench.machine.pull(bench.cabinet)
    assert copy.sha256() == before
    assert bench.cabinet.backups() == [bench.files, bench.files]


def test_a_drive_that_the_desktop_has_opened_is_taken_over_where_nobody_uses_it(bench: Bench) -> None:
    _opened_by_the_desktop(bench, bench.cabinet)

    bench.machine.shell("systemctl start kinebackup", timeout_s=120)
    bench.practice.await_notice(CABINET, "safe")

    assert not bench.practice.is_mounted_anywhere("/dev/sd")
    bench.machine.pull(bench.cabinet)
    assert bench.cabinet.backups() == [bench.files, bench.files]


def test_a_drive_in_which_somebody_works_is_not_taken_away_and_the_program_is_named(bench: Bench) -> None:
    _opened_by_the_desktop(bench, bench.cabinet)
    bench.machine.shell(
        "where=$(findmnt --noheadings --output TARGET /dev/sda1);"
        "systemd-run --quiet --unit=writer --uid=marie --working-directory=$where sleep 1000"
    )
    before = _untouched(bench)

    bench.machine.shell("systemctl start kinebackup", timeout_s=120)
    bench.practice.await_notice(CABINET, "busy")

    (notice,) = (each for each in bench.practice.notices() if each.kind == "busy")
    assert notice.program == "sleep"
    assert bench.machine.shell("findmnt /dev/sda1", check=False).code == 0
    assert _untouched(bench) == before

    bench.machine.shell("systemctl stop writer")
    bench.practice.call("BackUpNow", "s", CABINET)
    bench.practice.await_notice(CABINET, "safe")
    bench.machine.pull(bench.cabinet)
    assert bench.cabinet.backups() == [bench.files, bench.files]


def _opened_by_the_desktop(bench: Bench, stick: Stick) -> None:
    """The next day, and before the daemon is there, since it is faster than a person."""
    bench.practice.set_clock(days=1)
    bench.machine.shell("systemctl stop kinebackup")
    bench.machine.plug(stick)
    bench.machine.shell("until [ -b /dev/sda1 ]; do sleep 0.2; done; udevadm settle")
    bench.machine.shell("runuser -u marie -- udisksctl mount --no-user-interaction --block-device /dev/sda1")
    assert bench.practice.is_mounted_anywhere("/dev/sda")


def _untouched(bench: Bench) -> str:
    folder = "$(findmnt --noheadings --output TARGET /dev/sda1)/KINEBACKUP"
    return bench.machine.shell(f"find {folder} -type f -printf '%P %T@ %s\\n' | sort").out


def _fill(drive: Path, *, bytes_left: int) -> None:
    """To the last block that the filesystem gives to root, less that."""
    with open(drive / "ballast", "wb", buffering=0) as ballast:
        with suppress(OSError):
            while True:
                ballast.write(bytes(1024 * 1024))
                os.fsync(ballast.fileno())
        ballast.truncate(ballast.tell() - bytes_left)
