"""How long-running work reports its progress."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[str, int, int], object]
"""Called as ``progress(step, done, total)``."""


def silent(step: str, done: int, total: int) -> None:
    """The progress that nobody watches."""


@contextmanager
def bar_after(seconds: float) -> Iterator[Progress]:
    """A bar on stderr for work that takes longer than this, where stderr is a terminal; gone when the work is done."""
    bar = _LateBar(seconds)
    try:
        yield bar.move if sys.stderr.isatty() else silent
    finally:
        bar.close()


class _LateBar:
    def __init__(self, seconds: float):
        self._due = time.perf_counter() + seconds
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}

    def move(self, step: str, done: int, total: int) -> None:
        if time.perf_counter() < self._due:
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import Progress as Bar

            self._bar = Bar(console=Console(stderr=True), transient=True)
            self._bar.start()
        if step not in self._tasks:
            self._tasks[step] = self._bar.add_task(step, total=total)
        self._bar.update(self._tasks[step], completed=done, total=total)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
