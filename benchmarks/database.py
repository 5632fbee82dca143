"""A practice's SQLite base of invented sessions, and the small changes of a day.

Owns: the schema, its rows and the update. Does not know: backups. Every row says that it is fictitious.
"""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.prose import Prose

PAGE_SIZE = 4096  # SQLite's default, and the unit in which a changed row changes the file
_NOTE_LENGTH = (200, 560)
_ROW_BYTES = 488  # measured: bytes of the file for each session, its index entry and free space included
_SCHEMA = """
CREATE TABLE patient (id INTEGER PRIMARY KEY, nom TEXT, prenom TEXT, naissance TEXT, telephone TEXT);
CREATE TABLE seance (
    id INTEGER PRIMARY KEY, patient_id INTEGER, jour TEXT, acte TEXT, duree_min INTEGER, douleur INTEGER, note TEXT
);
CREATE INDEX seance_patient ON seance (patient_id);
"""


def create_database(path: Path, size_bytes: int, label: str) -> int:
    """Write a base of about ``size_bytes`` to ``path`` and return its number of sessions."""
    rng = random.Random(label)
    prose = Prose(label)
    sessions = max(10, size_bytes // _ROW_BYTES)
    patients = max(2, sessions // 60)
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        base.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        base.execute("PRAGMA synchronous = OFF")  # it is being made: if this is interrupted it is made again
        base.execute("PRAGMA journal_mode = OFF")
        base.executescript(_SCHEMA)
        base.execute("BEGIN")
        base.executemany("INSERT INTO patient VALUES (?, ?, ?, ?, ?)", _patients(rng, prose, patients))
        base.executemany("INSERT INTO seance VALUES (?, ?, ?, ?, ?, ?, ?)", _sessions(rng, prose, sessions, patients))
        base.execute("COMMIT")
        base.execute("PRAGMA journal_mode = DELETE")
    return sessions


def update_rows(path: Path, share: float, label: str) -> int:
    """Change ``share`` of the sessions, spread at random over the whole base, in one transaction; return how many.

    A note is replaced by one of the same length, so rows stay in their pages: about as many pages change as rows.
    """
    rng = random.Random(label)
    prose = Prose(label)
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        base.execute("PRAGMA synchronous = OFF")  # the benchmark syncs by itself
        (sessions,) = base.execute("SELECT max(id) FROM seance").fetchone()
        chosen = sorted(rng.sample(range(1, sessions + 1), max(1, round(sessions * share))))
        base.execute("BEGIN")
        for session in chosen:
            (note,) = base.execute("SELECT note FROM seance WHERE id = ?", (session,)).fetchone()
            changed = _same_size(prose, len(note.encode()))
            base.execute("UPDATE seance SET note = ? WHERE id = ?", (changed, session))
        base.execute("COMMIT")
    return len(chosen)


def _same_size(prose: Prose, size_bytes: int) -> str:
    text = prose.text(size_bytes).encode()[:size_bytes].decode(errors="ignore")  # accents take two bytes
    return text + "." * (size_bytes - len(text.encode()))


def _patients(rng: random.Random, prose: Prose, count: int) -> Iterator[tuple[int, str, str, str, str]]:
    for number in range(1, count + 1):
        born = f"{rng.randrange(1930, 2018)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"
        yield number, f"FICTIF-{rng.choice(prose.words)}", rng.choice(prose.words), born, "00 00 00 00 00"


def _sessions(
    rng: random.Random, prose: Prose, count: int, patients: int
) -> Iterator[tuple[int, int, str, str, int, int, str]]:
    shortest, longest = _NOTE_LENGTH
    for number in range(1, count + 1):
        day = f"20{rng.randrange(10, 26)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"
        note = prose.text(shortest + int(rng.random() * (longest - shortest)))
        yield number, 1 + int(rng.random() * patients), day, f"AMS {rng.randrange(7, 16)}", 30, rng.randrange(11), note
