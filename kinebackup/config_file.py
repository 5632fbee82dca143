"""The configuration file: where it lies, and what its keys mean.

Owns: the sections of the file, the bounds of each key, and what is said of a mistake. Does not know: at which line it
stands (toml_document.py), whether the folders exist, or how the rules are applied.
"""

import os.path
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from kinebackup.config import (
    AutomaticConfig,
    BackupConfig,
    Config,
    HoursConfig,
    Paths,
    PracticeConfig,
    RetentionConfig,
    RotationConfig,
    SourceConfig,
)
from kinebackup.errors import ConfigError, NotConfigured
from kinebackup.i18n import DEFAULT_LANGUAGE, LANGUAGES, _
from kinebackup.model import saved_already
from kinebackup.toml_document import Document, Table

MAX_CONFIG_BYTES: Final = 262_144

WEEKDAYS: Final[Mapping[str, int]] = MappingProxyType(
    {
        name: number
        for number, names in enumerate(
            (
                ("lundi", "monday"),
                ("mardi", "tuesday"),
                ("mercredi", "wednesday"),
                ("jeudi", "thursday"),
                ("vendredi", "friday"),
                ("samedi", "saturday"),
                ("dimanche", "sunday"),
            )
        )
        for name in names
    }
)
"""As Python counts them (``date.weekday``)."""


_SECTIONS: Final[Mapping[str, type]] = {
    "[practice]": PracticeConfig,
    "[paths]": Paths,
    "[[sources]]": SourceConfig,
    "[retention]": RetentionConfig,
    "[backup]": BackupConfig,
    "[rotation]": RotationConfig,
    "[hours]": HoursConfig,
    "[automatic]": AutomaticConfig,
}


def default_config_path(environ: Mapping[str, str], is_root: bool) -> Path:
    """The configuration file where the command line names none."""
    named = environ.get("KINEBACKUP_CONFIG", "")
    if named:
        return Path(named)
    if is_root:
        return Path("/etc/kinebackup/config.toml")
    return _xdg(environ, "XDG_CONFIG_HOME", ".config") / "kinebackup" / "config.toml"


def default_paths(environ: Mapping[str, str], is_root: bool) -> Paths:
    """Where state, cache and runtime files go unless the file says so (FHS for root, XDG base directories otherwise).

    root never follows XDG variables: ``sudo`` may have left those of the person there.
    """
    if is_root:
        return Paths(Path("/var/lib/kinebackup"), Path("/var/cache/kinebackup"), Path("/run/kinebackup"))
    state = _xdg(environ, "XDG_STATE_HOME", ".local/state") / "kinebackup"
    cache = _xdg(environ, "XDG_CACHE_HOME", ".cache") / "kinebackup"
    # Sessions without a login manager (cron, a bare ssh) have no runtime directory.
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    return Paths(state, cache, Path(runtime) / "kinebackup" if runtime.startswith("/") else state / "run")


def _xdg(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    value = environ.get(variable, "")
    if value.startswith("/"):  # the specification says that a relative one must be ignored
        return Path(value)
    home = environ.get("HOME", "")
    if not home.startswith("/"):
        raise ConfigError(_("the variable HOME is not set"), _("name the configuration file with --config"))
    return Path(home) / below_home


def read_config(path: Path, *, environ: Mapping[str, str], is_root: bool) -> Config:
    """Read the configuration file. Raises ``ConfigError`` for a file that is missing, unreadable or not understood."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        raise NotConfigured(
            _("there is no configuration file {path}").format(path=path),
            _("copy config.example.toml there and name your folders in it, or name another file with --config"),
        ) from None
    except OSError as error:
        raise ConfigError(
            _("cannot read the configuration file {path}: {reason}").format(path=path, reason=error.strerror),
            _("it must be a file that you may read; the one in /etc needs root"),
        ) from None
    if len(raw) > MAX_CONFIG_BYTES:
        raise ConfigError(_("{path} is too large for a configuration file").format(path=path))
    try:
        text = raw.decode("utf-8-sig")  # some editors put a byte order mark, which TOML does not have
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            _("{path}, line {line}: this is not UTF-8 text").format(path=path, line=line),
            _("save the file again with the encoding UTF-8"),
        ) from None
    return parse_config(text, path, default_paths(environ, is_root))


def parse_config(text: str, path: Path, defaults: Paths) -> Config:
    """The configuration that ``text`` describes; ``path`` is for messages, ``defaults`` for what [paths] leaves out."""
    document = Document(text, path, _SECTIONS)
    root = document.table((), Config)
    return Config(
        paths=_read_paths(document.section(root, "paths", Paths), defaults),
        practice=_read_practice(document.section(root, "practice", PracticeConfig)),
        sources=_read_sources(document, root),
        retention=_read_retention(document.section(root, "retention", RetentionConfig)),
        backup=_read_backup(document.section(root, "backup", BackupConfig)),
        rotation=_read_rotation(document.section(root, "rotation", RotationConfig)),
        hours=_read_hours(document.section(root, "hours", HoursConfig)),
        automatic=_read_automatic(document.section(root, "automatic", AutomaticConfig)),
    )


def _read_practice(table: Table) -> PracticeConfig:
    language = table.text("language", DEFAULT_LANGUAGE)
    if language not in LANGUAGES:
        table.fail(
            "language",
            _('"{value}" is not a language of KineBackup').format(value=language),
            _('write "fr" for French or "en" for English'),
        )
    return PracticeConfig(name=table.text("name", ""), language=language)


def _read_paths(table: Table, defaults: Paths) -> Paths:
    return Paths(
        state=table.path("state", defaults.state),
        cache=table.path("cache", defaults.cache),
        runtime=table.path("runtime", defaults.runtime),
    )


def _read_retention(table: Table) -> RetentionConfig:
    default = RetentionConfig()
    return RetentionConfig(
        keep_last=table.integer("keep_last", default.keep_last, minimum=1),
        daily=table.integer("daily", default.daily),
        weekly=table.integer("weekly", default.weekly),
        monthly=table.integer("monthly", default.monthly),
        yearly=table.integer("yearly", default.yearly),
    )


def _read_backup(table: Table) -> BackupConfig:
    default = BackupConfig()
    return BackupConfig(
        read_back=table.flag("read_back", default.read_back),
        shrink_threshold=table.share("shrink_threshold", default.shrink_threshold),
        rely_days=table.integer("rely_days", default.rely_days, minimum=1),
    )


def _read_rotation(table: Table) -> RotationConfig:
    default = RotationConfig()
    return RotationConfig(
        fresh_days=table.integer("fresh_days", default.fresh_days, minimum=1),
        offsite_days=table.integer("offsite_days", default.offsite_days, minimum=1),
        verify_days=table.integer("verify_days", default.verify_days, minimum=1),
        restore_test_days=table.integer("restore_test_days", default.restore_test_days, minimum=1),
    )


def _read_hours(table: Table) -> HoursConfig:
    default = HoursConfig()
    days = table.texts("working_days") if "working_days" in table.values else None
    hours = HoursConfig(
        working_days=default.working_days if days is None else tuple(_weekday(table, "working_days", d) for d in days),
        opens=table.clock("opens", default.opens),
        closes=table.clock("closes", default.closes),
        reminder=table.clock("reminder", default.reminder),
        rotation_day=_weekday(table, "rotation_day", table.text("rotation_day", "vendredi")),
    )
    if not hours.working_days:
        table.fail(
            "working_days", _("no working day is named, so nobody would ever be reminded"), _("name at least one day")
        )
    if not hours.opens <= hours.reminder <= hours.closes:
        key = "reminder" if "reminder" in table.values else "closes" if hours.reminder > hours.closes else "opens"
        if key not in table.values:
            key = "opens"
        table.fail(
            key,
            _("the reminder ({reminder}) is outside the opening hours").format(reminder=f"{hours.reminder:%H:%M}"),
            _("choose a time between opens and closes"),
        )
    return hours


def _weekday(table: Table, key: str, name: str) -> int:
    number = WEEKDAYS.get(name.strip().lower())
    if number is None:
        table.fail(
            key, _('"{value}" is not a day of the week').format(value=name), _('write it in full, such as "vendredi"')
        )
    return number


def _read_automatic(table: Table) -> AutomaticConfig:
    default = AutomaticConfig()
    return AutomaticConfig(
        when_plugged_in=table.flag("when_plugged_in", default.when_plugged_in),
        pause_on_battery=table.flag("pause_on_battery", default.pause_on_battery),
        backup_days=table.integer("backup_days", default.backup_days, minimum=1),
        prune_days=table.integer("prune_days", default.prune_days, minimum=1),
    )


def _read_sources(document: Document, root: Table) -> tuple[SourceConfig, ...]:
    entries = root.values.get("sources", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        root.fail(
            "sources",
            _("sources must be given as [[sources]], one for each folder"),
            _('write [[sources]] and, on the next line, path = "/home/…"'),
        )
    sources: list[SourceConfig] = []
    for number in range(len(entries)):
        table = document.table(("sources", number), SourceConfig)
        if "path" not in table.values:
            table.fail(None, _("this [[sources]] has no path"), _('add a line path = "/home/…"'))
        source = SourceConfig(
            path=table.path("path", Path("/")),
            exclude=table.texts("exclude"),
            one_file_system=table.flag("one_file_system", True),
        )
        for pattern in source.exclude:
            _refuse_pattern_from_elsewhere(table, pattern, source.path)
        _refuse_overlap(table, source, sources)
        sources.append(source)
    return tuple(sources)


def _refuse_pattern_from_elsewhere(table: Table, pattern: str, source: Path) -> None:
    """An exclusion is a name, or a path that begins below the source. Another one would leave out nothing, or not what
    was meant; the person believes that it works."""
    parts = pattern.rstrip("/").split("/")
    if not {"", ".", "..", "~"} & set(parts[:1] if parts[0] == "~" else parts):
        return
    meant = _below_source(parts, source)
    table.fail(
        "exclude",
        _('the exclusion "{pattern}" is not a path below the source').format(pattern=pattern),
        _('write "{meant}"').format(meant=meant)
        if meant
        else _("write the path from {folder} on, without it, such as {example}").format(
            folder=source, example='"Cache/*"'
        ),
    )


def _below_source(parts: Sequence[str], source: Path) -> str:
    """The path below the source that was probably meant; nothing where it leads elsewhere."""
    if parts[0] == "~":
        depth = 2 if source.parts[1:2] == ("root",) else 3  # the home of those files, not of who runs the program
        whole = os.path.join(*source.parts[:depth], *parts[1:])
    else:
        whole = os.path.normpath("/".join(parts))
    if Path(whole).is_relative_to(source):
        below = os.path.relpath(whole, source)
    else:  # many write a slash for "at the top of this folder", as for git
        below = "" if parts[0] == "~" else whole.strip("/")
    if below in ("", ".") or below.split("/")[0] == "..":
        return ""
    return below if "/" in below else f"{below}/"  # with a slash, for it is no name anywhere


def _refuse_overlap(table: Table, source: SourceConfig, earlier: Sequence[SourceConfig]) -> None:
    for other in earlier:
        if source.path == other.path:
            table.fail(
                "path", _("{path} is named twice").format(path=source.path), _("remove one of the two [[sources]]")
            )
        inner, outer = (source, other) if source.path.is_relative_to(other.path) else (other, source)
        if inner.path.is_relative_to(outer.path):
            overlap = saved_already(str(inner.path), str(outer.path))
            table.fail("path", overlap.message, overlap.hint)
