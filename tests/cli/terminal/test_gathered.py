"""Long results: what is printed of very many items is what would be printed of few.

Owns: lines, JSON documents and tables of more items than are kept as they are. Does not know: commands.
"""

import json
from dataclasses import dataclass

import pytest

from kinebackup.cli.terminal.gathered import Gathered, Lines
from kinebackup.cli.terminal.output import Output, json_line
from kinebackup.cli.terminal.tables import LongTable, columns

NAMES = [f"lettre {number}\udce9 é \u2028" for number in range(2500)]


@dataclass(frozen=True, slots=True)
class Item:
    name: str


@dataclass(frozen=True, slots=True)
class Document:
    files: Gathered[str]
    count: int


def gathered(output: Output, names: list[str]) -> Gathered[str]:
    made = output.gather(Item, lambda name: f"- {name}")
    for name in names:
        made.add(name)
    assert made.count == len(names)
    return made


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025, 2048, 2500])
def test_every_line_comes_back_in_its_order(count: int) -> None:
    lines = Lines()
    for name in NAMES[:count]:
        lines.add(name)
    assert list(lines) == NAMES[:count]
    assert list(lines) == NAMES[:count], "more than once"


@pytest.mark.parametrize("count", [0, 1, 2500])
def test_a_document_of_many_items_is_one_line_of_json(count: int) -> None:
    text = json_line(Document(gathered(Output(as_json=True), NAMES[:count]), count))
    assert text == json_line({"files": [{"name": name} for name in NAMES[:count]], "count": count})
    assert json.loads(text)["files"] == [{"name": name} for name in NAMES[:count]]


def test_words_come_line_by_line_and_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for output, expected in ((Output(), ["heading", "- a", "- b\\x1b"]), (Output(quiet=True), [])):
        made = output.gather(Item, lambda name: f"- {name}")
        made.say("heading")
        made.add("a")
        made.add("b\x1b")
        output.result(Document(made, 2), lambda made=made: made.lines)  # type: ignore[misc] # of this turn
        assert capsys.readouterr().out.splitlines() == expected


def test_a_heading_is_no_member_of_a_document() -> None:
    made = gathered(Output(as_json=True), ["a"])
    made.say("heading")
    assert json.loads(json_line(Document(made, 1))) == {"files": [{"name": "a"}], "count": 1}


def test_a_long_table_is_aligned_as_a_short_one() -> None:
    rows = [(f"{number}", "x" * (number % 7), f"é{number}") for number in range(2500)]
    table = LongTable(right=(0,))
    for row in rows:
        table.add(row)
    assert list(table.lines()) == columns(rows, right=(0,)).split("\n")
    assert list(LongTable().lines()) == []
