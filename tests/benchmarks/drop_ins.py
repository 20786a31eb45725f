"""The cost of the drop-ins: CPU time of a call beside the original's, both in turn in one process.

PyTorch's rows need PyTorch with `expecttest`; of its operators, one in twelve is taken, with its first sample.
"""

import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from harness.study.operator_study import operator_cases
from tests.benchmarks.rows import Row

OPERATORS, ROUNDS = 12, 5

Call = Callable[[], object]


def drop_ins() -> Iterator[Row]:
    """A row for the sum, and one for the median of the calls, for each original."""
    logging.disable(logging.WARNING)
    yield from _rows("gradcheck, slow", 2.0, _of_torch({}))
    yield from _rows("gradcheck, fast_mode=True", 2.0, _of_torch({"fast_mode": True}))
    yield from _rows("autograd's check_grads", 5.0, _of_autograd())
    yield from _rows("SciPy's check_grad", 4.0, _of_scipy())
    yield from _rows("JAX's check_grads", 2.0, _of_jax())


def _rows(name: str, target: float, calls: Sequence[tuple[Call, Call]], rounds: int = ROUNDS) -> Iterator[Row]:
    times = [[min(each) for each in zip(*(map(_seconds, pair) for _ in range(rounds)))] for pair in calls]
    ours, theirs = ([each[k] for each in times] for k in (0, 1))
    for of, take in (("sum", sum), ("median", statistics.median)):
        ratio = take(ours) / take(theirs) if of == "sum" else statistics.median(a / b for a, b in times)
        seconds = {"ours": float(take(ours)), "original": float(take(theirs))}
        yield Row(f"{name}: {of} of {len(times)} calls", "the original", seconds, float(ratio), target)


def _seconds(call: Call) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started = time.process_time()
        call()
        return time.process_time() - started


def _of_torch(options: dict[str, Any]) -> list[tuple[Call, Call]]:
    import torch
    from torch.autograd import gradcheck as original

    from harness.drop_in.torch import gradcheck

    torch.set_num_threads(1)
    cases = [case.subject for case in operator_cases(step=OPERATORS)]
    cases = [case for case in cases if (case.dtype, case.mode) == ("float64", "reverse")]
    samples = [sample for case in cases for sample in list(case.samples())[:1]]
    calls = [(partial(gradcheck, *sample, **options), partial(original, *sample, **options)) for sample in samples]
    return [(ours, theirs) for ours, theirs in calls if _passes(theirs)]


def _passes(call: Call) -> bool:
    try:
        return bool(call())
    except Exception:  # noqa: BLE001  a sample of no derivative
        return False


def _of_autograd() -> list[tuple[Call, Call]]:
    """The functions of one number that autograd's own tests check."""
    import autograd.numpy as anp
    from autograd.test_util import check_grads as original

    from harness.drop_in.autograd import check_grads

    names = "abs sin sign exp log log10 sqrt sinh cosh tanh arctan arcsinh expm1 log1p square reciprocal"
    pairs: list[tuple[Any, float]] = [(getattr(anp, name), x) for name in names.split() for x in (0.7, 1.9)]
    return [(partial(check_grads(f), x), partial(original(f), x)) for f, x in pairs]  # pyright: ignore[reportCallIssue]


def _of_scipy() -> list[tuple[Call, Call]]:
    from scipy.optimize import check_grad as original
    from scipy.optimize import rosen, rosen_der

    from harness.drop_in.scipy import check_grad

    rng = np.random.default_rng(0)
    A = rng.normal(size=(20, 20))
    problems = [(rosen, rosen_der, rng.normal(size=n)) for n in (2, 5, 10, 20)]
    problems += [(lambda x: x @ A @ x, lambda x: (A + A.T) @ x, rng.normal(size=20))]
    problems += [(lambda x: np.sum(np.exp(x) - x), lambda x: np.exp(x) - 1.0, rng.normal(size=n)) for n in (3, 30)]
    return [(partial(check_grad, *each), partial(original, *each)) for each in problems for _ in range(3)]


def _of_jax() -> list[tuple[Call, Call]]:
    import jax
    import jax.numpy as jnp
    from jax.test_util import check_grads as original

    from harness.drop_in.jax import check_grads

    jax.config.update("jax_enable_x64", True)  # for good, in a process that does nothing else
    x = np.random.default_rng(0).normal(size=(3, 4))
    functions = [jnp.tanh, jax.nn.softmax, jax.scipy.special.logsumexp, lambda a: a @ a.T, lambda a: jnp.sort(a) ** 2]
    return [(partial(check_grads, f, (x,), 2), partial(original, f, (x,), 2)) for f in functions]
