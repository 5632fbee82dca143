"""The engine: format, keys, packs, backup, restore, verify, prune. Knows no USB, no desktop, no wall clock."""
