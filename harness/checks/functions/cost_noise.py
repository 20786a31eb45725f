"""What is measured of somebody's function before any derivative is: whether it repeats itself, and how noisy it is.

The noise of the cost is measured from the scatter of its values at nearby points. What rounding may have moved a
gradient by is derived from how much the gradient changes with θ, and not from its own scatter: digits that a formula
loses to cancellation, and a value that stands alone at one θ, are errors of the gradient and no excuse for it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from harness.bounds.tolerances import GRADIENT_ROUNDINGS, MEANINGLESS, STEPS
from harness.checks.functions.cost_probe import Probes, leaves_domain
from harness.checks.functions.line_stencil import Line, Noise, scatter_of
from harness.checks.functions.parameters import largest
from harness.checks.functions.user_function import UsersFunction
from harness.checks.random_directions import random_directions
from harness.wording import told_apart
from reference.arithmetics.central_differences import NOISE_ROUNDINGS
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

SAMPLES = 8

NEARBY = 2.0**13
"""How far apart the samples are, in u: the last few bits of the argument differ, and little else does."""

FARTHER = 2.0**28
"""At most so much farther apart are samples that would otherwise all have one value: a rounded cost climbs by jumps."""

FINER = (2.0**-20, 2.0**-40)
"""Sizes that a zero is given, beside 1."""

FEW_ROUNDINGS = 64.0
"""How far θ moves, in u, where the scatter of a gradient is looked for."""

BESIDE = 16
"""Directions in which a gradient is looked at beside a θ that only its own value speaks against."""

RIGHT_BESIDE = 1e-4
"""How near such a gradient has to come to the slope of the cost, as a share of it."""

CONDITION_GAIN = 16.0
"""Rounding moves every entry of θ, and entries of what comes of it; one random direction shows their sum."""


KEPT = "answers the same gradient at another theta, where the cost has another slope: it must keep nothing of a call"


class Answers(NamedTuple):
    """What a function answered at θ, and what is wrong with the way it did."""

    cost: float
    gradient: np.ndarray
    misconduct: tuple[str, ...]
    repeats: bool
    note: str = ""


def ask_twice(users: UsersFunction) -> Answers:
    """The answer at θ, asked for twice: what is not repeatable cannot be checked."""
    try:
        (cost, gradient, changed), (cost2, gradient2, _) = users.answer(users.theta), users.answer(users.theta)
    except Exception as error:
        if leaves_domain(error):
            error.add_note("fun raised this at the theta to be checked; give one inside of its domain")
        raise
    misconduct = ["changes its argument theta in place"] if changed else []
    repeats = _same(users, cost, gradient, cost2, gradient2)
    if not repeats:
        misconduct.append(_how_it_changes(users, (cost, gradient), (cost2, gradient2)))
    return Answers(cost, gradient, tuple(misconduct), repeats)


def ask_again(users: UsersFunction, first: Answers, elsewhere: np.ndarray) -> str:
    """What is wrong if the answer at θ changed after the function was asked elsewhere; empty where it did not."""
    try:
        users.answer(elsewhere)
        _, there, _ = users.answer(elsewhere)  # the second is its own, even where each answer is the one before
    except Exception as error:
        if not leaves_domain(error):
            raise
        return ""
    if users.is_apart and not _near(users, first.gradient, users.gradient(users.theta)):
        return "answers a gradient that depends on the call of fun before it: let it compute all from its own theta"
    cost, gradient, _ = users.answer(users.theta)
    if _same(users, first.cost, first.gradient, cost, gradient):
        return ""
    stale = ": its gradient is that of the call before" if _near(users, gradient, there) else ""
    return f"answers differently at the same theta once it was called at another{stale}"


def _same(users: UsersFunction, cost: float, gradient: np.ndarray, cost2: float, gradient2: np.ndarray) -> bool:
    tolerated = GRADIENT_ROUNDINGS * users.unit
    return _near(users, gradient, gradient2) and bool(np.isclose(cost, cost2, rtol=tolerated, atol=0, equal_nan=True))


def _near(users: UsersFunction, a: np.ndarray, b: np.ndarray) -> bool:
    tolerated = GRADIENT_ROUNDINGS * users.unit
    return bool(np.allclose(a, b, rtol=tolerated, atol=tolerated * largest(a), equal_nan=True))


@np.errstate(all="ignore")
def _how_it_changes(users: UsersFunction, first: tuple, second: tuple) -> str:
    """Advice that fits the cause: what accumulates, what is random, what is kept from call to call."""
    said = "answers differently when called twice with the same theta"
    cost, gradient, _ = users.answer(users.theta)
    grown = _near(users, second[1], 2.0 * first[1]) and _near(users, gradient, 3.0 * first[1])
    if grown and first[1].any():
        return f"{said}: its gradient grows with every call, as .grad does; set it to zero before each backward pass"
    if cost == first[0] == second[0]:
        return f"{said}: its cost is the same, its gradient is not"
    if np.isclose(second[0] - first[0], cost - second[0], rtol=1e-6, atol=0.0):
        return (
            f"{said}: its cost changes by {second[0] - first[0]:.3g} with every call, so something is kept between them"
        )
    costs = ", ".join(told_apart(first[0], second[0]))
    return (
        f"{said} (costs {costs}): draw random numbers, such as those of dropout, from one seed in every call, and keep "
        "nothing between calls"
    )


class Measuring:
    """What is measured around θ.

    Parameters
    ----------
    users : the function
    probes : its cost beside θ

    Attributes
    ----------
    ordinary : a size of the cost that is not small, at θ or one step away, for a minimum may be zero
    """

    def __init__(self, users: UsersFunction, probes: Probes):
        self.users, self.probes, self.theta, self.layout = users, probes, users.theta, users.layout
        self.direction = random_directions(1, self.layout.size, seed=0)[0]
        self.ordinary = 0.0

    @np.errstate(all="ignore")
    def noise(self, cost: float) -> Noise:
        """How noisy the cost is at θ and one step away."""
        near = self._near_noise()
        step = steps_for(self.probes.unit)[0]
        sides = [self._costs_near(self.away(sign), self.probes.unit) for sign in (1.0, -1.0)]
        # on both sides, because a penalty of 1e300 beyond an edge says nothing of the cost
        self.ordinary = largest(np.array([cost, np.fmin(*np.abs([costs[0] for costs in sides]))]))
        far = [scatter_of(costs) for costs in sides]
        relative = NOISE_ROUNDINGS * self.probes.unit
        return Noise(max(near, relative * abs(cost)), float(np.nan_to_num(np.fmin(far[0], far[1]))), step, relative)

    def away(self, sign: float = 1.0) -> np.ndarray:
        """A θ one step away."""
        step = steps_for(self.probes.unit)[0]
        return self.theta + sign * step * np.maximum(np.abs(self.theta), 1.0) * self.direction

    def _near_noise(self) -> float:
        nearby = self._costs_near(self.theta, self.probes.unit)
        if self.probes.unit <= UNIT_ROUNDOFF["float64"] and _fits_float32(nearby):
            coarse = self._costs_near(self.theta, UNIT_ROUNDOFF["float32"])
            if _fits_float32(coarse) and np.ptp(coarse) > 0.0:  # computed in float32, whatever the type says
                self.probes.unit, nearby = UNIT_ROUNDOFF["float32"], coarse
                self.users.unit = max(self.users.unit, self.probes.unit)
        found = scatter_of(nearby)
        if not self.theta.all() and found > NOISE_ROUNDINGS * self.probes.unit * abs(self.probes.base):
            # zeros have no size of their own, and the cost may bend at any scale
            finer = [scatter_of(self._costs_near(self.theta, self.probes.unit, zero)) for zero in FINER]
            found = min([found, *(scatter for scatter in finer if scatter > 0.0)])
        farther = 16.0
        while not found > 0.0 and farther <= FARTHER:
            found = scatter_of(self._costs_near(self.theta, farther * self.probes.unit))
            farther *= 16.0
        return float(np.nan_to_num(found))

    def _costs_near(self, center: np.ndarray, unit: float, zero: float = 1.0) -> np.ndarray:
        width = NEARBY * unit * np.where(center == 0.0, zero, np.abs(center)) * self.direction
        return np.array([self.probes.cost(center + k * width) for k in range(SAMPLES)])

    @np.errstate(all="ignore")
    def gradient_error(
        self, source: Callable[[np.ndarray], np.ndarray], gradient: np.ndarray, scatter: np.ndarray | None = None
    ) -> np.ndarray:
        """How far rounding may have moved a gradient: some roundings of it, and what a rounding of θ makes of it.

        Roundings of the largest entry in a block would hide entries that are very much smaller. These are given what
        they scatter by, where that was measured.
        """
        unit = self.users.unit
        if self.is_float32(source, gradient):
            unit = UNIT_ROUNDOFF["float32"]
        width = np.sqrt(unit) * np.abs(self.theta) * self.direction
        up, down = source(self.theta + width), source(self.theta - width)
        moved = np.nan_to_num(np.abs(up - down), nan=0.0, posinf=0.0) * np.sqrt(unit)
        rounded = GRADIENT_ROUNDINGS * unit * self.layout.largest_in_block(gradient)
        if scatter is not None and unit <= UNIT_ROUNDOFF["float64"]:
            own = GRADIENT_ROUNDINGS * unit * np.abs(gradient) + CONDITION_GAIN * scatter
            is_hidden = rounded > MEANINGLESS["float64"] * np.abs(gradient)
            rounded = np.where(is_hidden, np.minimum(own, rounded), rounded)
        return rounded + CONDITION_GAIN * moved

    def is_float32(self, source: Callable[[np.ndarray], np.ndarray], gradient: np.ndarray) -> bool:
        """Whether a gradient in float64 holds numbers of float32, here and one step away: 1e8 may be one by chance."""
        if self.users.precision != "float64" or not holds_float32(gradient):
            return False
        return holds_float32(np.concatenate([gradient, source(self.away())]))

    @np.errstate(all="ignore")
    def gradient_scatter(self, gradient: np.ndarray) -> np.ndarray:
        """How far the gradient jumps when θ moves by a rounding: digits lost, or a value that stands alone."""
        width = (
            np.where(self.theta == 0.0, 1e-30, FEW_ROUNDINGS * self.users.unit * np.abs(self.theta)) * self.direction
        )
        up, down = self.gradient(self.theta + width), self.gradient(self.theta - width)
        return np.nan_to_num(np.abs(up - 2.0 * gradient + down), nan=0.0, posinf=0.0)

    @np.errstate(all="ignore")
    def keeps_its_gradient(self, gradient: np.ndarray) -> bool:
        """Whether the gradient is the same to the last bit at another θ, where the slope of the cost is another."""
        elsewhere, width = self.away(), 0.25 * (self.away() - self.theta)
        if not gradient.any() or not np.array_equal(self.gradient(elsewhere), gradient):
            return False
        costs = np.array([self.probes.cost(elsewhere + k * width) for k in range(-2, 3)])
        wide, narrow = (costs[4] - costs[0]) / 4.0, (costs[3] - costs[1]) / 2.0
        bend = np.abs(np.diff(costs, n=2)).max()  # a quarter of what is looked for, unless there is a kink
        noise = scatter_of(self._costs_near(elsewhere, self.probes.unit)) + self.users.unit * largest(costs)
        allowed = max(2.0 * bend, CONDITION_GAIN * abs(wide - narrow)) + CONDITION_GAIN * noise
        return bool(abs(narrow - width @ gradient) > allowed)

    @np.errstate(all="ignore")
    def range_nearby(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest that may be claimed of each derivative: what is claimed beside θ, in any direction.

        Three times that range where several kinks meet, at each of which a unit may have the slope of either side: of
        all combinations, no direction shows that in which all are off. Nothing, which is from inf to -inf, where such a
        claim is not the slope of the cost there.
        """
        width = np.sqrt(self.users.unit) * np.maximum(np.abs(self.theta), 1.0)
        moves = width * random_directions(BESIDE, self.layout.size, seed=1)
        claimed = np.array([self.gradient(self.theta + move) for move in moves])
        changes = [self.probes.cost(self.theta + 1.5 * m) - self.probes.cost(self.theta + 0.5 * m) for m in moves]
        off = np.abs(changes - np.sum(moves * claimed, axis=1))
        allowed = RIGHT_BESIDE * np.abs(moves * claimed).sum(axis=1) + CONDITION_GAIN * self.probes.unit * self.ordinary
        if not (off <= allowed).all():
            return np.full(self.layout.size, np.inf), np.full(self.layout.size, -np.inf)
        low, high = claimed.min(axis=0), claimed.max(axis=0)
        gaps = np.diff(np.sort(claimed, axis=0), axis=0) > RIGHT_BESIDE * (high - low)
        room = np.where(gaps.sum(axis=0) > 1, high - low, 0.0)
        return low - room, high + room

    def gradient(self, flat: np.ndarray) -> np.ndarray:
        """The gradient elsewhere, or NaN beyond the edge of the domain."""
        try:
            return self.users.gradient(flat)
        except Exception as error:
            if not leaves_domain(error):
                raise
            return np.full(self.layout.size, np.nan)


def steps_for(unit: float) -> list[float]:
    """The steps of differences, in units of max(1, |θ_i|), for a precision."""
    return [step * (unit / UNIT_ROUNDOFF["float64"]) ** 0.2 for step in STEPS]


@np.errstate(all="ignore")
def noise_along(line: Line, size: float, noise: Noise, unit: float) -> Noise:
    """How noisy the cost is on a line through one coordinate, which the others do not disturb.

    Where all are moved together, one that makes the cost bend within a few roundings of θ passes for noise.
    """

    def near(at: float, farther: float = 1.0) -> float:
        width = NEARBY * farther * unit * max(size, abs(at))
        return scatter_of(np.array([line(at + k * width) for k in range(SAMPLES)]))

    scatters = (near(0.0, 16.0**k) for k in range(6))
    here = next((scatter for scatter in scatters if scatter > 0.0), 0.0)
    far = np.fmin(near(noise.reach), near(-noise.reach))
    least = noise.relative * abs(line(0.0))
    return noise._replace(near=float(np.nanmin([max(here, least), noise.near])), far=float(np.nanmin([far, noise.far])))


def holds_float32(values: np.ndarray) -> bool:
    """Whether numbers were rounded to float32, and need most of its bits."""
    values = values[np.isfinite(values)]
    mantissas = np.frexp(values)[0] * 2.0**16
    return _fits_float32(values) and bool(np.mean(mantissas != np.round(mantissas)) > 0.5 if values.size else False)


@np.errstate(over="ignore")
def _fits_float32(values: np.ndarray) -> bool:
    return np.array_equal(values, values.astype(np.float32))
