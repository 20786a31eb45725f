"""Calls to somebody's file or module, made in a process of its own, with limits."""

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.isolation.child_process import Setting
from harness.isolation.limits import LEAST_MEMORY, MEMORY, START_TIMEOUT, TIMEOUT, Sandbox
from harness.isolation.process import Outcome, Process
from harness.named_objects import file_of_module, is_file
from reference.user_input import given, is_real, whole_number


class Worker:
    """Calls to what a file or module defines, made in a process of its own.

    The process starts at the first call or `load`, and again after one that it did not survive; state of the user's
    module lasts as long as the process. A worker is used by one thread at a time, and closed by ``with`` or `close`.
    POSIX only. macOS does not hold the limit on memory.

    Raises ValueError or TypeError for limits that are not numbers, or too small for Python itself; and later OSError,
    when no process can be started.
    """

    def __init__(
        self,
        target: str | Path,  # a file that ends in .py, or the name of a module
        *,
        timeout: float = TIMEOUT,  # seconds of CPU time for each call, and for running the file itself
        memory: int = MEMORY,  # bytes of address space (`harness.isolation.limits`)
        # what to call there before the target is imported: functions as ``module:function``, and their arguments, which
        # can be pickled
        prepare: Sequence[tuple[str, tuple]] = (),
        home: str | Path = "",  # the file or folder whose lines are reported; by default the target's file
        sandbox: Sandbox | None = None,  # its folders; None for the rights of this process
    ):
        self._process: Process | None = None
        self._loaded: Outcome | None = None
        if not (is_real(timeout) and 0.0 < timeout < float("inf")):
            raise ValueError(f"timeout must be a number of seconds above zero, not {given(timeout)}")
        self.target = str(Path(target).resolve()) if is_file(target) else str(target)
        self.timeout: float = timeout
        self._home = str(home) or (self.target if is_file(target) else file_of_module(self.target))
        memory = whole_number("memory", memory, at_least=LEAST_MEMORY)
        self._setting = Setting(self.target, memory, tuple(prepare), str(home), sandbox is not None)
        self._sandbox = sandbox

    def load(self) -> Outcome:
        """Import the target; the value is a list of the public functions and classes that it defines, in their order.

        What went wrong then is also the outcome of every call, until the worker is closed.
        """
        # a file that failed fails again: only what was there once is started anew
        if self._loaded is None or (self._loaded.kind == "answered" and self._process is None):
            self.close()
            self._process = Process(self._sandbox)
            started = self._ask(self._setting, START_TIMEOUT)
            if started.kind != "answered":
                raise OSError(
                    f"cannot start a process of its own for {self.target}: it {started.why}\n{started.stderr}"
                )
            self._loaded = self._ask((None, ()), self.timeout)
        return self._loaded

    def call(self, name: str, *arguments: Any, timeout: float | None = None) -> Outcome:
        """Call a function of the target by its name, such as "loss" or "Net.loss", perhaps with a limit of its own."""
        loaded = self.load()
        return self._ask((name, arguments), timeout or self.timeout) if loaded.kind == "answered" else loaded

    @property
    def is_running(self) -> bool:
        """Whether there is a process; after a call that it did not survive, there is none."""
        return self._process is not None

    def interrupt(self) -> None:
        """End the process from another thread: the call that is being made there answers that it died."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the process and all that it started."""
        process, self._process, self._loaded = self._process, None, None
        if process is not None:
            process.end()

    def _ask(self, request: Any, seconds: float) -> Outcome:
        """Send a request and wait for the outcome; a process that did not survive it is cleaned up."""
        assert self._process is not None
        process = self._process
        try:
            outcome = process.exchange(pickle.dumps(request), seconds)
            if process.ended:
                outcome = replace(outcome, place=process.where(self._home))
            if outcome.kind == "timed out":
                outcome = replace(outcome, what=f"did not answer within {seconds:g} s")
            stdout, stderr = process.printed()
            return replace(outcome, stdout=stdout, stderr=stderr)
        except BaseException:  # Ctrl-C: half a message may be in the pipe, so that no other can follow
            process.ended = True
            raise
        finally:
            if process.ended:
                self._process = None
                process.end()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
