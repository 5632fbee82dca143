"""A desktop session without a person: an X server in memory, its session bus, and dunst, which shows notifications.

Owns: those three processes and their configuration; for the desktop's tests and for the pictures of the documents.
Does not know: KineBackup. Needs the programs of Debian's xvfb, dunst, dbus-daemon, xdotool, imagemagick and
fonts-dejavu-core.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PROGRAMS: Final = ("Xvfb", "dunst", "dbus-daemon", "dunstctl", "dbus-send", "busctl", "xdotool", "import", "convert")
_SCREEN: Final = "900x700x24"
_PATIENCE_S: Final = 15.0

_BUS: Final = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <servicedir>{services}</servicedir>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""

# The letters are as large as a desktop shows them on a usual screen. Pressing the middle button of the mouse is
# pressing the notification's button; of several, {menu} chooses.
_DUNST: Final = """[global]
    monitor = 0
    width = 460
    height = 400
    origin = top-right
    offset = 20x20
    padding = 14
    horizontal_padding = 18
    text_icon_padding = 14
    frame_width = 1
    frame_color = "#3d6f8f"
    separator_color = frame
    gap_size = 8
    corner_radius = 0
    font = DejaVu Sans 12
    line_height = 3
    markup = full
    format = "<b>%s</b>\\n%b"
    show_indicators = no
    show_age_threshold = -1
    ignore_newline = no
    stack_duplicates = false
    enable_recursive_icon_lookup = false
    icon_position = off
    dmenu = {menu}
    mouse_left_click = close_current
    mouse_middle_click = do_action
    mouse_right_click = close_all
[urgency_low]
    background = "#f4f6f8"
    foreground = "#22313a"
    timeout = 10
[urgency_normal]
    background = "#ffffff"
    foreground = "#16242c"
    timeout = 10
[urgency_critical]
    background = "#fff1ef"
    foreground = "#7a130a"
    frame_color = "#c0392b"
    timeout = 0
"""


def missing_programs() -> list[str]:
    """Those of the needed programs that are not installed."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


@dataclass(slots=True)
class SessionBus:
    """The bus of a session; every user may enter it, so that a test can be two of them."""

    directory: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"unix:path={self.directory / 'session'}"

    def start(self) -> None:
        """Returns when clients can connect. Programs are started by it that are described in ``services``."""
        (self.directory / "services").mkdir(exist_ok=True)
        configuration = self.directory / "session.conf"
        text = _BUS.format(socket=self.directory / "session", services=self.directory / "services")
        configuration.write_text(text, encoding="utf-8")
        self.process = subprocess.Popen(
            ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile", "--print-address=1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        if not self.process.stdout.readline().startswith(b"unix:path="):
            raise RuntimeError("the session's bus did not start")

    def stop(self) -> None:
        """Every connection ends."""
        if self.process is not None:
            self.process.terminate()
            self.process.communicate()
            self.process = None

    def starts_by_itself(self, name: str, command: str) -> None:
        """From now on, who calls that name starts that program (D-Bus specification, "Message Bus Starting")."""
        text = f"[D-BUS Service]\nName={name}\nExec={command}\n"
        (self.directory / "services" / f"{name}.service").write_text(text, encoding="utf-8")
        call = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ReloadConfig")
        subprocess.run(["busctl", f"--address={self.address}", "call", *call], check=True, capture_output=True)


@contextmanager
def session_bus() -> Iterator[SessionBus]:
    """A bus that runs until the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="kinebackup-desk-"))
    directory.chmod(0o755)
    bus = SessionBus(directory)
    try:
        bus.start()
        yield bus
    finally:
        bus.stop()
        shutil.rmtree(directory)


@dataclass(slots=True)
class HeadlessDesktop:
    """A screen with a session's bus; dunst is there after ``start_dunst``."""

    bus: SessionBus
    display: str
    dunst: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def environment(self) -> dict[str, str]:
        """That of a program of this session."""
        home = str(self.bus.directory)
        return {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "XDG_CONFIG_HOME": home,
            "DISPLAY": self.display,
            "DBUS_SESSION_BUS_ADDRESS": self.bus.address,
            "LC_ALL": "C.UTF-8",
        }

    def dunst_command(self) -> list[str]:
        """What starts dunst here; its configuration is written."""
        menu = self.bus.directory / "menu"
        menu.write_text(f'#!/bin/sh\nexec grep -F "$(cat {self.bus.directory}/choice)"\n', encoding="utf-8")
        menu.chmod(0o755)
        configuration = self.bus.directory / "dunstrc"
        configuration.write_text(_DUNST.format(menu=menu), encoding="utf-8")
        return ["dunst", "-conf", str(configuration)]

    def start_dunst(self) -> None:
        """Returns when it answers."""
        self.dunst = subprocess.Popen(self.dunst_command(), env=self.environment, stderr=subprocess.DEVNULL)
        wait_until(lambda: self.displayed() is not None)

    def stop_dunst(self) -> None:
        """As a server that crashed."""
        if self.dunst is not None:
            self.dunst.kill()
            self.dunst.wait()
            self.dunst = None

    def displayed(self) -> int | None:
        """How many notifications are on the screen; None where dunst does not run, which asking must not start."""
        bus = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", "s")
        there = self._run("busctl", f"--address={self.bus.address}", "call", *bus, "org.freedesktop.Notifications")
        if there.stdout.strip() != b"b true":
            return None
        done = self._run("dunstctl", "count", "displayed")
        return int(done.stdout) if done.returncode == 0 and done.stdout.strip() else None

    def choose(self, label: str) -> None:
        """Of several buttons, that one will be pressed."""
        (self.bus.directory / "choice").write_text(label, encoding="utf-8")

    def click(self, button: int) -> None:
        """Press that button of the mouse (1 left, 2 middle) on the uppermost notification."""
        self._run("xdotool", "mousemove", "700", "50", "click", str(button))

    def picture(self, target: Path) -> None:
        """What is on the screen, cut to the notifications, with few colours: a small file."""
        small = ("-trim", "+repage", "+dither", "-colors", "32", "-strip")
        self._run("import", "-window", "root", *small, f"PNG8:{target}")

    def _run(self, *command: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(command, env=self.environment, capture_output=True, timeout=_PATIENCE_S, check=False)


@contextmanager
def headless_desktop() -> Iterator[HeadlessDesktop]:
    """A desktop until the block ends."""
    with ExitStack() as stack:
        bus = stack.enter_context(session_bus())
        screen = subprocess.Popen(
            ["Xvfb", "-displayfd", "1", "-screen", "0", _SCREEN, "-nolisten", "tcp"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(_end, screen)
        assert screen.stdout is not None
        made = HeadlessDesktop(bus, f":{int(screen.stdout.readline())}")
        stack.callback(made.stop_dunst)
        yield made


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again, for a while. Raises ``TimeoutError``."""
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it did not come to that")
        time.sleep(0.05)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.communicate()
