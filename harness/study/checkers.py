"""The checkers that are compared: this harness, and its peers as their users call them.

A checker is a function (source, problem, theta) that answers "pass", "alarm" or "inconclusive". A peer knows one
function with its gradient, so it is handed the source's cost and the source's gradient, and compares the one with the
other by its own rule and its own defaults. Peers that are libraries are the libraries themselves; those that are rules
of a course are written out here.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from harness.checks.networks.cross_checking import cross_check
from reference.measured import GradientSource
from reference.problem import Problem

PASS, ALARM, INCONCLUSIVE = "pass", "alarm", "inconclusive"
HARNESS = "harness"
VERDICTS = {"agree": PASS, "disagree": ALARM, "inconclusive": INCONCLUSIVE}

Checker = Callable[[GradientSource, Problem, np.ndarray], str]


@dataclass(frozen=True)
class Peer:
    """Another checker.

    Attributes
    ----------
    name, rule : what it is called, and what it compares, in words
    make : gets the checker, and imports the library that it needs
    is_cheap : whether a check takes a fixed number of evaluations, however many parameters there are; torch's fast mode
        does until it fails, and then runs the slow one for its message
    """

    name: str
    rule: str
    make: Callable[[], Checker]
    is_cheap: bool = False


def harness_verdict(
    sources: Mapping[str, GradientSource], wrong: Collection[str], problem: Problem, theta: np.ndarray
) -> tuple[str, str]:
    """What the harness says, and whether it names the sources that are wrong: "right", "wrong" or "abstained"."""
    report = cross_check(problem, theta, sources)
    blame = "abstained" if not report.outliers else "right" if set(report.outliers) == set(wrong) else "wrong"
    return VERDICTS[report.verdict], blame


# -- libraries ---------------------------------------------------------------------------------------------------------


def _torch(fast_mode: bool) -> Checker:
    torch: Any = import_module("torch")

    def check(source: GradientSource, problem: Problem, theta: np.ndarray) -> str:
        class Cost(torch.autograd.Function):
            @staticmethod
            def forward(ctx, t):
                ctx.save_for_backward(t)
                return t.new_tensor(source(problem, t.detach().numpy())[0])

            @staticmethod
            def backward(ctx, g):
                (t,) = ctx.saved_tensors
                return g * torch.from_numpy(source(problem, t.detach().numpy())[1])

        t = torch.tensor(theta, requires_grad=True)
        right = torch.autograd.gradcheck(Cost.apply, (t,), fast_mode=fast_mode, raise_exception=False)
        return PASS if right else ALARM

    return check


def _jax() -> Checker:
    import jax
    import jax.numpy as jnp
    from jax.test_util import check_grads

    from reference.oracles.jax_gradient import fixed_settings

    def check(source: GradientSource, problem: Problem, theta: np.ndarray) -> str:
        # outside jit, the functions of a custom rule are handed numbers, not tracers: NumPy code can be called at once
        cost = jax.custom_vjp(lambda t: jnp.asarray(source(problem, np.asarray(t))[0]))
        cost.defvjp(
            lambda t: (cost(t), t),
            lambda t, g: (g * jnp.asarray(source(problem, np.asarray(t))[1]),),
        )
        try:
            with fixed_settings():
                check_grads(cost, (jnp.asarray(theta),), order=1, modes=("rev",))
        except AssertionError:
            return ALARM
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            return ALARM  # JAX's arrays cannot be written to, so that a source that tries is found out
        return PASS

    return check


def _autograd() -> Checker:
    extend: Any = import_module("autograd.extend")
    test_util: Any = import_module("autograd.test_util")
    seeds = np.random.default_rng(0)

    def check(source: GradientSource, problem: Problem, theta: np.ndarray) -> str:
        cost = extend.primitive(lambda t: source(problem, t)[0])
        extend.defvjp(cost, lambda _, t: lambda g: g * source(problem, t)[1])
        try:
            with _global_seed(int(seeds.integers(2**32))):
                test_util.check_grads(cost, modes=["rev"], order=1)(theta)
        except AssertionError:
            return ALARM
        return PASS

    return check


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    """NumPy's global generator, which autograd draws from, seeded, and afterwards as it was."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _scipy(threshold: float) -> Checker:
    from scipy.optimize import check_grad

    def check(source: GradientSource, problem: Problem, theta: np.ndarray) -> str:
        norm = check_grad(lambda t: source(problem, t)[0], lambda t: source(problem, t)[1], theta)
        return PASS if norm < threshold else ALARM

    return check


# -- rules of courses --------------------------------------------------------------------------------------------------


def _central(source: GradientSource, problem: Problem, theta: np.ndarray, i: int, h: float) -> float:
    up, down = theta.copy(), theta.copy()
    up[i] += h
    down[i] -= h
    return (source(problem, up)[0] - source(problem, down)[0]) / (2.0 * h)


def course(source: GradientSource, problem: Problem, theta: np.ndarray) -> str:
    """‖numeric - analytic‖ / ‖numeric + analytic‖ < 1e-9, numeric by central differences with a step of 1e-4."""
    numeric = np.array([_central(source, problem, theta, i, 1e-4) for i in range(theta.size)])
    analytic = source(problem, theta)[1]
    ratio = np.linalg.norm(numeric - analytic) / np.linalg.norm(numeric + analytic)
    return INCONCLUSIVE if np.isnan(ratio) else PASS if ratio < 1e-9 else ALARM


def _cs231n() -> Checker:
    rng = np.random.default_rng(0)

    def check(source: GradientSource, problem: Problem, theta: np.ndarray) -> str:
        analytic = source(problem, theta)[1]
        errors = []
        for i in rng.integers(theta.size, size=10):
            a, b = _central(source, problem, theta, i, 1e-5), analytic[i]
            errors.append(0.0 if a == b == 0.0 else abs(a - b) / (abs(a) + abs(b)))
        worst = np.max(errors)  # NaN if any is, and then an alarm
        return PASS if worst <= 1e-4 else INCONCLUSIVE if worst <= 1e-2 else ALARM

    return check


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(
            "torch gradcheck",
            "every coordinate, central differences, step 1e-6; atol 1e-5, rtol 1e-3; and that backward repeats itself",
            lambda: _torch(fast_mode=False),
        ),
        Peer(
            "torch gradcheck, fast",
            "fast_mode=True: one random direction of positive entries, tolerances as above",
            lambda: _torch(fast_mode=True),
        ),
        Peer(
            "JAX check_grads",
            "one random direction, central differences, step 1e-4; atol and rtol 1e-5; order 1, reverse mode",
            _jax,
            is_cheap=True,
        ),
        Peer(
            "autograd check_grads",
            "one random direction, central differences, step 1e-6; absolute or relative 1e-6; order 1, reverse mode",
            _autograd,
            is_cheap=True,
        ),
        # SciPy answers a norm and leaves the verdict to the caller. These are the ends of what careful callers take:
        # SciPy's own tests ask for 1.5e-7 to 5e-7 of functions of one or two variables, and noise grows with √n;
        # scikit-learn's, of tens to hundreds of variables, for 1e-5 (t-SNE) to 1e-4 (NCA, Huber).
        Peer(
            "scipy check_grad < 1e-6",
            "every coordinate, forward differences, step 1.5e-8; norm of the difference below 1e-6",
            lambda: _scipy(1e-6),
        ),
        Peer(
            "scipy check_grad < 1e-4",
            "the same norm below 1e-4, as scikit-learn's tests ask",
            lambda: _scipy(1e-4),
        ),
        Peer(
            "course, 1e-9",
            "checkNNGradients of exercise 4: central differences, step 1e-4; ‖difference‖ / ‖sum‖ below 1e-9",
            lambda: course,
        ),
        Peer(
            "cs231n, 10 entries",
            "grad_check_sparse: ten random entries, central differences, step 1e-5; a relative error above 1e-2 is an "
            "alarm, one above 1e-4 inconclusive (“uncomfortable”, in the notes' words)",
            _cs231n,
            is_cheap=True,
        ),
    )
}

INSTALL = "pip install 'autodiff-cross-check[peers]'"


def named_peers(names: Iterable[str] | None = None) -> tuple[dict[str, Checker], dict[str, str]]:
    """The peers of these names (all, unless said), and for those that are not installed, what to do about it.

    Raises
    ------
    ValueError
        For a name that is not in `PEERS`.
    """
    checkers, left_out = {}, {}
    for name in PEERS if names is None else names:
        if name not in PEERS:
            raise ValueError(f"there is no peer named {name!r}; there are {', '.join(PEERS)}")
        try:
            checkers[name] = PEERS[name].make()
        except ImportError as error:
            left_out[name] = f"not run, since it cannot be imported ({error}); install it with {INSTALL}"
    return checkers, left_out
