"""The rule that keeps the desktop from mounting the practice's drives by itself.

Owns: one file among udev's rules, and telling udev of it. Does not know: which drives are enrolled.

``UDISKS_AUTO`` keeps a drive visible in the file manager, where a person can still open it; ``UDISKS_IGNORE`` would
hide it. The file sorts behind the rules that find out a filesystem's identifier (60-persistent-storage.rules).
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from kinebackup.drives.filesystem_state import PROGRAMS
from kinebackup.errors import KineError
from kinebackup.i18n import _

RULES_DIRECTORY: Final = Path("/etc/udev/rules.d")
RULE_FILE: Final = "90-kinebackup.rules"

# An identifier is read from the drive, which may be a hostile one: in a rule, quotes, commas, line ends and the signs
# of patterns mean something.
_IDENTIFIER: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{3,63}")
_HEAD: Final = (
    "# Written by KineBackup: the desktop does not mount these drives by itself; the file manager still shows them.\n"
    "# One line for each enrolled drive. Changed by: kinebackup drive enroll, kinebackup drive forget\n"
)
_UDEVADM_WITHIN_S: Final = 30.0


def rule_text(filesystem_uuids: Sequence[str]) -> str:
    """The file's text; empty where there is no drive. What is no identifier is left out."""
    lines = [
        f'SUBSYSTEM=="block", ENV{{ID_FS_UUID}}=="{uuid}", ENV{{UDISKS_AUTO}}="0"\n'
        for uuid in sorted(set(filesystem_uuids))
        if _IDENTIFIER.fullmatch(uuid)
    ]
    return _HEAD + "".join(lines) if lines else ""


class UdevRule:
    """The file in ``directory``; with ``is_live``, udev is told of its changes."""

    def __init__(self, directory: Path = RULES_DIRECTORY, *, is_live: bool = True) -> None:
        self._directory = directory
        self._is_live = is_live

    def write(self, filesystem_uuids: Sequence[str]) -> bool:
        """Write the rule for these drives and apply it to what is plugged in; False where nothing changed.

        Raises ``KineError`` where it cannot be written. udev itself may be missing or slow: then the rule is in force
        from the next start on.
        """
        text = rule_text(filesystem_uuids)
        path = self._directory / RULE_FILE
        before = _read(path)
        if before == text:
            return False
        try:
            if text:
                _replace(path, text)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise KineError(
                _("the rule for the desktop cannot be written ({reason})").format(reason=error.strerror),
                _("the desktop may open the drive by itself; KineBackup closes it again when it needs it"),
            ) from error
        if self._is_live:
            _apply(_changed(before, text))
        return True


def look_again(node: str) -> None:
    """Have udev probe a device that was changed while it was locked, and wait for it, half a minute at most."""
    _udevadm("trigger", "--action=change", f"--name-match={node}")
    _udevadm("settle", f"--timeout={_UDEVADM_WITHIN_S - 5:.0f}")


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _replace(path: Path, text: str) -> None:
    """Whole or not at all, and readable by everyone, as all rules are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")  # udev reads only what ends in .rules
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with open(fd, "w", encoding="ascii") as file:
        os.fchmod(fd, 0o644)
        file.write(text)
        file.flush()
        os.fsync(fd)
    temporary.replace(path)


def _changed(before: str, after: str) -> list[str]:
    """The identifiers whose line was added or removed."""
    lines = set(before.split("\n")) ^ set(after.split("\n"))
    found = (re.search(r'ID_FS_UUID}=="([0-9A-Za-z-]+)"', line) for line in lines)
    return sorted(match[1] for match in found if match is not None)


def _apply(uuids: Sequence[str]) -> None:
    _udevadm("control", "--reload")
    for uuid in uuids:
        _udevadm("trigger", "--subsystem-match=block", "--action=change", f"--property-match=ID_FS_UUID={uuid}")


def _udevadm(*arguments: str) -> None:
    program = shutil.which("udevadm", path=PROGRAMS)
    if program is None or not os.path.isdir("/run/udev"):
        return
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(  # noqa: S603 - a fixed program; identifiers are letters, digits and hyphens
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_UDEVADM_WITHIN_S,
            check=False,
        )
