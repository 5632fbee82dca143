"""docs/FORMAT.md's tables against the structs that are written: a member without a row, or a row without one, fails.

Owns: the names. Does not know: what they mean, which the vectors show.
"""

import re
from collections.abc import Iterable

import pytest
from support.project import ROOT

from kinebackup.engine.format.header import WrittenHeader
from kinebackup.engine.format.keyring import Slot
from kinebackup.engine.format.removal import Removal, RemovedSnapshot
from kinebackup.engine.format.snapshot import Counts, SavedProblem, Snapshot
from kinebackup.engine.format.tree import Copied, Entry, Tree

DOCUMENT = (ROOT / "docs" / "FORMAT.md").read_text(encoding="utf-8")
_OF_REMOVAL = "member of a record"
_NAME = re.compile(r"`(\w+)`")


def section(document: str, number: int) -> str:
    return re.split(r"^## \d+\. .*$", document, flags=re.MULTILINE)[number]


def rows(document: str, number: int, heading: str = "member") -> dict[str, str]:
    """The members that the section's table of that heading names in its first column, each with the rest of its row."""
    found: dict[str, str] = {}
    lines = iter(section(document, number).splitlines())
    for line in lines:
        if line.startswith(f"| {heading} |"):
            next(lines)
            for row in lines:
                if not row.startswith("|"):
                    break
                _empty, members, rest = row.split("|", 2)
                for name in _NAME.findall(members):
                    assert name not in found, f"{name} has two rows"
                    found[name] = rest
    return found


def beside(document: str, number: int, member: str, field: str) -> set[str]:
    """``field`` and what else the row of ``member`` names, for members that stand in another one's row."""
    return {name for name in _NAME.findall(rows(document, number)[member]) if name == field}


def of_row(document: str, number: int, member: str) -> set[str]:
    """The members of an object, as its own row lists them: one by one, or between braces."""
    text = rows(document, number)[member]
    in_braces = re.search(r"`\{([\w, ]+)\}`", text)
    return set(re.findall(r"\w+", in_braces[1])) if in_braces else set(_NAME.findall(text))


def tables(document: str) -> dict[type, set[str]]:
    """The members of each struct, as the document has them."""
    example = re.search(r"^`copied` = `\{(.*)\}`", section(document, 10), flags=re.MULTILINE)
    assert example is not None
    tree = re.search(r"JSON object `\{(.*?)\}`", section(document, 9))
    assert tree is not None
    return {
        WrittenHeader: set(rows(document, 3)),
        Slot: set(rows(document, 4)),
        Snapshot: set(rows(document, 8)),
        Counts: of_row(document, 8, "counts"),
        SavedProblem: of_row(document, 8, "problems"),
        Removal: set(rows(document, 8, _OF_REMOVAL)),
        RemovedSnapshot: set(re.findall(r"\w+", rows(document, 8, _OF_REMOVAL)["removed"].split("`")[1]))
        - {"array", "of"},
        Tree: set(re.findall(r'"(\w+)":', tree[1])),
        # ``rawtarget`` stands in the row of ``target``
        Entry: set(rows(document, 9)) | beside(document, 9, "target", "rawtarget"),
        Copied: set(re.findall(r'"(\w+)":', example[1])),
    }


def disagreements(struct: type, members: Iterable[str]) -> list[str]:
    fields: tuple[str, ...] = struct.__struct_fields__  # type: ignore[attr-defined] # msgspec gives each struct one
    return [f"no row for {name}" for name in fields if name not in members] + [
        f"no member {name}" for name in sorted(members) if name not in fields
    ]


@pytest.mark.parametrize("struct", list(tables(DOCUMENT)))
def test_the_document_and_the_code_have_the_same_members(struct: type) -> None:
    assert disagreements(struct, tables(DOCUMENT)[struct]) == []


@pytest.mark.parametrize(
    ("struct", "row"),
    [
        (WrittenHeader, "| `generation` | integer ≥ 1, one more each time that the slots change |"),
        (Slot, "| `salt` | 64 hex digits: 32 random bytes, fresh for each slot |"),
        (Snapshot, "| `drive` | string | label of the drive |"),
        (Removal, "| `host`, `machine` | as in a snapshot | which computer wrote it |"),
        (Entry, "| `uid`, `gid` | all | 0 to 2³² − 2; default 0 |"),
        (Entry, "| `inode` | all | 0 to 2⁶⁴ − 1; default 0 |"),
    ],
)
def test_a_row_that_is_missing_is_noticed(struct: type, row: str) -> None:
    assert row in DOCUMENT
    names = _NAME.findall(row.split("|")[1])
    without = tables(DOCUMENT.replace(f"{row}\n", ""))[struct]
    assert disagreements(struct, without) == [f"no row for {name}" for name in names]


@pytest.mark.parametrize(
    ("struct", "old", "new"),
    [
        (WrittenHeader, "| `slots` |", "| `future` | x |\n| `slots` |"),
        (Slot, "| `wrapped` |", "| `future` | x |\n| `wrapped` |"),
        (Snapshot, "| `program` |", "| `future` | x | x |\n| `program` |"),
        (Counts, "`files`, `dirs`, `others`, `bytes`", "`files`, `dirs`, `others`, `bytes`, `future`"),
        (SavedProblem, "`{kind, path, message}`", "`{kind, path, message, future}`"),
        (Entry, "| `xattrs` |", "| `future` | all | x |\n| `xattrs` |"),
        (Tree, '`{"entries": […]}`', '`{"entries": […], "future": 1}`'),
        (Copied, '"wal_mtime": …}', '"wal_mtime": …, "future": …}'),
    ],
)
def test_a_row_without_a_member_is_noticed(struct: type, old: str, new: str) -> None:
    assert DOCUMENT.count(old) == 1
    assert disagreements(struct, tables(DOCUMENT.replace(old, new))[struct]) == ["no member future"]


def test_a_member_without_a_row_is_noticed() -> None:
    class EntryOfTomorrow(Entry):
        birth: int = 0

    assert disagreements(EntryOfTomorrow, tables(DOCUMENT)[Entry]) == ["no row for birth"]


def test_the_copy_beside_recover_py_is_the_same() -> None:
    assert (ROOT / "kinebackup" / "recover" / "FORMAT.md").read_bytes() == DOCUMENT.encode()
