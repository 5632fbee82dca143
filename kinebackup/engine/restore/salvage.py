"""A damaged file comes back as far as it is sound.

Owns: the two files that stand for it, their names, and the list of its holes. Does not know: which of its blobs can be
laid out (sound_parts.py), or when files get their names (publisher.py).
"""

import os
from collections.abc import Callable
from typing import Final

from kinebackup.engine.format.tree import Entry
from kinebackup.engine.restore.attributes import Refused
from kinebackup.engine.restore.entry_writer import EntryWriter, refused_by_destination, stops_restore
from kinebackup.engine.restore.names import temporary_name
from kinebackup.engine.restore.publisher import Publisher, Target, Written
from kinebackup.errors import Damaged
from kinebackup.model import Problem, Salvaged

DAMAGED: Final = ".damaged"  # the sound parts of a file, zeros elsewhere
HOLES: Final = ".damaged.txt"  # its holes: an offset and a length on each line


def salvage(
    writer: EntryWriter,
    directory: int,
    target: Target,
    entry: Entry,
    path: str,
    publisher: Publisher,
    report: Callable[[Problem], None],
    refused: Callable[[Refused], None],
) -> list[Salvaged]:
    """What was salvaged of a file, or nothing. ``target``: what it would be called itself, in the open directory.
    ``refused`` hears of attributes that could not be set.

    Raises ``OSError`` where the destination takes no more.
    """
    parts, listing = (
        Written(beside, temporary_name(os.getpid()), entry, path, entry.size, sound=False)
        for beside in (Target(target.folder, target.name + suffix, replaces=False) for suffix in (DAMAGED, HOLES))
    )
    try:
        holes = writer.write_sound_parts(directory, parts.temporary, entry, refused)
        writer.write_text(directory, listing.temporary, "".join(f"{offset} {length}\n" for offset, length in holes))
    except Damaged:  # the entry itself is impossible: there is nothing to be had of it
        return []
    except OSError as error:
        if stops_restore(error):
            raise
        report(refused_by_destination(path, error))
        return []
    publisher.add(parts)
    publisher.add(listing)
    return [Salvaged(f"/{path}", tuple(holes))]
