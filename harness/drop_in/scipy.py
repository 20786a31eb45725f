"""`scipy.optimize.check_grad`, and the same for what `minimize` and `least_squares` take beside a gradient."""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import HessianUpdateStrategy
from scipy.optimize import check_grad as original

from harness.checks.functions.gradient_check import check_gradient
from harness.checks.functions.jacobian_check import check_hessian, check_jacobian
from harness.drop_in.fallback import (
    ACCURACY,
    Outcome,
    Result,
    check_within,
    fail,
    is_right,
    log_unused,
    quietly,
    require_numbers,
    settle,
)
from harness.drop_in.line_looks import look
from harness.drop_in.reported_function import Arrays, ReportedFunction
from harness.exit_codes import InconclusiveGradient
from harness.verdict.report import Report
from reference.user_input import given, of_type

NAME = "scipy.optimize.check_grad"


def check_grad(
    func: Callable[..., Any],
    grad: Callable[..., Any],
    x0: Any,
    *args: Any,
    epsilon: float | None = None,
    direction: str = "all",
    rng: Any = None,
    seed: Any = None,
    report: bool = False,
) -> Any:
    """The distance of a gradient, or of a Jacobian, from the derivative of its function, as far as it can be measured.

    Parameters
    ----------
    func, grad, x0, *args
        As the original takes them; func answers one number, or several with a Jacobian for grad.
    epsilon, direction, rng, seed
        Not used here, but handed on where the original has to decide.
    report : bool
        Return the report, whose verdict needs no tolerance, and never call the original.

    Returns
    -------
    float or Report
        The largest difference in any coordinate (of random combinations of several values); where the gradient is
        wrong, at least the original's answer. Of a right gradient it is what steps and rounding leave, mostly far below
        the original's: along a random direction if that confirms it, and 0 at a kink.
    """
    x0 = _checked_point(func, grad, x0, epsilon, direction)
    one_value = np.size(func(x0, *args)) == 1
    if direction == "random" and not one_value:
        raise ValueError("direction='random' goes with a func of one value")
    more = {name: value for name, value in {"epsilon": epsilon, "rng": rng, "seed": seed}.items() if value is not None}
    log_unused(NAME, **more, direction=None if direction == "all" else direction)

    def call_original() -> np.float64:
        return np.float64(original(func, grad, x0, *args, direction=direction, **more))

    def gradient(x: np.ndarray) -> Any:
        return _row(grad(x, *args))

    def check(accuracy: float) -> Report:
        if one_value:
            return check_gradient(func, x0, gradient=lambda x, *_: gradient(x), args=args, accuracy=accuracy)
        return check_least_squares(func, x0, grad, args, accuracy=accuracy)

    if report:
        with quietly():
            return check(ACCURACY)
    measured = 0.0  # at a kink, where a convention is no error, it stays 0

    def look_and_check() -> Iterator[Result]:
        nonlocal measured
        distance = _distance_at_look(lambda x: func(x, *args), gradient, x0) if one_value else math.inf
        if math.isfinite(distance):
            measured = distance
            return
        result = check_within(check, ACCURACY)
        if result.report and (result.report.verdict == "agree" or result.outcome is Outcome.COARSE):
            measured = _largest(result.report)
        yield result

    def refuse(report: Report) -> np.float64:
        return np.float64(max(_largest(report), call_original()))

    return settle(NAME, call_original, look_and_check, refuse=refuse, accept=lambda: np.float64(measured))


def _checked_point(func: Any, grad: Any, x0: Any, epsilon: Any, direction: Any) -> np.ndarray:
    """x0 as an array. Bad arguments fail here, as the original lets them fail, and are no doubts of a check."""
    for name, function in (("func", func), ("grad", grad)):
        of_type(name, function, Callable, f"callable as {name}(x, *args)")
    if not isinstance(direction, str) or direction not in ("all", "random"):
        raise ValueError(f"direction must be 'all' or 'random', not {given(direction)}")
    x0 = np.asarray(x0, dtype=np.float64)
    require_numbers({"epsilon": epsilon}, x0.shape)
    return _at_most_one_dimension(x0)


def _largest(report: Report) -> float:
    """The largest difference in any coordinate."""
    return max((pair.difference for pair in report.pairs), default=0.0)


def assert_grad(func: Callable[..., Any], grad: Callable[..., Any], x0: Any, *args: Any) -> Report:
    """Assert that a gradient, or a Jacobian, is the derivative of its function; a warning where that is undecided.

    Parameters
    ----------
    func, grad, x0, *args
        As for `check_grad`.

    Returns
    -------
    Report

    Raises
    ------
    AssertionError
        When it is not; the message is the report.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    report: Report = check_grad(func, grad, x0, *args, report=True)
    if report.verdict == "disagree":
        fail(AssertionError, report)
    if not is_right(report):
        warnings.warn(str(report), InconclusiveGradient, stacklevel=2)
    return report


class _Cost(ReportedFunction):
    """A cost of one array with the caller's gradient."""

    is_pure = False

    def __init__(self, cost: Callable[[Any], Any], gradient: Callable[[Any], Any], x0: np.ndarray) -> None:
        self._cost, self._gradient, self.x = cost, gradient, [x0]

    @property
    def linearity_factors(self) -> Sequence[float]:
        return (1.0,)  # there is no cotangent: the gradient is called a second time, for its scatter

    def call(self, x: Sequence[Any]) -> Arrays:
        return [np.array(float(np.asarray(self._cost(x[0].copy())).item()))]

    def pull_back(self, x: Sequence[Any], weights: Sequence[Any]) -> Arrays:
        gradient = self._gradient(x[0].copy())
        if not isinstance(gradient, np.ndarray) or gradient.shape != x[0].shape or gradient.dtype != np.float64:
            raise NotImplementedError("a look takes gradients in float64, of the shape of x0")
        return [weights[0] * gradient]


def _distance_at_look(cost: Callable[[Any], Any], gradient: Callable[[Any], Any], x0: np.ndarray) -> float:
    """How far a gradient is from differences along a line; infinite where that is in doubt.

    The distance is that of w·φ, with one weight w, so that it is divided by |w|.
    """
    try:
        looks = look(_Cost(cost, gradient, x0), ["reverse"])
    except NotImplementedError:
        return math.inf
    return math.inf if looks.unconfirmed else looks.error / looks.reported.whole.size([np.ones(())])


@quietly()
def check_minimize(
    fun: Callable[..., Any],
    x0: Any,
    args: tuple = (),
    *,
    jac: Callable[..., Any] | bool,
    hess: Callable[..., Any] | str | HessianUpdateStrategy | None = None,
    hessp: Callable[..., Any] | None = None,
) -> list[Report]:
    """Check what `scipy.optimize.minimize` is given: the gradient, and the Hessian or its products if there are any.

    `hess` and `hessp` are checked by `harness.check_hessian`, against the derivative of the gradient. A `hess` that is
    the name of a difference or an update strategy is nobody's claim.

    Parameters
    ----------
    fun, x0, args, jac, hess, hessp
        As `scipy.optimize.minimize` takes them.

    Returns
    -------
    list of Report
        One of the gradient, one of `hess`, one of `hessp`, as far as they are given.
    """
    args = args if isinstance(args, tuple) else (args,)
    x0 = _vector(x0)
    gradient = (lambda x, *args: fun(x, *args)[1]) if jac is True else jac
    if not callable(gradient):
        raise TypeError(f"jac must be callable as jac(x, *args), or True where fun answers both, not {given(jac)}")
    reports = [check_gradient(fun, x0, jac=jac, args=args, accuracy=ACCURACY)]
    if callable(hess):
        reports.append(check_hessian(gradient, x0, hess, args=args, accuracy=ACCURACY))
    if hessp is not None:
        reports.append(check_hessian(gradient, x0, hessp=hessp, args=args, accuracy=ACCURACY))
    return reports


@quietly()
def check_least_squares(
    fun: Callable[..., Any],
    x0: Any,
    jac: Callable[..., Any],
    args: tuple = (),
    kwargs: Mapping[str, Any] | None = None,
    accuracy: float = ACCURACY,
) -> Report:
    """Check the Jacobian that `scipy.optimize.least_squares` is given: dense, sparse or a linear operator.

    It is `harness.check_jacobian` of functions with keyword arguments, which accepts what is right to ten digits.

    Parameters
    ----------
    fun, x0, jac, args, kwargs
        As `scipy.optimize.least_squares` takes them; ``jac`` returns (m, n).
    accuracy : float
        Errors below this share of the largest derivative are accepted.

    Returns
    -------
    Report
    """
    if not callable(jac):
        raise TypeError(f"jac must be callable as jac(x, *args, **kwargs), not {given(jac)}")
    more = kwargs or {}
    return check_jacobian(partial(fun, **more), _vector(x0), partial(jac, **more), args=args, accuracy=accuracy)


def _vector(x0: Any) -> np.ndarray:
    """x0 as SciPy's functions take it."""
    return _at_most_one_dimension(np.atleast_1d(np.asarray(x0, dtype=np.float64)))


def _at_most_one_dimension(x0: np.ndarray) -> np.ndarray:
    if x0.ndim > 1:
        raise ValueError(f"x0 must have at most one dimension, not {x0.ndim}")
    return x0


def _row(gradient: Any) -> Any:
    """A Jacobian of one row as the gradient that it is."""
    return gradient[0] if isinstance(gradient, np.ndarray) and gradient.ndim == 2 and len(gradient) == 1 else gradient
