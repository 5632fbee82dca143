"""Mounting for one process alone begins with a folder for it.

Owns: a folder that cannot be made. Does not know: mounts; nothing gets that far.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from support.jobs.small_practice import make_world
from support.policy.target_facts import USB
from support.ports import Clock

from kinebackup.errors import KineError
from kinebackup.practice.private_mount import mount_privately

DEVICE = replace(USB, node="/dev/absent1", disks=("absent",))


def test_a_runtime_folder_that_cannot_be_made_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(KineError) as raised:
        mount_privately(DEVICE, tmp_path / "file" / "run", "command", make_world(tmp_path, Clock()))
    assert raised.value.message == f"the folder {tmp_path}/file/run cannot be made (Not a directory)"
    assert raised.value.hint == "check [paths] runtime in the configuration"
