"""Proving that what is on a drive would come back: verification and the restore test."""
