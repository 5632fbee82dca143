"""recover.py as a stranger runs it, on a drive that the product wrote.

Owns: running it with the passphrase. Does not know: what comes back.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support.engine.drives import Drive
from support.project import RECOVER

WORDS = "exemple de phrase pour les essais"


@dataclass(frozen=True, slots=True)
class Recovered:
    """``code``: 0 where all is back, 3 where something is not."""

    code: int
    err: str


def recovered(drive: Drive, into: Path, *options: str) -> Recovered:
    """What it restores of the newest backup, below ``into``."""
    secret = into.with_name(f"{into.name}.secret")
    secret.write_text(f"{WORDS}\n", encoding="utf-8")
    words = [sys.executable, "-I", str(RECOVER), str(drive.root.parent), "--passphrase-file", str(secret)]
    done = subprocess.run([*words, "--to", str(into), *options], capture_output=True, timeout=120, check=False)
    err = done.stderr.decode()
    assert "Traceback" not in err, err
    return Recovered(done.returncode, err)
