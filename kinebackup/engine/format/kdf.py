"""What one guess of a passphrase costs.

Owns: the parameters of Argon2id. Does not know: Argon2id; the daemon, which derives no key, must not load the library.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """RFC 9106 parameters. The default takes about a second and 256 MiB on a practice PC."""

    memory_kib: int = 256 * 1024
    passes: int = 3
    lanes: int = 4
