"""The engine's front door: each name is there, is used, and costs nothing before it is asked for.

Owns: holding the door's lists against each other and against the rest of the product. Does not know: what lies behind.
"""

import ast
import subprocess
import sys

import pytest
from support.project import PACKAGE

import kinebackup.engine as door

SOURCE = (PACKAGE / "engine" / "__init__.py").read_text(encoding="utf-8")


def names_for_type_checkers() -> dict[str, str]:
    """Name to where it is, out of the imports that only a type checker sees."""
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse(SOURCE)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kinebackup.engine"):
            below = (node.module or "").removeprefix("kinebackup.engine").strip(".")
            for alias in node.names:
                is_module = (PACKAGE / "engine" / below.replace(".", "/") / f"{alias.name}.py").exists()
                place = f"{below}.{alias.name}" if is_module else f"{below}:{alias.name}"
                found[alias.asname or alias.name] = place
    return found


def names_used_elsewhere() -> set[str]:
    used: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if path.is_relative_to(PACKAGE / "engine"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "kinebackup.engine":
                used |= {alias.name for alias in node.names}
    return used


def test_what_a_type_checker_sees_is_what_a_program_gets() -> None:
    assert names_for_type_checkers() == door._PLACE_OF
    assert sorted(door.__all__) == sorted(door._PLACE_OF)


@pytest.mark.parametrize("name", door.__all__)
def test_each_name_is_there(name: str) -> None:
    assert getattr(door, name) is not None


def test_no_name_is_there_for_nobody() -> None:
    assert set(door.__all__) == names_used_elsewhere()


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'PackWriter'"):
        getattr(door, "PackWriter")  # noqa: B009 - a type checker would not let it pass


def test_the_door_by_itself_loads_nothing_of_what_lies_behind() -> None:
    program = (
        "import sys, kinebackup.engine\n"
        "def loaded(): return sorted(n for n in sys.modules if n.startswith(('kinebackup.engine.', 'crypto')))\n"
        "print(loaded())\n"
        "from kinebackup.engine import Argon2Cost\n"
        "print(loaded())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n['kinebackup.engine.format', 'kinebackup.engine.format.kdf']\n"
