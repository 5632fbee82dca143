"""One command of ``kinebackup``, and the most memory that its process had: ``peak_memory.py ARGUMENT…``.

Owns: the figure, in KiB, as the last line on stderr. Does not know: what is too much.

The process says it itself: what its parent could ask for counts the parent's own memory, too.
"""

import re
import sys
from pathlib import Path

from kinebackup.cli.main import entry

try:
    entry()
finally:
    sys.stdout.flush()
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), flags=re.MULTILINE)
    sys.stderr.write(f"{peak}\n")
