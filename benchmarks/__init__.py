"""Compares KineBackup with restic, borg and cp.

Owns: the benchmark. Does not know: the engine; KineBackup is run through its command line, as its peers are.
"""
