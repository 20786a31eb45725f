"""How a command starts and ends: address space, signals, JAX, and streams that cannot be written to."""

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Bytes of address space that NumPy and SciPy need, and with JAX, and for each core: measured, plus half. Most of it is
# stacks and buffers of threads that stay unused. Without it, OpenBLAS and XLA hang or end the process silently.
SPACE, SPACE_A_CORE = 350 * 2**20, 64 * 2**20
SPACE_WITH_JAX, SPACE_A_CORE_WITH_JAX = 3 * 2**29, 2**28

AGAIN, STILL_THERE = 0.01, 5.0
"""Seconds until a signal is sent again that Python ignored, or that has not ended the program."""

received_terminations: list[int] = []  # the SIGTERMs that this process has received


class Terminated(KeyboardInterrupt):
    """SIGTERM: everything ends as after Ctrl-C, with whole files, but with another exit code."""


def require_address_space(*, jax: bool = False) -> None:
    """Check that the libraries fit into the limit of address space (``ulimit -v``).

    Raises OSError when they do not fit.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    cores = os.cpu_count() or 1
    needed = SPACE_WITH_JAX + cores * SPACE_A_CORE_WITH_JAX if jax else SPACE + cores * SPACE_A_CORE
    if limit != resource.RLIM_INFINITY and limit < needed:
        raise OSError(
            f"this needs {needed / 2**30:.1f} GiB of address space{' for JAX' if jax else ''}, and the limit "
            f"(ulimit -v) is {limit / 2**30:.1f} GiB; raise it"
        )


def start_jax() -> None:
    """Import JAX and start its CPU backend, before anything else in the command needs it.

    Signals wait until that is done, because JAX's libraries crash if their start is interrupted. Raises OSError when
    there is too little address space for JAX.
    """
    require_address_space(jax=True)
    with _signals_delayed():
        import jax

        jax.devices("cpu")


@contextmanager
def _signals_delayed() -> Iterator[None]:
    if os.name != "posix":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def behave_as_program() -> None:
    """Set up streams and signals as programs have them: any encoding, closed pipes, SIGTERM."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # the stream is closed, or is not a file
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    if os.name == "posix":
        signal.signal(signal.SIGPIPE, _end_unread)
        signal.signal(signal.SIGTERM, _terminate)
        sys.unraisablehook = _interrupt_again


def _end_unread(number: int, _: Any) -> None:
    """End silently when the reader of stdout or stderr has gone: a child that has died is no reason."""
    streams = select.poll()
    for stream in (1, 2):
        streams.register(stream, 0)
    if any(event & (select.POLLERR | select.POLLHUP) for _, event in streams.poll(0)):
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def _terminate(number: int, _: Any) -> None:
    received_terminations.append(number)
    _send_again(number, STILL_THERE)  # some libraries swallow what is raised while they are imported
    raise Terminated


def _interrupt_again(ignored: Any) -> None:
    """Repeat an interrupt that Python ignored, because it came in a destructor or in the garbage collector."""
    if ignored.exc_type is not None and issubclass(ignored.exc_type, KeyboardInterrupt):
        _send_again(signal.SIGTERM if ignored.exc_type is Terminated else signal.SIGINT, AGAIN)
    else:
        sys.__unraisablehook__(ignored)


def _send_again(number: int, seconds: float) -> None:
    # as a signal, because `_thread.interrupt_main` does not wake a main thread that waits
    threading.Timer(seconds, signal.pthread_kill, (threading.main_thread().ident, number)).start()
