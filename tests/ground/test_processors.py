"""Blocks side by side: in order, with the caller's settings, and one thread of BLAS."""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from harness.processors import map_blocks


def threads():
    """Of NumPy's BLAS; SciPy has one of its own."""
    return [library["num_threads"] for library in threadpool_info() if "numpy" in library["filepath"].lower()]


def test_results_come_in_the_order_of_the_blocks_with_one_thread_of_blas():
    found = list(map_blocks(lambda block: (block, threads()), range(20)))
    assert [block for block, _ in found] == list(range(20))
    assert all(counts == [1] * len(counts) for _, counts in found)


def test_few_results_wait_for_the_caller():
    begun = []
    results = map_blocks(begun.append, range(1000))
    next(results)
    assert len(begun) < 1000
    results.close()


def test_the_callers_threads_and_error_settings_stay():
    with threadpool_limits(2, "blas"), np.errstate(over="ignore"), warnings.catch_warnings():
        before = threads()
        assert np.isinf(list(map_blocks(lambda x: np.exp(np.full(3, x)), [1e3, 1e4]))).all()
        with pytest.raises(ZeroDivisionError):
            list(map_blocks(lambda x: 1 // x, [1, 0]))
        assert threads() == before


def test_calls_from_several_threads_leave_the_callers_threads():
    before = threads()
    with ThreadPoolExecutor(4) as executor:
        found = list(executor.map(lambda n: list(map_blocks(lambda block: threads(), [n, n])), range(20)))
    assert all(set(counts) == {1} for blocks in found for counts in blocks)
    assert threads() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX's")
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::RuntimeWarning"
)  # of forks of processes with threads
def test_a_forked_child_has_threads_of_its_own():
    list(map_blocks(abs, [1, 2]))
    if (child := os.fork()) == 0:
        os._exit(sum(map_blocks(abs, [1, 2])))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
