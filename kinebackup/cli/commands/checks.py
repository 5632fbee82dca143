"""``kinebackup verify`` and ``kinebackup restore-test``.

Owns: the commands and their words, budgets as people write them. Does not know: how a check is done.
"""

import os
import re
from typing import Any

import click

from kinebackup.cli.daemon_choice import goes_by_daemon, no_daemon_option
from kinebackup.cli.reading import drive_option, header_option, headers_from, secret_options
from kinebackup.cli.secret_files import secret_from
from kinebackup.cli.session import Session, contradiction, pass_session
from kinebackup.cli.terminal.words import duration_text, files_text, size_text
from kinebackup.config import Config
from kinebackup.config_file import default_paths
from kinebackup.engine import Budget, kind_text, slot_of_name
from kinebackup.errors import ConfigError, ExitCode
from kinebackup.i18n import _, ngettext
from kinebackup.jobs.restore_test import USUAL_FILES, RestoreTestJobRequest, run_restore_test
from kinebackup.jobs.verify import VerifyJobRequest, run_verify
from kinebackup.model import RestoreTestReport, VerifyReport, counting
from kinebackup.practice.access import find_drive
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.this_computer import scratch_directories

_BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|kB|KB|MB|GB|TB|Mo|Go|To)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600}
_BYTES = {"kB": 10**3, "KB": 10**3, "MB": 10**6, "Mo": 10**6, "GB": 10**9, "Go": 10**9, "TB": 10**12, "To": 10**12}


def parse_budget(text: str) -> Budget:
    """``10m`` is ten minutes, ``5GB`` five gigabytes. Raises ``ConfigError``."""
    found = _BUDGET.fullmatch(text.strip())
    if found is None or float(found[1]) == 0:
        raise ConfigError(
            _("{text} is neither a time nor a size").format(text=repr(text)),
            _("write for example --budget 10m, --budget 2h or --budget 5GB"),
        )
    number, unit = float(found[1]), found[2]
    if unit in _SECONDS:
        return Budget(duration_s=number * _SECONDS[unit])
    return Budget(size_bytes=int(number * _BYTES[unit]))


def _computer_for(session: Session, drive: str | None, *, has_secret: bool) -> ComputerKeys | None:
    """None on a new computer, where a path and a secret are enough; without those, raises what is missing."""
    computer = session.computer_if_any
    if computer is None and (drive is None or not has_secret):
        return session.computer
    return computer


@click.command(
    help=_(
        "Read and authenticate what is on a drive: what was never read, then what was read longest ago. It mends "
        "nothing: what can be healed, the next backup mends. It says what the drive can still lose, and when to "
        "replace it."
    )
)
@drive_option
@click.option("--full", is_flag=True, help=_("Read everything."))
@click.option("--budget", metavar="10m|5GB", help=_("Stop after that time or size; the next run goes on from there."))
@secret_options
@header_option
@pass_session
def verify(session: Session, /, drive: str | None, full: bool, budget: str | None, **files: Any) -> int:
    if full and budget is not None:
        raise contradiction(_("--full reads everything: it has no budget"))
    limit = parse_budget(budget) if budget is not None else Budget() if full else None
    secret = secret_from(files["passphrase_file"], files["recovery_code_file"], session.output)
    computer = _computer_for(session, drive, has_secret=secret is not None)
    session.mount_privately(computer, drive)
    report = run_verify(
        find_drive(drive, computer, session.world),
        computer,
        VerifyJobRequest(limit, secret, headers=headers_from(files["header_from"], session.output)),
        session.world,
        cancel=session.cancel,
        monitor=session.output.monitor(),
    )
    session.output.result(report, lambda: _verify_text(report))
    session.output.problems(report.problems)
    return ExitCode.OK if report.result == "ok" else ExitCode.CHECK_FAILED


def _verify_text(report: VerifyReport) -> str:
    if report.healable:
        text = ngettext(
            "Damaged, and nothing is lost: the next backup mends it ({count} place).",
            "Damaged, and nothing is lost: the next backup mends it ({count} places).",
            counting(report.problems),
        )
        lines = [text.format(count=counting(report.problems))]
    elif report.result == "failed":
        text = ngettext("DAMAGED: {count} problem.", "DAMAGED: {count} problems.", len(report.problems))
        lines = [text.format(count=len(report.problems))]
    elif any(problem.kind == "healed" for problem in report.problems) and report.complete:
        lines = [_("Every backup is whole; what is damaged on the drive was saved again.")]
    elif report.complete:
        lines = [_("All is well: the whole drive was read, and every byte is what was written.")]
    else:
        lines = [_("All is well with what was read; the next run goes on with the rest.")]
    lines.append(
        _("  {checked} of {total} packs, {size}, in {duration}").format(
            checked=report.packs_checked,
            total=report.packs_total,
            size=size_text(report.bytes_read),
            duration=duration_text(report.duration_s),
        )
    )
    lines += _redundancy_text(report)
    lines += _advice(report)
    return "\n".join(lines)


def _redundancy_text(report: VerifyReport) -> list[str]:
    """What the drive can still lose."""
    lines = []
    if report.protected:
        if report.survives_bytes is None:
            text = ngettext(
                "  this drive can still lose {count} file that was read, and mend itself",
                "  this drive can still lose any one of the {count} files that were read, and mend itself",
                report.protected,
            )
        else:
            text = ngettext(
                "  this drive can still lose {kib} KiB at any one place in {count} file, and mend itself",
                "  this drive can still lose {kib} KiB at any one place in each of {count} files, and mend itself",
                report.protected,
            )
        lines.append(text.format(count=report.protected, kib=(report.survives_bytes or 0) // 1024))
    if report.unprotected:
        text = ngettext(
            "  {count} file could not be mended: nothing on the drive heals it yet",
            "  {count} files could not be mended: nothing on the drive heals them yet",
            report.unprotected,
        )
        lines.append(text.format(count=report.unprotected))
    return lines


def _advice(report: VerifyReport) -> list[str]:
    """What to do, and when to replace the drive."""
    lines = []
    if report.result == "failed" and not report.healable:
        lines.append(_("What still exists on this computer is saved again by: kinebackup backup"))
        lines.append(_("What another drive has is taken from it by: kinebackup repair --from-drive LABEL"))
        lines.append(_("Delete nothing from the drive."))
    if report.health == "replace":
        lines.append(_("This drive is ageing: buy a new one, and prepare it with: kinebackup drive enroll"))
        lines.append(_("This one serves until then; after that: kinebackup drive forget"))
    elif report.result == "failed":
        lines.append(_("If it happens again, replace the drive."))
    return lines


@click.command("restore-test", help=_("Prove that the data comes back: restore files to a private place, and compare."))
@drive_option
@click.option(
    "--files",
    "count",
    type=click.IntRange(min=1),
    metavar="N",
    help=_("How many files (usually {count}).").format(count=USUAL_FILES),
)
@click.option("--all", "everything", is_flag=True, help=_("All files of the newest backup."))
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help=_("Choose the same files as an earlier test."))
@secret_options
@no_daemon_option
@pass_session
def restore_test(
    session: Session,
    /,
    drive: str | None,
    count: int | None,
    everything: bool,
    seed: int | None,
    no_daemon: bool,
    **files: Any,
) -> int:
    if everything and count is not None:
        raise contradiction(_("--all and --files contradict each other"))
    as_usual = not (count or everything or no_daemon or any(files.values())) and seed is None
    if as_usual and goes_by_daemon(session, drive):
        return _restore_test_by_daemon(session, drive)
    secret = secret_from(files["passphrase_file"], files["recovery_code_file"], session.output)
    computer = _computer_for(session, drive, has_secret=secret is not None)
    config = session.config if computer else Config(default_paths(os.environ, session.world.is_root))
    request = RestoreTestJobRequest(
        scratch=scratch_directories(config, session.world),
        files=None if everything else count or USUAL_FILES,
        seed=seed,
        secret=secret,
    )
    session.mount_privately(computer, drive)
    report = run_restore_test(
        find_drive(drive, computer, session.world),
        computer,
        request,
        session.world,
        cancel=session.cancel,
        monitor=session.output.monitor(),
    )
    session.output.result(report, lambda: _restore_test_text(report))
    session.output.problems(report.problems, report.healed)
    return ExitCode.OK if report.result == "ok" else ExitCode.CHECK_FAILED


def _restore_test_by_daemon(session: Session, drive: str | None) -> int:
    from kinebackup.cli.via_daemon import say_ending, work

    done = work(session, "restore-test", drive)
    if done is None:
        return ExitCode.CANCELLED
    report = done.report
    if not isinstance(report, RestoreTestReport):
        return say_ending(session, done, "restore-test")
    session.output.result(report, lambda: _restore_test_text(report))
    session.output.problems(report.problems, report.healed)
    return ExitCode.OK if report.result == "ok" else ExitCode.CHECK_FAILED


def _key_text(key_slot: str) -> str:
    """``passphrase 1f2e3d4c`` as a person calls it."""
    kind, slot_id = slot_of_name(key_slot)
    return " ".join(filter(None, (kind_text(kind), slot_id))) if kind else key_slot


def _restore_test_text(report: RestoreTestReport) -> str:
    if report.result == "ok":
        first = ngettext(
            "The data comes back: {files} restored, identical to what was saved.",
            "The data comes back: {files} restored, all identical to what was saved.",
            report.files_tested,
        )
    elif report.files_tested:
        first = _("FAILED: {files} came back, but not everything is as it was saved.")
    else:
        first = _("FAILED: no file came back, so nothing is proven.")
    lines = [first.format(files=files_text(report.files_tested))]
    lines.append(
        _(
            "  {size}, in {duration}; compared with this computer: {compared}; key: {key}; "
            "the same files again: --seed {seed}"
        ).format(
            size=size_text(report.bytes_tested),
            duration=duration_text(report.duration_s),
            compared=files_text(report.files_compared_with_source),
            key=_key_text(report.key_slot),
            seed=report.seed,
        )
    )
    return "\n".join(lines)
