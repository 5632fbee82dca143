"""Two conversations in lines of JSON with a virtual machine: with QEMU (QMP), and with the agent inside.

Owns: the sockets, and waiting for an answer no longer than agreed. Does not know: what is asked, or why.
"""

import itertools
import json
import socket
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CONNECT_S = 20.0


class MachineGoneError(Exception):
    """The other side closed the connection: QEMU ended."""


class LineSocket:
    """A Unix socket that carries one JSON document a line."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + _CONNECT_S
        while True:
            try:
                self._socket.connect(str(path))
                break
            except OSError:  # QEMU has not made it yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self._rest = b""
        self._lines: deque[bytes] = deque()

    def send(self, document: object) -> None:
        """Raises ``MachineGoneError``."""
        self._socket.settimeout(_CONNECT_S)
        try:
            self._socket.sendall(json.dumps(document).encode() + b"\n")
        except OSError as error:
            raise MachineGoneError from error

    def receive(self, deadline: float) -> Any:
        """The next document. Raises ``TimeoutError`` at ``deadline`` (monotonic), ``MachineGoneError``."""
        while not self._lines:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer from the virtual machine")
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65536)
            except ConnectionError as error:
                raise MachineGoneError from error
            if not data:
                raise MachineGoneError
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._lines.extend(line for line in lines if line.strip())
        return json.loads(self._lines.popleft())

    def close(self) -> None:
        """End the conversation."""
        self._socket.close()


class RefusedByQemuError(Exception):
    """QEMU answered with an error."""


class Qmp:
    """QEMU's own monitor (docs/interop/qmp-spec of QEMU)."""

    def __init__(self, path: Path) -> None:
        self._lines = LineSocket(path)
        self._events: list[dict[str, Any]] = []
        self._lines.receive(time.monotonic() + _CONNECT_S)  # the greeting
        self.ask("qmp_capabilities")

    def ask(self, command: str, arguments: dict[str, Any] | None = None, *, timeout_s: float = 30) -> Any:
        """Raises ``RefusedByQemuError``."""
        self._lines.send({"execute": command, "arguments": arguments or {}})
        deadline = time.monotonic() + timeout_s
        while True:
            word = self._lines.receive(deadline)
            if "event" in word:
                self._events.append(word)
            elif "error" in word:
                raise RefusedByQemuError(f"{command}: {word['error']['desc']}")
            else:
                return word["return"]

    def await_event(self, name: str, device: str, *, timeout_s: float = 30) -> None:
        """Until that device's event of that name has come, or had come already."""
        deadline = time.monotonic() + timeout_s
        while True:
            for event in self._events:
                if event["event"] == name and event.get("data", {}).get("device") == device:
                    self._events.remove(event)
                    return
            word = self._lines.receive(deadline)
            if "event" in word:
                self._events.append(word)

    def close(self) -> None:
        """End the conversation."""
        self._lines.close()


@dataclass(frozen=True, slots=True)
class GuestResult:
    """What came of a command in the guest. ``code`` -1: it was not done in time."""

    code: int
    out: str
    err: str


class GuestFailedError(AssertionError):
    """A command that had to succeed did not."""


class Guest:
    """Commands inside the machine, by guest_agent.py."""

    def __init__(self, path: Path) -> None:
        self._lines = LineSocket(path)
        self._numbers = itertools.count(1)
        self.boot = ""

    def await_start(self, timeout_s: float) -> None:
        """Until a system has started that is another one than before."""
        deadline = time.monotonic() + timeout_s
        before = self.boot
        while self.boot == before:
            self.boot = self._lines.receive(deadline).get("started", self.boot)

    def run(self, argv: list[str], given: str = "", *, timeout_s: float = 60, check: bool = True) -> GuestResult:
        """Raises ``GuestFailedError`` where ``check`` and the command does not succeed."""
        number = next(self._numbers)
        self._lines.send({"id": number, "argv": argv, "input": given, "timeout_s": timeout_s})
        deadline = time.monotonic() + timeout_s + 20
        while (word := self._lines.receive(deadline)).get("id") != number:
            pass  # the late answer to a question of before
        done = GuestResult(word["code"], word["out"], word["err"])
        if check and done.code:
            shown = " ".join(argv) if argv[0] != "bash" else argv[-1]
            raise GuestFailedError(f"{shown}\nended with {done.code}\n{done.out[-4000:]}\n{done.err[-4000:]}")
        return done

    def close(self) -> None:
        """End the conversation."""
        self._lines.close()
