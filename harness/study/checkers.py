"""The checkers that are compared: this harness, and its peers as their users call them.

All return "pass", "alarm" or "inconclusive". A peer takes a source's cost and the same source's gradient, and compares
them by its own rule at its own defaults. Libraries are called themselves; the rules of courses are written out here.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from harness.checks.networks.network_check import cross_check
from reference.measured import GradientSource
from reference.problem import Problem

PASS, ALARM, INCONCLUSIVE, NOT_APPLICABLE = "pass", "alarm", "inconclusive", "not applicable"
HARNESS = "harness"
VERDICTS = {"agree": PASS, "disagree": ALARM, "inconclusive": INCONCLUSIVE}

Cost = Callable[[np.ndarray], float]


class FlatCase(NamedTuple):
    """A case as peers take it: the cost and the gradient as functions of a vector, and the vector.

    `rng` serves the rules that draw coordinates; by default each peer has one for all cases.
    """

    cost: Cost
    gradient: Callable[[np.ndarray], np.ndarray]
    theta: np.ndarray
    rng: np.random.Generator | None = None


Comparison = Callable[[FlatCase, np.random.Generator], str]
Number = Callable[[FlatCase, np.random.Generator], float]


class Peer(NamedTuple):
    """Another checker."""

    rule: str  # what it compares, in words
    compare: Comparison  # the comparison
    library: str = "numpy"  # the module that it needs
    asserts: bool = False  # whether it is made of assertions, which ``python -O`` drops
    number: Number | None = None  # what a rule requires to be small
    bound: float | None = None  # the limit beyond which it raises an alarm


def harness_verdict(
    sources: Mapping[str, GradientSource], wrong: Collection[str], problem: Problem, theta: np.ndarray
) -> tuple[str, str]:
    """The harness's outcome, and whether it names the sources that are wrong: "right", "wrong" or "abstained"."""
    report = cross_check(problem, theta, sources)
    blame = "right" if set(report.outliers) == set(wrong) else "wrong"
    return VERDICTS[report.verdict], blame if report.outliers else "abstained"


# -- libraries ---------------------------------------------------------------------------------------------------------


def _torch(case: FlatCase, _: Any, fast_mode: bool) -> str:
    torch: Any = import_module("torch")

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, t):
            ctx.save_for_backward(t)
            return t.new_tensor(case.cost(t.detach().numpy()))

        @staticmethod
        def backward(ctx, g):
            (t,) = ctx.saved_tensors
            return g * torch.from_numpy(case.gradient(t.detach().numpy()))

    t = torch.tensor(case.theta, requires_grad=True)
    right = torch.autograd.gradcheck(Function.apply, (t,), fast_mode=fast_mode, raise_exception=False)
    return PASS if right else ALARM


def _jax(case: FlatCase, _: Any) -> str:
    import jax
    import jax.numpy as jnp
    from jax.test_util import check_grads

    from reference.jax_settings import fixed_settings

    # outside of jit, JAX calls a custom rule with numbers, not tracers, so it may call NumPy
    function = jax.custom_vjp(lambda t: jnp.asarray(case.cost(np.asarray(t))))
    function.defvjp(lambda t: (function(t), t), lambda t, g: (g * jnp.asarray(case.gradient(np.asarray(t))),))
    try:
        with fixed_settings():
            check_grads(function, (jnp.asarray(case.theta),), order=1, modes=("rev",))
    except AssertionError:
        return ALARM
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        return ALARM  # a source that writes to its argument fails, since JAX's arrays are read-only
    return PASS


def _autograd(case: FlatCase, rng: np.random.Generator) -> str:
    extend: Any = import_module("autograd.extend")
    test_util: Any = import_module("autograd.test_util")
    function = extend.primitive(case.cost)
    extend.defvjp(function, lambda _, t: lambda g: g * case.gradient(t))
    state = np.random.get_state()  # noqa: NPY002  autograd draws from NumPy's global generator
    np.random.seed(int(rng.integers(2**32)))  # noqa: NPY002
    try:
        test_util.check_grads(function, modes=["rev"], order=1)(case.theta)
    except AssertionError:
        return ALARM
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return PASS


def _scipy_norm(case: FlatCase, _: Any) -> float:
    from scipy.optimize import check_grad

    return float(check_grad(case.cost, case.gradient, case.theta))


# -- rules of courses --------------------------------------------------------------------------------------------------


def central_difference(cost: Cost, theta: np.ndarray, i: int, h: float) -> float:
    """(J(θ + h) - J(θ - h))/2h, with h in one coordinate."""
    up, down = theta.copy(), theta.copy()
    up[i] += h
    down[i] -= h
    return (cost(up) - cost(down)) / (2.0 * h)


def _course_ratio(case: FlatCase, _: Any) -> float:
    """‖numeric - analytic‖ / ‖numeric + analytic‖, numeric by central differences with a step of 1e-4."""
    numeric = np.array([central_difference(case.cost, case.theta, i, 1e-4) for i in range(case.theta.size)])
    analytic = case.gradient(case.theta)
    return float(np.linalg.norm(numeric - analytic) / np.linalg.norm(numeric + analytic))


def _cs231n_worst(case: FlatCase, rng: np.random.Generator) -> float:
    """The largest relative error of ten random entries; NaN if any is."""
    analytic = case.gradient(case.theta)
    errors = []
    for i in rng.integers(case.theta.size, size=10):
        a, b = central_difference(case.cost, case.theta, i, 1e-5), analytic[i]
        errors.append(0.0 if a == b == 0.0 else abs(a - b) / (abs(a) + abs(b)))
    return float(np.max(errors))


def peer_by_number(
    rule: str, number: Number, bound: float, *, doubtful: float | None = None, of_nan: str = ALARM
) -> Peer:
    """A rule that requires a number below `bound`; from `doubtful` on up to it the outcome is inconclusive."""

    def compare(case: FlatCase, rng: np.random.Generator) -> str:
        found = number(case, rng)
        if found < (bound if doubtful is None else doubtful):
            return PASS
        if np.isnan(found):
            return of_nan
        return ALARM if doubtful is None or found > bound else INCONCLUSIVE

    return Peer(rule, compare, number=number, bound=bound)


PEERS = {
    "torch gradcheck": Peer(
        "every coordinate, central differences, step 1e-6; atol 1e-5, rtol 1e-3; and that backward repeats itself",
        partial(_torch, fast_mode=False),
        "torch",
    ),
    "torch gradcheck, fast": Peer(
        "fast_mode=True: one random direction of positive entries, tolerances as above",
        partial(_torch, fast_mode=True),
        "torch",
    ),
    "JAX check_grads": Peer(
        "one random direction, central differences, step 1e-4; atol and rtol 1e-5; order 1, reverse mode",
        _jax,
        "jax.test_util",
    ),
    "autograd check_grads": Peer(
        "one random direction, central differences, step 1e-6; absolute or relative 1e-6; order 1, reverse mode",
        _autograd,
        "autograd.test_util",
        asserts=True,
    ),
    # SciPy returns a norm and leaves the verdict to the caller. These are the ends of what careful callers require:
    # SciPy's own tests require 1.5e-7 to 5e-7 of functions of one or two variables, and noise grows with √n;
    # scikit-learn's, of tens to hundreds of variables, require 1e-5 (t-SNE) to 1e-4 (NCA, Huber).
    "scipy check_grad < 1e-6": peer_by_number(
        "every coordinate, forward differences, step 1.5e-8; norm of the difference below 1e-6", _scipy_norm, 1e-6
    ),
    "scipy check_grad < 1e-4": peer_by_number(
        "the same norm below 1e-4, as scikit-learn's tests ask", _scipy_norm, 1e-4
    ),
    "course, 1e-9": peer_by_number(
        "checkNNGradients of exercise 4: central differences, step 1e-4; ‖difference‖ / ‖sum‖ below 1e-9",
        _course_ratio,
        1e-9,
        of_nan=INCONCLUSIVE,
    ),
    "cs231n, 10 entries": peer_by_number(
        "grad_check_sparse: ten random entries, central differences, step 1e-5; a relative error above 1e-2 is an "
        "alarm, one above 1e-4 inconclusive (“uncomfortable”, in the notes' words)",
        _cs231n_worst,
        1e-2,
        doubtful=1e-4,
    ),
}

OUR_RULE = "four sources, judged against derived error bounds"

INSTALL = "pip install 'autodiff-cross-check[peers]'"


def installed_peers(names: Iterable[str] | None = None) -> tuple[dict[str, Peer], dict[str, str]]:
    """The peers of these names (by default all), and for those that are not installed, how to install them."""
    peers, left_out = {}, {}
    for name in PEERS if names is None else names:
        try:
            import_module(PEERS[name].library)
            if PEERS[name].asserts and not __debug__:
                left_out[name] = "not run, since python -O drops the assertions that it is made of"
            else:
                peers[name] = PEERS[name]
        except ImportError as error:
            left_out[name] = f"not run, since it cannot be imported ({error}); install it with {INSTALL}"
    return peers, left_out
