"""What the process of a job needs, as the daemon gives it: a command and its environment.

Owns: these. Does not know: what a job does.
"""

import os
import sys

from support.jobs.small_practice import Office
from support.measuring import measuring

from kinebackup.model import Progress


def command(office: Office) -> list[str]:
    return [sys.executable, "-m", "kinebackup", "--config", str(office.place / "config.toml"), "daemon", "--one-job"]


def environ() -> dict[str, str]:
    own = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "PYTHONPATH": os.pathsep.join(sys.path)}
    return own | measuring()


def folder(office: Office) -> str:
    return str(office.place / "drives" / "A")


def drive_id(office: Office) -> str:
    return office.computer.state.drive("A").repository


def ignore(_progress: Progress) -> None:
    pass
