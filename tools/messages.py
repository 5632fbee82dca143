"""Bring the French catalogue up to date with the code, and compile it (``make messages``).

Owns: extracting, merging and compiling with Babel. Does not know: how to translate; it lists what is missing, and then
exits with 1.

Run it from anywhere after changing a text; then write the missing French in ``kinebackup.po`` and run it again. Dates
are left out of the files, so that running it twice changes nothing.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

PACKAGE = Path(__file__).parent.parent / "kinebackup"
FRENCH = PACKAGE / "locale" / "fr" / "LC_MESSAGES"
FIRST_DAY = datetime(2026, 11, 24, tzinfo=UTC)
KEYWORDS = {"_": None, "ngettext": (1, 2)}
HEADER = """\
# French messages of KineBackup.
# Written by hand; kept in step with the code by tools/messages.py.
#"""


def main() -> int:
    template = Catalog(project="KineBackup", version="1", charset="utf-8")
    for file, _line, message, comments, context in extract_from_dir(PACKAGE, keywords=KEYWORDS):
        template.add(message, None, [(f"kinebackup/{file}", 1)], auto_comments=comments, context=context)
    po = FRENCH / "kinebackup.po"
    with po.open("rb") as source:
        french = read_po(source, locale="fr")
    french.update(template, no_fuzzy_matching=True, update_header_comment=False)
    french.obsolete.clear()
    french.header_comment = HEADER
    french.project, french.version = "KineBackup", "1"
    french.msgid_bugs_address = french.last_translator = french.language_team = ""
    french.creation_date = french.revision_date = FIRST_DAY
    with _replacing(po) as target:
        write_po(target, french, width=0, include_lineno=False, sort_output=True)
    with _replacing(po.with_suffix(".mo")) as target:
        write_mo(target, french)
    missing = [message.id for message in french if message.id and not _is_translated(message.string)]
    for each in missing:
        sys.stdout.write(f"no French for: {each}\n")
    return 1 if missing else 0


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """The file anew, at once: a program that starts meanwhile reads the old one or the new one."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as target:
        yield target
    new.replace(path)


def _is_translated(string: str | list[str] | tuple[str, ...] | None) -> bool:
    return bool(string) if string is None or isinstance(string, str) else all(string)


if __name__ == "__main__":
    sys.exit(main())
