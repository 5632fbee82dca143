"""What this computer remembers: drives, runs, checks (SQLite). Holds no key and no patient data."""
