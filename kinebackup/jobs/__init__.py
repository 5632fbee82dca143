"""Whole jobs, from a named drive to a recorded result. The command line and the daemon both call these."""
