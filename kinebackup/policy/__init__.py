"""Pure decisions over values: no I/O, no clock, no randomness. May import ``model`` and ``errors`` only."""
