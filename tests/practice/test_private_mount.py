"""Mounting for one process alone begins with a folder for it.

Owns: a folder that cannot be made. Does not know: mounts; nothing gets that far.
"""

from pathlib import Path

import pytest
from support.jobs.small_practice import make_world
from support.ports import Clock

from kinebackup.errors import KineError
from kinebackup.policy.target_facts import DeviceFacts
from kinebackup.practice.private_mount import mount_privately

DEVICE = DeviceFacts(
    number="8:17",
    node="/dev/absent1",
    disks=("absent",),
    usb=True,
    networked=False,
    removable=False,
    read_only=False,
    size_bytes=1_000,
    filesystem_uuid="6f1c",
    partition_uuid="0a1b",
    label="CABINET",
    serial="57",
    model="WD Elements",
    disk_sequence=17,
)


def test_a_runtime_folder_that_cannot_be_made_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(KineError) as raised:
        mount_privately(DEVICE, tmp_path / "file" / "run", "command", make_world(tmp_path, Clock()))
    assert raised.value.message == f"the folder {tmp_path}/file/run cannot be made (Not a directory)"
    assert raised.value.hint == "check [paths] runtime in the configuration"
