"""The loop and this computer's memory together: what the message bus asks for.

Owns: reading the enrolled drives and the configuration, at the start and when told that they changed; the status
document. Does not know: the bus, or what follows from what it reads.

A computer that is not set up yet has no drives: the daemon waits for a reload.
"""

import logging
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from kinebackup.config import Config
from kinebackup.daemon.decide.events import Event, HealthSeen, KnownDrive, SettingsRead, SourceFinding, SourcesChecked
from kinebackup.daemon.host.threads import in_thread
from kinebackup.daemon.loop import Loop
from kinebackup.daemon.ports import Enrolled, EnrolledDrive, Listener
from kinebackup.daemon.rules import rules_of
from kinebackup.errors import KineError, NotConfigured
from kinebackup.i18n import _, set_language
from kinebackup.jobs.status import DriveOverview, drive_health, drive_history, overview, source_notices
from kinebackup.model import Report
from kinebackup.policy.job_kinds import JobKind
from kinebackup.policy.notices import ActiveNotice, NoticeKey, NoticeKind
from kinebackup.policy.phases import Phase
from kinebackup.policy.verdicts import TargetWarning
from kinebackup.practice.world import World
from kinebackup.state.state_db import StateDb
from kinebackup.texts.status import text_of

KEEP_RUNS: Final = timedelta(days=365)
"""CNIL, guide de la sécurité, fiche 16: logs are kept for 6 to 12 months."""

log = logging.getLogger("kinebackup.daemon")


class Service:
    """Implements ``ports.Daemon``."""

    def __init__(
        self, loop: Loop, load_config: Callable[[], Config], world: World, reloaded: Callable[[Config], None]
    ) -> None:
        """``reloaded`` is called with each configuration that was read."""
        self.loop = loop
        self._reloaded = reloaded
        self._load_config = load_config
        self._world = world
        self._config: Config | None = None
        self._warnings: list[str] = []
        self.settings_unreadable = False
        """The configuration or this computer's memory could not be read, last time."""

    @property
    def is_set_up(self) -> bool:
        """Whether there is a configuration and a practice."""
        return self._config is not None

    @property
    def config(self) -> Config | None:
        """The configuration as it was last read; None where this computer is not set up."""
        return self._config

    def post(self, event: Event) -> None:
        """See ``ports.Daemon``."""
        self.loop.post(event)

    def now(self) -> datetime:
        """See ``ports.Daemon``."""
        return self.loop.now()

    def drives(self) -> tuple[EnrolledDrive, ...]:
        """See ``ports.Daemon``."""
        return self.loop.drives()

    def notices(self) -> tuple[ActiveNotice, ...]:
        """See ``ports.Daemon``."""
        return self.loop.notices()

    def key_of(self, kind: NoticeKind, label: str) -> NoticeKey | None:
        """See ``ports.Daemon``."""
        return self.loop.key_of(kind, label)

    def last_report(self, drive: str, kind: JobKind) -> Report | None:
        """See ``ports.Daemon``."""
        return self.loop.last_report(drive, kind)

    def listen(self, listener: Listener) -> None:
        """See ``ports.Daemon``."""
        self.loop.listen(listener)

    def reload(self) -> None:
        """Read configuration and memory again. What cannot be read is reported, and what was known before stays."""
        try:
            config = self._load_config()
            known = read_enrolled(config, self._world)
        except NotConfigured as error:
            if self._config is None:
                log.info("KineBackup is not set up on this computer yet")
            else:  # it was, a moment ago
                self._report_unreadable(error)
            return
        except KineError as error:
            self._report_unreadable(error)
            return
        if known is None:
            log.info("KineBackup is not set up on this computer yet")
            return
        self.settings_unreadable = False
        self.post(SettingsRead(self.now(), readable=True))
        self._config = config
        set_language(config.practice.language)
        self.loop.use_rules(rules_of(config, self._world.zone))
        self.loop.set_enrolled(known)
        self._reloaded(config)

    def look_at_health(self, label: str) -> None:
        """After a job, which is a process of its own and leaves what it met in this computer's memory."""
        if self._config is None:
            return
        try:
            with StateDb(self._config.paths.state) as state:
                record = state.drive(label)
                health = drive_health(record, state, self._world)
        except KineError as error:
            log.warning("whether the drive %s is ageing is not known: %s", label, error.message)
        else:
            self.post(HealthSeen(self.now(), record.repository, health))

    def _report_unreadable(self, error: KineError) -> None:
        log.error("the configuration or the memory of this computer cannot be read: %s", error.message)
        self.settings_unreadable = True
        self.post(SettingsRead(self.now(), readable=False))

    def forget_old_runs(self) -> None:
        """Once a day: the history of runs is a log, and logs are kept for a year at most."""
        if self._config is None:
            return
        try:
            with StateDb(self._config.paths.state) as state:
                state.forget_runs_before(self.now() - KEEP_RUNS)
        except KineError as error:
            log.warning("the history of old runs could not be shortened: %s", error.message)

    async def check_sources(self) -> None:
        """Look whether the folders that are saved are there, and whether a cloud has them."""
        config = self._config
        if config is not None:
            notices = await in_thread("sources", lambda: source_notices(config, self._world))
            finding = await in_thread("sources", lambda: look_at_sources(config, notices))
            self._warnings = [_without_folder(notice) for notice in notices]
            self.post(SourcesChecked(self.now(), finding))

    def status_document(self) -> dict[str, object]:
        """See ``ports.Daemon``. Raises ``KineError`` where this computer is not set up, or its memory is damaged."""
        now = {drive.id: drive for drive in self.loop.drives()}
        plugged_in = {drive.label for drive in now.values() if drive.phase is not Phase.ABSENT}
        found = overview(self._config or self._load_config(), self._world, plugged_in=plugged_in)
        assessment = found.assessment
        return {
            "sentence": text_of(assessment.headline),
            "protected": assessment.protected,
            "simulation": assessment.simulation,
            "say": assessment.headline.code,
            "more": [text_of(each) for each in assessment.more],
            "drives": [_drive_document(drive, now.get(drive.repository)) for drive in found.drives],
            "warnings": [
                *([found.trouble.message] if found.trouble else []),
                *(notice.message for notice in found.notices),
                *self._warnings,
            ],
        }


def _drive_document(drive: DriveOverview, now: EnrolledDrive | None) -> dict[str, object]:
    document: dict[str, object] = msgspec.to_builtins(drive)
    if now is not None:
        document |= {"folder": None, "phase": str(now.phase), "job": now.kind}
    return document


def read_enrolled(config: Config, world: World) -> Enrolled | None:
    """The enrolled drives, as this computer's memory has them; None where there is none. Raises ``KineError``."""
    with StateDb(config.paths.state) as state:
        if not state.exists:
            return None
        drives = [
            KnownDrive(
                id=record.repository,
                label=record.label,
                place=record.place,
                fs_uuid=record.fs_uuid,
                part_uuid=record.part_uuid,
                serial=record.serial,
                history=drive_history(record, state),
                health=drive_health(record, state, world),
            )
            for record in state.drives()
            if record.fs_uuid  # a simulated drive cannot be plugged in
        ]
        return Enrolled(drives, state.last_code_test())


def _without_folder(notice: TargetWarning) -> str:
    """One line for each source that a cloud has; every user of this computer may read it, so it names no folder."""
    service = notice.service or _("another user")
    return _("{service} synchronises a source, or may do so: its files leave this computer").format(service=service)


def look_at_sources(config: Config, synced: Sequence[TargetWarning]) -> SourceFinding:
    """A source that is missing or empty is suspicious; else one that a cloud has is worth a word."""
    for source in config.sources:
        if not os.path.lexists(source.path):
            return "suspicious"
        try:
            with os.scandir(source.path) as entries:
                if next(entries, None) is None:
                    return "suspicious"
        except NotADirectoryError:
            continue  # a single file
        except OSError:
            return "suspicious"
    return "synced" if synced else "sound"
