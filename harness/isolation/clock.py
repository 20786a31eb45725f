"""The time that a call may take: CPU time, which a busy machine does not shorten, and a limit by the wall's clock."""

import os
import time
from pathlib import Path

from harness.isolation.limits import IDLE


class Clock:
    """The time that a call may still take: of the CPU, which a busy machine does not shorten, and of the wall."""

    def __init__(self, pid: int, seconds: float):
        self._pid, self._seconds = pid, seconds
        self._started, self._used = time.monotonic(), cpu_seconds(pid)

    def left(self) -> float:
        """Seconds until it is worth to look again; zero or less when time is up."""
        passed = time.monotonic() - self._started
        if passed < self._seconds:
            return self._seconds - passed
        if (used := cpu_seconds(self._pid)) is None or self._used is None:
            return 0.0
        return min(self._seconds - (used - self._used), IDLE * self._seconds - passed)


def cpu_seconds(pid: int) -> float | None:
    """The CPU time that a process has used; None where the system does not report it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
