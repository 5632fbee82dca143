"""The glossary: each name of the code that it gives is defined in the module that it gives, each term has one meaning.

Owns: docs/GLOSSARY.md. Does not know: whether a meaning is true.
"""

import re

import pytest
from support.project import ROOT

GLOSSARY = (ROOT / "docs" / "GLOSSARY.md").read_text("utf-8")
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in GLOSSARY.split("\n")
    if line.startswith("| ") and not line.startswith("| term |")
]


def is_defined(name: str, text: str) -> bool:
    """As a class, a function, a constant, a type or a field."""
    return re.search(rf"^\s*(?:class |(?:async )?def )?{name}\b\s*[(:=]", text, re.MULTILINE) is not None


@pytest.mark.parametrize(("term", "code"), [(row[0], row[2]) for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_code_has_the_name_that_the_glossary_gives(term: str, code: str) -> None:
    for part in code.split("; "):
        module, *names = re.findall(r"`([^`]+)`", part)
        text = (ROOT / "kinebackup" / module).read_text("utf-8")
        assert [name for name in names if not is_defined(name, text)] == []


def test_each_term_has_one_meaning() -> None:
    terms = [term.strip() for row in ROWS for term in row[0].split(",")]
    assert sorted({term for term in terms if terms.count(term) > 1}) == []
    assert len(ROWS) >= 90


def test_a_name_that_is_not_there_is_noticed() -> None:
    text = "class Snapshot:\n    always_rescan: bool\n\nPlace = str\n\ndef step(state): ...\n"
    assert [name for name in ("Snapshot", "always_rescan", "Place", "step") if not is_defined(name, text)] == []
    assert not is_defined("Snap", text)
    assert not is_defined("state", text)
