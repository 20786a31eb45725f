"""Pools that make the rows: threads of this machine or of a Dask cluster, each with a process that may be killed.

Both are executors of `concurrent.futures`, and both run `make_rows`.
"""

import logging
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

from harness.facts.fact import wrong
from harness.facts.kinds import Kind
from harness.isolation import Outcome, Worker
from harness.sweep.rows import Settings, SweepRow, error_row

CONNECT = 10.0  # seconds to wait for a Dask scheduler

START = 120.0  # seconds that the first answer of a process may take, on a busy machine: JAX is imported, and compiles

DEATHS = 2
"""Deaths of a process at the same row from which on the row is the cause. A first one may come from outside, such as
the system's when memory is short."""

STOPPING = "the sweep is being stopped"

# The processes are the parallelism: more threads would only be in their way, and could change the order of a sum.
ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}


class _Crew:
    """The processes of one sweep on this machine, one for each thread of a pool that asks for rows."""

    def __init__(self) -> None:
        self.mine = threading.local()
        self.workers: list[Worker] = []
        self.dismissed = False

    def make_rows(self, settings: Settings, seeds: Sequence[int], limit: float, deaths: int = 0) -> list[SweepRow]:
        outcome = self._ask(settings, seeds, limit)
        if outcome.kind == "answered":
            return [SweepRow(*row) for row in outcome.value]
        if len(seeds) > 1:  # one of the rows hangs or ends the process: each by itself shows which
            return [row for seed in seeds for row in self.make_rows(settings, [seed], limit)]
        deaths += outcome.kind in ("died", "exited")
        if 0 < deaths < DEATHS:
            return self.make_rows(settings, seeds, limit, deaths)
        return [error_row(settings, seeds[0], wrong(Kind.CHECK_FAILED, error=f"its process {outcome.why}"))]

    def _ask(self, settings: Settings, seeds: Sequence[int], limit: float) -> Outcome:
        if self.dismissed:
            raise InterruptedError(STOPPING)
        if not hasattr(self.mine, "worker"):
            self.mine.worker = Worker("harness.sweep.rows", prepare=[("os:environ.update", (ONE_THREAD,))])
            self.workers.append(self.mine.worker)
            self._call(START, "warm_up", settings)  # so that no row pays for imports and compilation with its limit
        return self._call(limit, "make_rows", settings, seeds)

    def _call(self, limit: float, function: str, *arguments: Any) -> Outcome:
        worker: Worker = self.mine.worker
        worker.load()
        if self.dismissed:  # while the process was being started, where `dismiss` did not find it
            worker.close()
            raise InterruptedError(STOPPING)
        worker.timeout = limit
        return worker.call(function, *arguments)

    def dismiss(self) -> None:
        """End the processes. A thread that asks for more rows raises InterruptedError."""
        self.dismissed = True
        for worker in self.workers:
            worker.interrupt()


_crews: defaultdict[str, _Crew] = defaultdict(_Crew)


def make_rows(sweep: str, settings: Settings, seeds: Sequence[int], limit: float) -> list[SweepRow]:
    """The rows of some seeds for a sweep of that name, made in a process of their own.

    A row that takes longer than `limit` seconds, or whose process dies, says so.
    """
    return _crews[sweep].make_rows(settings, seeds, limit)


def dismiss(sweep: str) -> None:
    """End the processes that made rows for a sweep."""
    if sweep in _crews:
        _crews.pop(sweep).dismiss()


class Pool(NamedTuple):
    """An executor that runs `make_rows`, how many tasks at a time, and what raises an OSError once it has gone."""

    executor: Executor
    size: int
    sweep: str
    check: Callable[[], None] = lambda: None


@contextmanager
def this_machine(size: int) -> Iterator[Pool]:
    """So many processes on this machine, which are gone afterwards."""
    sweep, pool = secrets.token_hex(4), ThreadPoolExecutor(size, thread_name_prefix="sweep")
    try:
        yield Pool(pool, size, sweep)
    finally:
        dismiss(sweep)
        pool.shutdown(cancel_futures=True)


@contextmanager
def dask_cluster(address: str) -> Iterator[Pool]:
    """The workers of a Dask scheduler, such as "tcp://host:8786", each of which starts a process for each thread.

    Raises an OSError when there is no scheduler, or it has no workers, and a ValueError when the address is none.
    """
    try:
        from distributed import Client
        from distributed.comm.addressing import get_address_host_port
    except ImportError as error:
        raise ValueError(
            f"a Dask cluster needs Dask, which is missing ({error}); install it with pip install "
            "'autodiff-cross-check[distributed]', or leave out --scheduler"
        ) from None
    try:
        get_address_host_port(address)  # a Client that refuses it would wait for its own end, and tell so
    except ValueError as error:
        raise ValueError(f"{address!r} is no address of a Dask scheduler ({error}); expected tcp://host:8786") from None
    try:
        client = Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise OSError(f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`") from None

    def check() -> None:
        if client.status != "running":
            raise OSError(f"the Dask scheduler at {address} is gone; once there is one, the same command goes on")
        if not _threads(client):
            raise OSError(f"the Dask scheduler at {address} has no workers; start some with `dask worker {address}`")

    sweep = secrets.token_hex(4)
    with client, _quiet("distributed", "distributed.client", "tornado.application"):
        check()
        executor = client.get_executor(pure=False)
        try:
            yield Pool(executor, _threads(client), sweep, check)
        finally:
            executor.shutdown(wait=False)
            if client.status == "running":
                client.run(dismiss, sweep)


def _threads(client: Any) -> int:
    """How many tasks the cluster's workers run at a time, all of them."""
    return sum(client.nthreads().values())


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Loggers that tell of a lost connection by tracebacks, where one sentence of ours does."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
