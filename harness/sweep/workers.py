"""Who makes the rows: threads of this machine or of a Dask cluster, each with a process of its own that may be killed.

Both are executors of `concurrent.futures`, and both run `make_rows`.
"""

import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from harness.sweep.rows import Row, error_row
from harness.sweep.settings import Settings, version
from harness.versions import differences

CONNECT = 10.0  # seconds to wait for a Dask scheduler
START = 120.0  # seconds that a process may take to start: it imports JAX, and the machine may be busy

# The processes are the parallelism: more threads would only be in their way, and could change the order of a sum.
ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


class Child:
    """A process that runs `harness.sweep.child`."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harness.sweep.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # Ctrl-C is for the parent, which ends its children
        )
        self.unread = b""

    def ask(self, settings: Settings, seeds: Sequence[int]) -> None:
        assert self.process.stdin is not None
        request = json.dumps({"settings": settings.to_json(), "seeds": list(seeds)})
        self.process.stdin.write(f"{request}\n".encode())
        self.process.stdin.flush()

    def answer(self, limit: float) -> Any:
        """The next line of its answer; TimeoutError after so many seconds, EOFError when the process has ended."""
        assert self.process.stdout is not None
        deadline, file = time.monotonic() + limit, self.process.stdout.fileno()
        while b"\n" not in self.unread:
            if not select.select([file], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            read = os.read(file, 2**16)
            if not read:
                raise EOFError
            self.unread += read
        line, _, self.unread = self.unread.partition(b"\n")
        return json.loads(line)

    def end(self) -> str:
        """Kill it, if it still lives, and say how it ended."""
        try:
            code = self.process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):  # by what it was asked last
                pipe.close()  # pyright: ignore[reportOptionalMemberAccess]
        return f"signal {-code}" if code < 0 else f"exit code {code}"


class Children:
    """A process for each thread that asks for rows."""

    def __init__(self) -> None:
        self.mine = threading.local()
        self.all: set[Child] = set()
        self.closed = False

    def make_rows(self, settings: Settings, seeds: Sequence[int], limit: float) -> list[Row]:
        rows: list[Row] = []
        died_before = False
        while len(rows) < len(seeds):
            left = seeds[len(rows) :]
            child = self._child()
            try:
                child.ask(settings, left)
                if apart := differences(version(settings), child.answer(START)):
                    raise ValueError(f"a worker has other code than this process: {'; '.join(apart)}")
                for _ in left:
                    rows.append(Row(*child.answer(limit)))
                    died_before = False
            except TimeoutError:
                self._end(child)
                rows.append(error_row(settings, seeds[len(rows)], f"no answer within {limit:g} s"))
            except (EOFError, BrokenPipeError):
                how = self._end(child)
                if died_before:  # twice on the same seed: it was the check, and nobody from outside
                    reason = f"the process that made the check ended ({how})"
                    rows.append(error_row(settings, seeds[len(rows)], reason))
                died_before = not died_before
        return rows

    def _child(self) -> Child:
        if self.closed:
            raise InterruptedError("the sweep is being stopped")
        child = getattr(self.mine, "child", None)
        if child is None or child.process.poll() is not None:
            child = self.mine.child = Child()
            self.all.add(child)
        return child

    def _end(self, child: Child) -> str:
        self.mine.child = None
        self.all.discard(child)
        return child.end()

    def close(self) -> None:
        """Kill them all; who is asked for rows meanwhile gives up."""
        self.closed = True
        for child in list(self.all):
            child.process.kill()


_children = Children()


def make_rows(settings: Settings, seeds: Sequence[int], limit: float) -> list[Row]:
    """The rows of some seeds, made in a process of their own.

    A row that takes longer than `limit` seconds, or whose process dies twice, says so.

    Raises
    ------
    ValueError
        When the process has other code or libraries than this one.
    """
    return _children.make_rows(settings, seeds, limit)


class Pool(NamedTuple):
    """An executor, how many tasks it runs at a time, and what raises an OSError once it has gone."""

    executor: Executor
    size: int
    check: Any = lambda: None


@contextmanager
def this_machine(size: int) -> Iterator[Pool]:
    """So many processes on this machine, which are gone afterwards."""
    global _children
    _children = Children()
    pool = ThreadPoolExecutor(size, thread_name_prefix="sweep")
    try:
        yield Pool(pool, size)
    finally:
        _children.close()
        pool.shutdown(cancel_futures=True)
        for child in list(_children.all):
            child.end()


@contextmanager
def dask_cluster(address: str) -> Iterator[Pool]:
    """The workers of a Dask scheduler, such as "tcp://host:8786", each of which starts a process for each thread.

    Raises
    ------
    OSError
        When there is no scheduler, or it has no workers.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise OSError(f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`") from None

    def check() -> None:
        if client.status != "running":
            raise OSError(f"the Dask scheduler at {address} is gone; once there is one, the same command goes on")
        if not _threads(client):
            raise OSError(f"the Dask scheduler at {address} has no workers; start some with `dask worker {address}`")

    with client, _quiet("distributed", "distributed.client", "tornado.application"):
        check()
        executor = client.get_executor(pure=False)
        try:
            yield Pool(executor, _threads(client), check)
        finally:
            executor.shutdown(wait=False)


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
