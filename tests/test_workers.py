"""Worker processes end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

PARENT = """
import os, time
from evalkit.workers import worker_pool
pool = worker_pool(2)
sleeps = [pool.submit(time.sleep, 120) for _ in range(2)]
while not pool._processes or not all(s.running() for s in sleeps):
    time.sleep(0.02)
time.sleep(1.0)  # both workers are in the call
print(*pool._processes, flush=True)
time.sleep(120)
"""


def ends(pid: int, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        with open(f"/proc/{pid}/stat") as state:
            if state.read().rpartition(")")[2].split()[0] == "Z":
                return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at processes through /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_a_parent_that_was_killed(how: signal.Signals) -> None:
    """In the middle of a long call, whatever the signal was."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.send_signal(how)
        assert all(ends(pid, 15.0) for pid in pids)
