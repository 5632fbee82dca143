"""KineBackup on the virtual machine: set up, asked how it is, put back to how it was.

Owns: what is typed there, and waiting until the daemon says something. Does not know: what is expected in a test.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from support.vm.control_channel import GuestResult
from support.vm.machine import HEALTHY, Machine, Plug
from support.vm.practice_files import FOLDER, PASSPHRASE
from support.vm.stick import Stick

_FILES: Final = Path(__file__).with_name("practice_files.py")
_BUS: Final = "org.kinebackup.Daemon1 /org/kinebackup/Daemon1 org.kinebackup.Daemon1"
_FIRST_DAY: Final = datetime(2030, 3, 4, 12, tzinfo=UTC)
"""A Monday. In the future: systemd sets no clock to a time before it was built."""
_POLL_S: Final = 0.4
LAST_WORDS: Final = frozenset(
    {
        *("safe", "safe-take-home", "safe-not-saved", "up-to-date", "ready"),
        *("not-mounted", "busy", "still-busy", "impostor", "refused"),
    }
)
"""One of these is said at the end of each visit of a drive."""
WAIT_S: Final = 240.0
"""Long: the processor is emulated, and others may be at work on this computer."""

_CONFIG: Final = f"""\
[practice]
name = "Cabinet de démonstration"
language = "fr"
[[sources]]
path = "{FOLDER}"
[hours]
working_days = ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"]
opens = "00:00"
closes = "23:59"
reminder = "23:58"
"""


@dataclass(frozen=True, slots=True)
class Notice:
    """As it stands on the bus."""

    kind: str
    drive: str
    other: str
    days: int
    program: str
    count: int
    since: int


class GuestPractice:
    """The practice's computer with KineBackup on it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._cursor = ""

    # --- setting up ---------------------------------------------------------------------------------------------------

    def set_up(self, files: int, bytes_each: int, rows: int) -> None:
        """Invented files, the configuration and the practice's keys."""
        self.machine.run("sh", "-c", "cat > /usr/local/lib/practice_files.py", given=_FILES.read_text("utf-8"))
        self.set_clock(days=0, hours=-4)  # so that what is said then is not taken for what is said in a test
        self._write_config()
        self.machine.run("sh", "-c", "umask 077; cat > /root/passphrase", given=PASSPHRASE + "\n")
        self.add_files("first", files, bytes_each, rows)
        self.kinebackup("init", "--passphrase-file", "/root/passphrase", "--recovery-code-file", "/root/code")

    def add_files(self, seed: str, files: int, bytes_each: int, rows: int = 0) -> dict[str, str]:
        """More of them; the SHA-256 of all, by path."""
        argv = ["python3", "/usr/local/lib/practice_files.py", seed, str(files), str(bytes_each), str(rows)]
        sums: dict[str, str] = json.loads(self.machine.run(*argv, timeout_s=180).out)
        print(f"the practice has {len(sums)} files and a database")
        return sums

    def kinebackup(self, *arguments: str, check: bool = True) -> GuestResult:
        """The command line, as root."""
        return self.machine.run("kinebackup", *arguments, timeout_s=300, check=check)

    def keep(self, name: str) -> None:
        """Remember all of it under this name, to come back to."""
        self.machine.shell(
            f"systemctl stop kinebackup; mkdir /root/{name};"
            f"cp -a /var/lib/kinebackup /root/{name}/state; cp -a {FOLDER} /root/{name}/patients; sync"
        )

    def go_back(self, name: str) -> None:
        """To what was kept; the daemon starts anew."""
        self.machine.pull_all()
        self.machine.shell(
            "systemctl stop kinebackup; systemctl reset-failed;"
            f"rm -rf /var/lib/kinebackup /var/cache/kinebackup {FOLDER};"
            f"cp -a /root/{name}/state /var/lib/kinebackup; cp -a /root/{name}/patients {FOLDER}"
        )
        self._write_config()
        self.set_clock(days=0)
        self.machine.shell("systemctl start kinebackup", timeout_s=120)

    def _write_config(self) -> None:
        self.machine.run("sh", "-c", "umask 077; cat > /etc/kinebackup/config.toml", given=_CONFIG)

    def await_daemon(self) -> None:
        """After the computer has started: until the daemon has, which is Type=notify."""
        self.machine.shell("systemctl start kinebackup", timeout_s=120)

    def configure(self, *lines: str) -> None:
        """Add to the configuration, and have the daemon read it."""
        self.machine.run("sh", "-c", "cat >> /etc/kinebackup/config.toml", given="\n".join(lines) + "\n")
        self.machine.shell("systemctl reload kinebackup")

    def set_clock(self, *, days: int, hours: float = 0) -> None:
        """So many days after the first day, at noon (UTC), and so many hours."""
        self.machine.clock = _FIRST_DAY + timedelta(days=days, hours=hours)
        self.machine.run("date", "--set", f"@{int(self.machine.clock.timestamp())}")

    # --- asking -------------------------------------------------------------------------------------------------------

    def call(self, method: str, *arguments: str) -> Any:
        """One method of the daemon, as root."""
        done = self.machine.shell(f"busctl call --json=short {_BUS} {method} {' '.join(arguments)}")
        return json.loads(done.out)["data"] if done.out.strip() else []

    def notices(self) -> list[Notice]:
        """What is to be shown to the person now."""
        (found,) = self.call("Notices")
        return [Notice(*each) for each in found]

    def kinds(self, drive: str) -> set[str]:
        """Of the notices about one drive."""
        return {notice.kind for notice in self.notices() if notice.drive == drive}

    def phase(self, drive: str) -> str:
        """Where the drive stands."""
        (found,) = self.call("Drives")
        return next((str(each[1]) for each in found if each[0] == drive), "unknown")

    def bytes_written(self, disk: str) -> int:
        """Bytes that a disk has taken since it was plugged in."""
        done = self.machine.shell(f"awk '{{print $7}}' /sys/block/{disk}/stat", check=False)
        return int(done.out or 0) * 512

    def journal(self) -> str:
        """What the daemon has said since it started."""
        run = "$(systemctl show --property=InvocationID --value kinebackup)"
        return self.machine.shell(f"journalctl --output=cat _SYSTEMD_INVOCATION_ID={run}").out

    def await_phase(self, drive: str, *phases: str, timeout_s: float = WAIT_S) -> str:
        """Until the drive is in one of these phases."""
        return self._await(
            lambda: found if (found := self.phase(drive)) in phases else "", f"{drive}: {phases}", timeout_s
        )

    def await_notice(self, drive: str, *kinds: str, timeout_s: float = WAIT_S) -> str:
        """Until one of these stands."""
        return self._await(lambda: next(iter(self.kinds(drive) & set(kinds)), ""), f"{drive}: {kinds}", timeout_s)

    def await_words(self, words: str, *, timeout_s: float = WAIT_S) -> str:
        """Until the daemon has logged them since it started."""
        return self._await(lambda: words if words in self.journal() else "", words, timeout_s)

    def _await(self, look: Callable[[], str], wanted: str, timeout_s: float) -> str:
        deadline = time.monotonic() + timeout_s
        while not (found := look()):
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"not within {timeout_s:.0f} s: {wanted}\n{self.notices()}\n{self.journal()[-6000:]}"
                )
            time.sleep(_POLL_S)
        return found

    # --- doing --------------------------------------------------------------------------------------------------------

    def plug_and_wait(self, stick: Stick, label: str, how: Plug = HEALTHY) -> str:
        """Plug it in, let the daemon work, and answer with the notice that says how it ended."""
        plugged_at = self.now() + 1
        time.sleep(1)  # notices are dated to the second: one from before must not be taken for one from now
        self.machine.plug(stick, how)
        return self.await_end(label, plugged_at)

    def await_end(self, label: str, since: float) -> str:
        """Until the drive's visit is over that began then (Unix time inside); the notices that stand then, sorted."""

        def look() -> str:
            return next(
                (n.kind for n in self.notices() if n.kind in LAST_WORDS and n.drive == label and n.since >= since), ""
            )

        began = time.monotonic()
        self._await(look, f"the end of a visit of {label}", WAIT_S)
        kinds = ",".join(sorted(self.kinds(label)))
        print(f"{label}: {kinds}, after {time.monotonic() - began:.0f} s")
        return kinds

    def is_mounted_anywhere(self, node: str) -> bool:
        """In the namespace of any process."""
        found = self.machine.shell(f"grep -l '^{node}[^ ]* ' /proc/[0-9]*/mounts 2>/dev/null | head -3; true").out
        return bool(found.strip())

    def now(self) -> int:
        """By the clock inside, Unix time."""
        return int(self.machine.run("date", "+%s").out)

    def enroll(self, stick: Stick, place: str) -> None:
        """The stick that has just been plugged in, as bought, becomes one of the practice's.

        Its label is its serial number.
        """
        self.machine.shell("udevadm settle; until [ -b /dev/sda ]; do sleep 0.2; done")
        erase = ("--format", "--yes-erase", "QEMU QEMU HARDDISK")
        self.kinebackup("drive", "enroll", "/dev/sda", *erase, "--label", stick.serial, "--place", place)
        print(f"{stick.serial} is enrolled")
