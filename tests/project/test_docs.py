"""What the documents name is there: every module, test and folder by its path.

Owns: paths in documents. Does not know: whether what is said of them is true.
"""

import re
from pathlib import Path

import pytest
from support.project import ROOT as REPOSITORY

DOCUMENTS = sorted(
    str(path.relative_to(REPOSITORY))
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "packaging/*.md", "tests/vectors/*.md")
    for path in REPOSITORY.glob(pattern)
)
_PACKAGES = "|".join(path.parent.name for path in (REPOSITORY / "kinebackup").glob("*/__init__.py"))
_FILE = re.compile(r"(?<![\w/.$~-])(?:[\w.-]+/)*[\w.-]+\.(?:py|md|toml|lock)\b")
_FOLDER = re.compile(rf"`((?:kinebackup|tests|tools|benchmarks|docs|packaging|systemd|\.ci|{_PACKAGES})/[\w./-]*)`")
_OF_A_PERSON = re.compile(r"(?:^|/)config\.toml$")  # where the configuration lies, not a file of this repository
# From the end: "loop.py", "daemon/loop.py" and "kinebackup/daemon/loop.py" name the same module.
_ENDS_OF_PATHS = frozenset(
    "/".join(path.relative_to(REPOSITORY).parts[start:])
    for top in ("kinebackup", "tests", "tools", "benchmarks", "docs", "packaging", "systemd", ".ci")
    for path in (REPOSITORY / top, *(REPOSITORY / top).rglob("*"))
    for start in range(len(path.relative_to(REPOSITORY).parts))
)


def is_there(name: str, document: Path) -> bool:
    return name.rstrip("/") in _ENDS_OF_PATHS or any(
        (folder / name).exists() for folder in (REPOSITORY, document.parent)
    )


def missing_in(document: Path) -> list[str]:
    text = document.read_text("utf-8")
    names = {match[0] for match in _FILE.finditer(text)} | {match[1] for match in _FOLDER.finditer(text)}
    return sorted(name for name in names if not _OF_A_PERSON.search(name) and not is_there(name, document))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_a_document_names_exists(document: str) -> None:
    assert missing_in(REPOSITORY / document) == []


def test_a_document_that_names_a_module_which_moved_away_is_noticed(tmp_path: Path) -> None:
    document = tmp_path / "DECISION.md"
    document.write_text(
        "`archive/store.py` writes, engine/prune/prune.py deletes; see `tests/archives` and lost.py.", "utf-8"
    )
    assert missing_in(document) == ["archive/store.py", "lost.py", "tests/archives"]
