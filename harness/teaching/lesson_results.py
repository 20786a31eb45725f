"""The lesson's results: computed in several processes, and kept on disk, so that no lesson is computed twice.

A result is good for one state of the code and one set of arguments. What cannot be read is computed anew.
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.files import prepare_directory, write_whole
from harness.isolation import Worker
from harness.named_objects import import_attribute
from harness.provenance import code_and_libraries

TIMEOUT = 600.0
"""Seconds for a call: a training takes some, and more on a busy machine."""


def cache_folder() -> Path:
    """Where results are kept: under ``XDG_CACHE_HOME``, or ``~/.cache`` without it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autodiff-cross-check" / "lesson"


def compute_once(name: str, arguments: Any, compute: Callable[[], Any], folder: Path | None = None) -> Any:
    """The JSON-ready result of a computation, read from the folder if it is there, or else computed and kept.

    Parameters
    ----------
    name, arguments : what is computed, and for what; JSON-ready
    folder : None keeps nothing. Where the folder cannot be written to, nothing is kept, either.
    """
    found = read_result(name, arguments, folder)
    return keep_result(name, arguments, compute(), folder) if found is None else found


def read_result(name: str, arguments: Any, folder: Path | None) -> Any:
    """The result kept under that name for those arguments; None where there is none."""
    if folder is None:
        return None
    with suppress(OSError, ValueError):
        return json.loads(_file(name, arguments, folder).read_text(encoding="utf-8"))
    return None


def keep_result(name: str, arguments: Any, result: Any, folder: Path | None) -> Any:
    """Keep a result where there is a folder that can be written to; answers the result."""
    if folder is not None:
        with suppress(OSError):
            write_whole(_file(name, arguments, prepare_directory(folder)), json.dumps(result).encode())
    return result


def _file(name: str, arguments: Any, folder: Path) -> Path:
    key = json.dumps([name, arguments, code_and_libraries()], sort_keys=True)
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def map_in_processes(module: str, function: str, calls: Sequence[tuple], processes: int | None = None) -> Iterator[Any]:
    """The results of a function of a module for the arguments of each call, in order, as soon as they are there.

    Parameters
    ----------
    processes : int, optional
        By default as many as the machine has processors. Each has one thread, which for small matrices is faster than
        one process of many. 0 calls the function in this process.

    Raises
    ------
    RuntimeError
        A call failed.
    """
    if processes == 0:
        yield from (import_attribute(f"{module}:{function}")(*arguments) for arguments in calls)
        return
    own, workers = threading.local(), []

    def call(arguments: tuple) -> Any:
        if not hasattr(own, "worker"):
            own.worker = Worker(module, timeout=TIMEOUT)
            workers.append(own.worker)
        outcome = own.worker.call(function, *arguments)
        if outcome.kind != "answered":
            raise RuntimeError(f"{function}{arguments} {outcome.why}\n{outcome.stderr}")
        return outcome.value

    pool = ThreadPoolExecutor(processes or os.cpu_count() or 1)
    try:
        yield from pool.map(call, calls)
    finally:  # after the last result, or where the caller stops early
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.interrupt()
        pool.shutdown()
        for worker in workers:
            worker.close()
