"""KineBackup: encrypted backups of a health practice to USB drives, proven by restoring them."""

__version__ = "0.1.0"
