"""The rules of the house that can be counted: sizes, names, waits, skips.

Owns: the rules. Does not know: whether what is counted is good.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.project import PACKAGE, TESTS

# What has no room in the product: builders, frozen repositories, vectors, whole computers, the package, the project.
OTHER_FOLDERS = ("support", "compat", "vectors", "system", "packaging", "project")
MAX_LINES = 400
MAX_SIBLINGS = 20
# Tests and builders that wait for a fixed time, and why; all others wait for what happens (support/waiting.py).
FIXED_TIMES = {
    "change_journal/test_journal.py": "a thread does not wake meanwhile",
    "daemon/host/test_logind.py": "nobody answers: there is nothing to wait for",
    "daemon/host/test_surroundings.py": "no tick comes twice",
    "daemon/test_loop.py": "nothing comes of it while an orphaned job holds the drive",
    "desktop/test_agent.py": "no more notices and no more requests come",
    "desktop/test_agent_command.py": "the agent does not wake meanwhile",
    "desktop/test_dunst.py": "nothing is shown, or not twice",
    "engine/test_kill.py": "the moment at which a process is killed is what is tried",
    "support/bus/real_polkit.py": "between two looks whether polkit answers",
    "support/vm/control_channel.py": "between two tries to connect",
    "support/vm/guest_practice.py": "between two looks into the guest, and notices there are dated to the second",
    "support/waiting.py": "between two looks",
}


def python_files(top: Path) -> list[Path]:
    return sorted(path for path in top.rglob("*.py") if "__pycache__" not in path.parts)


def folders(top: Path) -> Iterator[Path]:
    yield top
    yield from sorted({path.parent for path in python_files(top)} - {top})


def calls(path: Path) -> Iterator[ast.Call]:
    yield from (node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Call))


def name_of(call: ast.Call) -> str:
    return ast.unparse(call.func)


def test_no_module_is_longer_than_four_hundred_lines() -> None:
    lengths = {str(path.relative_to(PACKAGE)): len(path.read_bytes().splitlines()) for path in python_files(PACKAGE)}
    # recover.py is carried to drives as one file: it has a test and a bound of its own.
    del lengths["recover/recover.py"]
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


@pytest.mark.parametrize("top", [PACKAGE, TESTS])
def test_no_folder_has_more_than_twenty_modules(top: Path) -> None:
    found = {
        str(folder.relative_to(top.parent)): len([*folder.glob("*.py")])
        for folder in folders(top)
        if len([*folder.glob("*.py")]) > MAX_SIBLINGS
    }
    assert found == {}


def test_the_folders_of_the_tests_are_those_of_the_product() -> None:
    strangers = {
        str(folder.relative_to(TESTS))
        for folder in folders(TESTS)
        if not (PACKAGE / folder.relative_to(TESTS)).is_dir()
        and folder.relative_to(TESTS).parts[0] not in OTHER_FOLDERS
    }
    assert strangers == set()


def test_no_two_classes_of_the_builders_have_the_same_name() -> None:
    names = Counter(
        node.name
        for path in python_files(TESTS / "support")
        for node in ast.parse(path.read_bytes()).body
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, times in names.items() if times > 1] == []


def test_fixed_waits_are_those_that_have_a_reason() -> None:
    found = {
        str(path.relative_to(TESTS))
        for path in python_files(TESTS)
        for call in calls(path)
        if name_of(call) in ("time.sleep", "sleep", "asyncio.sleep") and ast.unparse(call.args[0]) != "0"
    }
    assert found == FIXED_TIMES.keys()


def test_no_wait_of_the_product_can_lose_its_cancellation() -> None:
    """In Python 3.11 ``asyncio.wait_for`` gives its result where it is cancelled at the moment of success: whoever
    cancelled then waits for ever, as the agent did at the end of a session. ``asyncio.timeout`` does not.
    """
    found = [
        f"{path.relative_to(PACKAGE)}:{call.lineno}"
        for path in python_files(PACKAGE)
        for call in calls(path)
        if name_of(call).endswith("wait_for")
    ]
    assert found == []


def test_every_skip_has_a_reason() -> None:
    silent = [
        f"{path.relative_to(TESTS)}:{call.lineno}"
        for path in python_files(TESTS)
        for call in calls(path)
        if (name_of(call) == "pytest.skip" and not call.args and not call.keywords)
        or (name_of(call) in ("pytest.mark.skipif", "pytest.mark.skip") and not _reason(call))
    ]
    assert silent == []


def test_nothing_is_patched_and_nothing_is_mocked() -> None:
    found = {
        str(path.relative_to(TESTS))
        for path in python_files(TESTS)
        if path != Path(__file__)
        for word in ("monkeypatch", "unittest.mock", "mocker")
        if word in path.read_text("utf-8")
    }
    assert found == set()


def _reason(call: ast.Call) -> bool:
    return any(keyword.arg == "reason" for keyword in call.keywords)
