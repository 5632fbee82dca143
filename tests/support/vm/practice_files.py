"""The invented practice inside the virtual machine: its files, changed from day to day.

Owns: making them from a seed, in the guest. Does not know: backups.

Sent to the guest as it is, and run there: the standard library only.
"""

import hashlib
import json
import os
import random
import sqlite3
import sys

PASSPHRASE = "exemple de phrase pour les essais"
FOLDER = "/home/marie/Patients"


def make(seed: str, files: int, bytes_each: int) -> None:
    """A folder for each of ten invented patients; half of what a file holds can be compressed."""
    dice = random.Random(seed)
    for number in range(files):
        folder = f"{FOLDER}/patient {number % 10:02}"
        os.makedirs(folder, exist_ok=True)
        size = dice.randint(bytes_each // 2, bytes_each * 3 // 2)
        with open(f"{folder}/bilan {seed} {number:04}.odt", "wb") as file:
            file.write(dice.randbytes(size // 2) + b"bilan articulaire, genou gauche. " * (size // 66))


def make_database(seed: str, rows: int) -> None:
    """A database in use, with what has not been written back to its file yet."""
    dice = random.Random(seed)
    with sqlite3.connect(f"{FOLDER}/agenda.sqlite") as database:
        database.execute("pragma journal_mode=wal")
        database.execute("create table if not exists visits (day integer, note text)")
        database.executemany(
            "insert into visits values (?, ?)", ((dice.randint(0, 9999), dice.randbytes(40).hex()) for _ in range(rows))
        )
    database.close()


def sums() -> dict[str, str]:
    """SHA-256 of every file but the database, which is saved by its contents, not its bytes."""
    found = {}
    for directory, _folders, names in os.walk(FOLDER):
        for name in names:
            if not name.startswith("agenda.sqlite"):
                with open(os.path.join(directory, name), "rb") as file:
                    found[os.path.join(directory, name)] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def main() -> None:
    """SEED FILES BYTES_EACH ROWS: adds these to the practice, then prints the sums of all there is."""
    seed, files, bytes_each, rows = sys.argv[1], *map(int, sys.argv[2:])
    make(seed, files, bytes_each)
    if rows:
        make_database(seed, rows)
    os.system(f"chown -R marie: {FOLDER}")
    json.dump(sums(), sys.stdout)


if __name__ == "__main__":
    main()
