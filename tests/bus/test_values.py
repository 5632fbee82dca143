"""What crosses the bus: there and back, and what is refused."""

from datetime import UTC, datetime
from typing import Any

import pytest

from kinebackup.bus.values import (
    MOST_BYTES,
    DriveAtWork,
    JobEnd,
    decode_drive,
    decode_job_end,
    decode_notice,
    decode_progress,
    decode_report,
    encode_notice,
    encode_report,
    moment,
)
from kinebackup.model import BackupReport, Problem
from kinebackup.policy.job_kinds import job_kind
from kinebackup.policy.notices import ActiveNotice, Notice, NoticeKind

SINCE = datetime(2030, 3, 6, 17, 30, tzinfo=UTC)


def report_with(*problems: Problem) -> BackupReport:
    return BackupReport("ab" * 32, 1, 2, 3, 4, 5, 6, 7.5, suspicious=False, problems=problems)


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_every_notice_comes_back_as_it_was(kind: NoticeKind) -> None:
    notice = Notice(kind, "CABINET", other="DOMICILE", days=9, program="vi", count=3)
    assert decode_notice(encode_notice(notice, SINCE)) == ActiveNotice(notice, SINCE)


def test_a_name_that_is_no_text_is_made_one() -> None:
    body = encode_notice(Notice(NoticeKind.BUSY, "CABINET", program="a\0b\udcffc"), SINCE)
    assert body[4] == "a?b?c"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (["no-such-kind", "", "", 0, "", 0, 0], "no-such-kind"),
        (["busy", "", "", 0, "", 0], "another shape"),
        (["busy", "", "", 0, "", 0, 0, 0], "another shape"),
        (["busy", 7, "", 0, "", 0, 0], "another shape"),
        (["busy", "", "", True, "", 0, 0], "another shape"),
        (["busy", "", "", 0, "", 0, -1], "calendar"),
        (["busy", "", "", 0, "", 0, 2**63 - 1], "calendar"),
        ("busy", "another shape"),
        (None, "another shape"),
    ],
)
def test_a_notice_of_another_shape_is_refused(body: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode_notice(body)


def test_drives_progress_and_ends_are_refused_in_another_shape() -> None:
    assert decode_drive(["CABINET", "verifying", 7, "verify"]) == DriveAtWork("CABINET", "verifying", 7, "verify")
    assert decode_job_end(["CABINET", 7, "verify", "good"]) == JobEnd("CABINET", 7, "verify", "good")
    for decode in (decode_drive, decode_job_end, decode_progress):
        with pytest.raises(ValueError, match="another shape"):
            decode(["CABINET", "verify", "7", "good"])


def test_a_report_comes_back_with_names_that_are_no_text() -> None:
    report = report_with(Problem("unreadable", "/srv/caf\udce9\n.txt", "permission denied", ("ab" * 32,)))
    sent = encode_report(report)
    assert sent.isascii()
    assert decode_report("backup", sent) == report


def test_a_report_too_long_for_the_bus_leaves_out_its_last_problems() -> None:
    problems = [Problem("unreadable", f"/srv/{number}/" + "é" * 2_000, "permission denied") for number in range(2_000)]
    sent = encode_report(report_with(*problems))
    assert len(sent) <= MOST_BYTES
    came = decode_report("backup", sent)
    assert 400 <= len(came.problems) < 2_000
    assert came.problems[0] == problems[0]


@pytest.mark.parametrize("text", ["{}", "[]", '{"result": 3}'])
def test_a_report_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"[Oo]bject|Expected"):
        decode_report("verify", text)


def test_kinds_of_jobs_are_a_closed_list() -> None:
    assert job_kind("verify-written") == "verify-written"
    with pytest.raises(ValueError, match="format"):
        job_kind("format")


def test_times_are_those_of_a_calendar() -> None:
    assert moment(1_899_048_600) == SINCE
    for absurd in (-1, 2**62):
        with pytest.raises(ValueError, match="calendar"):
            moment(absurd)
