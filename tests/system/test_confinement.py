"""What nobody else gets at, and what the daemon itself cannot do."""

import pytest
from support.project import TESTS
from support.vm.bench import CABINET, Bench
from support.vm.machine import Plug
from support.vm.stick import Stick

pytestmark = [pytest.mark.vm, pytest.mark.root]
pytest_plugins = ["support.vm.vm_fixtures"]

_PROBE = TESTS / "support/packaging/sandbox_probe.py"
_DROP_IN = """\
[Unit]
StartLimitBurst=0
[Service]
Type=oneshot
ExecStart=
ExecStart=/opt/kinebackup/bin/python3 -IB /usr/local/lib/sandbox_probe.py /dev/sda1 /home/marie/private/note {pid}
Restart=no
"""
# A process of hers that has a database open, in WAL mode.
_LIVE = """\
import sqlite3, time
database = sqlite3.connect("/home/marie/private/live.db", isolation_level=None)
database.execute("pragma journal_mode=wal")
database.execute("create table patients (name)")
database.executemany("insert into patients values (?)", (("a",), ("b",), ("c",)))
print("ready", flush=True)
time.sleep(1000)
"""


def test_an_ordinary_user_sees_neither_the_drive_that_is_written_to_nor_the_key(bench: Bench) -> None:
    practice, shell = bench.practice, bench.machine.shell
    practice.set_clock(days=1)
    now, since = practice.add_files("second day", 20, 200_000), practice.now()
    bench.machine.plug(bench.cabinet, Plug(bytes_per_s=400_000))
    practice.await_phase(CABINET, "backing up")
    pid = shell("systemctl show --property=MainPID --value kinebackup").out.strip()
    inside = shell(f"grep '^/dev/sda1 ' /proc/{pid}/mounts").out
    where = inside.split()[1]
    print(f"in the daemon's own namespace: {inside}")
    assert {"nosuid", "nodev", "noexec", "nosymfollow"} <= set(inside.split()[3].split(","))

    # The person's programs, and root's as well, do not have the mount at all.
    assert "/dev/sda" not in shell("runuser -u marie -- cat /proc/self/mounts").out
    assert "/dev/sda" not in shell("cat /proc/self/mounts").out
    assert shell(f"ls -A {where}").out == ""
    keys = shell("find /var/lib/kinebackup /etc/kinebackup /root/passphrase -type f").out.split()
    assert len(keys) > 3
    for path in (*keys, "/dev/sda", "/dev/sda1", f"/proc/{pid}/root/{where}/KINEBACKUP/header", f"/proc/{pid}/mem"):
        assert bench.machine.run("runuser", "-u", "marie", "--", "head", "-c1", path, check=False).code == 1, path
    for folder in ("/var/lib/kinebackup", "/run/kinebackup", "/var/cache/kinebackup", where):
        assert bench.machine.run("runuser", "-u", "marie", "--", "ls", folder, check=False).code == 2, folder
    # The job's own process is confined as the daemon is.
    children = shell(f"cat /proc/{pid}/task/*/children").out.split()
    for each in (pid, *children):
        status = dict(
            line.split(":\t", 1) for line in shell(f"cat /proc/{each}/status").out.splitlines() if ":\t" in line
        )
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
        assert not _sockets(bench, each) & _sockets_of_internet(bench, each)
    assert children
    assert _sockets(bench, pid)
    assert practice.phase(CABINET) == "backing up"  # all of this was while it was written to

    bench.machine.hasten(bench.cabinet)
    assert practice.await_end(CABINET, since) == "safe"
    bench.machine.pull(bench.cabinet)
    assert bench.cabinet.backups() == [bench.files, now]


def test_inside_the_sandbox_what_is_needed_works_and_there_is_no_internet(bench: Bench) -> None:
    shell, stick = bench.machine.shell, Stick.blank(bench.place, "ESSAI", mib=64)
    shell("systemctl stop kinebackup")
    bench.machine.plug(stick)
    shell("until [ -b /dev/sda ]; do sleep 0.2; done; echo 'label: gpt\n,' | sfdisk --quiet /dev/sda; udevadm settle")
    shell(
        "mkfs.ext4 -q /dev/sda1; rm -rf /home/marie/private; mkdir -m 700 /home/marie/private;"
        "echo x > /home/marie/private/note; chmod 600 /home/marie/private/note; chown -R marie: /home/marie/private"
    )
    bench.machine.run("sh", "-c", "cat > /usr/local/lib/sandbox_probe.py", given=_PROBE.read_text("utf-8"))
    bench.machine.run("sh", "-c", "cat > /usr/local/lib/live.py", given=_LIVE)
    shell("systemctl stop live 2> /dev/null || true; systemctl reset-failed live 2> /dev/null || true")
    shell("systemd-run --quiet --unit=live --uid=marie python3 /usr/local/lib/live.py")
    shell("until journalctl -u live -o cat | grep -q ready; do sleep 0.3; done")
    pid = shell("systemctl show --property=MainPID --value live").out.strip()
    drop_in = "/run/systemd/system/kinebackup.service.d"
    try:
        bench.machine.run("sh", "-c", f"mkdir -p {drop_in}; cat > {drop_in}/probe.conf", given=_DROP_IN.format(pid=pid))
        shell("systemctl daemon-reload; systemctl start kinebackup", timeout_s=180)
    finally:
        shell(f"rm -r {drop_in}; systemctl daemon-reload; systemctl stop live")
    said = [line for line in bench.practice.journal().splitlines() if line.startswith("probe: ")]
    print("\n".join(said))

    assert [line for line in said if not line.startswith("probe: ok: ")] == []
    assert "probe: ok: cannot open an Internet socket (EAFNOSUPPORT)" in said
    assert "probe: ok: cannot open an Internet socket (IPv6) (EAFNOSUPPORT)" in said
    assert said[-1] == "probe: ok: the end"


def _sockets(bench: Bench, pid: str) -> set[str]:
    """The inodes of those that the process has open."""
    found = bench.machine.shell(
        f"readlink /proc/{pid}/fd/* | sed -n 's/^socket:.\\([0-9]*\\).$/\\1/p'", check=False
    ).out
    return set(found.split())


def _sockets_of_internet(bench: Bench, pid: str) -> set[str]:
    """The inodes of all in its network namespace (proc(5)), whoever has them."""
    inodes = "awk 'FNR > 1 {print $10}' tcp tcp6 udp udp6; awk 'FNR > 1 {print $9}' packet"
    return set(bench.machine.shell(f"cd /proc/{pid}/net; {inodes}").out.split())
