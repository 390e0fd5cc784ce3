"""Ends a test's servers when the test process is gone, however it went.

It waits for the end of its standard input, which the test process holds open. The kernel closes
that pipe at any kind of death, kill -9 included, and, unlike PR_SET_PDEATHSIG, it is bound to the
process and not to the thread that started the servers, and works on every Unix.
Lines are `pid start-time`; the argument is the folder to delete at the end.
"""

import shutil
import sys
from pathlib import Path

import psutil

STOP_SECONDS_MAX = 5.0


def main() -> None:
    """Wait for the end of input, then end every process named in it and delete the folder."""
    watched = []
    for line in sys.stdin:
        pid, started_at = line.split()
        try:
            process = psutil.Process(int(pid))
        except psutil.NoSuchProcess:
            continue
        if abs(process.create_time() - float(started_at)) < 1:
            watched.append(process)
    alive = [process for process in watched if process.is_running()]
    for process in alive:
        process.terminate()
    for process in psutil.wait_procs(alive, STOP_SECONDS_MAX)[1]:
        process.kill()
    shutil.rmtree(Path(sys.argv[1]), ignore_errors=True)


if __name__ == "__main__":
    main()
