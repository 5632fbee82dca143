"""A disk that fails while it is backed up, as a person hears of it.

Owns: words, figures and exit codes. Does not know: which call failed (``tests/engine/backup/test_failing_mount.py``).
"""

import errno
import os
from pathlib import Path

import pytest
from support.cli.computer import Computer
from support.engine.failing_mount import content, failing_mount


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_file_that_cannot_be_read_is_counted_and_comes_back_as_it_was(practice: Computer, tmp_path: Path) -> None:
    with failing_mount(tmp_path, {"a.txt": 20, "m.txt": 20}) as mount:
        if mount is None:
            pytest.skip("no FUSE here")
        practice.configure(sources=(mount.root,))
        practice.enroll("A")
        practice.back_up("A")
        mount.files["m.txt"] = 30
        mount.fail("read", "m.txt", errno.EIO)
        done = practice.run("backup", "--drive", "A")
        assert (done.code, "  1 file is missing, or there as an earlier backup has it" in done.out) == (3, True)
        document = practice.run("backup", "--drive", "A", "--json").json
        assert (document["files_lost"], document["suspicious"]) == (1, False)
        assert [problem["kind"] for problem in document["problems"]] == ["unreadable"]
        listed = practice.run("snapshots", "--json").json["snapshots"]
        assert [snapshot["incomplete"] for snapshot in listed] == [0, 1, 1]
        practice.run("restore", "latest", "--to", tmp_path / "back")
        (back,) = (tmp_path / "back").rglob("m.txt")
        assert back.read_bytes() == content("m.txt", 20)
