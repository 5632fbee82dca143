"""A daemon that runs for weeks: stopped and started in the midst of work, its neighbours restarted, idle."""

import pytest
from support.vm.bench import CABINET, HOME, Bench
from support.vm.machine import Plug

pytestmark = [pytest.mark.vm, pytest.mark.root]
pytest_plugins = ["support.vm.vm_fixtures"]

_PROPERTY = "systemctl show --property={} --value kinebackup"


def test_stopping_the_daemon_in_the_midst_of_a_backup_takes_five_seconds_and_the_next_start_goes_on(
    bench: Bench,
) -> None:
    practice, shell = bench.practice, bench.machine.shell
    now, pid = _in_the_midst_of_a_backup(bench)

    took_ms = int(
        shell(
            f"began=$(date +%s%3N); kill -TERM {pid};"
            f"while [ -d /proc/{pid} ]; do sleep 0.1; done; echo $(($(date +%s%3N) - began))"
        ).out
    )
    print(f"the daemon ended {took_ms} ms after SIGTERM")

    # Five seconds on a computer; here the processor is emulated, and Python alone takes one to end.
    assert took_ms < 6000
    assert shell(_PROPERTY.format("Result")).out.strip() == "success"
    assert not practice.is_mounted_anywhere("/dev/sda")

    bench.machine.hasten(bench.cabinet)
    since = practice.now()
    shell("systemctl start kinebackup", timeout_s=120)
    assert practice.await_end(CABINET, since) == "safe"
    bench.machine.pull(bench.cabinet)
    assert bench.cabinet.backups() == [bench.files, now]
    assert bench.cabinet.left_in_tmp() == []


def test_a_daemon_that_is_killed_in_the_midst_of_a_backup_leaves_nothing_behind_and_the_next_start_goes_on(
    bench: Bench,
) -> None:
    practice, shell = bench.practice, bench.machine.shell
    now, pid = _in_the_midst_of_a_backup(bench)

    shell(f"kill -KILL {pid}")
    bench.machine.hasten(bench.cabinet)
    # systemd lets it start again after a while; nobody has to wait for that.
    shell(f"until [ $({_PROPERTY.format('SubState')}) = auto-restart ]; do sleep 0.2; done")
    assert not practice.is_mounted_anywhere("/dev/sda")

    since = practice.now()
    shell("systemctl start kinebackup", timeout_s=120)
    assert practice.await_end(CABINET, since) == "safe"
    bench.machine.pull(bench.cabinet)
    assert bench.cabinet.backups() == [bench.files, now]
    assert bench.cabinet.left_in_tmp() == []


def test_a_computer_that_falls_asleep_in_the_midst_of_a_backup_unmounts_the_drive_before_and_goes_on_after(
    bench: Bench,
) -> None:
    practice, machine = bench.practice, bench.machine
    practice.set_clock(days=1)
    now, since = practice.add_files("second day", 60, 300_000), practice.now()
    machine.plug(bench.cabinet, Plug(bytes_per_s=1_000_000))
    practice.await_phase(CABINET, "backing up")
    said_before = _said(bench)

    try:
        machine.sleep_and_wake()
        machine.hasten(bench.cabinet)
        kinds = practice.await_end(CABINET, since)
    except (AssertionError, TimeoutError):
        machine.cut_power()  # what does not wake up is of no use to the next scenario
        raise

    assert kinds == "safe"
    said = _said(bench).removeprefix(said_before)
    assert said.index("drive CABINET: stopping") < said.index("drive CABINET: unmounting") < said.index("suspend entry")
    machine.pull(bench.cabinet)
    assert bench.cabinet.backups() == [bench.files, now]
    assert bench.cabinet.left_in_tmp() == []


def test_the_daemon_survives_new_starts_of_udev_of_the_bus_and_of_udisks(bench: Bench) -> None:
    practice, shell = bench.practice, bench.machine.shell
    pid = shell(_PROPERTY.format("MainPID")).out
    practice.set_clock(days=1)

    shell("systemctl restart systemd-udevd")
    assert practice.plug_and_wait(bench.cabinet, CABINET) == "safe"
    bench.machine.pull(bench.cabinet)

    shell("systemctl restart udisks2")
    assert practice.plug_and_wait(bench.home, HOME) == "safe-take-home"
    bench.machine.pull(bench.home)

    shell("systemctl restart dbus", timeout_s=120)
    shell("until busctl status org.kinebackup.Daemon1 > /dev/null 2>&1; do sleep 0.5; done")
    practice.set_clock(days=2)
    assert practice.plug_and_wait(bench.cabinet, CABINET) == "safe"
    bench.machine.pull(bench.cabinet)

    assert shell(_PROPERTY.format("MainPID")).out == pid
    assert bench.cabinet.backups() == [bench.files] * 3
    assert bench.home.backups() == [bench.files] * 2


def test_an_idle_daemon_is_small_and_sleeps(bench: Bench) -> None:
    practice, shell = bench.practice, bench.machine.shell
    practice.set_clock(days=1)
    practice.plug_and_wait(bench.cabinet, CABINET)
    bench.machine.pull(bench.cabinet)
    pid = shell(_PROPERTY.format("MainPID")).out.strip()
    shell("sleep 5")  # what follows a pull is done

    resident_kib = int(shell(f"awk '/^VmRSS/ {{print $2}}' /proc/{pid}/status").out)
    count = f"awk '/ctxt_switches/ {{n += $2}} END {{print n}}' /proc/{pid}/task/*/status"
    before, after = shell(f"{count}; sleep 20; {count}").out.split()
    children = shell(f"cat /proc/{pid}/task/*/children").out.split()

    print(f"resident: {resident_kib / 1024:.1f} MiB; woken up {int(after) - int(before)} times within 20 s")
    assert resident_kib < 45_000_000 / 1024
    assert int(after) - int(before) == 0
    assert children == []


def _said(bench: Bench) -> str:
    """By the kernel and all services."""
    return bench.machine.run("journalctl", "--boot", "--output=cat", "--no-pager").out


def _in_the_midst_of_a_backup(bench: Bench) -> tuple[dict[str, str], str]:
    """To a slow stick, the next day; what there is to save by now, and the daemon's process."""
    bench.practice.set_clock(days=1)
    now = bench.practice.add_files("second day", 60, 300_000)
    bench.machine.plug(bench.cabinet, Plug(bytes_per_s=400_000))
    bench.practice.await_phase(CABINET, "backing up")
    bench.machine.shell("until [ $(awk '{print $7}' /sys/block/sda/stat) -gt 4000 ]; do sleep 0.2; done")
    return now, bench.machine.shell(_PROPERTY.format("MainPID")).out.strip()
