"""The practice of the demonstration: invented files that look like nobody's.

Owns: what is in them, a day of work on them, how a restored tree is compared with the original. Does not know: backups.

Everything comes from a seed, so that two runs show the same. Names are numbers: no invented name can be somebody's.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

PATIENTS = 40
SESSIONS = 6
LETTERS = 30
_PHRASES = (
    "Texte inventé pour une démonstration : il ne parle de personne.",
    "Séance d'exemple, sans patient : étirements, équilibre, marche.",
    "Amplitude mesurée sur un mannequin imaginaire : soixante degrés.",
    "Ce paragraphe remplace un compte rendu ; il a été écrit par un programme.",
    "Prochaine séance d'exemple le 31 février, à vingt-cinq heures.",
)


@dataclass(frozen=True, slots=True)
class Content:
    """One file as it must come back."""

    sha256: str
    mtime_ns: int


def make_practice(folder: Path) -> None:
    """Patient folders, letters and a small database below ``folder``."""
    for number in range(1, PATIENTS + 1):
        _make_patient(patient(folder, number), number)
    letters = folder / "Courriers"
    letters.mkdir()
    for number in range(1, LETTERS + 1):
        (letters / f"courrier-{number:03}.txt").write_text(_text(f"courrier {number}", 40), encoding="utf-8")
    with closing(sqlite3.connect(folder / "agenda.sqlite")) as base:
        base.execute("CREATE TABLE seances (numero INTEGER PRIMARY KEY, dossier INTEGER, note TEXT)")
        base.executemany(
            "INSERT INTO seances (dossier, note) VALUES (?, ?)",
            ((n % PATIENTS + 1, _PHRASES[n % len(_PHRASES)]) for n in range(4000)),
        )
        base.commit()


def patient(folder: Path, number: int) -> Path:
    """The folder of an invented patient."""
    return folder / "Patients" / f"Exemple-{number:03}"


def _make_patient(folder: Path, number: int) -> None:
    (folder / "radios").mkdir(parents=True)
    (folder / "bilan.txt").write_text(_text(f"bilan {number}", 60), encoding="utf-8")
    for session in range(1, SESSIONS + 1):
        (folder / f"séance-{session}.txt").write_text(_text(f"séance {number}.{session}", 25), encoding="utf-8")
    (folder / "radios" / "image.jpg").write_bytes(_picture(f"image {number}", 150_000 + number * 5_000))


def work_a_day(folder: Path) -> None:
    """Some files new, changed, renamed and removed, and a row added to the database."""
    for number in (3, 8, 21):
        with (patient(folder, number) / "bilan.txt").open("a", encoding="utf-8") as report:
            report.write("Ajouté pendant la journée de démonstration.\n")
    _make_patient(patient(folder, PATIENTS + 1), PATIENTS + 1)
    (patient(folder, 5) / "séance-6.txt").rename(patient(folder, 5) / "séance-6 (revue).txt")
    (folder / "Courriers" / "courrier-030.txt").unlink()
    with closing(sqlite3.connect(folder / "agenda.sqlite")) as base:
        base.execute("INSERT INTO seances (dossier, note) VALUES (?, ?)", (PATIENTS + 1, _PHRASES[0]))
        base.commit()


def contents(folder: Path) -> dict[str, Content]:
    """All files below, by relative path."""
    found: dict[str, Content] = {}
    for path in _files(folder):
        digest = _rows_digest(path) if path.suffix == ".sqlite" else hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(folder))] = Content(digest, path.stat().st_mtime_ns)
    return found


def size_bytes(folder: Path) -> int:
    """The sum of the sizes of all files below."""
    return sum(path.stat().st_size for path in _files(folder))


def _files(folder: Path) -> Iterator[Path]:
    for directory, _folders, names in os.walk(folder):
        for name in names:
            yield Path(directory, name)


def _rows_digest(database: Path) -> str:
    """What a database holds: a copy of a live one has the same rows, not necessarily the same free pages."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as base:
        return hashlib.sha256("\n".join(base.iterdump()).encode("utf-8")).hexdigest()


def _text(title: str, lines: int) -> str:
    order = hashlib.shake_256(title.encode("utf-8")).digest(lines)
    body = (f"{number}. {_PHRASES[byte % len(_PHRASES)]}" for number, byte in enumerate(order, 1))
    return "\n".join((f"EXEMPLE INVENTÉ — {title}", "", *body, ""))


def _picture(title: str, size: int) -> bytes:
    """Bytes that do not compress, as those of a photograph; no program can show them."""
    return hashlib.shake_256(title.encode("utf-8")).digest(size)
