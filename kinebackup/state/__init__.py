"""What this computer remembers between runs, in SQLite."""
