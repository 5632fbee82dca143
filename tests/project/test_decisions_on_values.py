"""No code reads a message, or takes a problem's path apart, to learn what happened: words are made at the edge.

Owns: the rule, as a look at the product's own syntax. Does not know: which values there are instead.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.project import PACKAGE

SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "recover" not in path.relative_to(PACKAGE).parts)
TAKES_APART = {"startswith", "endswith", "partition", "rpartition", "split", "rsplit", "removeprefix", "removesuffix"}
WORDS = {"message", "hint"}
PROBLEMS = {"problem", "problems", "found_problem"}


def readings(tree: ast.AST) -> Iterator[ast.AST]:
    """Every place where code compares or takes apart a text that was made for people."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in TAKES_APART and _is_for_people(node.func.value):
                yield node
        elif isinstance(node, ast.Compare):
            if any(_is_for_people(side) for side in (node.left, *node.comparators)):
                yield node
        elif isinstance(node, ast.Subscript) and _is_for_people(node.value):
            yield node


def _is_for_people(node: ast.AST) -> bool:
    """``x.message``, ``x.hint``, ``str(error)``, and the path of a problem."""
    if isinstance(node, ast.Attribute):
        if node.attr in WORDS:
            return True
        return node.attr == "path" and isinstance(node.value, ast.Name) and node.value.id in PROBLEMS
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "str"
        and len(node.args) == 1
        and isinstance(node.args[0], ast.Name)
        and node.args[0].id in ("error", "problem")
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_code_learns_from_words_what_happened(path: Path) -> None:
    found = [node.lineno for node in readings(ast.parse(path.read_text(encoding="utf-8"))) if hasattr(node, "lineno")]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        'error.message.startswith("user.")',
        'problem.path.rpartition("/")[2]',
        'problem.path == "header"',
        '"full" in str(error)',
        'warning.message == "x"',
        "error.message[0]",
    ],
)
def test_such_a_reading_would_be_noticed(line: str) -> None:
    assert list(readings(ast.parse(line)))
