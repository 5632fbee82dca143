"""A practice whose jobs run in processes of their own.

Owns: the fixtures. Does not know: what is expected.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.jobs.small_practice import Office, open_office

from kinebackup.i18n import set_language


@pytest.fixture(autouse=True)
def language_stays() -> Iterator[None]:
    """The daemon speaks its configuration's language, in the whole process: the tests after it must not."""
    yield
    set_language("en")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """One drive that udev would know, and the configuration file that the process of a job reads."""
    with open_office(tmp_path) as office:
        enrolled = office.enroll("A")
        office.computer.state.update_drive(replace(enrolled.drive, fs_uuid="1234-ABCD"))
        (tmp_path / "config.toml").write_text(
            f'[practice]\nlanguage = "en"\n[paths]\nstate = "{tmp_path}/state"\ncache = "{tmp_path}/cache"\n'
            f'[[sources]]\npath = "{office.patients}"\n',
            encoding="utf-8",
        )
        yield office
