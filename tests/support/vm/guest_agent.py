"""Runs inside the virtual machine: does what the tests ask for, over a virtio serial port.

Owns: one line of JSON in, one command run, one line of JSON out. Does not know: KineBackup.

Each request is ``{"id": n, "argv": [...], "input": text, "timeout_s": t}``; its answer ``{"id": n, "code": c, "out":
text, "err": text}``; a command that was not done in time has the code -1. The first line says that a
system has started.
"""

import json
import os
import subprocess
import threading
from collections.abc import Callable
from typing import Any

PORT = "/dev/virtio-ports/kinebackup.test"


def main() -> None:
    """Until the machine is switched off."""
    fd = os.open(PORT, os.O_RDWR)
    lock = threading.Lock()

    def say(word: dict[str, object]) -> None:
        data = json.dumps(word).encode() + b"\n"
        with lock:
            while data:
                data = data[os.write(fd, data) :]

    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        say({"started": file.read().strip()})
    rest = b""
    while True:
        data = os.read(fd, 65536)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            threading.Thread(target=obey, args=(json.loads(line), say), daemon=True).start()


def obey(asked: dict[str, Any], say: Callable[[dict[str, object]], None]) -> None:
    """Run one command, and say what came of it."""
    say(answer(asked))


def answer(asked: dict[str, Any]) -> dict[str, object]:
    """Run one command."""
    try:
        done = subprocess.run(
            asked["argv"],
            input=asked["input"],
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=asked["timeout_s"],
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return {"id": asked["id"], "code": -1, "out": text_of(error.stdout), "err": text_of(error.stderr)}
    except OSError as error:
        return {"id": asked["id"], "code": 127, "out": "", "err": str(error)}
    return {"id": asked["id"], "code": done.returncode, "out": done.stdout, "err": done.stderr}


def text_of(data: bytes | None) -> str:
    """What a command had said before its time was up."""
    return (data or b"").decode("utf-8", "replace")


if __name__ == "__main__":
    main()
