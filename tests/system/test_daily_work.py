"""A day at the practice, and the next one: plug in, wait, unplug."""

import subprocess

import pytest
from support.vm.bench import CABINET, HOME, Bench
from support.vm.stick import Stick

pytestmark = [pytest.mark.vm, pytest.mark.root]
pytest_plugins = ["support.vm.vm_fixtures"]


def test_the_first_plug_in_saves_by_itself_and_ends_with_a_drive_that_may_be_unplugged(new_bench: Bench) -> None:
    bench = new_bench
    kinds = bench.practice.plug_and_wait(bench.cabinet, CABINET)

    assert kinds == "safe"
    assert not bench.practice.is_mounted_anywhere("/dev/sda")
    bench.machine.pull(bench.cabinet)
    (snapshot,) = bench.cabinet.snapshots()
    restored = bench.cabinet.restored(snapshot)[snapshot]
    database = restored.pop("/home/marie/Patients/agenda.sqlite")
    assert len(database) == 64
    assert restored == bench.files


def test_the_next_day_only_what_is_new_is_written_while_the_computer_is_kept_awake(bench: Bench) -> None:
    before = bench.cabinet.bytes_of("packs")
    bench.practice.set_clock(days=1)
    now = bench.practice.add_files("second day", 10, 100_000)

    plugged_at = bench.practice.now()
    bench.machine.plug(bench.cabinet)
    bench.practice.await_phase(CABINET, "backing up", "verifying")
    assert _keeps_the_computer_awake(bench)

    assert bench.practice.await_end(CABINET, plugged_at) == "safe"

    assert not _keeps_the_computer_awake(bench)
    bench.machine.pull(bench.cabinet)
    assert bench.cabinet.backups() == [bench.files, now]
    grown = bench.cabinet.bytes_of("packs") - before
    print(f"the drive grew by {grown:,} bytes from {before:,}")
    assert 500_000 < grown < 2_000_000


def test_a_stick_that_is_not_the_practices_is_left_alone_to_its_last_byte(bench: Bench) -> None:
    stranger = Stick.blank(bench.place, "STRANGER")
    subprocess.run(["mkfs.ext4", "-q", "-F", str(stranger.image)], check=True)
    before = stranger.sha256()
    said = bench.practice.notices()

    bench.machine.plug(stranger)
    bench.practice.await_words("an unknown drive was plugged in; it is left alone")

    assert bench.practice.notices() == said
    assert not bench.practice.is_mounted_anywhere("/dev/sd")
    bench.machine.pull(stranger)
    assert stranger.sha256() == before


def test_two_drives_take_turns_and_each_holds_all_that_there_was(bench: Bench) -> None:
    bench.practice.set_clock(days=6)
    now = bench.practice.add_files("second week", 10, 30_000)

    assert bench.practice.plug_and_wait(bench.cabinet, CABINET) == "safe"
    bench.machine.pull(bench.cabinet)

    assert bench.cabinet.backups() == [bench.files, now]
    assert bench.home.backups() == [bench.files]
    bench.practice.set_clock(days=11, hours=10.96)  # a Friday, the rotation day, half a minute before the reminder
    bench.practice.await_notice(CABINET, "rotate")
    (notice,) = (each for each in bench.practice.notices() if each.kind == "rotate")
    assert notice.other == HOME
    assert bench.practice.plug_and_wait(bench.home, HOME) == "safe-take-home"
    bench.machine.pull(bench.home)
    assert bench.home.backups() == [bench.files, now]


def test_a_drive_that_is_plugged_in_while_the_computer_restarts_is_saved_to_afterwards(bench: Bench) -> None:
    assert bench.practice.plug_and_wait(bench.cabinet, CABINET) == "up-to-date"
    bench.machine.shell("systemctl stop kinebackup")  # else it would notice the next day before the restart
    bench.practice.set_clock(days=1)
    bench.machine.shell("hwclock --systohc --utc")  # so that the next day lasts beyond the restart
    now = bench.practice.add_files("second day", 10, 30_000)
    restarted_at = bench.practice.now()

    bench.machine.restart()

    bench.practice.await_daemon()
    assert bench.practice.await_end(CABINET, restarted_at) == "safe"
    bench.machine.pull(bench.cabinet)
    assert bench.cabinet.backups() == [bench.files, now]


def _keeps_the_computer_awake(bench: Bench) -> bool:
    held = bench.machine.shell("systemd-inhibit --list --no-legend --no-pager").out
    return any("KineBackup" in line and "block" in line for line in held.splitlines())
