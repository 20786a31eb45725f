"""A sandbox out of Linux namespaces: no network, and no file that can be changed but in a process's own folders.

It needs the command `unshare` of util-linux and a system that lets users make namespaces. Without a sandbox, a process
has the rights of whoever starts it.
"""

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

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
