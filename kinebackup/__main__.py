"""``python -m kinebackup``, where no console script was installed.

Owns: nothing. Does not know: anything.
"""

from kinebackup.cli.main import entry

entry()
