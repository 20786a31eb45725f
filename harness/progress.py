"""How long-running work reports its progress, and the bars that show it on a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[str, int, int], object]  # called as ``progress(step, done, total)``


def silent(step: str, done: int, total: int) -> None:
    """Show nothing."""


@contextmanager
def progress_bar(after: float = 0.0, *, rate: bool = False) -> Iterator[Progress]:
    """A bar on stderr, if that is a terminal, after some seconds of work. It disappears when the work is done.

    With `rate` it shows how many are done in a second; the first call states how many were done before.
    """
    bar = _Bar(time.monotonic() + after, rate)
    try:
        yield bar.move if sys.stderr.isatty() else silent
    finally:
        bar.close()


class _Bar:
    def __init__(self, due: float, rate: bool):
        self._due, self._rate = due, rate
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        self._started: dict[str, tuple[float, int]] = {}

    def move(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        since, before = self._started.setdefault(step, (now, done))
        if now < self._due:
            return
        if self._bar is None:
            self._bar = _new_bar(self._rate)
            self._bar.start()
        if step not in self._tasks:
            self._tasks[step] = self._bar.add_task(step, total=total, rate=0.0)
        self._bar.update(self._tasks[step], completed=done, rate=(done - before) / max(now - since, 1e-9))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def _new_bar(rate: bool) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    rates = [TextColumn("{task.fields[rate]:.0f}/s")] if rate else []
    columns = [TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), *rates, TimeRemainingColumn()]
    return Bar(*columns, console=Console(stderr=True), transient=True)
