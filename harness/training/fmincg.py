"""Minimisation by Polak-Ribière conjugate gradients with a Wolfe-Powell line search.

With g the gradient at x, and s = -g at first, each iteration

1. finds a step t along s that satisfies the Wolfe-Powell conditions (`line_search`):
   f(x + ts) ≤ f(x) + 0.01 t gᵀs  and  0.5 gᵀs < g(x + ts)ᵀs ≤ -0.5 gᵀs;
2. moves to x' = x + ts, where the gradient is g';
3. takes the next direction s' = βs - g' with β = g'ᵀ(g' - g) / gᵀg (E. Polak and G. Ribière, 1969), or -g' if s' leads
   uphill;
4. tries first, along s', the step t' = t · min(100, gᵀs / g'ᵀs').

The iterates are those of the ``fmincg`` of C. E. Rasmussen (2002), to the last bit if `fun` rounds alike, until a cost
or gradient is not finite, or a line search fails. Then this one continues from the best point seen, along its gradient.
That of 2002 continues from where the search set out, along the gradient of the failed trial.
"""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from harness.training.line_search import LinePoint, Objective, dot, search_line
from reference.network import real_array
from reference.user_input import given, of_type, real_number, whole_number

MAX_GROWTH = 100.0
"""The first step of a line search is at most so many times the one that the search before has found: where a direction
is nearly level, the quotient of slopes says little. The RATIO of 2002."""

LEAST_GRADIENT = math.sqrt(sys.float_info.min)
"""1.5e-154: the square of anything smaller underflows, and with it the slope -gᵀg of the steepest descent."""

FLAT = sys.float_info.epsilon ** (1 / 3)
"""Times 1 + |cost|: the largest gradient that counts as zero where line searches fail. A cost that is good to one
rounding ε cannot show a decrease below it; the cube root, 6e-6, is that of P. E. Gill, W. Murray and M. H. Wright,
Practical Optimization (1981), section 8.2.3. Line searches that fail at larger gradients mean that something is wrong.
"""

CONVERGED, OUT_OF_ITERATIONS, STUCK, STOPPED = 0, 1, 2, 99  # 99 is SciPy's number for a callback's StopIteration

MOST_FAILURES = 2
"""Line searches in a row that fail end a run: the first may be due to its direction, the second went along -g."""

Callback = Callable[[OptimizeResult], object]

State = Mapping[str, np.ndarray]  # where a descent stands, as arrays, so that it can be kept in a file

VECTORS = ("x", "gradient", "direction", "best_x", "best_gradient")
COUNTS = ("nit", "nfev", "failures")
STATE = (*VECTORS, "cost", "slope", "step", "best_cost", "costs", *COUNTS)


def fmincg(
    fun: Callable[..., Any],
    x0: Any,
    max_iter: int = 100,
    callback: Callback | None = None,
    *,
    gtol: float = 0.0,
    args: Any = (),
    jac: Any = None,
    tol: float | None = None,
    maxiter: int | None = None,
    state: State | None = None,
    **unused: Any,
) -> OptimizeResult:
    """Minimise a smooth function of many variables, given its cost and gradient.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)`` returns (cost, gradient): a real scalar, and an array of the shape of `x0`. It receives a
        fresh float64 array each time, to keep or to overwrite. Where cost or gradient is NaN or infinite, the step
        counts as too long, and the line search halves the bracket.
    x0 : array_like, shape (n,)
        Where to start; left as it is. The cost and gradient must be finite there.
    max_iter : int
        The number of line searches, of at most 21 evaluations each. ``maxiter`` is another name for it.
    callback : callable, optional
        Called after every line search with the best point so far: an OptimizeResult with ``x``, ``fun``, ``jac``,
        ``nit``, ``nfev``, ``costs`` and ``state`` (under `minimize`, too). StopIteration ends the run. Any other
        exception passes through, KeyboardInterrupt included: a caller that keeps the latest result loses no more than a
        line search.
    gtol : float
        Stop once no component of the gradient is larger (another name: ``tol``); at 0, rounding or `max_iter` ends it.
    state : dict of arrays, optional
        The ``state`` of an interrupted run. This run continues from there. Its iterates, costs and counts are those of
        an uninterrupted run, to the last bit. `max_iter` counts the line searches of both.
    args, jac
        What ``scipy.optimize.minimize(fun, x0, jac=True, method=fmincg, options={"max_iter": 50})`` passes. If `jac`
        is callable, `fun` returns the cost alone. Bounds, constraints and Hessians are refused.

    Returns
    -------
    OptimizeResult
        ``x``, ``fun`` and ``jac`` belong to the best point ever evaluated. ``costs[0]`` is the cost at `x0`; the
        others, which never increase, are one per successful line search (``fun`` is below the last if a trial that
        no search accepted was better). ``nit`` counts all line searches.
        ``status`` 0, the only ``success``: the gradient is within `gtol`, or as small as rounding lets it become.
        1: `max_iter` reached. 2: two line searches in a row failed although the gradient is not small, as happens
        when it is not the gradient of the cost, or the cost is not smooth. 99: the callback ended the run.

    Raises
    ------
    TypeError
        `fun` does not return (cost, gradient), `max_iter` is no integer, or there is an unknown option.
    ValueError
        `x0` is not one-dimensional and finite; the gradient has another shape, or is not finite at `x0`, or the cost;
        `max_iter` or `gtol` is negative; bounds, constraints or Hessians are given; `state` is of another problem.

    What `fun` raises passes through, SystemExit included, as with SciPy's methods: a minimiser gives no verdict that an
    exit code could stand for. `harness.train` names the source instead.
    """
    _refuse(unused)
    max_iter = whole_number("max_iter", max_iter if maxiter is None else maxiter)
    gtol = real_number("gtol", gtol if tol is None else tol)
    of_type("callback", callback, Callable | None, "a function")
    fun = _with_gradient(fun, args if isinstance(args, tuple) else (args,), jac)
    x0 = real_array("x0", x0, (1,), "a vector, of shape (n,)").copy()
    if state is None:
        objective = Objective(fun, x0)
        descent = Descent(objective.best, -objective.best.gradient, 0.0, costs=(objective.best.cost,))
        descent = _restarted(descent, objective)
    else:
        objective, descent = _resumed(fun, x0, state)
    return _run(descent, objective, max_iter, callback, max(gtol, LEAST_GRADIENT))


@dataclass(frozen=True, eq=False)
class Descent:
    """Where a run stands between two line searches."""

    point: LinePoint  # x, with the slope gᵀs along the direction
    direction: np.ndarray  # (n,) array: s, along which the next search goes
    step: float  # t, the next search's first trial
    costs: tuple[float, ...] = ()  # the cost at x0 and after each search that succeeded
    nit: int = 0  # searches so far
    failures: int = 0  # searches in a row, up to now, that found no step


def _run(
    descent: Descent, objective: Objective, max_iter: int, callback: Callback | None, gtol: float
) -> OptimizeResult:
    while True:
        # A search may end where the cost is flat, above a trial that it passed. The run then continues from that trial.
        if _steepness(descent.point) <= gtol and _best(descent, objective) is not descent.point:
            descent = _restarted(descent, objective)
        if _steepness(descent.point) <= gtol:
            return _result(descent, objective, CONVERGED)
        if descent.failures == MOST_FAILURES:
            is_flat = _steepness(descent.point) <= FLAT * (1 + abs(descent.point.cost))
            return _result(descent, objective, CONVERGED if is_flat else STUCK)
        if descent.nit == max_iter:
            return _result(descent, objective, OUT_OF_ITERATIONS)
        descent = _searched(descent, objective)
        try:
            if callback is not None:
                callback(_snapshot(descent, objective))
        except StopIteration:
            return _result(descent, objective, STOPPED)


def _searched(descent: Descent, objective: Objective) -> Descent:
    """The descent after one line search: at the point that it found, or else at the best one, along its gradient."""
    descent = replace(descent, nit=descent.nit + 1)
    found = search_line(objective, descent.point, descent.direction, descent.step)
    if found is None:
        return replace(_restarted(descent, objective), failures=descent.failures + 1)
    return replace(_turned(descent, found), costs=(*descent.costs, found.cost), failures=0)


def _turned(descent: Descent, found: LinePoint) -> Descent:
    """The descent at the point x' that a search has found, with the next direction s' and step t'."""
    before, g, new = descent.point, descent.point.gradient, found.gradient
    beta = (dot(new, new) - dot(g, new)) / dot(g, g)  # g'ᵀ(g' - g) / gᵀg, in the order of 2002
    with np.errstate(all="ignore"):
        direction = beta * descent.direction - new
    turned = _aimed(descent, found, direction)
    if not turned.point.slope < 0:  # uphill, level, or NaN where β overflows
        turned = _aimed(descent, found, -new)
    # To first order the next trial should win as much as the step just found: t' s'ᵀg' = t sᵀg. Subtracting the
    # smallest float keeps a slope of 0 from being divided by.
    gain = before.slope / (turned.point.slope - sys.float_info.min)
    return replace(turned, step=found.step * min(MAX_GROWTH, gain))


def _restarted(descent: Descent, objective: Objective) -> Descent:
    """The descent at the best point seen, along s = -g, with the first step 1 / (1 + gᵀg).

    Where the cost is steep, x moves by ‖g‖ / (1 + ‖g‖²), which is 1/2 at most and about 1/‖g‖.
    """
    best = _best(descent, objective)
    restarted = _aimed(descent, best, -best.gradient)
    return replace(restarted, step=1 / (1 - restarted.point.slope))


def _aimed(descent: Descent, point: LinePoint, direction: np.ndarray) -> Descent:
    """The descent at a point, which is step 0 of the next search, with this direction and the slope gᵀs along it."""
    start = point._replace(step=0.0, slope=dot(point.gradient, direction))
    return replace(descent, point=start, direction=direction)


def _best(descent: Descent, objective: Objective) -> LinePoint:
    """The best point seen: the present one, or a trial that no search accepted.

    Such a trial must be better, not just as good: where a search ends, the gradient is mostly smaller.
    """
    return min(descent.point, objective.best, key=lambda point: point.cost)


def _state(descent: Descent, objective: Objective) -> State:
    """Everything that decides how the run continues."""
    point, best, nfev = descent.point, objective.best, objective.nfev
    state = {"x": point.x, "cost": point.cost, "gradient": point.gradient, "slope": point.slope}
    state |= {"best_x": best.x, "best_cost": best.cost, "best_gradient": best.gradient, "nfev": nfev}
    state |= {name: getattr(descent, name) for name in ("direction", "step", "costs", "nit", "failures")}
    return {name: np.array(value) for name, value in state.items()}


def _resumed(fun: Callable[[np.ndarray], Any], x0: np.ndarray, state: State) -> tuple[Objective, Descent]:
    """The run whose `_state` was kept."""
    if not _is_state_of(state, x0):
        raise ValueError(f"state must be that of a run with {x0.size} variables: a dict of {', '.join(STATE)}")
    best = LinePoint(state["best_x"], float(state["best_cost"]), state["best_gradient"])
    point = LinePoint(state["x"], float(state["cost"]), state["gradient"], slope=float(state["slope"]))
    descent = Descent(
        point,
        state["direction"],
        float(state["step"]),
        tuple(state["costs"].tolist()),
        int(state["nit"]),
        int(state["failures"]),
    )
    return Objective(fun, x0, best, int(state["nfev"])), descent


def _snapshot(descent: Descent, objective: Objective) -> OptimizeResult:
    """What a callback gets."""
    best, nfev = _best(descent, objective), objective.nfev
    return OptimizeResult(
        x=best.x.copy(),
        fun=best.cost,
        jac=best.gradient.copy(),
        costs=np.array(descent.costs),
        nit=descent.nit,
        nfev=nfev,
        njev=nfev,
        state=_state(descent, objective),
    )


def _result(descent: Descent, objective: Objective, status: int) -> OptimizeResult:
    steepness = f"the largest component of the gradient is {_steepness(_best(descent, objective)):.2g}"
    message = {
        CONVERGED: f"Converged: {steepness}.",
        OUT_OF_ITERATIONS: f"Stopped after max_iter = {descent.nit} line searches: {steepness}.",
        STUCK: f"Two line searches in a row failed, but {steepness}: either it is not the gradient of the cost, or "
        "the cost is not smooth and finite around this point.",
        STOPPED: f"Stopped by the callback after {descent.nit} line searches: {steepness}.",
    }[status]
    snapshot = _snapshot(descent, objective)
    return OptimizeResult(snapshot, success=status == CONVERGED, status=status, message=message)


def _is_state_of(state: Any, x0: np.ndarray) -> bool:
    """Whether it has the arrays that `_state` makes, for as many variables as x0."""
    if not isinstance(state, Mapping) or set(state) != set(STATE):
        return False
    for name, array in state.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind != ("i" if name in COUNTS else "f"):
            return False
        if array.shape != (x0.shape if name in VECTORS else (array.size,) if name == "costs" else ()):
            return False
    return True


def _steepness(point: LinePoint) -> float:
    """max |g_i|."""
    return float(np.max(np.abs(point.gradient), initial=0.0))


def _with_gradient(fun: Callable[..., Any], args: tuple, jac: Any) -> Callable[[np.ndarray], Any]:
    if not callable(fun):
        raise TypeError(f"fun must be a function of x that returns (cost, gradient), not {type(fun).__name__}")
    if callable(jac):
        # For jac=True, SciPy passes a pair of functions with a common cache: equal arrays cost one evaluation.
        return lambda x: (fun(x.copy(), *args), jac(x.copy(), *args))
    if jac is not None and jac is not True:
        raise ValueError(f"jac must be a function, True or left out, not {given(jac)}; fmincg differences no costs")
    return lambda x: fun(x.copy(), *args)


def _refuse(unused: dict[str, Any]) -> None:
    for name, value in unused.items():
        if name not in ("bounds", "constraints", "hess", "hessp"):
            raise TypeError(f"fmincg has no option {name!r}; its options are max_iter and gtol")
        if value is not None and not (isinstance(value, (tuple, list)) and len(value) == 0):
            raise ValueError(f"fmincg cannot use {name}; leave out {name} or choose another method")
