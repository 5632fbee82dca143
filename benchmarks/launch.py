"""Runs one command and reports its times and peak memory, as JSON on a file descriptor.

Owns: the measuring itself. Does not know: what is measured. It is a process of its own because
Linux counts, in the peak memory of a program, that of the process it was started from: started from the benchmark,
which has made data sets, every tool would look large. Used as: ``python -I -S launch.py FD COMMAND [ARGUMENT…]``.
"""

import json
import os
import signal
import sys
import time


def main() -> None:
    report, command = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(report, False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    try:
        _, status, usage = os.wait4(pid, 0)
    except BaseException:  # also Ctrl-C and SIGTERM: a command left behind would keep the target busy
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    wall_s = time.perf_counter() - started
    measured = {
        "exit_code": os.waitstatus_to_exitcode(status),
        "wall_s": wall_s,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
    }
    os.write(report, json.dumps(measured).encode())


if __name__ == "__main__":
    main()
