"""The long work of the daemon: one job of the engine on a drive that is mounted already.

Owns: calling each kind of job, what an error means to the machine, and how often progress is told. Does not know: when
a job runs, in which process, or who waits for it.

The configuration and the keys are read anew for each job: what the person changed counts from the next job on.
"""

import logging
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from kinebackup.config import BackupConfig, Config
from kinebackup.errors import (
    Cancelled,
    CheckFailed,
    ConfigError,
    Damaged,
    DriveFailed,
    DriveFull,
    KineError,
    Locked,
    NotFound,
    OtherDriveFailed,
    TargetRefused,
    WrongKey,
)
from kinebackup.i18n import _
from kinebackup.model import REPOSITORY_FOLDER, CancelToken, JobFailure, NotOurs, Problem, Progress, Report
from kinebackup.practice.access import PresentDrive
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.world import World
from kinebackup.state.records import Drive
from kinebackup.worker.protocol import Failure, JobRequest

TOLD_EVERY_S: Final = 0.25

log = logging.getLogger("kinebackup.daemon")


@dataclass(frozen=True, slots=True)
class Tools:
    """What jobs need. ``sources`` makes the sources of a configuration; ``scratch``: where plaintext may lie."""

    load_config: Callable[[], Config]
    world: World
    scratch: Callable[[Config], Sequence[str]]
    backup: Callable[[PresentDrive, ComputerKeys, Config, CancelToken, "ProgressThrottle"], Report]


class ProgressThrottle:
    """A ``Monitor`` that adds up what the engine's threads say, and tells it a few times a second."""

    def __init__(self, tell: Callable[[Progress], None], elapsed_s: Callable[[], float]) -> None:
        self._tell = tell
        self._elapsed_s = elapsed_s
        self._lock = threading.Lock()
        self._files = self._bytes = self._files_total = self._bytes_total = 0
        self._told_at = elapsed_s()

    def phase(self, name: str, *, files: int = 0, size_bytes: int = 0) -> None:
        """See ``Monitor``."""
        with self._lock:
            self._files, self._bytes, self._files_total, self._bytes_total = 0, 0, files, size_bytes
            self._tell_now(self._elapsed_s())

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        """See ``Monitor``."""
        with self._lock:
            self._files += files
            self._bytes += size_bytes
            now = self._elapsed_s()
            if now - self._told_at >= TOLD_EVERY_S:
                self._tell_now(now)

    def _tell_now(self, now: float) -> None:
        self._told_at = now
        self._tell(Progress(self._files, self._files_total, self._bytes, self._bytes_total))

    def problem(self, problem: Problem) -> None:
        """The report has them all; a path has no place in the system's journal."""


def run_job(request: JobRequest, tools: Tools, cancel: CancelToken, monitor: ProgressThrottle) -> Report | Failure:
    """Run the job to its end. Never raises. Each kind has its branch in ``_run_kind``."""
    try:
        config = tools.load_config()
        computer = ComputerKeys.open(config.paths.state)
    except KineError as error:
        # Its message names the configuration's line, or a file of our own: nothing of a patient.
        log.error("%s cannot begin: %s", request.kind, error.message)  # noqa: TRY400 - a traceback would say no more
        return Failure("defect")
    try:
        with computer.state:
            record = _record_of(request.drive, computer)
            drive = PresentDrive(record.label, request.folder, record)
            return _run_kind(request, drive, computer, config, tools, cancel, monitor)
    except Cancelled:
        return Failure(None)
    except KineError as error:
        log.warning("%s did not end: %s", request.kind, type(error).__name__)
        return Failure(_meaning(error, request))
    except Exception as defect:  # noqa: BLE001 - one job's defect must not end the daemon, which has to unmount the drive
        _log_defect(request.kind, defect)
        return Failure("defect")


def _run_kind(
    request: JobRequest,
    drive: PresentDrive,
    computer: ComputerKeys,
    config: Config,
    tools: Tools,
    cancel: CancelToken,
    monitor: ProgressThrottle,
) -> Report:
    world = tools.world
    match request.kind:
        case "backup":
            return tools.backup(drive, computer, config, cancel, monitor)
        case "verify-written" | "verify":
            from kinebackup.jobs.verify import VerifyJobRequest, run_verify

            verify_request = (
                VerifyJobRequest(new_only=True)
                if request.kind == "verify-written"
                else VerifyJobRequest(one_in=request.one_in)
            )
            return run_verify(drive, computer, verify_request, world, cancel=cancel, monitor=monitor)
        case "restore-test":
            from kinebackup.jobs.restore_test import RestoreTestJobRequest, run_restore_test

            return run_restore_test(
                drive, computer, RestoreTestJobRequest(tools.scratch(config)), world, cancel=cancel, monitor=monitor
            )
        case "prune":
            from kinebackup.jobs.prune import PruneJobRequest, run_prune

            return run_prune(drive, computer, PruneJobRequest(config.retention), world, cancel=cancel, monitor=monitor)
        case "repair":
            from kinebackup.jobs.repair import RepairJobRequest, run_repair

            giving = _record_of(request.other, computer) if request.other else None
            other = PresentDrive(giving.label, request.other_folder, giving) if giving else None
            sources = [str(source.path) for source in config.sources]
            repair_request = RepairJobRequest(sources, other, known_only=True)
            return run_repair(drive, computer, repair_request, world, cancel=cancel, monitor=monitor)
    assert_never(request.kind)


def without_reading_back(options: BackupConfig) -> BackupConfig:
    """The daemon reads back in a job of its own, "verify-written", which authenticates as well: once is enough."""
    return replace(options, read_back=False)


def _meaning(error: KineError, request: JobRequest) -> JobFailure:
    match error:
        case Locked() | OtherDriveFailed():  # what was not done now is done another time, and nothing is worse
            return "locked"
        case DriveFull():
            return "drive-full"
        case DriveFailed() | NotFound():  # the drive that was there a moment ago
            return "drive-failed"
        case Damaged() | CheckFailed():
            return "damaged"
        case TargetRefused() | WrongKey():
            return "refused"
        case ConfigError():
            return "source" if request.kind == "backup" else "defect"
        case _:
            return "defect"


def _record_of(drive: str, computer: ComputerKeys) -> Drive:
    """Raises ``NotFound``: it was forgotten a moment ago."""
    record = computer.state.drive_of(drive)
    if record is None:
        raise NotFound(_("the drive is not enrolled any more"))
    return record


def identify(drive: str, folder: str, tools: Tools) -> NotOurs | None:
    """Whether what is mounted there is that drive of this practice; None where it is. Never raises."""
    try:
        config = tools.load_config()
        computer = ComputerKeys.open(config.paths.state)
        with computer.state:
            record = _record_of(drive, computer)
            return _judge_header(folder, record, computer) or _judge_place(folder, record, config, tools.world)
    except KineError as error:
        log.warning("a drive could not be identified: %s", type(error).__name__)
        return "failed"
    except Exception as defect:  # noqa: BLE001 - as above: the drive has to be unmounted whatever happened
        _log_defect("identify", defect)
        return "failed"


def _judge_header(folder: str, record: Drive, computer: ComputerKeys) -> NotOurs | None:
    """Only who holds the master key can have made a header that authenticates, and it names its repository."""
    from kinebackup.engine import Repository, open_store

    try:
        with open_store(f"{folder}/{REPOSITORY_FOLDER}") as store:
            found = Repository.open(store, computer.master())
    except NotFound:
        return "no-header"
    except (WrongKey, Damaged):
        return "impostor"
    except DriveFailed:
        return "failed"
    return None if found.id == record.repository else "impostor"


def _judge_place(folder: str, record: Drive, config: Config, world: World) -> NotOurs | None:
    from kinebackup.drives.judge_path import judge_target_at

    verdict = judge_target_at(
        folder,
        sources=[str(source.path) for source in config.sources],
        enrolled=True,
        simulated=record.simulated,
        allow_existing_files=True,
        system=world.system,
    )
    if not verdict.accepted:
        log.warning("drive %s is refused as a place for backups: %s", record.label, verdict.reason)
    return None if verdict.accepted else "not-allowed"


def _log_defect(what: str, defect: Exception) -> None:
    """Where it happened, without its message, which may name a file of a patient."""
    where = [
        f"{frame.filename.rpartition('kinebackup/')[2]}:{frame.lineno}"
        for frame in traceback.extract_tb(defect.__traceback__)
    ]
    log.error(
        "%s failed in a way that was not foreseen: %s at %s", what, type(defect).__name__, " < ".join(where[-6:][::-1])
    )
