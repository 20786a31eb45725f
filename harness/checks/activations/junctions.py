"""Junctions: the z at which formula or slope change to another piece, and what may be reported there.

Each junction is judged by itself, because what is right on both sides may be wrong there: a slope that is written for
z > 0 and for z < 0 may have nothing for z = 0. Where the one-sided derivatives are equal, they are the slope. At a
kink a slope is a convention: any number between them may be reported, such as 0, ½ or 1 of a ReLU.

Junctions are found in three ways. They are declared; or a comparison in the formula changes its sign (`find_switches`);
or a function jumps (`find_jumps`), which also sees what no comparison shows, such as the steps of ``np.floor``.
"""

import contextlib
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS, ActivationBound, moved_with_a
from harness.bounds.tolerances import MEANINGLESS, NEGLIGIBLE
from harness.checks.activations.slope_oracles import SideSlopes, SlopeFunction, choose, is_known, one_sided_derivatives
from harness.checks.activations.z_grid import BESIDE, NEARBY, GridPoints, distinct, is_near, shortest
from reference.activations import Activation
from reference.measured import MeasuredSlope
from reference.namespaces import NUMPY

HALVINGS = 64
"""Halvings of a grid interval: down to neighbouring floats, unless zero is in it, beside which floats lie ever
closer."""

STEEP_WITHIN, STEEP_FACTOR = 2.0**20, 16.0
"""What a steep function is, and a jump is not: 2^20 times as far away it changes by 16 times as much. A cube root at 0
changes by 100 times as much there, a step by nothing."""

MOST_JUNCTIONS = 200
"""Junctions that are judged, those nearest to zero. A comparison of noise with noise may change its sign anywhere."""

JUMP = MEANINGLESS["float64"]
"""A slope or value that changes by less than this share between neighbouring floats has no jump there: formulas lose
digits, too, and a share that decides nothing elsewhere decides nothing here."""

FLOATS_BESIDE = 2  # a junction at 5/3, which is no float, is found one float aside

LIMIT_TOLERANCE = 2e-9
"""The share of themselves to which one-sided derivatives are known, beside rounding: a slope that is read off at some
distance from the junction differs from the limit by the curvature times this distance."""


@dataclass(frozen=True)
class Junction:
    """A junction, what is reported there, and what is known of its sides."""

    z: float
    left: float  # the one-sided derivatives; NaN where they are not known well enough
    right: float
    claimed: float  # the slope that the record reports there
    jax: float  # what JAX computes for the formula there; NaN where JAX cannot run it
    declared: bool  # whether the record declares a kink there
    error: float = 0.0  # how far off the one-sided derivatives and the reported slope may be
    value_jumps: bool = False  # whether the value itself jumps there

    @property
    def is_known(self) -> bool:
        """Whether both one-sided derivatives are known."""
        return not (math.isnan(self.left) or math.isnan(self.right))

    @property
    def jumps(self) -> bool:
        """Whether the one-sided derivatives differ, or may."""
        return not math.isclose(self.left, self.right, rel_tol=JUMP, abs_tol=2.0 * self.error)

    @property
    def is_pole(self) -> bool:
        """Whether the slope grows without bound on both sides, in the same direction."""
        return math.isinf(self.left) and self.left == self.right

    @property
    def is_allowed(self) -> bool:
        """Whether the reported slope is a one-sided derivative or between both; any number where they are unknown."""
        # nothing but NaN is wrong at a pole, at a jump of the value, or where nothing is known
        if math.isnan(self.claimed) or not self.is_known or self.is_pole or self.value_jumps:
            return not math.isnan(self.claimed)
        low, high = sorted((self.left, self.right))
        return low <= self.claimed <= high or any(
            math.isclose(self.claimed, x, rel_tol=LIMIT_TOLERANCE, abs_tol=self.error) for x in (low, high)
        )

    @property
    def nearest_allowed(self) -> float:
        """The reported slope if it is allowed, else the one-sided derivative that is nearer to it."""
        return self.claimed if self.is_allowed else min(self.left, self.right, key=lambda x: abs(x - self.claimed))

    @property
    def follows_jax(self) -> bool:
        """Whether the reported slope is what JAX computes; it is not where JAX cannot run the formula."""
        return math.isclose(self.claimed, self.jax, rel_tol=JUMP, abs_tol=self.error)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        return vars(self) | {"jumps": self.jumps, "follows_jax": self.follows_jax}


# -- comparisons of a formula ------------------------------------------------------------------------------------------


_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")

_DIFFERENCES: dict[str, Callable[..., list[Any]]] = {
    **dict.fromkeys((*_COMPARISONS, "maximum", "minimum", "fmax", "fmin"), lambda x, y: [np.subtract(x, y)]),
    **dict.fromkeys(("absolute", "fabs", "sign", "signbit"), lambda x: [x]),
    "heaviside": lambda x, _: [x],
    "copysign": lambda _, y: [y],
    "clip": lambda x, low, high: [np.subtract(x, limit) for limit in (low, high) if limit is not None],
}


class Watched(np.ndarray):
    """A float64 array that logs where a formula may change its branch: in `differences`, which its results share.

    Every comparison is logged as the difference of its two sides. Where that changes its sign, a `where`, a mask, a
    maximum, a clip or an absolute value takes another piece of the formula. So the junctions of the pieces are read off
    the formula, and no search can miss one.
    """

    differences: list[np.ndarray]

    def __array_finalize__(self, parent: Any) -> None:
        self.differences = getattr(parent, "differences", [])

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, out: Any = None, **keywords: Any) -> Any:
        plain = [_plain(x) for x in operands]
        if method == "__call__" and ufunc.__name__ in _DIFFERENCES:
            self.differences += map(np.array, _DIFFERENCES[ufunc.__name__](*plain))
        if out is None:
            return self._watch(getattr(ufunc, method)(*plain, **keywords))
        getattr(ufunc, method)(*plain, out=tuple(map(_plain, out)), **keywords)
        return out[0] if len(out) == 1 else out

    def __array_function__(self, function: Any, types: Any, operands: Any, keywords: Any) -> Any:
        return self._watch(super().__array_function__(function, types, operands, keywords))

    def _watch(self, result: Any) -> Any:
        if not isinstance(result, np.ndarray) or result.dtype != np.float64:  # truth values may be masks
            return result
        watched = result.view(Watched)
        watched.differences = self.differences
        return watched


def _plain(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, Watched) else x


# -- where they are ----------------------------------------------------------------------------------------------------


def find_junctions(
    f: Activation,
    z: np.ndarray,
    bound: ActivationBound,
    slope_at: SlopeFunction | None,
    known: Sequence[float] = (),
    suspects: Sequence[float] = (),
) -> list[float]:
    """The declared kinks, and the z at which value or slope change their branch or jump, found on a sorted grid.

    `known` are junctions from elsewhere: a proof also sees what lies between the points of the grid. Of the floats
    beside one of these, `suspects` are judged instead of it.
    """

    def claimed(z: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.asarray(f.slope(z.copy(), np.array(f(z.copy()))), dtype=float), z.shape)

    found = [*find_switches(lambda Z: f.value(NUMPY, Z), z), *find_switches(lambda Z: f.slope(Z, _value(f, Z)), z)]
    found += find_jumps(claimed, z, bound.claimed)
    found += find_jumps(slope_at, z, bound.formula) if slope_at else []
    nearest_to_zero = sorted([*found, *known], key=abs)[:MOST_JUNCTIONS]
    # One place is found several times. `distinct` keeps the first: one that was bisected to neighbouring floats, which
    # a proof's is not, and 1.5 rather than the float before it.
    shortest_first = sorted(nearest_to_zero, key=lambda place: (place not in found, len(repr(place))))
    return sorted(distinct([*f.kinks, *(z for z in suspects if is_near(z, known)), *shortest_first]))


def _value(f: Activation, Z: Watched) -> Watched:
    """f(Z) for the slope to compare, as numbers without the comparisons that led to them."""
    a = np.array(f(np.array(Z)), dtype=np.float64).view(Watched)
    a.differences = Z.differences
    return a


def find_switches(formula: Callable[[Watched], object], z: np.ndarray) -> list[float]:
    """The z at which the two sides of a comparison in a formula are equal or change their order."""
    with contextlib.suppress(*FORMULA_ERRORS):
        signs = _signs(formula, z)
        changes = np.flatnonzero((signs[:, 1:] != signs[:, :-1]).any(axis=0))
        few = z[np.unique([*changes, *(changes + 1)])]  # of the grid, those points between which a sign changes
        jumps = (find_jumps(lambda z, i=i: _signs(formula, z)[i], few, np.zeros(few.size)) for i in range(len(signs)))
        return distinct(itertools.chain.from_iterable(jumps)) if few.size else []
    return []


def _signs(formula: Callable[[Watched], object], z: np.ndarray) -> np.ndarray:
    """The sign of every difference that a formula compares, a row each."""
    Z = z.copy().view(Watched)
    Z.differences = []
    formula(Z)
    rows = [np.sign(difference) for difference in Z.differences if difference.shape == z.shape]
    return np.array(rows, dtype=float).reshape(-1, z.size)


def find_jumps(function: Callable[[np.ndarray], np.ndarray], z: np.ndarray, noise: np.ndarray) -> list[float]:
    """The z at which a function jumps, between points of a sorted grid or on one.

    Every grid interval is halved again and again, and the half with the greater change is kept. So a smooth change
    vanishes, and a jump stays. A jump that is smaller than the smooth change across its interval may be missed. `noise`
    is how far rounding can move the function at each z.
    """
    known = function(z)
    ends = _halve_towards_change(function, np.array([z[:-1], z[1:], known[:-1], known[1:]]))
    return _which_jump(function, ends, known, np.minimum(noise[:-1], noise[1:]))


def find_jumps_at(
    function: Callable[[np.ndarray], np.ndarray], places: Sequence[float], z: np.ndarray, noise: np.ndarray
) -> list[float]:
    """Those of some places at which a function jumps, however little it does beside its change across the grid."""
    low, high = (np.array(places) + side * np.spacing(np.abs(places)) for side in (-FLOATS_BESIDE, FLOATS_BESIDE))
    after = np.clip(np.searchsorted(z, places), 1, z.size - 1)
    ends = np.array([low, high, function(low), function(high)])
    return _which_jump(function, ends, ends[2:], np.minimum(noise[after - 1], noise[after]))


def _which_jump(
    function: Callable[[np.ndarray], np.ndarray], ends: np.ndarray, known: np.ndarray, noise: np.ndarray
) -> list[float]:
    """Where a function jumps, of intervals (4, n) with ends and values; `noise` is the smaller of both ends' noise."""
    low, high, at_low, at_high = ends
    least = NEGLIGIBLE * np.where(np.isfinite(known), np.abs(known), 0.0).max(initial=0.0)
    allowed = np.maximum(JUMP * np.maximum(least, np.abs(ends[2:]).max(axis=0)), 4.0 * noise)
    # An interval that stays wide holds a smooth function that grows without bound towards zero. One that zero is in
    # stays wide in floats, of which there are more between 0 and 1e-20 than above.
    floats_apart = np.spacing(np.maximum(np.abs(low), np.abs(high)))
    is_narrow = (high - low <= 4.0 * floats_apart) | (low <= 0.0) & (high >= 0.0)
    change = np.abs(at_high - at_low)
    ends = ends[:, np.isfinite(change) & (change > allowed) & is_narrow]
    if ends.size:
        ends = ends[:, ~_is_steep(function, ends)]
    return distinct([shortest(float(a), float(b)) for a, b in ends[:2].T])


def _halve_towards_change(function: Callable[[np.ndarray], np.ndarray], ends: np.ndarray) -> np.ndarray:
    """Intervals and the values at their ends, (4, n), each halved so that the half with the greater change is kept."""
    low, high, at_low, at_high = ends
    for _ in range(HALVINGS):
        middle = low + 0.5 * (high - low)
        at_middle = function(middle)
        # where NaN is in between there is no greater change, and the interval is left out in the end
        in_low = ~(np.abs(at_middle - at_low) <= np.abs(at_high - at_middle))
        low, at_low = np.where(in_low, low, middle), np.where(in_low, at_low, at_middle)
        high, at_high = np.where(in_low, middle, high), np.where(in_low, at_middle, at_high)
    return np.array([low, high, at_low, at_high])


def _is_steep(function: Callable[[np.ndarray], np.ndarray], ends: np.ndarray) -> np.ndarray:
    """Where a function does not jump, but changes by much more near by, on a side on which it is defined."""
    low, high, at_low, at_high = ends
    reach = STEEP_WITHIN * (high - low)
    nearby = np.fmax(np.abs(function(low - reach) - at_low), np.abs(function(high + reach) - at_high))
    return nearby >= STEEP_FACTOR * np.abs(at_high - at_low)


# -- what may be reported there ----------------------------------------------------------------------------------------


def measure_junctions(
    points: GridPoints, bound: ActivationBound, slope_at: SlopeFunction | None, by_jax: MeasuredSlope | None
) -> list[Junction]:
    """Every junction at which the value is finite, with what is reported there and its one-sided derivatives.

    0.0 and -0.0 are one number, and a slope is reported at both: of the two, one that is not allowed is taken.
    """
    at = np.flatnonzero(points.at_junctions & np.isfinite(points.a))
    z = points.z[at]
    if not z.size:
        return []
    # the floats beside a declared kink stand for it and share its one-sided derivatives, which are computed once
    places, where = np.unique(points.declared_kinks(z)[0], return_inverse=True)
    sides = [SideSlopes(side.slope[where], side.error[where]) for side in _sides(points.f, places, slope_at)]
    known = is_known(sides[0]) & is_known(sides[1])
    error = sides[0].error + sides[1].error + _rounding_nearby(points, bound)[at]
    error = np.where(known & np.isfinite(error), error, 0.0)
    # a one-sided derivative that may be zero is zero: 1e-17 and 0 are no kink
    zeroed = (np.where(np.abs(side.slope) <= side.error, 0.0, side.slope) for side in sides)
    left, right = (np.where(known, slope, np.nan) for slope in zeroed)
    junctions = [
        Junction(
            float(place),
            float(left[i]),
            float(right[i]),
            claimed=float(points.slope[at[i]]),
            jax=float(by_jax.slope[at[i]]) if by_jax else math.nan,
            declared=is_near(place, points.f.kinks),
            error=float(error[i]),
            value_jumps=is_near(place, points.jumps),
        )
        for i, place in enumerate(z)
    ]
    at_minus_zero = [replace(one, claimed=points.slope_at_minus_zero) if one.z == 0.0 else one for one in junctions]
    pairs = zip(junctions, at_minus_zero)
    return [other if one.is_allowed and not other.is_allowed else one for one, other in pairs]


def _sides(f: Activation, places: np.ndarray, slope_at: SlopeFunction | None) -> tuple[SideSlopes, SideSlopes]:
    """The one-sided derivatives; where they are equal at a declared kink, those on both sides of all that is near it.

    The constants of a formula round, too, which moves its kink away from the declared place.
    """
    left, right = one_sided_derivatives(f, places, slope_at)
    # max(0, 3 z - 5) has its kink at 5/3, which is no float: the float that is declared lies some floats to one side
    is_alike = np.isin(places, f.kinks) & np.isfinite(left.slope) & ~_differ(left, right)
    reach = np.where(is_alike, NEARBY * np.abs(places), 0.0)
    if not reach.any():
        return left, right
    below, _ = one_sided_derivatives(f, places - reach, slope_at)
    _, above = one_sided_derivatives(f, places + reach, slope_at)
    moved = is_alike & _differ(below, above)
    return choose(moved, below, left), choose(moved, above, right)


def _differ(x: SideSlopes, y: SideSlopes) -> np.ndarray:
    return np.abs(x.slope - y.slope) > x.error + y.error  # NaN does not


def _rounding_nearby(points: GridPoints, bound: ActivationBound) -> np.ndarray:
    """What rounding can do to the reported slope at each z and to the formula's slopes on both sides.

    Bounds are taken a little beside each z, because on a junction itself they span both pieces.
    """
    last = points.z.size - 1
    beside = [np.minimum(np.searchsorted(points.z, points.z + step), last) for step in (-BESIDE, BESIDE)]
    claimed = np.min([bound.claimed, *(bound.claimed[i] for i in beside)], axis=0)
    with_a = moved_with_a(points.f, points.z, points.a, bound.value)
    # A slope may move by √u with the rounding of a, as √(1 - a²) does where a is nearly 1. More is another piece of the
    # slope, and no rounding; unless a itself has lost as many digits.
    has_lost_digits = (points.a != 0.0) & (bound.value > JUMP * np.abs(points.a))
    is_rounding = has_lost_digits | (with_a <= JUMP * np.maximum(1.0, np.abs(points.slope)))
    claimed += np.where(is_rounding, with_a, 0.0)
    on_sides = np.max([bound.formula[i] for i in beside], axis=0)
    return claimed + np.where(np.isfinite(on_sides), on_sides, 0.0) + points.floor
