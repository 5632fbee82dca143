"""Repairing a repository: by its parity, by what of it is still sound, and by another drive of the same practice."""
