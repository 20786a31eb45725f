"""What goes to stdout: results alone."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def output_on_stderr() -> Iterator[None]:
    """Within it, whatever is printed goes to stderr, also by libraries in C and by processes that are started."""
    stdout = sys.stdout
    saved = None
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it is no file, or stderr is closed
        stdout.flush()
        if stdout.fileno() == 1:
            saved = os.dup(1)
            os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = stdout
        if saved is not None:
            os.dup2(saved, 1)
            os.close(saved)


def flushed() -> str:
    """Write out what is buffered; what went wrong with stdout, in words.

    A stream that cannot be written to is turned to the null device, for Python would try again at its end, fail, and
    change the exit code.
    """
    wrong = ""
    for stream, fd in ((sys.stdout, 1), (sys.stderr, 2)):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), fd)
                stream.flush()
            wrong = wrong or (str(error) if fd == 1 else "")
    return wrong
