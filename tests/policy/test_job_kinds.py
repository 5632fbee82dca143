"""The table of job kinds: complete, and agreed upon by whoever lists kinds.

Owns: what every kind must have. Does not know: what a job does.
"""

from typing import Literal, get_args

import pytest
from support.daemon.imagined_computer import REPORTS

from kinebackup.bus.values import decode_report, encode_report
from kinebackup.cli.commands.drives import kind_text
from kinebackup.cli.terminal.progress import phase_text
from kinebackup.daemon.decide.table import JOB_PHASES, TABLE, TRIGGER_OF_JOB, Intent, Position, Trigger
from kinebackup.i18n import set_language
from kinebackup.model import BackupReport, PruneReport, RepairReport, Report, RestoreTestReport, VerifyReport
from kinebackup.policy.job_kinds import JOB_KINDS, JobKind, job_kind
from kinebackup.policy.notices import BEHAVIOUR
from kinebackup.policy.phases import Phase

KINDS: tuple[JobKind, ...] = get_args(JobKind)
every_kind = pytest.mark.parametrize("kind", KINDS)


def test_every_kind_of_job_has_its_row_and_no_row_is_left_over() -> None:
    assert tuple(JOB_KINDS) == KINDS == ("backup", "verify-written", "verify", "restore-test", "prune", "repair")


def test_what_saves_and_what_checks() -> None:
    assert {kind for kind, traits in JOB_KINDS.items() if traits.saves} == {"backup", "verify-written"}
    assert {kind for kind, traits in JOB_KINDS.items() if traits.is_check} == {
        "verify-written",
        "verify",
        "restore-test",
    }


def test_which_report_each_kind_makes() -> None:
    assert {kind: traits.report for kind, traits in JOB_KINDS.items()} == {
        "backup": BackupReport,
        "verify-written": VerifyReport,
        "verify": VerifyReport,
        "restore-test": RestoreTestReport,
        "prune": PruneReport,
        "repair": RepairReport,
    }
    assert {traits.report for traits in JOB_KINDS.values()} == set(get_args(Report))


@every_kind
def test_every_kind_leads_to_a_phase_of_the_daemon_s_table(kind: JobKind) -> None:
    traits = JOB_KINDS[kind]
    assert TRIGGER_OF_JOB[kind] is Trigger(traits.trigger)
    begins = TABLE[Position(Phase.AUTHENTICATING, Intent.WORK)][Trigger(traits.trigger)]
    assert begins == Position(traits.phase, Intent.WORK)
    assert traits.phase in JOB_PHASES


@every_kind
def test_every_kind_that_fails_by_a_defect_is_told_to_a_person(kind: JobKind) -> None:
    assert JOB_KINDS[kind].notice_of_defect in BEHAVIOUR


@every_kind
def test_the_report_of_every_kind_crosses_the_bus(kind: JobKind) -> None:
    assert job_kind(kind) == kind
    assert decode_report(kind, encode_report(REPORTS[kind])) == REPORTS[kind]


@every_kind
@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_kind_has_words_for_its_bar_and_for_the_history(kind: JobKind, language: Literal["en", "fr"]) -> None:
    set_language(language)
    try:
        bar, name = phase_text(JOB_KINDS[kind].progress_phase), kind_text(kind)
        assert bar[0].isupper()
        assert name.strip()
    finally:
        set_language("en")
