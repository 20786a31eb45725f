"""Work on blocks side by side, with BLAS in one thread each.

The threads of a BLAS wait for each other in busy loops: beside other processes, which take their cores, a product takes
ten times its time. A pool of Python's threads sleeps instead. Blocks and their order do not depend on how many threads
there are, and so neither does any bit of a result.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_blocks(work: Callable[[T], R], blocks: Sequence[T]) -> Generator[R, None, None]:
    """The result for each block, in order, from as many threads as BLAS would take and there are processors for.

    The number of BLAS' threads is the process's. So one call at a time sets it, and gives it back to the caller. No
    more results wait for the caller than there are threads: 48 gradients of a block may take as much memory as X.
    """
    pool = _pool()  # made before the limit, because it is as large as the caller's
    with _lock(), _controller().limit(limits=1, user_api="blas"):
        if len(blocks) == 1:
            yield work(blocks[0])
            return
        waiting: deque[Future[R]] = deque()
        for block in blocks:
            # each in a copy of the context, which holds NumPy's error settings
            waiting.append(pool.submit(copy_context().run, work, block))
            if len(waiting) > _threads():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@cache
def _lock() -> threading.RLock:
    return threading.RLock()


@cache
def _controller() -> Any:
    before = set(os.environ)
    from threadpoolctl import ThreadpoolController

    for name in set(os.environ) - before:  # its import sets KMP_DUPLICATE_LIB_OK for the whole process
        del os.environ[name]
    return ThreadpoolController()


@cache
def _threads() -> int:
    is_limited = hasattr(os, "sched_getaffinity")
    processors = len(os.sched_getaffinity(0)) if is_limited else os.cpu_count() or 1
    of_blas = [library["num_threads"] for library in _controller().info() if library["user_api"] == "blas"]
    return max(1, min([processors, *of_blas]))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_threads(), thread_name_prefix="blocks")


def _forget_threads() -> None:
    """A child that was forked has none of the threads, and nobody who releases the lock."""
    _pool.cache_clear()
    _lock.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
