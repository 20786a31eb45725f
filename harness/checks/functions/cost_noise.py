"""How noisy a user's cost is: measured from the scatter of its values at points a few roundings apart."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from harness.bounds.tolerances import ALL_COORDINATES
from harness.checks.functions.cost_probe import Budget, Probes
from harness.checks.functions.line_stencil import CostNoise, Line, scatter_of
from harness.checks.functions.user_function import UserFunction
from harness.checks.random_directions import random_directions
from harness.progress import Progress
from reference.arithmetics.array_pieces import largest
from reference.arithmetics.central_differences import NOISE_ROUNDINGS
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

SAMPLES = 8  # costs, whose five third differences tell their scatter to a factor of two or so

SPACING = 2.0**13
"""Between the samples, in u of θ: over eight of them, 7e-12, a cost that bends at the scale of θ is a parabola."""

WIDENINGS = tuple(16.0**k for k in range(6))
"""Times the spacing, while all samples are equal. Beyond 2⁻²⁰, jumps of the function itself would pass for noise."""

CONSTANT, FARTHEST = 2.0**-24, 64.0
"""In units of each coordinate: how far about θ a constant cost is tried, and how far its first change is looked for."""

SAME_CHANGE = 3
"""A change that is the same at so many places is a step, and needs no halving down to neighbouring floats."""

LARGEST_ROUNDING = 4.0
"""A first change up to so many √u is rounding, as √(1 - tanh² t) has; a larger one is a jump, as of floor(t)."""

NOISIER = 100.0  # Noise above so many roundings of the cost is none of rounding. Perhaps one coordinate alone makes it.

LARGEST_LOSS = 0.1
"""Lost digits move the cost by at most this share of it, or by the root of a rounding. More is another cost."""

WHOLE_IN_FLOAT32 = 2.0**23  # from here on, all numbers of float32 are whole

SMOOTH = 0.1  # a difference of two costs whose scatter is below this share of it loses the same digits all along

LEFT_OF_LOSS = 2.0**-8
"""Extended precision has eleven bits more than float64, and loses at most so much of what float64 loses."""

SIZES_OF_ZERO = (2.0**-20, 2.0**-40)
"""Beside 1, the sizes that a parameter of zero is taken to have: √(t² + 1e-20) bends at 1e-10."""


@dataclass(frozen=True, eq=False)
class CostNear:
    """The cost near θ, with its noise."""

    probes: Probes
    noise_at_theta: CostNoise  # the noise at θ, taken for that everywhere
    precise: Probes | None = None  # the cost in more digits, where that can be had; None for one that has them

    @property
    def is_extended(self) -> bool:
        """Whether it is computed in more digits than float64."""
        return self.noise_at_theta.hidden > 0.0 and self.precise is None

    @cached_property
    @np.errstate(all="ignore")
    def ordinary(self) -> float:
        """The size of the cost at θ or one step away, whichever is larger: at a minimum it may be 0."""
        # the smaller of both sides, because a penalty of 1e300 outside a domain says nothing about the cost
        up, down = (abs(self.probes.cost(step_away(self.probes, sign))) for sign in (1.0, -1.0))
        return largest(np.array([self.probes.base, np.fmin(up, down)]))

    def is_rounding(self, noise: float) -> bool:
        """Whether so much noise may be rounding of the cost at θ."""
        return noise <= NOISIER * self.noise_at_theta.relative * abs(self.probes.base)

    @property
    def is_quiet(self) -> bool:
        """Whether the noise at θ may be rounding of a cost of ordinary size."""
        noise = self.noise_at_theta
        return self.is_rounding(noise.near) or noise.near <= NOISIER * noise.relative * self.ordinary

    @cached_property
    @np.errstate(all="ignore")
    def noise(self) -> CostNoise:
        """The noise at θ and one step away. It takes 16 calls, when a first look leaves doubt."""
        up, down = (scatter_of(costs_near(self.probes, step_away(self.probes, sign))) for sign in (1.0, -1.0))
        return self.noise_at_theta._replace(far=float(np.nan_to_num(np.fmin(up, down))))


def measure_cost(user: UserFunction, cost: float, budget: Budget, progress: Progress) -> tuple[CostNear, CostNear]:
    """The cost as the user computes it, and as it is differenced: in more digits where the function can do that."""
    coarse = measure_noise(Probes(user, user.cost, user.unit, cost, budget, progress))
    if coarse.probes.unit <= UNIT_ROUNDOFF["float64"]:
        return coarse, _with_lost_digits(coarse)
    wide = coarse.probes.in_float64()
    return coarse, measure_noise(wide) if wide else coarse


@np.errstate(all="ignore")
def _with_lost_digits(near: CostNear) -> CostNear:
    """The cost in more digits, if its formula loses some of float64 before its last operation.

    1 - tanh²(18) is a few roundings of 1, and √ makes 1e-8 of these. Along a stencil their error is the same, so that
    no change of the costs shows it. The difference of the cost in both precisions does.

    That difference may be smooth, if the type of θ makes another cost; then it is hidden noise. If it scatters, the
    cost in more digits takes the place of the one in float64, and hidden noise is what that loses in turn.
    """
    probes, precise = near.probes, near.probes.in_extended()
    near = replace(near, precise=precise)
    if precise is None or not abs(precise.base - probes.base) > max(near.noise_at_theta.near, probes.unit):
        return near
    places = probes.theta + np.arange(-4.0, 4.0)[:, np.newaxis] * (step_away(probes) - probes.theta)
    lost = np.array([precise.cost(place) - probes.cost(place) for place in places])
    size = largest(lost)
    if size > max(LARGEST_LOSS * near.ordinary, np.sqrt(probes.unit)):
        return near
    is_slow = probes.theta.size > ALL_COORDINATES  # no BLAS multiplies numbers of that type
    if scatter_of(lost) <= SMOOTH * size or is_slow:
        return replace(near, noise_at_theta=near.noise_at_theta._replace(hidden=size))
    fine = measure_noise(precise)
    return replace(fine, noise_at_theta=fine.noise_at_theta._replace(hidden=LEFT_OF_LOSS * size))


@np.errstate(all="ignore")
def measure_noise(probes: Probes) -> CostNear:
    """The noise of the cost at θ."""
    probes, near = _noise_at_theta(probes)
    step, relative = probes.steps[0], NOISE_ROUNDINGS * probes.unit
    near = max(near, relative * abs(probes.base)) or probes.unit  # a cost of 0 may be that of terms which cancel
    return CostNear(probes, CostNoise(near, near, step, relative))


def step_away(probes: Probes, sign: float = 1.0) -> np.ndarray:
    """A point one step away from θ, in a random direction."""
    step = probes.steps[0]
    return probes.theta + sign * step * np.maximum(np.abs(probes.theta), 1.0) * random_direction(probes.theta.size)


def random_direction(size: int) -> np.ndarray:
    """The direction in which all parameters are moved at once, here and for the noise of a gradient."""
    return random_directions(1, size, seed=0)[0]


def _noise_at_theta(probes: Probes) -> tuple[Probes, float]:
    """The scatter at θ; the probes of a cost that is computed in float32, whatever its type says, have that unit."""
    probes, costs = _in_true_precision(probes)
    found, rounding = scatter_of(costs), NOISE_ROUNDINGS * probes.unit * abs(probes.base)
    if not probes.theta.all() and found > rounding:
        # a parameter of 0 was moved as one of 1 is, and the cost may have bent within that
        finer = [scatter_of(costs_near(probes, probes.theta, zero=zero)) for zero in SIZES_OF_ZERO]
        found = min([found, *(scatter for scatter in finer if scatter > 0.0)])
    if not found > 0.0:
        found = _first_scatter(lambda widening: scatter_of(costs_near(probes, probes.theta, widening)))
    if not found > 0.0:
        moves = probes.units * random_direction(probes.theta.size)
        found = _rounding(lambda t: probes.cost(probes.theta + t * moves), float(probes.units.max()), probes.unit)
    return probes, float(np.nan_to_num(found))


def _in_true_precision(probes: Probes) -> tuple[Probes, np.ndarray]:
    """The probes with the unit in which the cost is really computed, and costs near θ.

    float(np.float32(x)) has the type of float64. But all of its values are numbers of float32, and differ only at
    distances of float32.
    """
    costs = costs_near(probes, probes.theta)
    if probes.unit <= UNIT_ROUNDOFF["float64"] and fits_float32(costs):
        in_float32 = replace(probes, unit=UNIT_ROUNDOFF["float32"])
        coarse = costs_near(in_float32, probes.theta)
        if fits_float32(coarse) and np.ptp(coarse) > 0.0:
            return in_float32, coarse
    return probes, costs


def costs_near(probes: Probes, center: np.ndarray, widening: float = 1.0, *, zero: float = 1.0) -> np.ndarray:
    """Costs at evenly spaced places from `center` on; a parameter of 0 is moved as one of size `zero` is."""
    width = SPACING * widening * probes.unit * np.where(center == 0.0, zero, np.abs(center))
    moves = width * random_direction(center.size)
    return np.array([probes.cost(center + k * moves) for k in range(SAMPLES)])


def _first_scatter(scatter: Callable[[float], float]) -> float:
    """The scatter at the smallest spacing at which costs differ at all; 0 where they are all the same."""
    return next((found for widening in WIDENINGS if (found := scatter(widening)) > 0.0), 0.0)


@np.errstate(all="ignore")
def noise_along(line: Line, precise: Line | None, size: float, noise: CostNoise, unit: float) -> CostNoise:
    """The noise of the cost along a line through one coordinate, if that is smaller than that of all coordinates.

    Where all are moved together, one in which the cost waves within a few roundings, as sin(1e13 t), passes for noise.
    `precise` is the cost in more digits, `size` is |θ_i| along the line, and `unit` is u of the cost.
    """

    def near(at: float, widening: float = 1.0) -> float:
        width = SPACING * widening * unit * max(size, abs(at))
        return scatter_of(np.array([line(at + k * width) for k in range(SAMPLES)]))

    # the jumps of a cost that rounds inside may be wider than all spacings
    here = _first_scatter(lambda widening: near(0.0, widening)) or _rounding(line, size, unit) or unit
    here = max(here, noise.relative * abs(line(0.0)))
    far = np.fmin(near(noise.reach), near(-noise.reach))
    if precise:
        lost = np.array([precise(t) - line(t) for t in (0.0, noise.reach, -noise.reach)])
        here = max(here, largest(lost)) if np.ptp(lost) > here else here
    return noise._replace(near=float(np.nanmin([here, noise.near])), far=float(np.nanmin([max(far, here), noise.far])))


def rounding_along(line: Line, noise: CostNoise, size: float, unit: float) -> CostNoise:
    """The noise of a cost that is constant at θ along a line: its smallest change, where it first changes.

    A sum that rounds to 0, as 1 - tanh(25), is constant as far as its terms round to the same numbers. It changes by a
    rounding of these terms, which is all that is known of them. A larger change is a jump of the function itself.
    """
    if not line(CONSTANT) == line(0.0) == line(-CONSTANT):
        return noise
    rounding = _rounding(line, size, unit) or unit
    return noise._replace(near=max(noise.near, rounding), far=max(noise.far, rounding))


def _rounding(line: Line, size: float, unit: float) -> float:
    """The first change of a cost along a line, if it is as small as a rounding of terms, or its root; else 0."""
    change = _first_change(line)
    return change if change <= LARGEST_ROUNDING * np.sqrt(unit) * max(1.0, size) else 0.0


def _first_change(line: Line) -> float:
    """The smallest change of a cost where it is no longer constant, on the nearer side; 0 where it is constant."""
    far, base = CONSTANT, line(0.0)
    while far < FARTHEST:
        near, far = far, 8.0 * far
        for side in (1.0, -1.0):
            if line(side * far) != base and np.isfinite(line(side * far)):
                return _smallest_change(lambda t, side=side: abs(line(side * t) - base), near, far)
    return 0.0


def _smallest_change(change: Line, near: float, far: float) -> float:
    """The smallest change between a place where there is none and one where there is, by bisection."""
    smallest, times = change(far), 0
    while times < SAME_CHANGE and near < (middle := 0.5 * (near + far)) < far:
        found = change(middle)
        if found == 0.0:
            near = middle
        else:
            far, smallest, times = middle, found, times + 1 if found == smallest else 0
    return smallest


@np.errstate(over="ignore")
def fits_float32(values: np.ndarray) -> bool:
    """Whether all numbers are numbers of float32."""
    return np.array_equal(values, values.astype(np.float32))


def holds_float32(values: np.ndarray) -> bool:
    """Whether numbers were rounded to float32: they fit into it, and most of them need more than 16 of its 24 bits.

    0.5 and 3.0 fit into float32, too, and show nothing. Neither do whole numbers, unless float32 has no others there.
    """
    values = values[np.isfinite(values)]
    if not values.size or not fits_float32(values):
        return False
    is_whole = (values == np.round(values)) & (np.abs(values) < WHOLE_IN_FLOAT32)
    leading = np.frexp(values)[0] * 2.0**16
    return bool(np.mean((leading != np.round(leading)) & ~is_whole) > 0.5)
