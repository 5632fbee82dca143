"""Drives that are pulled out too early, and power that fails: nothing is lost that was saved, the next time goes on."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from support.vm.bench import CABINET, Bench
from support.vm.guest_practice import GuestPractice
from support.vm.machine import Plug
from support.vm.practice_files import FOLDER

pytestmark = [pytest.mark.vm, pytest.mark.root]
pytest_plugins = ["support.vm.vm_fixtures"]

_SLOW = Plug(bytes_per_s=1_500_000)
_NEW_FILES, _NEW_BYTES_EACH = 60, 300_000  # 18 MB, of which half can be compressed


@dataclass(frozen=True, slots=True)
class Moment:
    """When something goes wrong."""

    name: str
    reached: Callable[[GuestPractice], bool]


def _in(*phases: str) -> Callable[[GuestPractice], bool]:
    return lambda practice: practice.phase(CABINET) in phases


def _written(size_bytes: int) -> Callable[[GuestPractice], bool]:
    return lambda practice: practice.bytes_written("sda") >= size_bytes


_MOMENTS = (
    Moment("while it is opened", _in("authenticating")),
    Moment("as the backup begins", _in("backing up")),
    Moment("after 1 MB", _written(1_000_000)),
    Moment("after 4 MB", _written(4_000_000)),
    Moment("after 7 MB", _written(7_000_000)),
    Moment("while what was written is read", _in("verifying")),
)


def test_a_drive_that_is_pulled_out_at_any_moment_loses_nothing_and_the_next_plug_in_goes_on(bench: Bench) -> None:
    now = _a_day_of_work(bench)

    for moment in _MOMENTS:
        bench.machine.plug(bench.cabinet, _SLOW)
        _await_moment(bench.practice, moment)
        bench.machine.pull(bench.cabinet)
        bench.practice.await_notice(CABINET, "pulled")
        bench.practice.await_phase(CABINET, "absent")
        backups = bench.cabinet.backups()
        print(f"pulled {moment.name}: the drive holds {len(backups)} backups")
        assert backups in ([bench.files], [bench.files, now])

    # The last time the backup itself was done, but not read back: that is all that is done now.
    assert bench.practice.plug_and_wait(bench.cabinet, CABINET) == "safe"
    assert "verify-written ended: good" in bench.practice.journal()
    bench.machine.pull(bench.cabinet)
    assert bench.cabinet.backups() == [bench.files, now]
    assert bench.cabinet.left_in_tmp() == []


def test_a_power_cut_in_the_midst_of_a_backup_costs_nothing_that_was_saved(bench: Bench) -> None:
    now = _a_day_of_work(bench)
    bench.machine.shell("sync")
    bench.machine.plug(bench.cabinet, _SLOW)
    _await_moment(bench.practice, Moment("after 4 MB", _written(4_000_000)))

    bench.machine.cut_power()

    assert bench.cabinet.backups() == [bench.files]
    bench.machine.switch_on()
    bench.practice.await_daemon()
    bench.practice.set_clock(days=1)
    assert bench.practice.plug_and_wait(bench.cabinet, CABINET) == "safe"
    bench.machine.pull(bench.cabinet)
    assert bench.cabinet.backups() == [bench.files, now]


def test_a_power_cut_while_old_backups_are_removed_costs_no_other(bench: Bench) -> None:
    bench.practice.configure("[retention]", "keep_last = 1", "daily = 0", "weekly = 0", "monthly = 0", "yearly = 0")
    bench.machine.shell(f"find {FOLDER} -name '*[1357].odt' -delete")
    bench.practice.set_clock(days=8)  # old backups are removed once a week
    now = bench.practice.add_files("second week", 5, 30_000)
    bench.machine.shell("sync")
    bench.machine.plug(bench.cabinet, _SLOW)
    _await_moment(bench.practice, Moment("while old backups are removed", _in("pruning")))
    before = bench.practice.bytes_written("sda")
    _await_moment(bench.practice, Moment("after 1 MB of it", _written(before + 1_000_000)))
    assert bench.practice.phase(CABINET) == "pruning"

    bench.machine.cut_power()

    left = bench.cabinet.backups()
    print(f"the drive holds {len(left)} backups after the power cut")
    assert left[-1] == now
    assert left[:-1] in ([], [bench.files])
    bench.machine.switch_on()
    bench.practice.await_daemon()
    bench.practice.set_clock(days=9)
    assert bench.practice.plug_and_wait(bench.cabinet, CABINET) == "safe"
    bench.machine.pull(bench.cabinet)
    assert bench.cabinet.backups() == [now]


def _a_day_of_work(bench: Bench) -> dict[str, str]:
    bench.practice.set_clock(days=1)
    return bench.practice.add_files("second day", _NEW_FILES, _NEW_BYTES_EACH)


def _await_moment(practice: GuestPractice, moment: Moment) -> None:
    deadline = time.monotonic() + 120
    while not moment.reached(practice):
        assert time.monotonic() < deadline, f"never: {moment.name}"
