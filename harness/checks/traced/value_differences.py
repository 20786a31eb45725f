"""Differences of values: the second opinion on what the increments say, from values alone.

In float64 the values are JAX's own, so that neither the interpreter's rules nor JAX's take part.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice

import numpy as np

from harness.bounds.tolerances import DERIVATIVE_ROUNDINGS
from harness.checks.random_directions import random_directions
from harness.checks.traced.real_coordinates import Claim, Sides, UnitVectors, combined
from harness.checks.traced.traced_programs import equations_in
from harness.checks.traced.true_slopes import NO_MATTER, Truth
from harness.verdict.comparison import Answer
from reference.arithmetics.increments import constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.primitives.linear_algebra import PHASED
from reference.traced.program import Traced, lifted

STENCIL = (1.0, -1.0, 0.5, -0.5, 0.25, -0.25)
WIDTHS = (1.6e-2, 1e-3, 5e-5)
"""Steps tried, in units of the argument; the one with the smallest estimate of its error counts."""

NOISE_ROUNDINGS = 64.0
"""A value is taken to be good to so many u of the largest value."""


Values = Callable[[Iterable[np.ndarray]], np.ndarray]


def values_by(function: Traced, truth: Truth) -> Values:
    """The function at several points, (points, outputs): JAX's own in float64, the interpreter's in less."""
    if truth.coarsest > UNIT_ROUNDOFF["float64"]:
        return lambda points: _by_interpreter(function, truth, iter(points))

    def by_jax(point: np.ndarray) -> np.ndarray:
        return truth.outputs.vector(function(*(x[0] for x in truth.inputs.arrays(point[None]))))

    return lambda points: np.array(list(map(by_jax, points)))


def _by_interpreter(function: Traced, truth: Truth, points: Iterator[np.ndarray]) -> np.ndarray:
    """All points in one run of the program that JAX makes of the function for so many, if that is possible.

    The first is `truth.point`, whose values tell whether it is.
    """
    some = list(islice(points, truth.chunk + 1))
    if len(some) <= truth.chunk:
        with suppress(Exception):  # a primitive that cannot be mapped, or one of the user's own
            program = function.mapped(len(some)).program
            arrays = [constant(lifted(x)) for x in truth.inputs.wide_arrays(np.array(some))]
            found = truth.outputs.vector([y.value for y in truth.run()(program, *arrays)], lead=1)
            if np.allclose(found[0], truth.value(), rtol=NO_MATTER, atol=0.0, equal_nan=True):
                return found
    return np.array(list(map(truth.value, chain(some, points))))


@np.errstate(all="ignore")
def differences(
    values: Values,
    truth: Truth,
    directions: np.ndarray | UnitVectors,
    rounding: float = 0.0,
) -> Claim:
    """Slopes along directions, twice extrapolated, and estimates of their errors: (directions, outputs) each.

    `rounding` is what a value may be off by, where that is known to be more than a few u of the largest.
    """
    units = np.array([truth.unit_along(directions[k]) for k in range(len(directions))])
    steps = units[:, None] * np.array(WIDTHS)
    points = (truth.point + t * h * directions[k] for k, row in enumerate(steps) for h in row for t in STENCIL)
    here, *found = values(chain([truth.point], points))
    # what JAX computes for the interpreter as a black box may be in the program's own precision
    unit = truth.coarsest if truth.differenced else UNIT_ROUNDOFF["float64"]
    noise = max(rounding, NOISE_ROUNDINGS * unit * np.abs(here[np.isfinite(here)]).max(initial=0.0))
    found = np.reshape(found, (*steps.shape, len(STENCIL), truth.outputs.size))
    h = steps[..., None]
    far, middle, near = ((found[:, :, i] - found[:, :, i + 1]) / (2.0 * h * STENCIL[i]) for i in (0, 2, 4))
    first, second = (4.0 * near - middle) / 3.0, (4.0 * middle - far) / 3.0
    errors = np.nan_to_num(np.abs(first - second) + 8.0 * noise / h, nan=np.inf)
    best = np.argmin(errors, axis=1)[:, None]
    slopes, errors = (np.take_along_axis(x, best, axis=1)[:, 0] for x in ((16.0 * first - second) / 15.0, errors))
    return Claim(np.where(np.isfinite(errors), slopes, np.nan), errors)


def weigh(
    claims: Sequence[Answer], increments: Answer, differenced: Answer, at_odds: Callable[[Answer, Answer], np.ndarray]
) -> bool:
    """Strike out by infinite errors what does not count; whether increments alone contradict differences and JAX.

    Those do not count there. Differences never accuse alone.
    """
    contradiction, found = at_odds(increments, differenced), False
    for claim in claims:
        by_increments, by_differences = at_odds(claim, increments), at_odds(claim, differenced)
        excused = contradiction & by_increments & ~by_differences
        found |= bool(excused.any())
        increments.error[excused] = np.inf
        differenced.error[by_differences & ~by_increments] = np.inf  # a kink or a jump within their reach
    differenced.error[contradiction & np.isfinite(increments.error)] = np.inf
    return found


def some_differences(
    function: Traced, truth: Truth, chosen: np.ndarray, rounding: np.ndarray, weights: np.ndarray
) -> Claim:
    """The same of combinations of the outputs along some inputs, (combinations, some).

    `rounding` is what JAX's values may be off by.
    """
    by_jax = truth.coarsest <= UNIT_ROUNDOFF["float64"]
    off = float(rounding[np.isfinite(rounding)].max(initial=0.0)) if by_jax else 0.0
    found = differences(values_by(function, truth), truth, UnitVectors(chosen, truth.inputs.size), off)
    slopes, errors = combined(weights, found.derivative), combined(np.abs(weights), found.error)
    return Claim(slopes, np.where(np.isnan(slopes), np.inf, errors))


OPPOSITE, OPPOSITE_OF_HALVES = 2.0**20, 4.0
"""Of all vectors together so much of the opposite: a rule that minds signs or cuts off gives itself away.

In half a float, which has the range of no more, four times as much.
"""

SMALL = 2.0**-500
"""Arguments of any size are small at this share of it."""

BEYOND_POLES = 1e-6
"""Of an argument so much farther or nearer, a pole is finite."""

SHORTER, SHRINKS = 2.0**-40, 2.0**-30
"""Of a step, to see what of a change is of second order: that shrinks with the step."""

REMNANT = 2.0**-60
"""An answer so small beside that of increments may be right all the same, where these are of second order alone."""


STEEPER = 1e-2
"""Slopes that grow by more than this share as steps shrink have no limit: those of x log x grow by a fifth."""


SEEN_TURNS = 64
"""Random turns that show all phases that are free; of more, some would stay undecided."""


@np.errstate(all="ignore")
def free_phases(truth: Truth, seed: int) -> np.ndarray:
    """What turning the phases of complex singular or eigenvectors moves of the outputs: (phases, outputs), a basis.

    They are nobody's to choose, and derivatives that depend on them are not told.
    """
    if not any(eq.name in PHASED and "c" in eq.kinds for eq in equations_in(truth.program)):
        return np.zeros((0, truth.outputs.size))
    along = random_directions(SEEN_TURNS, truth.inputs.size, seed + 6)
    here = truth.changes(along, truth.run())
    turned = truth.changes(along, truth.run(phases=np.random.default_rng(seed))) - here
    _, sizes, ways = np.linalg.svd(np.where(np.isfinite(turned), turned, 0.0), full_matrices=False)
    return ways[sizes > NO_MATTER * np.abs(here[np.isfinite(here)]).max(initial=0.0)]


@np.errstate(all="ignore")
def without_limit(
    truth: Truth,
    directions: np.ndarray | UnitVectors,
    weights: np.ndarray,
    claims: Sequence[np.ndarray],
    sides: Sides,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Where increments are no slopes, by shorter steps beside claims that contradict them: two masks.

    The first: a claim is next to nothing, and shorter steps leave nothing, for what there is is of second order. The
    second: shorter steps find steeper slopes, which have no limit, as those of √x at 0.
    """
    nothing = np.zeros(sides.middle.shape, bool)
    steepest, finite = np.abs(sides.middle) + sides.apart, [np.where(np.isfinite(c), c, 0.0) for c in claims]
    small = NO_MATTER * np.max([0.0, *(np.abs(c).max(initial=0.0) for c in finite)])
    is_told, steep = np.isfinite(steepest) & (steepest != 0.0), nothing.copy()
    for claim in claims:
        nothing |= np.abs(claim) <= REMNANT * np.abs(sides.middle)
        off = np.abs(claim - np.clip(claim, sides.middle - sides.apart, sides.middle + sides.apart))
        steep |= ~(off <= STEEPER * steepest) & (steepest > small)
    nothing, steep = nothing & is_told & (sides.middle != 0.0), steep & is_told
    at = np.flatnonzero((nothing | steep).any(axis=0))
    if at.size:
        longer = np.abs(sides.middle[:, at]), steepest[:, at]
        if truth.differenced:  # a black box takes steps of its own, and has other noise among other directions
            again = truth.sides(directions[at], weights, seed)
            longer = np.abs(again.middle), np.abs(again.middle) + again.apart
        truth.shortened = SHORTER
        shorter = truth.sides(directions[at], weights, seed)
        truth.shortened = 1.0
        nothing[:, at] &= np.abs(shorter.middle) <= SHRINKS * longer[0]
        steep[:, at] &= np.abs(shorter.middle) + shorter.apart > (1.0 + STEEPER) * longer[1]
    return nothing, steep


@np.errstate(all="ignore")
def has_kink(
    truth: Truth,
    directions: np.ndarray | UnitVectors,
    weights: np.ndarray,
    sides: Sides,
    error: np.ndarray,
    seed: int,
) -> bool:
    """Whether the slopes on both sides differ, by more than what shrinks with the step as second order does."""
    apart = np.where(2.0 * sides.apart > error, sides.apart, 0.0)
    at = np.flatnonzero(apart.any(axis=0))
    if not at.size:
        return False
    truth.shortened = SHORTER
    shorter = truth.sides(directions[at], weights, seed).apart
    truth.shortened = 1.0
    return bool((shorter > SHRINKS * apart[:, at])[apart[:, at] > 0.0].any())


@np.errstate(all="ignore")
def has_slope(truth: Truth, values: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Which outputs are finite, or may have a slope all the same: constant infinities, and where an argument is.

    What overflows is finite for small arguments, and has lost its slope with its digits.
    """
    finite, same = np.isfinite(values), values == expected  # NaN is not
    if finite.all() or not np.isfinite(truth.point).all():
        return finite | same
    moved = truth.changes(random_directions(2, truth.inputs.size, 0), truth.run())
    overflows = np.isfinite(truth.value(SMALL * truth.point))
    return finite | (same & np.all(moved == 0.0, axis=0) & ~overflows)


@np.errstate(all="ignore")
def overflows(truth: Truth, values: np.ndarray) -> np.ndarray:
    """Which of JAX's values are infinite for their size alone: in their type, or all about but for small arguments."""
    about = [truth.value(share * truth.point) for share in (1.0, 1.0 - BEYOND_POLES, 1.0 + BEYOND_POLES)]
    in_float64 = np.all(np.isinf(about), axis=0) & np.isfinite(truth.value(SMALL * truth.point))
    return np.isinf(values) & (np.isfinite(about[0]) | in_float64)


@np.errstate(all="ignore")
def is_linear(unit: float, shares: np.ndarray, found: Sequence[np.ndarray]) -> bool:
    """Whether the answer for several vectors together is that for each, by shares; true where it cannot be told.

    `found` are the answers for each, that for all together, its error, and the errors of each. What overflows tells
    nothing.
    """
    each, together, its_error, error = found
    allowed = np.abs(shares) @ (error + DERIVATIVE_ROUNDINGS * unit * np.abs(each)) + its_error
    return not np.any(np.isfinite(together) & (np.abs(together - shares @ each) > 2.0 * allowed))
