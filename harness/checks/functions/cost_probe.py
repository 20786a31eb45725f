"""The cost of somebody's function at points beside θ: counted, within a budget, NaN beyond the edge of its domain."""

import time
from collections.abc import Callable
from types import TracebackType

import numpy as np

from harness.checks.functions.user_function import UsersFunction
from harness.progress import Progress, silent
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

ALMOST = 1e-4
"""How far apart, as a share of θ, costs are that must not all be float32 numbers, to have been computed in float64."""

SAME = 1e4
"""So many u of the lower precision may a cost differ from that in float64."""

Cost = Callable[[np.ndarray], float]

DOMAIN = (ValueError, ArithmeticError, AssertionError, RuntimeError, RuntimeWarning)
"""What functions raise that are asked beyond the edge of their domain; PyTorch's LinAlgError is a RuntimeError."""

BUGS = (NotImplementedError, RecursionError, UnicodeError)
"""Of these, what is raised by a bug instead."""


def leaves_domain(error: Exception) -> bool:
    """Whether a function that answers at θ raised this because a point beside it is beyond the edge of its domain."""
    return isinstance(error, DOMAIN) and not isinstance(error, BUGS) and not _is_ours(error.__traceback__)


def _is_ours(traceback: TracebackType | None) -> bool:
    """Whether this room raised it itself, for an answer of no proper shape."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_globals.get("__name__", "").startswith(__package__ or "-")


class Budget:
    """How many calls, or seconds, a check may take.

    Parameters
    ----------
    limit : int for calls, float for seconds, None for no limit
    """

    def __init__(self, limit: int | float | None = None):
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, (int, float)) or not limit > 0):
            raise ValueError(
                f"budget must be a number of calls (an int) or of seconds (a float) above 0, not {limit!r}"
            )
        self.limit, self.calls, self.started = limit, 0, time.perf_counter()

    @property
    def is_spent(self) -> bool:
        return self.calls_left() < 1.0

    def calls_left(self) -> float:
        """How many calls are left; of seconds, as many calls as fit into them at the pace so far."""
        if self.limit is None:
            return np.inf
        if isinstance(self.limit, int):
            return self.limit - self.calls
        spent = time.perf_counter() - self.started
        return (self.limit - spent) * max(self.calls, 1) / max(spent, 1e-9)

    def __str__(self) -> str:
        return f"{self.limit:,} calls" if isinstance(self.limit, int) else f"{self.limit:g} s"


class Probes:
    """The cost at points beside θ.

    Parameters
    ----------
    users : the function
    cost : float
        Its cost at θ, which is not asked for again.
    budget : what may be spent on it
    progress : told of the calls made

    Attributes
    ----------
    ask, unit : whose cost it is, and u of its precision
    raised : dict
        How often the function raised each kind of exception beyond the edge of its domain.
    """

    def __init__(self, users: UsersFunction, cost: float, budget: Budget, progress: Progress = silent):
        self.users, self.theta, self.base, self.budget, self.progress = users, users.theta, cost, budget, progress
        self.ask, self.unit = users.cost, users.unit
        self.raised: dict[str, int] = {}

    def in_float64(self) -> "Probes | None":
        """The same of a function of lower precision, where it can do with a θ in float64 and answers the same cost."""
        wide = Probes(self.users, np.nan, self.budget, self.progress)
        wide.ask, wide.unit = self.users.cost_in_float64, UNIT_ROUNDOFF["float64"]
        try:
            costs = [wide.cost(self.theta * (1.0 + k * ALMOST)) for k in range(3)]
        except Exception:  # noqa: BLE001  whatever it raises, it cannot do with float64
            return None
        wide.base = costs[0]
        is_wide = any(cost != float(np.float32(cost)) for cost in costs)
        same = abs(wide.base - self.base) <= SAME * self.users.unit * max(map(abs, costs))
        wide.raised = self.raised
        return wide if is_wide and same else None

    def cost(self, flat: np.ndarray) -> float:
        """The cost, or NaN beyond the edge of the domain."""
        self.budget.calls += 1
        try:
            return self.ask(flat)
        except Exception as error:
            if not leaves_domain(error):
                raise
            kind = type(error).__name__
            self.raised[kind] = self.raised.get(kind, 0) + 1
            return np.nan

    def along(self, indices: np.ndarray, direction: np.ndarray) -> Callable[[float], float]:
        """The cost as a function of t at θ + t · direction, which is zero but at the indices."""
        known = {0.0: self.base}

        def cost(t: float) -> float:
            if t not in known:
                moved = self.theta.copy()
                moved[indices] += t * direction
                known[t] = self.cost(moved)
            return known[t]

        return cost
