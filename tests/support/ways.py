"""The folders on the way to a source: another program may change one of them, as /tmp, between two backups.

Owns: noticing that. Does not know: backups. Each backup lists these folders; where one was changed, two drives have
different lists of it, and neither can give the other its own.
"""

from pathlib import Path


def ways_to(place: Path) -> list[int]:
    """When each folder above it was last changed, in nanoseconds."""
    return [way.stat().st_mtime_ns for way in place.parents]
