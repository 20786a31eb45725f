"""Interleaved timing: every contestant once in each round, so that a noisy moment hits all of them.

Nobody is timed in another's wake. Thread pools wait for more work in a busy loop (OpenBLAS's, OpenMP's and XLA's each
for some milliseconds), and take a core from whoever comes next: a gradient of 6 ms took 10 ms right after PyTorch's.
"""

import time
from collections.abc import Callable, Mapping

import numpy as np

SETTLE = 0.03  # seconds


def medians(contestants: Mapping[str, Callable[[], object]], seconds: float = 3.0, least: int = 5) -> dict[str, float]:
    """Median seconds of each contestant, over rounds that fill `seconds`, `least` or more, after a first.

    In a round each contestant waits until the threads of the one before sleep, runs once to be warm, and runs timed.
    """
    for run in contestants.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    started = time.perf_counter()
    while time.perf_counter() - started < seconds or min(map(len, times.values())) < least:
        for name, run in contestants.items():
            time.sleep(SETTLE)
            run()
            begin = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begin)
    return {name: float(np.median(values)) for name, values in times.items()}
