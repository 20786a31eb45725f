"""The record of an elementary function: what the arithmetics and the interpreter of JAX's programs know of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from reference.arithmetics.roundoff import ELEMENTARY


class Reach(NamedTuple):
    """Where an argument may be: in [value - error, value + error], arrays of one shape."""

    value: Any
    error: Any

    @property
    def nearest(self) -> Any:
        """The smallest |x|."""
        return np.maximum(np.abs(self.value) - self.error, 0.0)

    @property
    def furthest(self) -> Any:
        """The largest |x|."""
        return np.abs(self.value) + self.error

    @property
    def least(self) -> Any:
        """The smallest x."""
        return self.value - self.error

    @property
    def most(self) -> Any:
        """The largest x."""
        return self.value + self.error


Steepest = Callable[[Reach], Any]
"""sup |f'| over all x of a reach.

By the mean value theorem an argument that is off by E moves f(x) by at most sup |f'| · E. Where a reach leaves the
domain, as that of log does at 1e-20 ± 1e-16, it is infinite or NaN: no bound is known.
"""


def steepest_power(exponent: float) -> Steepest:
    """Of |x|^p: sup |p| |x|^(p-1), at one end, since |x|^q grows with |x| for q >= 0 and falls otherwise."""
    return lambda x: abs(exponent) * np.power(x.furthest if exponent >= 1.0 else x.nearest, exponent - 1.0)


@dataclass(frozen=True, eq=False)
class Elementary:
    """What is known of y = f(x).

    `ball` is the truth that the tests hold every other field against, over the whole domain and at its ends.
    """

    function: Callable[[Any], Any]  # what formulas call, in NumPy or SciPy, at real x
    slope: Callable[[Any, Any], Any]  # (x, y) -> f'(x) with all its digits
    ball: Callable[[Any], Any] | None = None  # x -> f(x) for a ball of flint (`arb`)
    tangent: Callable[[Any, Any], Any] | None = None
    """(x, y) -> f'(x) as automatic differentiation evaluates it, where that loses digits, as 1 - y² of tanh."""
    increment: Callable[[Any, Any, Any], Any] | None = None  # (x, d, y) -> f(x + d) - f(x) with all its digits
    is_costly: bool = False  # whether the increment takes several calls; for tiny d, slope · d is as exact
    steepest: Steepest | None = None  # without which no rounding bound passes this function
    roundings: float | Callable[[Any], Any] = float(ELEMENTARY)
    """How far one call may be off in units of roundoff of y, whoever computes it: a number or x -> numbers.
    This is measured (NumPy and XLA against balls), not proved."""
    usual_roundings: float | None = None
    """The same for random rounding, of one size at all x; by default `roundings`, or `ELEMENTARY` where that is more
    or depends on x, since a single call is mostly as good."""
    is_series: bool = False  # whether it is computed by a series or a reflection, whose terms are rounded
    primitive: str | None = None  # the name of JAX's primitive
    evaluator: Callable[[Any], Any] | None = None  # x -> f(x) for complex x, too, where `function` takes none
    ends: tuple[float, ...] = ()
    """Where the domain ends with an infinite slope, so that a composition may have a kink there: √(x²) = |x|."""
    algebraic_at: float | None = None
    """The one finite x at which f(x) has few bits, if there is one: exp(0) = 1 is exact, and any other exp of a float
    has infinitely many bits (Lindemann, Math. Ann. 20, 1882)."""

    @property
    def name(self) -> str:
        return self.primitive or self.function.__name__

    @property
    def value(self) -> Callable[[Any], Any]:
        """x -> f(x) for real and complex x."""
        return self.evaluator or self.function

    def change(self, x: Any, d: Any, y: Any) -> Any:
        """f(x + d) - f(x) for steps d of about 2^-200, given y = f(x): exact at `ends` and where f' vanishes, too."""
        change = self.slope(x, y) * d if self.increment is None or self.is_costly else self.increment(x, d, y)
        # at an end the slope is infinite, and infinity times a step of zero would be NaN
        return np.where(d == 0.0, 0.0, change) if self.ends else change

    def roundings_at(self, x: Any) -> Any:
        """How far one call at x may be off, in units of roundoff of f(x)."""
        return self.roundings(x) if callable(self.roundings) else self.roundings
