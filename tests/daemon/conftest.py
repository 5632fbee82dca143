"""A practice whose jobs run in processes of their own.

Owns: the fixture. Does not know: what is expected.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from support.jobs.small_practice import Office, open_office


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """One drive that udev would know, and the configuration file that the process of a job reads."""
    office = open_office(tmp_path)
    enrolled = office.enroll("A")
    office.computer.state.update_drive(replace(enrolled.drive, fs_uuid="1234-ABCD"))
    (tmp_path / "config.toml").write_text(
        f'[practice]\nlanguage = "en"\n[paths]\nstate = "{tmp_path}/state"\ncache = "{tmp_path}/cache"\n'
        f'[[sources]]\npath = "{office.patients}"\n',
        encoding="utf-8",
    )
    return office
