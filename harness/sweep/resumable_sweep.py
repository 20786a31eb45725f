"""A sweep: the rows that a file has not got yet, made by a pool of workers and stored as they come."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from harness.progress import Progress, silent
from harness.sweep.rows import Settings, SweepRow, prepare
from harness.sweep.store import LARGEST_SEED, open_to_write
from harness.sweep.worker_pools import Pool, make_rows

CHUNK = {"networks": 25, "functions": 10, "activations": 2}
"""Rows of a task: some tenths of a second, so that handing tasks over costs little and Ctrl-C waits for little."""

QUEUED = 2  # tasks for each worker, so that none waits for the next

STORE_EVERY = 0.5
"""Seconds between two writes. A crash loses the rows since the last one, and the next run makes them again."""

LOOK_EVERY = 2.0  # seconds without a finished task until the workers are asked whether they are still there


def sweep(
    path: str | Path,  # the SQLite file; made if need be
    settings: Settings,
    seeds: range,  # a row for each
    pool: AbstractContextManager[Pool],  # `this_machine` or `dask_cluster`
    limit: float = 60.0,  # seconds that a row may take
    progress: Progress = silent,
    # called with the seeds of the rows that were damaged, if there are any
    report_damage: Callable[[list[int]], object] = lambda seeds: None,
) -> int:
    """Make the rows of the seeds that the file has not got yet or that are damaged, and return how many these were.

    Whatever ends it (an exception, Ctrl-C, kill -9, a full disk), the file holds whole rows, and the same call goes on.

    Raises a ValueError for seeds that are too large, or a file that is damaged, or of something else, or of another
    sweep, and an OSError when the file cannot be written to, somebody else is writing to it, or the workers have gone.
    """
    if seeds.stop - 1 > LARGEST_SEED:
        raise ValueError(f"seeds must be at most {LARGEST_SEED}, not {seeds.stop - 1}; choose a smaller first one")
    prepare(settings, seeds.start)  # fails here, and not in a worker, where there is no such activation
    with pool as workers, open_to_write(path, settings.in_full()) as store, ExitStack() as at_the_end:
        if damaged := store.drop_damaged():
            report_damage(damaged)
        there, made, stored = store.count(seeds), 0, time.monotonic()
        waiting: list[SweepRow] = []
        at_the_end.callback(lambda: store.add(waiting))
        progress("sweep", there, len(seeds))
        for rows in _made(store.missing(seeds, CHUNK[settings.kind]), workers, settings, limit):
            waiting += rows
            made += len(rows)
            if time.monotonic() - stored > STORE_EVERY:
                batch, waiting, stored = waiting, [], time.monotonic()
                store.add(batch)
            progress("sweep", there + made, len(seeds))
        return made


def _made(chunks: Iterator[list[int]], workers: Pool, settings: Settings, limit: float) -> Iterator[list[SweepRow]]:
    """The rows of each chunk, as soon as they are made."""
    running: set[Future[list[SweepRow]]] = set()
    while True:
        while len(running) < QUEUED * workers.size and (seeds := next(chunks, None)):
            running.add(workers.executor.submit(make_rows, workers.sweep, settings, seeds, limit))
        if not running:
            return
        done, running = wait(running, LOOK_EVERY, FIRST_COMPLETED)
        if not done:
            workers.check()
        for future in done:
            try:
                yield future.result()
            except CancelledError:
                workers.check()
                raise OSError("a worker has given up; the same command goes on") from None
