"""The errors a person may see, and the exit code of each.

Owns: the exception classes and exit codes of the command line. Does not know: how they are printed, or in which
language.

Every message says what happened, in lower case and without a final stop; the hint says what to do.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line. Scripts may rely on them; they are listed in docs/CLI.md."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PROBLEMS = 3
    NOT_FOUND = 10
    LOCKED = 11
    WRONG_KEY = 12
    TARGET_REFUSED = 13
    CHECK_FAILED = 14
    CANCELLED = 130


class KineError(Exception):
    """Something a person can act on. Anything else that is raised is a defect of KineBackup."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(KineError):
    """The configuration or the command line asks for something that does not exist."""

    exit_code = ExitCode.USAGE


class NotConfigured(ConfigError):
    """There is no configuration file: nobody has set this computer up, or the file was removed."""


class NotFound(KineError):
    """Not initialised, an unknown or absent drive, an unknown snapshot or path."""

    exit_code = ExitCode.NOT_FOUND


class Locked(KineError):
    """Another KineBackup writes to this repository."""

    exit_code = ExitCode.LOCKED


class WrongKey(KineError):
    """No key slot of the drive opens with what was given."""

    exit_code = ExitCode.WRONG_KEY


class NeedsNewer(KineError):
    """The drive has a feature of a later version of the format: nothing is wrong with it, this program is too old."""


class TargetRefused(KineError):
    """A place where no backup may be written: a cloud, a source, someone's files, a disk that is not dedicated."""

    exit_code = ExitCode.TARGET_REFUSED


class CheckFailed(KineError):
    """A verification or a restore test found that something would not come back."""

    exit_code = ExitCode.CHECK_FAILED


class NotConfirmed(KineError):
    """More would be deleted than anybody expects, and no person has said that this is meant."""

    exit_code = ExitCode.CHECK_FAILED


class Cancelled(KineError):
    """The person or the system asked to stop; what was finished is kept."""

    exit_code = ExitCode.CANCELLED


class Damaged(KineError):
    """Bytes on the drive are not what was written there: wrong length, failed tag, impossible structure."""

    exit_code = ExitCode.CHECK_FAILED


class DriveFailed(KineError):
    """The drive is full, read-only or answers with errors. Permanent for this run: never retried in a loop."""

    exit_code = ExitCode.FAILED


class WriteRefused(DriveFailed):
    """The drive did not take what was written to it, and still answers: it has not gone, it is failing."""


class DriveFull(DriveFailed):
    """The drive has no room left: a sound drive, and a person can make room."""


class OtherDriveFailed(KineError):
    """The drive from which another one is repaired is gone, or fails. The repaired one is as good as before."""
