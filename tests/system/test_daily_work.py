"""A day at the practice, and the next one: plug in, wait, unplug."""

import pytest
from bench import CABINET, Bench

pytestmark = [pytest.mark.vm, pytest.mark.root]
pytest_plugins = ["vm_fixtures"]


def test_the_first_plug_in_saves_by_itself_and_ends_with_a_drive_that_may_be_unplugged(bench: Bench) -> None:
    kinds = bench.practice.plug_and_wait(bench.cabinet, CABINET)

    assert kinds == "safe"
    assert not bench.practice.is_mounted_anywhere("/dev/sda")
    bench.machine.pull(bench.cabinet)
    (snapshot,) = bench.cabinet.snapshots()
    restored = bench.cabinet.restored(snapshot)[snapshot]
    database = restored.pop("/home/marie/Patients/agenda.sqlite")
    assert len(database) == 64
    assert restored == bench.files
