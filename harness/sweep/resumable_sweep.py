"""A sweep: the rows that a file has not got yet, made by a pool of workers and stored as they come."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import AbstractContextManager
from pathlib import Path

from harness.progress import Progress, silent
from harness.sweep.rows import Row, prepare
from harness.sweep.settings import Settings
from harness.sweep.store import LARGEST_SEED, Store, open_to_write
from harness.sweep.worker_pools import Pool, make_rows

CHUNK = {"networks": 25, "functions": 10, "activations": 2}  # rows a task: some tenths of a second
QUEUED = 2  # tasks for each worker, so that none waits for the next
STORE_EVERY = 0.5  # seconds: what a crash can lose, and is made again
LOOK_EVERY = 2.0  # seconds between looks at whether the workers are still there


def sweep(
    path: str | Path,
    settings: Settings,
    seeds: range,
    pool: AbstractContextManager[Pool],
    limit: float = 60.0,
    progress: Progress = silent,
    report_damage: Callable[[list[int]], object] = lambda seeds: None,
) -> int:
    """Make the rows of the seeds that the file has not got yet, and answer how many these were.

    Damaged rows are removed first, and made again.

    Whatever ends it (an exception, Ctrl-C, kill -9, a full disk), the file holds whole rows, and the same call goes on.

    Parameters
    ----------
    path : path
        The SQLite file; made if need be.
    settings : Settings
    seeds : range
        A row for each.
    pool : context manager of Pool
        `this_machine` or `dask_cluster`.
    limit : float
        Seconds that a row may take.
    progress : callable, optional
        Called as ``progress("sweep", done, total)``.
    report_damage : callable, optional
        Called with the seeds of the rows that were damaged, if there are any.

    Raises
    ------
    ValueError
        For seeds that are too large, or a file that is damaged, or of something else, or of another sweep.
    OSError
        When the file cannot be written to, somebody else is writing to it, or the workers have gone.
    """
    if seeds.stop - 1 > LARGEST_SEED:
        raise ValueError(f"seeds must be at most {LARGEST_SEED}, not {seeds.stop - 1}; choose a smaller first one")
    prepare(settings, seeds.start)  # fails here, and not in a worker, where there is no such activation
    with pool as workers, open_to_write(path, settings.in_full()) as store:
        if damaged := store.drop_damaged():
            report_damage(damaged)
        there, rows = store.count(seeds), _Rows(store)
        progress("sweep", there, len(seeds))
        try:
            for made in _made(store.missing(seeds, CHUNK[settings.kind]), workers, settings, limit):
                rows.add(made)
                progress("sweep", there + rows.added, len(seeds))
        finally:
            rows.store()
        return rows.added


def _made(chunks: Iterator[list[int]], workers: Pool, settings: Settings, limit: float) -> Iterator[list[Row]]:
    """The rows of each chunk, as soon as they are made."""
    running: set[Future[list[Row]]] = set()
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


class _Rows:
    """Rows on their way to the file, to which they are written twice a second."""

    def __init__(self, store: Store) -> None:
        self.file, self.added, self.stored = store, 0, time.monotonic()
        self.waiting: list[Row] = []

    def add(self, rows: list[Row]) -> None:
        self.waiting += rows
        self.added += len(rows)
        if time.monotonic() - self.stored > STORE_EVERY:
            self.store()

    def store(self) -> None:
        rows, self.waiting = self.waiting, []
        self.file.add(rows)
        self.stored = time.monotonic()
