"""A function called many times, in as many processes as the machine has processors."""

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from harness.isolation import Worker
from harness.named_objects import import_attribute

TIMEOUT = 600.0  # seconds for a call, on a busy machine


def in_parallel(module: str, function: str, calls: Sequence[tuple], processes: int | None = None) -> Iterator[Any]:
    """What a function of a module answers to the arguments of each call, in their order, as soon as it is there.

    Parameters
    ----------
    processes : of one thread each, which for small matrices is faster than one process of many; 0 calls it here

    Raises
    ------
    RuntimeError
        A call was not answered.
    """
    if processes == 0:
        yield from (import_attribute(f"{module}:{function}")(*arguments) for arguments in calls)
        return
    mine, workers = threading.local(), []

    def ask(arguments: tuple) -> Any:
        if not hasattr(mine, "worker"):
            mine.worker = Worker(module, timeout=TIMEOUT)
            workers.append(mine.worker)
        outcome = mine.worker.call(function, *arguments)
        if outcome.kind != "answered":
            raise RuntimeError(f"{function}{arguments} {outcome.why}\n{outcome.stderr}")
        return outcome.value

    pool = ThreadPoolExecutor(processes or os.cpu_count() or 1)
    try:
        yield from pool.map(ask, calls)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.interrupt()
        pool.shutdown()
        for worker in workers:
            worker.close()
