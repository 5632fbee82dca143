"""The words of the status.

Owns: one sentence for each ``StatusCode``. Does not know: when it applies, or whether a terminal or a desktop shows it.
"""

from typing import assert_never

from kinebackup.i18n import _, ngettext
from kinebackup.policy.rotation import StatusCode, StatusMessage


def text_of(sentence: StatusMessage) -> str:
    """The sentence in the current language, with a capital and without a final stop."""
    template = _template(sentence)
    return template.format(
        drive=sentence.drive, days=sentence.days, drives=sentence.drives, files=sentence.files, other=sentence.other
    )


def _template(
    sentence: StatusMessage,
) -> str:  # one line for each sentence; cutting it would only hide that all are there
    days = sentence.days
    match sentence.code:
        case StatusCode.NO_DRIVE:
            return _("Nothing is protected: no drive is enrolled yet")
        case StatusCode.CLOCK_WRONG:
            return _("The drive {drive} was used at a time still to come: check the date of this computer")
        case StatusCode.BACKUPS_MISSING:
            return _(
                "Backups that were on the drive {drive} are not there any more: run “kinebackup verify --drive {drive}”"
            )
        case StatusCode.CHECK_FAILED:
            return _("The last check of the drive {drive} found damage: run “kinebackup verify --drive {drive} --full”")
        case StatusCode.PLUG_IN_BOTH:
            return _(
                "The drive {drive} has lost a part of a backup: plug it in once together with the drive {other}, "
                "or run “kinebackup repair --drive {drive} --from-drive {other}”"
            )
        case StatusCode.NO_BACKUP_YET:
            return _("There is no backup yet: plug in the drive {drive}")
        case StatusCode.NO_BACKUP_YET_PLUGGED_IN:
            return _("There is no backup yet: the drive {drive} is plugged in, run “kinebackup backup”")
        case StatusCode.NO_BACKUP_FOR_DAYS:
            return ngettext(
                "No backup for {days} day: plug in the drive {drive}",
                "No backup for {days} days: plug in the drive {drive}",
                days,
            )
        case StatusCode.NO_BACKUP_FOR_DAYS_PLUGGED_IN:
            return ngettext(
                "No backup for {days} day: the drive {drive} is plugged in, run “kinebackup backup”",
                "No backup for {days} days: the drive {drive} is plugged in, run “kinebackup backup”",
                days,
            )
        case StatusCode.DRIVE_NEVER_USED:
            return _("The drive {drive} holds no backup yet: plug it in")
        case StatusCode.DRIVE_NEVER_USED_PLUGGED_IN:
            return _("The drive {drive} holds no backup yet: it is plugged in, run “kinebackup backup”")
        case StatusCode.DRIVE_STALE:
            return ngettext(
                "The drive {drive} has had no backup for {days} day: plug it in",
                "The drive {drive} has had no backup for {days} days: plug it in",
                days,
            )
        case StatusCode.DRIVE_AWAY_TOO_LONG:
            return ngettext(
                "The drive {drive} has had no backup for {days} day: bring it to the practice and plug it in",
                "The drive {drive} has had no backup for {days} days: bring it to the practice and plug it in",
                days,
            )
        case StatusCode.DRIVE_STALE_PLUGGED_IN:
            return ngettext(
                "The drive {drive} has had no backup for {days} day: it is plugged in, run “kinebackup backup”",
                "The drive {drive} has had no backup for {days} days: it is plugged in, run “kinebackup backup”",
                days,
            )
        case StatusCode.NO_DRIVE_AWAY:
            return _("No drive is kept away from the practice: enroll a second one, to be kept at home")
        case StatusCode.UNPLUG:
            return _("The drive {drive} is up to date: unplug it")
        case StatusCode.UNPLUG_AND_TAKE_AWAY:
            return _("The drive {drive} is up to date: unplug it and take it home")
        case StatusCode.ONLY_SIMULATED:
            return _(
                "Simulation: the only drives are folders of this computer, which protect nothing; enroll a real drive"
            )
        case StatusCode.DRIVE_AGES:
            return _(
                "The drive {drive} is ageing, parts of it are becoming unreadable: buy a new one and prepare it "
                "with “kinebackup drive enroll”. This one serves until then; “kinebackup drive forget {drive}” puts it "
                "out of use"
            )
        case StatusCode.BACKUP_INCOMPLETE:
            return ngettext(
                "{files} file is missing in the last backup on the drive {drive}, or there as it was earlier",
                "{files} files are missing in the last backup on the drive {drive}, or there as they were earlier",
                sentence.files,
            )
        case StatusCode.RESTORE_TEST_NEVER:
            return _("Nothing has ever been restored from the drive {drive} to see that it comes back")
        case StatusCode.RESTORE_TEST_DUE:
            return ngettext(
                "The last restore test of the drive {drive} was {days} day ago",
                "The last restore test of the drive {drive} was {days} days ago",
                days,
            )
        case StatusCode.VERIFY_NEVER:
            return _("The drive {drive} has never been verified")
        case StatusCode.VERIFY_DUE:
            return ngettext(
                "The drive {drive} was last verified {days} day ago",
                "The drive {drive} was last verified {days} days ago",
                days,
            )
        case StatusCode.PROTECTED_BY_ONE:
            return _("You are protected: the drive {drive} is up to date, and away from the practice")
        case StatusCode.PROTECTED_BY_BOTH:
            return _("You are protected: both drives are up to date, and one is away from the practice")
        case StatusCode.PROTECTED_BY_ALL:
            return _(
                "You are protected: all {drives} drives are up to date, and one at least is away from the practice"
            )
    assert_never(sentence.code)
