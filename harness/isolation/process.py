"""One child process: its pipes, with deadlines, its end, and the outcome of a call."""

import contextlib
import json
import linecache
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness.files import scratch_folder
from harness.isolation.limits import LONGEST_WAIT, PRINTED, TRACE_TIMEOUT, Clock, Sandbox, sandboxed
from harness.isolation.values import PREFIX, decode, lengths

_PROGRAM = (
    "import json, sys; path, fds = json.loads(sys.argv.pop()); sys.path[:] = path; "
    "from harness.isolation.child_process import main; main(*fds)"
)

MARK = "HARNESS_CHILD_FOLDER"  # the variable by which what a child has started is known, whatever session it is in

Kind = Literal["answered", "raised", "exited", "died", "timed out"]


class Place(NamedTuple):
    """A line of the file that was run, or of one beside it."""

    file: str
    line: int
    function: str
    text: str
    lines: tuple[int, ...] = ()  # those of the calls that led there, the outermost first

    def __str__(self) -> str:
        within = "" if self.function in ("", "<module>") else f", in {self.function}"
        return f"{self.file}, line {self.line}{within}" + (f": {self.text}" if self.text else "")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a call."""

    # "answered"; "raised" an exception; "exited", by `sys.exit` or `os._exit`; "died" of a signal, such as that of a
    # segmentation fault, or gave an answer that cannot be read; "timed out"
    kind: Kind
    value: Any = None  # the answer, where there is one
    # the arguments, by their place, that the call changed in place, as it left them; lists and tuples of arrays, too
    changed: Mapping[int, Any] = field(default_factory=dict)
    what: str = ""  # a few words on it, such as "ZeroDivisionError: division by zero"
    error: str = ""  # the name of the exception's type, such as "ZeroDivisionError"
    place: Place | None = None  # the line of the user's own file where it happened, if that is known
    # what was printed meanwhile; the first 64 KiB of each
    stdout: str = ""
    stderr: str = ""

    @property
    def why(self) -> str:
        """What happened, as words that follow a name: "raised ZeroDivisionError: division by zero (...)"."""
        where = f" ({self.place})" if self.place else ""
        words = {"answered": "answered", "raised": f"raised {self.what}"}
        return words.get(self.kind, self.what) + where


def how_it_ended(code: int) -> Outcome:
    """The outcome where a process ended with a code, as `subprocess` has it, instead of answering."""
    if code >= 0:
        return Outcome("exited", what=f"ended its process with exit code {code} instead of answering")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"number {-code}"
    return Outcome("died", what=f"was ended by the signal {name}")


class Process:
    """Python with `harness.isolation.child_process` in a session and an empty folder of its own.

    Requests and answers go through two pipes of their own, for stdout and stderr belong to the user's code. A traceback
    of a crash goes to a file, which holds it when the process is gone.
    """

    def __init__(self, sandbox: Sandbox | None = None):
        if os.name != "posix":
            raise OSError("running code in a process of its own needs a POSIX system, such as Linux or macOS")
        self.ended = False  # whether nothing more is to be expected of it
        self._folder = scratch_folder()
        self._trace = tempfile.TemporaryFile()  # noqa: SIM115  closed by `end`
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        fds = (requests, answers, self._trace.fileno())
        # an entry such as "" stands for this folder, and the child works in another
        search_path = [str(Path(entry).resolve()) for entry in sys.path]
        command = [sys.executable, "-c", _PROGRAM, json.dumps([search_path, fds])]
        if sandbox is not None:
            command = sandboxed(command, (self._folder.name, *sandbox.writable), sandbox.hidden)
        try:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=fds,
                cwd=self._folder.name,
                env=self._environment(),
                start_new_session=True,  # what it starts ends with it
            )
        except BaseException:
            os.close(self._requests)
            os.close(self._answers)
            raise
        finally:
            # the child's ends: while they were open here, too, its end would not close the pipes
            os.close(requests)
            os.close(answers)
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self._printing = {self._child.stdout.fileno(): bytearray(), self._child.stderr.fileno(): bytearray()}
        for fd in (self._requests, self._answers, *self._printing):
            os.set_blocking(fd, False)
        self._open = [self._answers, *self._printing]

    def _environment(self) -> dict[str, str]:
        """Files go into the own folder; BLAS gets one thread, as several children may run at once."""
        here = dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP"), self._folder.name)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        marks = {"PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg", MARK: self._folder.name}
        return os.environ | here | threads | marks

    def exchange(self, request: bytes, seconds: float) -> Outcome:
        """Send a request, and wait for the answer for so many seconds of the child's CPU time, or `IDLE` times as many.

        Where the system does not report the CPU time, the seconds are those of the clock.
        """
        clock = Clock(self._child.pid, seconds)
        for printed in self._printing.values():
            printed.clear()
        answer = bytearray()
        try:
            if not self._transfer(memoryview(request), answer, clock):
                self.ended = True
                return Outcome("timed out")
        except ValueError as error:
            self.ended = True
            return Outcome("died", what=str(error))
        # the pipe was closed before the answer was whole
        if _missing(answer):
            return self._how_it_ended()
        header, _ = lengths(bytes(answer[: PREFIX.size]))
        rest = memoryview(answer)[PREFIX.size :]
        try:
            return _outcome(decode(bytes(rest[:header]), bytes(rest[header:])))
        except ValueError as error:
            self.ended = True
            return Outcome("died", what=str(error))

    def _transfer(self, request: memoryview, answer: bytearray, clock: Clock) -> bool:
        """Move bytes both ways until the answer is whole or the child is gone; False when time is up first.

        All pipes are served at once. A child that prints much waits until somebody reads it, and would never come to
        read a request that is larger than a pipe holds.
        """
        with selectors.DefaultSelector() as selector:
            for fd in self._open:
                selector.register(fd, selectors.EVENT_READ)
            if request:
                selector.register(self._requests, selectors.EVENT_WRITE)
            while _missing(answer) and self._answers in self._open:
                left = clock.left()
                if left <= 0.0:
                    return False
                for fd in [key.fd for key, _ in selector.select(min(left, LONGEST_WAIT))]:
                    if fd == self._requests:
                        request = self._write(request)
                        is_done = not request
                    else:
                        is_done = not self._read(fd, answer)
                    if is_done:
                        selector.unregister(fd)
        # the child flushes before it answers, so what it printed is all in the pipes by now
        while not _missing(answer) and any(self._read(fd, answer) for fd in self._open if fd != self._answers):
            pass
        return True

    def _write(self, request: memoryview) -> memoryview:
        try:
            return request[os.write(self._requests, request[: 2**16]) :]
        except BrokenPipeError:
            return request[:0]  # it is gone, as its end of the answers tells, too
        except BlockingIOError:
            return request

    def _read(self, fd: int, answer: bytearray) -> int:
        """How many bytes came, none once a pipe is closed; of what is printed, the first are kept."""
        try:
            data = os.read(fd, min(_missing(answer), 2**20) if fd == self._answers else 2**16)
        except BlockingIOError:
            return 0
        if not data:
            self._open = [each for each in self._open if each != fd]
        if fd == self._answers:
            answer += data
        else:
            printed = self._printing[fd]
            printed += data[: PRINTED - len(printed)]
        return len(data)

    def _how_it_ended(self) -> Outcome:
        self.ended = True
        try:
            return how_it_ended(self._child.wait(TRACE_TIMEOUT))
        except subprocess.TimeoutExpired:
            return Outcome("died", what="closed the pipe that its answer should have come through")

    def printed(self) -> tuple[str, str]:
        """What the child wrote to stdout and stderr since the last request."""
        out, err = (bytes(printed).decode(errors="replace") for printed in self._printing.values())
        return out, err

    def where(self, home: str) -> Place | None:
        """The innermost line of a file or folder that was running when the child crashed; or now, which crashes it.

        Python's own signal handlers wait for the next bytecode, which an endless loop in C never reaches. That of
        faulthandler writes the traceback at once, in ASCII.
        """
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            self._child.send_signal(signal.SIGABRT)
            self._child.wait(TRACE_TIMEOUT)
        self._trace.seek(0)
        written = self._trace.read(2**16).decode(errors="replace")
        name = re.escape(home.encode("ascii", "backslashreplace").decode())
        found = re.search(rf'File "{name}/?([^"]*)", line (\d+) in (.*)', written)
        if found is None:
            return None
        file, line = Path(home, found[1]) if found[1] else Path(home), int(found[2])
        linecache.checkcache(str(file))  # it may have been edited since an earlier crash
        return Place(found[1] or file.name, line, found[3], linecache.getline(str(file), line).strip())

    def kill(self) -> None:
        """End the child and what it started, and nothing else; any thread may ask for it."""
        child, others = self._child.pid, []
        # once the child was waited for, another process may have its number
        if self._child.returncode is None:
            # its own children: one that starts just now has the mark not yet in its environment
            others = [pid for pid, stat in _in_proc("stat") if _parent_of(stat) == child]
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        # what left the session, as a daemon does, still has the mark
        mark = f"{MARK}={self._folder.name}".encode()
        others += [pid for pid, environment in _in_proc("environ") if mark in environment.split(b"\0")]
        for pid in others:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        self._child.wait()

    def end(self) -> None:
        """End the child and what it started, and remove its folder."""
        self.ended = True
        self.kill()
        for file in (self._child.stdout, self._child.stderr, self._trace):
            file.close()  # pyright: ignore[reportOptionalMemberAccess]
        os.close(self._requests)
        os.close(self._answers)
        self._folder.cleanup()


def _parent_of(stat: bytes) -> int:
    """The parent in a line of /proc/<pid>/stat: "pid (name) state parent ...", where the name may hold brackets."""
    return int(stat.rpartition(b")")[2].split()[1])


def _in_proc(name: str) -> Iterator[tuple[int, bytes]]:
    """What this file in /proc says of each process that is still there and may be looked at."""
    for place in Path("/proc").glob(f"[0-9]*/{name}"):
        with contextlib.suppress(OSError):
            yield int(place.parent.name), place.read_bytes()


def _missing(answer: bytearray) -> int:
    """How many bytes a message still needs, as far as can be told."""
    if len(answer) < PREFIX.size:
        return PREFIX.size - len(answer)
    return PREFIX.size + sum(lengths(bytes(answer[: PREFIX.size]))) - len(answer)


def _outcome(document: Any) -> Outcome:
    """The outcome that the child reports, whose every field is checked: the user's code may have written it."""
    match document:
        case {"kind": "answered", "value": value, "changed": list(changed)}:
            return Outcome("answered", value, changed=dict(map(_changed, changed)))
        case {"kind": "raised" | "exited" as kind, "what": str(what), "error": str(error), "place": place}:
            return Outcome(kind, what=_in_print(what), error=_in_print(error), place=_place(place))
    raise ValueError("gave an answer that cannot be read (it is not an outcome)")


def _changed(document: Any) -> tuple[int, Any]:
    match document:
        case [int(place), now]:
            return place, now
    raise ValueError("gave an answer that cannot be read (it names no argument)")


def _place(document: Any) -> Place | None:
    match document:
        case str(file), int(line), str(function), str(text), list(lines):
            return Place(_in_print(file), line, _in_print(function), _in_print(text), tuple(map(int, lines)))
    return None


def _in_print(text: str) -> str:
    """Text that can be written as UTF-8: a lone surrogate becomes backslashes and digits."""
    return text.encode("utf-8", "backslashreplace").decode()
