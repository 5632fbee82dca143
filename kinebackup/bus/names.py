"""The daemon's place on the system bus, and the shape of what crosses it.

Owns: names and signatures, which do not change within ``Daemon1``. Does not know: who sends what when.

Nothing that crosses the bus as a signal holds the name of a file, a folder or a patient: every local user may listen.
"""

from typing import Final

BUS_NAME: Final = "org.kinebackup.Daemon1"
OBJECT_PATH: Final = "/org/kinebackup/Daemon1"
INTERFACE: Final = "org.kinebackup.Daemon1"

NOTICE_SIGNATURE: Final = "(sssusux)"
"""kind, drive, other, days, program, count (see ``policy.notices.Notice``), and when it was shown (Unix time, s)."""

DRIVE_SIGNATURE: Final = "(ssts)"
"""label, phase (``policy.phases.Phase``), number of its job or 0, kind of that job or empty."""

PROGRESS_SIGNATURE: Final = "sstttt"
"""drive, kind of job, files done, files in all, bytes done, bytes in all; 0 where a total is not known."""

JOB_ENDED_SIGNATURE: Final = "stss"
"""drive, number of the job, kind of job, ending (``daemon.decide.actions.Ending``)."""

ACTION_WORK: Final = "org.kinebackup.work"
ACTION_EJECT: Final = "org.kinebackup.eject"
ACTION_ANSWER: Final = "org.kinebackup.answer"
ACTION_LIFT_ALARM: Final = "org.kinebackup.lift-alarm"
"""The polkit actions; systemd/org.kinebackup.policy describes them to a person."""

ERROR_INVALID_ARGUMENT: Final = "org.kinebackup.Error.InvalidArgument"
ERROR_NOT_AUTHORIZED: Final = "org.kinebackup.Error.NotAuthorized"
ERROR_NOT_FOUND: Final = "org.kinebackup.Error.NotFound"
"""No drive is enrolled under that label."""
ERROR_NO_REPORT: Final = "org.kinebackup.Error.NoReport"
"""No job of that kind has come to its end on that drive since the daemon started."""
ERROR_NOT_PLUGGED_IN: Final = "org.kinebackup.Error.NotPluggedIn"
ERROR_SEVERAL_DRIVES: Final = "org.kinebackup.Error.SeveralDrives"
"""No label was given, and more than one drive is plugged in."""
ERROR_REFUSED: Final = "org.kinebackup.Error.Refused"
"""The drive is plugged in, and nothing is written to it before it has been plugged in again."""
ERROR_ALARM: Final = "org.kinebackup.Error.Alarm"
"""Nothing is written to any drive before the alarm has been lifted."""
ERROR_TOO_MANY_REQUESTS: Final = "org.kinebackup.Error.TooManyRequests"
ERROR_FAILED: Final = "org.kinebackup.Error.Failed"
