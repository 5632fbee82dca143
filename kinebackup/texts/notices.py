"""The words for notices: two short sentences each, and the labels of their buttons.

Owns: one title and one text for each ``NoticeKind``. Does not know: when it is shown, or how a desktop shows it.
"""

from dataclasses import dataclass
from typing import assert_never

from kinebackup.i18n import _, ngettext
from kinebackup.policy.notices import Button, Notice, NoticeKind


@dataclass(frozen=True, slots=True)
class NoticeText:
    """Plain text: no markup, no line break. ``title`` without a final stop, ``body`` with."""

    title: str
    body: str


def notice_text(notice: Notice) -> NoticeText:
    """The notice in the current language."""
    title, body = _ask(notice) or _progress(notice) or _trouble(notice)
    program = notice.program or _("another program")
    filled = {"drive": notice.drive, "other": notice.other, "days": notice.days, "count": notice.count}
    return NoticeText(title.format(**filled, program=program), body.format(**filled, program=program))


def button_text(button: Button) -> str:
    """The label of a button."""
    match button:
        case Button.BACK_UP_NOW:
            return _("Back up now")
        case Button.LATER:
            return _("Later")
        case Button.EJECT:
            return _("Eject")
        case Button.DONE:
            return _("Done")
    assert_never(button)


def _ask(notice: Notice) -> tuple[str, str] | None:
    """What a person is asked to do."""
    days = notice.days
    match notice.kind:
        case NoticeKind.PLUG_IN_FIRST:
            return _("First backup"), _("There is no backup yet. Please plug in the drive {drive}.")
        case NoticeKind.PLUG_IN:
            return _("Time for a backup"), ngettext(
                "The last backup was made {days} day ago. Please plug in the drive {drive}.",
                "The last backup was made {days} days ago. Please plug in the drive {drive}.",
                days,
            )
        case NoticeKind.OVERDUE:
            return _("The backup is late"), ngettext(
                "There has been no backup for {days} day. Please plug in the drive {drive} today.",
                "There has been no backup for {days} days. Please plug in the drive {drive} today.",
                days,
            )
        case NoticeKind.UNPLUG:
            return _("Drive {drive} is still plugged in"), _(
                "It is not needed any more. Please unplug it and put it away."
            )
        case NoticeKind.UNPLUG_TAKE_HOME:
            return _("Drive {drive} is still plugged in"), _(
                "It is not needed any more. Please unplug it and take it home."
            )
        case NoticeKind.ROTATE:
            return _("Swap the drives"), _("Take the drive {drive} home. Bring the drive {other} to the practice.")
        case NoticeKind.BRING_BACK:
            return _("Drive {drive} has been away for long"), ngettext(
                "Its last backup was made {days} day ago. Please bring it to the practice and plug it in.",
                "Its last backup was made {days} days ago. Please bring it to the practice and plug it in.",
                days,
            )
        case NoticeKind.TEST_WITH_CODE:
            return _("Try the recovery code"), _(
                "Once a quarter, check that the printed code opens a drive. Run “kinebackup restore-test” with it."
            )
        case NoticeKind.PLUG_IN_BOTH:
            return _("Plug in both drives together"), _(
                "The drive {drive} has lost a part of a backup. Please plug it in once together with the drive {other}."
            )
        case _:
            return None


def _progress(notice: Notice) -> tuple[str, str] | None:
    """What is happening."""
    match notice.kind:
        case NoticeKind.READY:
            return _("Drive {drive} is plugged in"), _("A backup is due. Do you want to start it now?")
        case NoticeKind.UP_TO_DATE:
            return _("Drive {drive} is up to date"), _("Nothing has to be done. You can back up all the same.")
        case NoticeKind.WORKING:
            return _("Work on the drive {drive} goes on"), _("It takes a while. Please do not unplug it yet.")
        case NoticeKind.SAFE:
            return _("The backup is done"), _("You can unplug the drive {drive}. Please put it away.")
        case NoticeKind.SAFE_TAKE_HOME:
            return _("The backup is done"), _("You can unplug the drive {drive}. Please take it home.")
        case NoticeKind.SAFE_NOT_SAVED:
            return _("You can unplug the drive {drive}"), _("It is not in use any more. No new backup was made on it.")
        case NoticeKind.PULLED:
            return _("Drive {drive} was unplugged too early"), _(
                "Earlier backups are not affected. Please plug it in again, so that the work can be finished."
            )
        case NoticeKind.BUSY:
            return _("Drive {drive} is in use"), _("It is used by {program}. Close that, then start the backup.")
        case NoticeKind.STILL_BUSY:
            return _("Do not unplug the drive {drive} yet"), _(
                "It is used by {program}. Close that, then press “Eject”."
            )
        case NoticeKind.NOT_MOUNTED:
            return _("Drive {drive} cannot be opened"), _(
                "Nothing was written to it. Unplug it and plug it in again; if that does not help, ask for advice."
            )
        case _:
            return None


def _trouble(notice: Notice) -> tuple[str, str]:  # one entry for each kind; cutting it would hide that all are there
    match notice.kind:
        case NoticeKind.IMPOSTOR:
            return _("This is not the drive {drive}"), _(
                "A drive pretends to be it. Nothing was written; please unplug it."
            )
        case NoticeKind.REFUSED:
            return _("Drive {drive} is not accepted"), _("Nothing was written to it. See “kinebackup status”.")
        case NoticeKind.BACKUP_FAILED:
            return _("The backup on the drive {drive} failed"), _(
                "There is no new backup. Please try again; if it fails again, see “kinebackup status”."
            )
        case NoticeKind.PRUNE_FAILED:
            return _("Old backups were not removed"), _(
                "The backups on the drive {drive} are not affected. To see why, run “kinebackup prune”."
            )
        case NoticeKind.CHECK_NOT_DONE:
            return _("Drive {drive} could not be checked"), _(
                "The check of its backups was not finished. It will be done next time."
            )
        case NoticeKind.DRIVE_FULL:
            return _("Drive {drive} is full"), _("There is no new backup. Please use a larger drive.")
        case NoticeKind.DRIVE_FAILED:
            return _("Drive {drive} answers with errors"), _(
                "Please do not rely on it any more. Use the other drive, and replace this one."
            )
        case NoticeKind.DRIVE_AGES:
            return _("Drive {drive} is ageing"), _(
                "Parts of it are becoming unreadable. Please buy a new drive; this one serves until then."
            )
        case NoticeKind.SAVED_WITH_PROBLEMS:
            return _("Backup done, with problems"), ngettext(
                "{count} thing could not be saved properly on the drive {drive}. See “kinebackup status”.",
                "{count} things could not be saved properly on the drive {drive}. See “kinebackup status”.",
                notice.count,
            )
        case NoticeKind.SOURCE_SUSPICIOUS:
            return _("The folders to save look incomplete"), _(
                "Files seem to be missing on this computer. Please check before you go on working."
            )
        case NoticeKind.SOURCE_SYNCED:
            return _("A folder is synchronised with a cloud"), _(
                "Patient data may be leaving this computer. See “kinebackup status”."
            )
        case NoticeKind.SETTINGS_UNREADABLE:
            return _("KineBackup cannot read its settings"), _(
                "No backup is made until that is put right. See “kinebackup status”."
            )
        case NoticeKind.DAMAGE_FOUND:
            return _("Damage on the drive {drive}"), _(
                "Part of a backup cannot be read. Please make a backup on the other drive today."
            )
        case NoticeKind.RESTORE_TEST_FAILED:
            return _("Restore test failed on the drive {drive}"), _(
                "Some files did not come back as they were. Please make a backup on the other drive today."
            )
        case NoticeKind.ALARM:
            return _("Many files have changed at once"), _(
                "Plug in no drive, disconnect the network and leave the computer on. Then call for help."
            )
        case _:
            raise ValueError(f"no words for {notice.kind}")
