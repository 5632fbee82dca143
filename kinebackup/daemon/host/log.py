"""The daemon's log: standard error, which systemd keeps.

Owns: the format that sd-daemon(3) wants. Does not know: what is logged.
"""

import logging
import sys

_PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}


class _PriorityFormatter(logging.Formatter):
    """Each line begins with its priority, as sd-daemon(3) describes; systemd adds the time."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return "\n".join(f"<{_PRIORITIES.get(record.levelno, 6)}>{line}" for line in text.splitlines())


def log_to_systemd() -> None:
    """Send the log to standard error, with priorities."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PriorityFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
