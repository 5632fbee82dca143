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

PROGRESS_SIGNATURE: Final = "sstttt"
"""drive, kind of job, files done, files in all, bytes done, bytes in all; 0 where a total is not known."""

JOB_ENDED_SIGNATURE: Final = "stss"
"""drive, number of the job, kind of job, ending (``daemon.actions.Ending``)."""

ACTION_WORK: Final = "org.kinebackup.work"
ACTION_EJECT: Final = "org.kinebackup.eject"
ACTION_ANSWER: Final = "org.kinebackup.answer"
ACTION_LIFT_ALARM: Final = "org.kinebackup.lift-alarm"
"""The polkit actions; systemd/org.kinebackup.policy describes them to a person."""
