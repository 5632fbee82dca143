"""The configuration of the practice, as frozen values.

Owns: the settings and their defaults. Does not know: the file (config_file.py), whether the folders exist, what an
exclusion matches, or how the rules are applied.

The field names below are the keys of the file, so that neither can be changed without the other.
"""

from dataclasses import dataclass, field
from datetime import time
from pathlib import Path

from kinebackup.i18n import DEFAULT_LANGUAGE, Language


@dataclass(frozen=True, slots=True)
class PracticeConfig:
    """The practice. ``name`` is shown on this computer only, never written in clear on a drive."""

    name: str = ""
    language: Language = DEFAULT_LANGUAGE


@dataclass(frozen=True, slots=True)
class Paths:
    """Where KineBackup keeps its own files: what it must remember, what it can rebuild, what dies with the session."""

    state: Path
    cache: Path
    runtime: Path


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """A folder or a file to save: an absolute path without ``.`` or ``..``, and globs of what is left out."""

    path: Path
    exclude: tuple[str, ...] = ()
    one_file_system: bool = True


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """How many backups stay, per computer and set of sources (policy/retention.py says how they are chosen).

    The yearly number outlives the 20 years that patient records must be kept (Code de la santé publique R1112-7, which
    physiotherapists follow), with a margin for records that stay open.
    """

    keep_last: int = 10
    daily: int = 14
    weekly: int = 8
    monthly: int = 24
    yearly: int = 25


@dataclass(frozen=True, slots=True)
class BackupConfig:
    """``read_back``: read what was written before the drive is called good. ``shrink_threshold``: the share of the last
    backup's files below which a source is suspected of having lost some. ``rely_days``: how long what was written, or
    verified, on a drive is relied on unread by what is new."""

    read_back: bool = True
    shrink_threshold: float = 0.5
    rely_days: int = 90


@dataclass(frozen=True, slots=True)
class RotationConfig:
    """After how many whole days a drive of the practice, or one kept away, is no longer fresh; or a check too old."""

    fresh_days: int = 7
    offsite_days: int = 14
    verify_days: int = 30
    restore_test_days: int = 30


@dataclass(frozen=True, slots=True)
class HoursConfig:
    """When somebody is at the practice, in its own time. Weekdays count from 0, Monday."""

    working_days: tuple[int, ...] = (0, 1, 2, 3, 4)
    opens: time = time(8, 0)
    closes: time = time(20, 0)
    reminder: time = time(17, 30)
    rotation_day: int = 4


@dataclass(frozen=True, slots=True)
class AutomaticConfig:
    """What the daemon does by itself once a drive is plugged in, and after how many days it is due again."""

    when_plugged_in: bool = True
    pause_on_battery: bool = True
    backup_days: int = 1
    prune_days: int = 7


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. ``sources`` may be empty: restoring needs none."""

    paths: Paths
    practice: PracticeConfig = field(default_factory=PracticeConfig)
    sources: tuple[SourceConfig, ...] = ()
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    backup: BackupConfig = field(default_factory=BackupConfig)
    rotation: RotationConfig = field(default_factory=RotationConfig)
    hours: HoursConfig = field(default_factory=HoursConfig)
    automatic: AutomaticConfig = field(default_factory=AutomaticConfig)
