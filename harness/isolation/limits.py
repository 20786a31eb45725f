"""The limits on code that runs in a process of its own: time, memory, files, kept output; and a sandbox around it."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

TIMEOUT = 10.0
"""Seconds of CPU time for a call, and for running the file itself, unless the caller says otherwise.

A student's loop over a few hundred examples takes less than one; an endless loop costs a class this much each time.
"""

IDLE = 3.0
"""A call that sleeps or waits for its turn is ended after so many times its limit of CPU time, by the wall's clock.

With less, code would be ended on a busy machine, where it gets a part of a processor. With more, ``sleep`` costs more.
"""

START_TIMEOUT = 60.0  # seconds that starting Python and importing NumPy may take on a busy machine

LONGEST_WAIT = 3600.0  # seconds: the system's calls do not take a number of any size

TRACE_TIMEOUT = 1.0  # seconds in which a process that is ended may still write down which line it was at

MEMORY = 4 * 2**30  # Bytes of address space. NumPy alone takes a tenth of it; JAX and PyTorch fit, too.

LEAST_MEMORY = 2**28  # bytes below which Python itself does not start

ENDINGS = 3  # processes that code may take down, or keep busy until time is up; then it is not called any more

FILE_SIZE = 2**30  # bytes that a file may grow to: a loop that writes stops before the disk is full

PRINTED = 2**16
"""Bytes of stdout, and of stderr, that are kept: enough for any message, and a loop that prints fills no memory."""

MESSAGE_LENGTH = 2_000  # characters of an exception's message that are kept

MOST_LINES = 100  # lines of calls within each other that are kept of an exception

MOST_PROCESSES = 64
"""Processes and threads in a sandbox, which are counted by themselves there: room for the threads of a library, and
little for a program that starts itself."""


def limit_this_process(memory: int, processes: int | None = None) -> None:
    """Limit this process's address space, files and perhaps processes, and let it write no core dump.

    A limit that is lower already stays, and one that the system lacks is left out: macOS does not hold that on memory.
    """
    import resource

    limits = ((resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, FILE_SIZE), (resource.RLIMIT_CORE, 0))
    if processes is not None:
        limits = (*limits, (resource.RLIMIT_NPROC, processes))
    for which, limit in limits:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(which, (limit, limit))


class Clock:
    """The time that a call may still take: of the CPU, which a busy machine does not shorten, and of the wall."""

    def __init__(self, pid: int, seconds: float):
        self._pid, self._seconds = pid, seconds
        self._started, self._used = time.monotonic(), cpu_seconds(pid)

    def left(self) -> float:
        """Seconds until it is worth looking again; zero or less when time is up."""
        passed = time.monotonic() - self._started
        # one busy thread cannot have used more CPU time than has passed, so nothing needs to be looked up
        if passed < self._seconds:
            return self._seconds - passed
        if (used := cpu_seconds(self._pid)) is None or self._used is None:
            return 0.0
        return min(self._seconds - (used - self._used), IDLE * self._seconds - passed)


def cpu_seconds(pid: int) -> float | None:
    """The CPU time that a process has used; None where the system does not report it."""
    try:
        # after "pid (name) " come state, parent, ...; the 12th and 13th are ticks in user and in system mode
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# -- a sandbox out of Linux namespaces: no network, and no file that can be changed but in a process's own folders -----
# It needs the command `unshare` of util-linux and a system that lets users make namespaces.

NAMESPACES = ("unshare", "--user", "--map-root-user", "--net", "--ipc", "--mount")

SCRIPT = """
set -e
mount --make-rprivate /
writable=$1; hidden=$2; shift 2
places=$(cut -d ' ' -f 2 /proc/self/mounts)
IFS=:
for folder in $writable; do mount --bind "$folder" "$folder"; done
for folder in $hidden; do mount -t tmpfs -o ro,size=1k hidden "$folder"; done
IFS='
'
for place in $places; do mount -o remount,bind,ro "$place" 2>/dev/null || :; done
cd "$PWD"
exec "$@"
"""
"""Binds what stays writable, hides folders under empty ones, and makes all other mounts read-only, then the command.

The list of mounts is read first: what is bound after that stays writable. A mount that the system does not let users
change stays as it is, with the rights of its files. ``cd`` enters the folder anew, as it was entered before the binds.
"""

PROBE_SECONDS = 20.0  # seconds in which the system has to say whether there can be a sandbox, however busy it is


class Sandbox(NamedTuple):
    """The folders that a process in a sandbox may write to beside its own, and those that it sees empty."""

    writable: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


def sandboxed(command: Sequence[str], writable: Sequence[str | Path], hidden: Sequence[str | Path]) -> list[str]:
    """The command within the sandbox, where it sees the `hidden` folders empty; it keeps the process's number."""
    lists = (":".join(map(str, folders)) for folders in (writable, hidden))
    return [*NAMESPACES, "sh", "-c", SCRIPT, "sandbox", *lists, *command]


@cache
def require_sandbox() -> None:
    """Make sure that there can be a sandbox.

    Raises OSError where the command is not there, or the system refuses.
    """
    advice = "install util-linux, allow user namespaces, or grade within a container and leave out --sandbox"
    if shutil.which(NAMESPACES[0]) is None:
        raise OSError(f"there is no sandbox on this machine: it lacks the command unshare; {advice}")
    command = sandboxed(["true"], [], [])
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OSError(f"there is no sandbox on this machine: {error}; {advice}") from None
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"unshare ended with {done.returncode}"
        raise OSError(f"there is no sandbox on this machine: {reason}; {advice}")
