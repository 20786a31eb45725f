"""How long-running work reports its progress."""

from collections.abc import Callable

Progress = Callable[[str, int, int], object]
"""Called as ``progress(step, done, total)``."""


def silent(step: str, done: int, total: int) -> None:
    """The progress that nobody watches."""
