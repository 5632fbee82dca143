"""Whether patient files would leave this computer unencrypted: sources in a cloud, restores into one.

Owns: the verdicts. Does not know: how facts are found.
"""

from dataclasses import replace

import pytest
from support.policy.target_facts import DRIVE, DROPBOX, FOLDER, INSYNC, NAS

from kinebackup.policy.exposure import judge_restore_destination, judge_source
from kinebackup.policy.target_facts import TargetFacts
from kinebackup.policy.verdicts import TargetWarning, Verdict


def test_a_source_in_a_cloud_is_warned_about() -> None:
    assert judge_source("/home/kine/Dropbox/patients", DROPBOX) == TargetWarning(
        "Dropbox synchronises the source /home/kine/Dropbox/patients: these files have already left this computer",
        "keep patient files out of synchronised folders; a host of health data must be HDS-certified",
        "Dropbox",
    )


def test_a_source_that_may_be_in_a_cloud_is_to_be_checked() -> None:
    notice = judge_source("/home/kine/patients", INSYNC)
    assert notice is not None
    assert notice.message == (
        "Insync may synchronise the source /home/kine/patients: what it synchronises could not be read"
    )


def test_a_source_on_a_share_or_on_the_disk_is_fine() -> None:
    assert judge_source("/mnt/nas/patients", NAS) is None
    assert judge_source("/srv/patients", None) is None


def test_a_restore_into_a_cloud_is_refused() -> None:
    verdict = judge_restore_destination(replace(FOLDER, cloud=DROPBOX))
    assert (verdict.verdict, verdict.reason, verdict.service) == ("refused", "cloud", "Dropbox")


@pytest.mark.parametrize("facts", [DRIVE, FOLDER, replace(FOLDER, exists=False), replace(FOLDER, mount_kind="memory")])
def test_a_restore_anywhere_else_is_accepted(facts: TargetFacts) -> None:
    assert judge_restore_destination(facts) == Verdict("accepted", "accepted", "", "")


@pytest.mark.parametrize("facts", [replace(FOLDER, cloud=NAS), replace(FOLDER, mount_kind="fuse")])
def test_a_restore_out_of_this_computer_is_accepted_and_told(facts: TargetFacts) -> None:
    verdict = judge_restore_destination(facts)
    assert verdict.accepted
    assert len(verdict.warnings) == 1


def test_a_restore_near_what_could_not_be_read_is_accepted_and_told() -> None:
    verdict = judge_restore_destination(replace(FOLDER, cloud=INSYNC, unclear=(INSYNC,)))
    assert verdict.accepted
    assert [notice.service for notice in verdict.warnings] == ["Insync"]


def test_a_restore_into_proc_is_refused() -> None:
    assert judge_restore_destination(replace(FOLDER, mount_kind="pseudo")).reason == "pseudo"
