"""What lies on a drive, byte by byte (docs/FORMAT.md): pure functions over bytes and keys. Reads and writes no file."""
