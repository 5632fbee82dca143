"""Where the project's own files are.

Owns: the paths. Does not know: what is in them.
"""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
TESTS: Final = ROOT / "tests"
PACKAGE: Final = ROOT / "kinebackup"
SYSTEMD: Final = ROOT / "systemd"
DOCS: Final = ROOT / "docs"
RECOVER: Final = PACKAGE / "recover" / "recover.py"
FORMAT: Final = DOCS / "FORMAT.md"
VECTORS: Final = TESTS / "vectors"
COMPAT: Final = TESTS / "compat"
