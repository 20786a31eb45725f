"""The child process: it waits for calls, makes them within limits, and answers.

It runs as ``python -c PROGRAM FDS``.
"""

import contextlib
import faulthandler
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from functools import cache, partial
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from harness.isolation.limits import MESSAGE_LENGTH, MOST_LINES, MOST_PROCESSES, limit_this_process
from harness.isolation.values import copies, differ, encode
from harness.named_objects import import_attribute, import_file_or_module
from reference.user_input import error_in_words


class Setting(NamedTuple):
    """The first message: what to import, within which limits, after which calls; and where the user's files lie."""

    target: str
    memory: int
    prepare: tuple[tuple[str, tuple], ...]
    home: str = ""
    is_sandboxed: bool = False


def main(requests: int, answers: int, trace: int) -> None:
    """Answer calls until the parent closes the pipe that they come from, or is gone."""
    # which line it was, in a crash or when time is up
    faulthandler.enable(trace, all_threads=False)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True, errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    # a thread reads, so that the end of the parent is noticed while the user's code runs
    received: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, received), daemon=True).start()
    setting = received.get()
    limit_this_process(setting.memory, MOST_PROCESSES if setting.is_sandboxed else None)
    _send(answers, encode({"kind": "answered", "value": None, "changed": []}))
    load, own_process = cache(partial(_load, setting)), os.getpid()
    while True:
        name, arguments = received.get()
        try:
            message = _call(load(), name, arguments)
        except BaseException as error:  # noqa: BLE001  whatever it is, the parent reports it
            message = encode(_failure(error, setting.home or _file_of(setting.target)))
        # the user's code has forked, and this is not the process that is to answer
        if os.getpid() != own_process:
            os._exit(0)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        _send(answers, message)


def _receive(requests: int, received: queue.SimpleQueue) -> None:
    """Hand on what the parent sends; when it is gone, end this process and all that it started."""
    with contextlib.suppress(Exception), os.fdopen(requests, "rb") as file:
        while True:
            received.put(pickle.load(file))  # written by the parent
    os.killpg(0, signal.SIGKILL)


def _send(answers: int, message: bytes) -> None:
    """Write all of a message; a pipe takes as much at a time as it has room for."""
    rest = memoryview(message)
    while rest:
        rest = rest[os.write(answers, rest) :]


def _load(setting: Setting) -> ModuleType:
    """The user's module, after the calls that prepare for it."""
    for function, arguments in setting.prepare:
        import_attribute(function)(*arguments)
    return import_file_or_module(setting.target)


def _call(module: ModuleType, name: str | None, arguments: Any) -> bytes:
    """The message with what a function of the module returns, or else defines, and the arguments that it changed."""
    before = copies(arguments)
    value = _defined_in(module) if name is None else attrgetter(name)(module)(*arguments)
    changed = [[i, argument] for i, argument in enumerate(arguments) if differ(before[i], argument)]
    return encode({"kind": "answered", "value": value, "changed": changed})


def _defined_in(module: ModuleType) -> list[str]:
    """The public functions and classes that a module itself defines."""
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    return [name for name in own if not name.startswith("_") and callable(getattr(module, name))]


def _file_of(target: str) -> str:
    return getattr(sys.modules.get(target), "__file__", None) or target


def _failure(error: BaseException, home: str) -> dict[str, Any]:
    place = _place(error, home)
    if isinstance(error, SystemExit):
        what = f"called sys.exit({error.code!r}) instead of answering"
        return {"kind": "exited", "what": what, "error": "SystemExit", "place": place}
    what = error_in_words(error)[:MESSAGE_LENGTH]
    return {"kind": "raised", "error": type(error).__name__, "what": what, "place": place}


def _place(error: BaseException, home: str) -> tuple[str, int, str, str, list[int]] | None:
    """The last line of the user's files in a traceback, and the lines of all calls there, the outermost first.

    Its files are the file or folder that was run, or else what lies beside it.
    """
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return Path(error.filename).name, error.lineno, "", (error.text or "").strip()[:MESSAGE_LENGTH], []
    frames = traceback.extract_tb(error.__traceback__)
    # ``home`` is a file or a folder; where none of its lines is in the traceback, those of a module beside it count
    folders = Path(home), Path(home).parent
    own, near = ([frame for frame in frames if Path(frame.filename).is_relative_to(folder)] for folder in folders)
    if not (own or near):
        return None
    last = (own or near)[-1]
    file = Path(last.filename)
    name = file.name if not own or file == folders[0] else str(file.relative_to(home))
    lines = [frame.lineno or 0 for frame in own or near]
    return name, lines[-1], last.name, (last.line or "")[:MESSAGE_LENGTH], lines[:MOST_LINES]
