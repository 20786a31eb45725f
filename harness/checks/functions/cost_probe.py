"""The cost of a user's function at points near θ: counted, within a budget, and NaN outside its domain."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from numbers import Integral
from types import TracebackType

import numpy as np

from harness.checks.functions.line_stencil import Line
from harness.checks.functions.tree_leaves import like_in_extended, like_in_float64
from harness.checks.functions.user_function import UserFunction
from harness.progress import Progress, silent
from harness.wording import counted
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.user_input import given, is_real

FLOAT64_SPACING = 1e-4
"""Relative distance between the points at which a function has to show that it computes in float64."""

SAME_COST = 1e4  # costs in two precisions may differ by so many u of the lower one, as a sum of thousands of terms does

DOMAIN_ERRORS = (ValueError, ArithmeticError, AssertionError, IndexError, RuntimeError, RuntimeWarning)
"""What functions raise outside their domain: math.log, a table at its end, Cholesky in PyTorch. A TypeError is a
bug."""

BUG_ERRORS = (NotImplementedError, RecursionError, UnicodeError)  # subclasses of these that only a bug raises

STEPS = tuple(2.0 ** (-9 - 3 * k) for k in range(14))
"""Steps for float64, in units of each coordinate, from wide to narrow. The first balances the truncation h⁴ against the
rounding u/h; the narrow ones are for functions that bend at scales far below 1. Powers of two, so that θ_i ± h is a
number."""

NO_CHANGE = 1e-3  # a cost that changes by less than this share of itself has not changed

GLANCE = 2.0**-17  # the step of the first look in float64, which takes two costs: u^(1/3) balances h² against u/h


def leaves_domain(error: Exception) -> bool:
    """Whether a function that works at θ raised this because a point near θ lies outside its domain."""
    return isinstance(error, DOMAIN_ERRORS) and not isinstance(error, BUG_ERRORS) and not _is_ours(error.__traceback__)


@contextmanager
def edge_of_domain(raised: Counter[str] | None = None) -> Iterator[None]:
    """A context that ends where a function leaves its domain; `raised` counts the kinds of exceptions."""
    try:
        yield
    except Exception as error:
        if not leaves_domain(error):
            raise
        if raised is not None:
            raised[type(error).__name__] += 1


def _is_ours(traceback: TracebackType | None) -> bool:
    """Whether this package raised the error, because the function returned something of the wrong shape."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_globals.get("__name__", "").startswith(__package__ or "-")


class Budget:
    """How many calls of the cost, or how many seconds, a check may take.

    The limit is an int for calls, a float for seconds, and None for neither; `calls` were made.
    """

    def __init__(self, limit: int | float | None = None):
        if limit is not None and not (is_real(limit) and limit > 0):
            raise ValueError(
                f"budget must be a number of calls (an int) or of seconds (a float) above 0, not {given(limit)}"
            )
        if isinstance(limit, Integral):
            limit = min(int(limit), sys.maxsize)
        self.limit, self.calls, self._started = limit, 0, time.perf_counter()

    def count(self) -> None:
        """Count one call."""
        self.calls += 1

    @property
    def is_spent(self) -> bool:
        """Whether no further call fits into the budget."""
        return self.calls_left() < 1.0

    def calls_left(self) -> float:
        """How many calls are left; of seconds, as many calls as fit into them at the pace so far."""
        if self.limit is None:
            return np.inf
        if isinstance(self.limit, int):
            return self.limit - self.calls
        spent = time.perf_counter() - self._started
        return (self.limit - spent) * max(self.calls, 1) / max(spent, 1e-9)

    def __str__(self) -> str:
        return counted(self.limit, "call") if isinstance(self.limit, int) else f"{self.limit:g} s"


@dataclass(frozen=True, eq=False)
class Probes:
    """The cost at points near θ."""

    user: UserFunction
    evaluate: Callable[[np.ndarray], float]  # the cost of a flat θ; raises outside the domain
    unit: float  # u of the precision in which the cost is computed
    base: float  # the cost at θ
    budget: Budget  # counts every call
    progress: Progress = silent  # is shown how many coordinates are done
    raised: Counter[str] = field(default_factory=Counter)  # kinds of exceptions outside the domain, and how often

    @property
    def steps(self) -> list[float]:
        """The steps in units of each coordinate for the precision: u^(1/5) balances h⁴ against u/h."""
        return [step * (self.unit / UNIT_ROUNDOFF["float64"]) ** 0.2 for step in STEPS]

    @property
    def glance(self) -> float:
        """The step of the first look in units of each coordinate for the precision."""
        return GLANCE * (self.unit / UNIT_ROUNDOFF["float64"]) ** (1.0 / 3.0)

    @property
    def theta(self) -> np.ndarray:
        """The point at which the gradient is checked."""
        return self.user.theta

    @cached_property
    def units(self) -> np.ndarray:
        """(n,), how far each coordinate moves for a step of 1: powers of two, so that θ_i ± h is a number.

        It is |θ_i|, or 1 where that is larger. A charge of 1e-19 is below the narrowest step of that: where the cost
        changes as such coordinates double, they move by their own size.
        """
        sizes, least = np.abs(self.theta), np.ones(self.theta.size)
        is_tiny = (sizes > 0.0) & (sizes < self.steps[-1])
        if is_tiny.any() and not abs(self.cost(self.theta * (1.0 + is_tiny)) - self.base) <= NO_CHANGE * abs(self.base):
            least[is_tiny] = 0.0
        return 2.0 ** np.ceil(np.log2(np.maximum(sizes, least)))

    def cost(self, flat: np.ndarray) -> float:
        """The cost, or NaN outside the domain."""
        self.budget.count()
        with edge_of_domain(self.raised):
            return self.evaluate(flat)
        return np.nan

    def line(self, indices: np.ndarray, direction: np.ndarray) -> Line:
        """t -> the cost at θ + t · direction, which is zero outside the indices; no point is evaluated twice."""
        known = {0.0: self.base}

        def cost(t: float) -> float:
            if t not in known:
                known[t] = self.cost(self.moved(indices, t * direction))
            return known[t]

        return cost

    def moved(self, indices: np.ndarray, by: np.ndarray) -> np.ndarray:
        """θ, with some of its coordinates moved."""
        moved = self.theta.copy()
        moved[indices] += by
        return moved

    def in_float64(self) -> "Probes | None":
        """The cost of a θ in float64, if the function computes that in float64 and it is the same cost; else None."""
        costs = []
        for k in range(3):
            self.budget.count()
            try:
                costs.append(self.user.cost_made(like_in_float64, self.theta * (1.0 + k * FLOAT64_SPACING)))
            except Exception:  # noqa: BLE001  whatever it raises, it cannot do with float64
                return None
        computes_in_float64 = any(cost != float(np.float32(cost)) for cost in costs)
        is_same = abs(costs[0] - self.base) <= SAME_COST * self.unit * max(map(abs, costs))
        if not (computes_in_float64 and is_same):
            return None
        evaluate = partial(self.user.cost_made, like_in_float64)
        return replace(self, evaluate=evaluate, unit=UNIT_ROUNDOFF["float64"], base=costs[0])

    def in_extended(self) -> "Probes | None":
        """The cost computed in more digits than float64, where NumPy has these and the function takes them."""
        if self.unit > UNIT_ROUNDOFF["float64"] or not np.finfo(np.longdouble).eps < np.finfo(np.float64).eps:
            return None
        evaluate = partial(self.user.cost_made, like_in_extended)
        self.budget.count()
        try:
            return replace(self, evaluate=evaluate, base=evaluate(self.theta))
        except Exception:  # noqa: BLE001  whatever it raises, it cannot do with that type
            return None
