"""Jobs in processes of their own: real ones, that are stopped, killed, or cannot be started.

Owns: a practice with a configuration file. Does not know: what a job does.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path

import pytest
from support.daemon.job_processes import command, drive_id, environ, folder, ignore
from support.jobs.small_practice import Office, open_office
from support.own_disk import TROUBLES, Trouble, own_disk

from kinebackup.daemon.spawn import ProcessWorker
from kinebackup.model import BackupReport, CancelToken, Progress, RestoreTestReport, VerifyReport
from kinebackup.worker import protocol as protocol
from kinebackup.worker.protocol import Failure, JobRequest


def worker(office: Office) -> ProcessWorker:
    return ProcessWorker(command(office), environ())


def process_of(argument: str) -> int:
    """The process that has this argument."""
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        if argument.encode() in cmdline.read_bytes().split(b"\0") and int(cmdline.parent.name) != os.getpid():
            return int(cmdline.parent.name)
    raise AssertionError


def play(story: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 60))


def test_a_process_that_cannot_be_started_is_a_failed_job_and_a_drive_that_is_not_known(office: Office) -> None:
    async def story() -> None:
        broken = ProcessWorker(["/nowhere/python"], environ())
        assert await broken.identify(drive_id(office), folder(office)) == "failed"
        assert await broken.run(
            JobRequest(drive_id(office), folder(office), "backup"), CancelToken(), ignore
        ) == Failure("defect")

    play(story())


def test_a_process_that_talks_nonsense_is_a_failed_job(office: Office) -> None:
    async def story() -> None:
        for said in ("print('hello')", "print('{}')", "import os; os.kill(os.getpid(), 9)", "pass"):
            broken = ProcessWorker([sys.executable, "-c", said], environ())
            answer = await broken.run(JobRequest(drive_id(office), folder(office), "backup"), CancelToken(), ignore)
            assert answer == Failure("defect")

    play(story())


def test_the_jobs_of_a_visit_run_one_after_the_other(office: Office) -> None:
    async def story() -> None:
        own = worker(office)
        told: list[Progress] = []
        assert await own.identify(drive_id(office), folder(office)) is None
        saved = await own.run(JobRequest(drive_id(office), folder(office), "backup"), CancelToken(), told.append)
        assert isinstance(saved, BackupReport)
        assert saved.files_new == 2
        assert told
        decode = await own.run(JobRequest(drive_id(office), folder(office), "verify-written"), CancelToken(), ignore)
        assert isinstance(decode, VerifyReport)
        assert (decode.result, decode.complete) == ("ok", True)
        tested = await own.run(JobRequest(drive_id(office), folder(office), "restore-test"), CancelToken(), ignore)
        assert isinstance(tested, RestoreTestReport)
        assert (tested.result, tested.files_tested) == ("ok", 2)

    play(story())


def test_a_drive_without_a_header_is_told_apart_from_one_of_another_practice(office: Office, tmp_path: Path) -> None:
    other = office.closing.enter_context(open_office(tmp_path / "other", seed="other"))
    stranger = other.enroll("A")
    (tmp_path / "empty").mkdir()

    async def story() -> None:
        own = worker(office)
        assert await own.identify(drive_id(office), str(tmp_path / "empty")) == "no-header"
        assert await own.identify(drive_id(office), stranger.folder) == "impostor"
        assert await own.identify("B", stranger.folder) == "failed"

    play(story())


def test_a_job_that_is_cancelled_stops_and_says_so(office: Office) -> None:
    with (office.patients / "radios.bin").open("wb") as file:
        for _each in range(300):
            file.write(os.urandom(1 << 20))

    async def story() -> None:
        cancel = CancelToken()
        order = JobRequest(drive_id(office), folder(office), "backup")
        answer = await worker(office).run(order, cancel, lambda _progress: cancel.cancel())
        assert answer == Failure(None)

    play(story())
    assert office.computer.state.runs(limit=1)[0].result == "cancelled"


def test_a_daemon_that_ends_does_not_wait_for_a_job_that_cannot_stop(office: Office) -> None:
    said = protocol.encode(protocol.ProgressMessage(Progress(files_done=1))).decode()
    deaf = f"import sys, time; print({said!r}, end='', flush=True); time.sleep(3600)"

    async def story() -> None:
        begun = asyncio.Event()
        order = JobRequest(drive_id(office), folder(office), "backup")
        job = asyncio.create_task(
            ProcessWorker([sys.executable, "-c", deaf], environ()).run(order, CancelToken(), lambda _: begun.set())
        )
        await begun.wait()
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job

    asyncio.run(asyncio.wait_for(story(), 10))


def test_a_job_ends_by_itself_when_its_daemon_has_died(office: Office) -> None:
    with (office.patients / "radios.bin").open("wb") as file:
        for _each in range(300):
            file.write(os.urandom(1 << 20))
    process = subprocess.Popen(
        command(office), env=environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(protocol.encode(protocol.RunMessage(JobRequest(drive_id(office), folder(office), "backup"))))
    process.stdin.flush()
    assert b"progress" in process.stdout.readline()
    process.stdin.close()  # what the kernel does when the daemon dies
    rest = process.stdout.read().splitlines()
    assert protocol.decode(rest[-1]) == protocol.FailureMessage(None)
    assert process.wait(30) == 0
    process.stdout.close()
    assert process.stderr is not None
    process.stderr.close()


def test_a_job_that_the_kernel_kills_is_a_failed_job(office: Office) -> None:
    with (office.patients / "radios.bin").open("wb") as file:
        for _each in range(300):
            file.write(os.urandom(1 << 20))

    async def story() -> None:
        killed: list[int] = []

        def kill(progress: Progress) -> None:
            if progress.bytes_done and not killed:
                killed.append(process_of(f"{office.place}/config.toml"))
                os.kill(killed[0], signal.SIGKILL)

        order = JobRequest(drive_id(office), folder(office), "backup")
        assert await worker(office).run(order, CancelToken(), kill) == Failure("defect")

    play(story())


def test_nothing_of_the_person_s_environment_reaches_a_job(office: Office) -> None:
    """An empty environment is enough: PYTHONPATH says where the modules are."""

    async def story() -> None:
        assert await worker(office).identify(drive_id(office), folder(office)) is None

    play(story())


@pytest.mark.root
@pytest.mark.parametrize("which", TROUBLES)
def test_jobs_are_done_on_a_computer_whose_own_disk_cannot_be_written_to(office: Office, which: Trouble) -> None:
    async def story() -> None:
        for kind in ("backup", "verify-written", "verify", "restore-test", "prune"):
            assert await worker(office).identify(drive_id(office), folder(office)) is None
            answer = await worker(office).run(JobRequest(drive_id(office), folder(office), kind), CancelToken(), ignore)
            assert not isinstance(answer, Failure)
            [problem] = answer.problems
            assert (problem.kind, problem.message) == (
                "computer",
                f"{set_down[which]}, cette opération n’y est donc pas notée",
            )

    set_down = {
        "full": "le disque de cet ordinateur est plein",
        "no more files": "le disque de cet ordinateur est plein",
        "read-only": "le disque de cet ordinateur ne peut qu’être lu",
    }
    office.computer.state.close()
    with own_disk(office.place / "state") as disk:
        disk.trouble(which)
        play(story())
        office.computer.state.close()
