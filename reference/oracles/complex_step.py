"""The gradient by the complex step: dJ/dθ_i = Im J(θ + ih e_i)/h.

Nothing is subtracted, so h can be so small that the truncation, h²·J'''/6, vanishes in float64. No derivative of an
activation takes part. Formulas must be analytic: a complex array (`Analytic`) knows the functions in `RULES` and
refuses all others, so that no answer is wrong.

Piecewise formulas are continued by the piece on which the real part lies: comparisons, and so `where`, look at real
parts only. |z| is sign(Re z)·z, which is |z| on the real line and analytic on either side of the imaginary axis. At a
kink there is nothing to continue: activations that declare one are refused, and so is |z| at zero.

Source: Squire and Trapp, Using complex variables to estimate derivatives of real functions, SIAM Review 40, 1998.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import erf

from reference.activations import Activation
from reference.arithmetics.companion import refusal_of
from reference.arithmetics.elementary import FUNCTIONS
from reference.measured import Measured, MeasuredSlope, NotApplicable, Oracle, known
from reference.namespaces import Namespace
from reference.problem import Problem

STEP = 2.0**-100
"""h, about 1e-30: a power of two, so that dividing by it is exact; small enough for pre-activations of 1e15, and large
enough to keep derivatives down to 1e-278 clear of underflow, where h = 1e-200 would lose them below 1e-108."""

TRUNCATION = 2.0**-160
"""h² = 2**-200 times a third derivative, and underflow. It shows only where a derivative is next to nothing."""

NEAREST = 2.0**30 * STEP
"""The smallest |z| with an answer, zero aside: with a step that is longer than z, |z|**1.5 is another function."""

ROUNDINGS = 2.0
"""A complex quotient takes half a dozen operations, which round more often than the quotient and slope of reals.

So the rounding is within twice the bound of one gradient.
"""

AFFORDABLE = 10**8  # parameters times entries of X: some seconds

ELEMENTS_AT_ONCE = 2**16  # 1 MiB of complex numbers: they stay in the cache

MADE_REAL = "its formula makes real numbers of complex ones, which is not analytic"


class RefusedSomewhere(NotApplicable):
    """A formula that is analytic elsewhere is not analytic at one of these z."""


class Analytic(np.ndarray):
    """A complex array that refuses what is not analytic."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **keywords: Any) -> Any:
        if ufunc is np.add and method == "reduce":
            return _analytic(np.add.reduce(*map(np.asarray, operands), **keywords))
        return _by_rule(ufunc, operands, is_plain=method == "__call__" and not keywords)

    def __array_function__(self, function: Any, types: Any, operands: Any, keywords: Any) -> Any:
        if function in (np.sum, np.shape, np.zeros_like, np.ones_like):
            return super().__array_function__(function, types, operands, keywords)
        return _by_rule(function, operands, is_plain=not keywords)

    @property
    def real(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise NotApplicable("the complex step cannot pass real or imag, which are not analytic")

    imag = real  # pyright: ignore[reportIncompatibleMethodOverride]


def _analytic(result: Any) -> Any:
    # a complex array is checked again by whatever uses it; comparisons and constants stay plain arrays
    return result.view(Analytic) if np.iscomplexobj(result) and np.ndim(result) else result


def _by_rule(function: Any, operands: Any, is_plain: bool) -> Any:
    if function not in RULES or not is_plain:
        raise NotApplicable(f"the complex step has no rule for {function.__name__}, which may not be analytic")
    return _analytic(RULES[function](*map(np.asarray, operands)))


def _absolute(z):
    if not np.all(z.real):
        raise RefusedSomewhere("the complex step cannot pass abs at 0, where it is not analytic")
    return np.where(z.real < 0.0, -z, z)


def _log1p(z):
    # NumPy's own forms 1 + z, and so loses the real part of a small z
    return np.log1p(z.real) + 0.5 * np.log1p(np.square(z.imag / (1.0 + z.real))) + 1j * np.arctan2(z.imag, 1.0 + z.real)


def _logaddexp(x, y):
    # by real parts, so that exp cannot overflow
    x_first = x.real >= y.real
    high, low = np.where(x_first, x, y), np.where(x_first, y, x)
    return high + _log1p(np.exp(low - high))


def _differ(x, y):
    """x != y, which is true beside every z; where it holds at one point alone, there is nothing to continue."""
    if np.any(x.real == y.real):
        raise RefusedSomewhere("the complex step cannot pass == or != where it holds at one point alone")
    return np.ones(np.broadcast_shapes(x.shape, y.shape), dtype=bool)


def _on_the_real_line(function: np.ufunc) -> Callable[..., Any]:
    """A root, a logarithm or a power; NaN where the real function is undefined, though the complex one is not."""

    def rule(*z):
        with np.errstate(all="ignore"):
            undefined = np.isnan(function(*(each.real for each in z)))
        return np.where(undefined, complex(np.nan, np.nan), function(*z))

    return rule


def _erf(z):
    """erf(x + iy) = erf(x) + 2/√π ∫ exp(-t²) dt from x to x + iy, by one point, the middle: y is tiny.

    SciPy's own has an error of 23 u in the imaginary part and some u in the real part where that is small.
    """
    middle = z.real + 0.5j * z.imag
    return erf(z.real) + 2.0 / np.sqrt(np.pi) * np.exp(-np.square(middle)) * (1j * z.imag)


def _logsumexp(z: Any) -> Any:
    """log Σ exp(z) over the last axis, which is kept with length one."""
    z = np.asarray(z)
    shift = z.real.max(axis=-1, keepdims=True)
    return _analytic(shift + np.log(np.exp(z - shift).sum(axis=-1, keepdims=True)))


def _of_real_parts(comparison: np.ufunc) -> Callable[[Any, Any], Any]:
    return lambda x, y: comparison(x.real, y.real)  # NumPy's own lets the imaginary part break ties


RULES: dict[Any, Callable[..., Any]] = {
    **{f: f for f in (np.positive, np.negative, np.add, np.subtract, np.multiply, np.divide, np.matmul)},
    np.reciprocal: np.reciprocal,
    # NumPy's own are analytic all along the real line, and keep the digits of a tiny imaginary part
    **{
        f.function: f.function
        for f in FUNCTIONS
        if isinstance(f.function, np.ufunc) and f.increment and not (f.ends or f.evaluator)
    },
    **{f: _on_the_real_line(f) for f in (np.power, np.sqrt, np.log)},
    **{f: _of_real_parts(f) for f in (np.less, np.less_equal, np.greater, np.greater_equal)},
    np.not_equal: _differ,
    np.equal: lambda x, y: ~_differ(x, y),
    np.absolute: _absolute,
    np.log1p: _log1p,
    np.logaddexp: _logaddexp,
    erf: _erf,
    np.where: np.where,
}

COMPLEX = Namespace("complex", np, erf=erf, logsumexp=_logsumexp)


def measure(problem: Problem, theta: np.ndarray) -> Measured:
    """J(θ) and dJ/dθ of shape (n,), many coordinates at once.

    A coordinate that is not finite has an infinite error: at z = -800, 1/(1 + exp(-z)) is right over the reals, but NaN
    over the complex numbers.

    Raises
    ------
    NotApplicable
        When an activation has kinks or calls what is not analytic, or the network is too large for one cost for each
        parameter.
    """
    n = problem.network.size
    for f in problem.network.hidden:
        if f.kinks:
            where = " and ".join(f"{kink:g}" for kink in f.kinks)
            raise NotApplicable(f"{f.name} is not analytic: it has a kink at {where}")
    if n * problem.X.size > AFFORDABLE:
        raise NotApplicable(f"{problem.network} is too large for one cost for each of its {n:,} parameters")
    at_once = max(1, ELEMENTS_AT_ONCE // (problem.m * max(problem.network.sizes)))
    # row i of the moved θs has ih in coordinate i
    with np.errstate(all="ignore"):
        costs = np.concatenate(
            [_costs(problem, theta + 1j * STEP * np.eye(min(at_once, n - i), n, i)) for i in range(0, n, at_once)]
        )
    gradient = np.imag(costs) / STEP
    return Measured(float(costs[0].real), gradient, known(gradient, TRUNCATION), ROUNDINGS)


def _costs(problem: Problem, thetas: np.ndarray) -> np.ndarray:
    """J at each row of `thetas`, (k, n) complex to (k,)."""
    network, m = problem.network, problem.m
    matrices = network.unpack_many(thetas)  # (k, n_out, 1 + n_in) each
    _, Zs = network.forward(matrices, problem.X, _value)
    losses = network.output.loss(COMPLEX, Zs[-1].view(Analytic), problem.Y)
    squares = sum(np.square(Theta[..., 1:]).sum(axis=(1, 2)) for Theta in matrices)
    return np.asarray(losses.sum(axis=-1) / m + problem.l2 / (2 * m) * squares)


def _value(f: Activation, Z: np.ndarray) -> np.ndarray:
    with refusal_of(f.name, "complex numbers"):
        A = f.value(COMPLEX, Z.view(Analytic))
        if not isinstance(A, Analytic):
            raise NotApplicable(MADE_REAL)
    return np.asarray(A)


@np.errstate(all="ignore")
def slope(f: Activation, z: np.ndarray) -> MeasuredSlope:
    """f(z) and f'(z) = Im f(z + ih)/h, at z of shape (n,).

    The error is infinite where the formula is not analytic, and for z nearer to zero than `NEAREST`. Kinks that f
    declares do not matter: at each z, f is continued by the piece on which z lies. Raises NotApplicable when the
    formula is analytic at no z.
    """
    try:
        a = _complex_value(f, z)
    except RefusedSomewhere:
        a = _where_analytic(f, z)
        if np.isnan(a).all():
            raise
    derivative = np.imag(a) / STEP
    # z = 0 has no scale of its own; beside it, a step longer than z looks at another piece of the formula
    error = np.where((z != 0.0) & (np.abs(z) < NEAREST), np.inf, TRUNCATION)
    # at a branch point, as that of z**1.5 at 0, the step moves the real part as far as it makes the imaginary part
    value_error = error + np.nan_to_num(np.abs(np.imag(a)))
    return MeasuredSlope(np.real(a), derivative, known(derivative, error), ROUNDINGS, value_error)


def _complex_value(f: Activation, z: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)  # what it warns of is refused
        a = f.value(COMPLEX, (z + 1j * STEP).view(Analytic))
    if isinstance(a, np.ndarray) and a.dtype.kind != "c":
        raise NotApplicable(MADE_REAL)
    return np.broadcast_to(np.asarray(a, dtype=complex), z.shape)


def _where_analytic(f: Activation, z: np.ndarray) -> np.ndarray:
    """f(z + ih), with NaN for each z that is refused; halving z finds these."""
    try:
        return _complex_value(f, z)
    except RefusedSomewhere:
        if z.size == 1:
            return np.full(z.shape, complex(np.nan, np.nan))
    return np.concatenate([_where_analytic(f, half) for half in np.array_split(z, 2)])


ORACLE = Oracle(measure)  # the same as a gradient source
