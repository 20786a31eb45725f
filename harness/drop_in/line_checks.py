"""Derivatives checked along a random line: first by a cheap look that may only accept, then by the whole check.

A look compares a reported slope with differences of four values. Agreement to ten digits of two numbers that were
computed in different ways is no accident, so it needs no error bound. Whatever a look does not accept, be it wrong,
noisy, at a kink or badly scaled, is left to `check_gradient`, which alone may refuse.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from harness.checks.functions.gradient_check import check_gradient
from harness.drop_in.fallback import ACCURATE, SLIGHT, TOLERATED, drawn_weights
from harness.verdict.report import Report
from reference.arithmetics.central_differences import NOISE_GAIN, NOISE_ROUNDINGS, without_squares
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

ZERO = np.array(0.0)

ENTRIES = 300
"""So many passes of forward mode, one for each entry, are worth the name of the entry that is wrong."""

POINTS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Where a look evaluates the function, in steps; at 0 it is known."""

SHARE, SHARE_OF_ALL = 1e-6, 3e-2
"""A look decides nothing where its tolerance exceeds this share of what any input contributes to the slope, as the
whole check does, or a few hundredths of that share of all of them together."""

JUMP = 1e-6
"""A kink whose jump exceeds this share of the slope is left to the whole check."""

MULTIPLES = (-(2.0**20), 2.0**-10)
"""A derivative is also applied to so many times the same vector, and answers so many times the same, to `TOLERATED`: a
rule that ignores signs, clips, drops small numbers or multiplies twice is far off, and one that solves an equation, to
an absolute tolerance perhaps, is a little off."""

CONSTANT = 4.0 * UNIT_ROUNDOFF["float64"]
"""Values that move by no more than this share of their terms are constant, and so small a slope is none."""

NOTHING = 512.0 * UNIT_ROUNDOFF["float64"]
"""So is an output that is as small a share of what is computed with it: some hundred roundings of that."""

SMOOTH = 2.0**-7
"""An entry is smooth if the difference of its moves ahead and behind is no more than such a share of both."""

APART, STILL = 2.0**16, 2.0**-5
"""Entries of an output that move by amounts so far apart are divided by these, but by no less than such a share of
themselves: at a step of 2⁻¹⁰ their rounding is then 10⁻¹¹ of the others' slopes."""

NOISE = NOISE_GAIN * NOISE_ROUNDINGS * UNIT_ROUNDOFF["float64"]


class Scale(NamedTuple):
    """The units of a random direction, and the step along it.

    Steps of max(1, |x|) suit most functions. Those of min(1, |x|) suit inputs near the end of a domain and sines of
    large numbers; where x is 0, they are 1.
    """

    smallest: bool
    step: float

    def units(self, size: Any) -> Any:
        """The units for entries of these sizes, as NumPy has them."""
        return np.where(size == 0.0, 1.0, np.minimum(size, 1.0)) if self.smallest else np.maximum(size, 1.0)


SCALES = (
    Scale(smallest=False, step=2.0**-10),
    Scale(smallest=True, step=2.0**-10),
    Scale(smallest=True, step=2.0**-14),
)
"""The looks that are taken in turn until one accepts: steps of 2⁻¹⁰ leave a truncation of h⁴ near 10⁻¹³, and as much
rounding. The narrow ones are for kinks and jumps nearby."""


class Slope(NamedTuple):
    """A reported derivative along a line.

    Attributes
    ----------
    value : float
    shares : sequence of float
        For each input, the sum of the magnitudes that its entries contribute.
    """

    value: float
    shares: Sequence[float]


def distance_of_slope(
    values: Sequence[float], size: float, step: float, slope: Slope, accuracy: float, beside: float = 0.0
) -> float:
    """How far a slope is from differences of the function; infinite where these do not confirm it.

    `values` are those at `POINTS`, `size` is that of the terms of the value at 0, and `beside` that of all that is
    computed with it: what is as small as their rounding is 0. Infinite where a number is NaN.
    """
    lowest, lower, here, upper, highest = values
    scale, noise = sum(slope.shares), NOISE * size / step
    constant = max(CONSTANT * size, NOTHING * beside)
    if scale <= constant and max(abs(value - here) for value in values) <= (constant if scale else 0.0):
        return abs(slope.value)
    allowed = min(accuracy, SLIGHT) * abs(slope.value) + noise  # a factor is as wrong where terms cancel
    if not allowed <= SHARE * min([SHARE_OF_ALL * scale, *(share for share in slope.shares if share > allowed)]):
        return math.inf
    derivative = without_squares((upper - lower) / (2.0 * step), (highest - lowest) / (4.0 * step))
    bend = abs((highest - 2.0 * here + lowest) - 4.0 * (upper - 2.0 * here + lower)) / (2.0 * step)
    distance = abs(derivative - slope.value)
    return distance if distance <= allowed and bend <= JUMP * scale else math.inf


def row_units(here: Any, beside: Sequence[Any]) -> np.ndarray:
    """What the entries of an output are divided by, so that none hides in the rounding of others.

    `beside` holds the output a look's first step ahead and behind. A unit is how far an entry moves, as a share of how
    far the farthest does, and a power of two. It is 1 for an entry that does not move smoothly, which may be 0 but for
    rounding, and where the entries move by amounts that are not far apart. An entry that is 0 throughout is taken to
    move by 1, as far as the others' roundings allow.
    """
    if any(np.shape(here) != np.shape(each) for each in beside) or len(beside) < 2 or np.size(here) < 2:
        return np.ones(np.shape(here))
    ahead, behind = beside
    with np.errstate(all="ignore"):
        moves = np.abs(ahead - behind)
        is_smooth = np.abs(ahead - 2.0 * here + behind) <= SMOOTH * moves
        moves = np.maximum(moves / (2.0 * SCALES[0].step), STILL * np.abs(here))
    is_zero = (here == 0.0) & (ahead == 0.0) & (behind == 0.0)
    known = np.isfinite(moves) & (moves > 0.0) & is_smooth
    smallest, largest = np.min(moves, initial=np.inf, where=known), np.max(moves, initial=0.0, where=known)
    units = np.ones(np.shape(here))
    if largest > APART * smallest:
        units = np.exp2(np.round(np.log2(np.maximum(np.where(known, moves, largest) / largest, NOTHING))))
    return np.where(is_zero, 1.0 / np.clip(largest, 1.0, APART), units)


def ends_differently(values: Sequence[float], step: float, slope: Slope) -> bool:
    """Whether the slope at the last of `POINTS` is so clearly another that the same gradient there was kept."""
    lower, here, upper = values[1:4]
    turn = 2.0 * abs(upper - 2.0 * here + lower) / step
    return turn > JUMP * sum(slope.shares)


def tree_map(change: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """A tree of dicts, lists and tuples, with its leaves and those of others like it in the place of its leaves."""
    if isinstance(tree, dict):
        return {key: tree_map(change, value, *(other[key] for other in others)) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(tree_map(change, *each) for each in zip(tree, *others))
    return change(tree, *others)


def tree_leaves(tree: Any, *others: Any) -> list[tuple[Any, ...]]:
    """The leaves of a tree, each beside those of others like it."""
    found: list[tuple[Any, ...]] = []
    tree_map(lambda *leaves: found.append(leaves), tree, *others)
    return found


def drawn_like(tree: Any, purpose: str) -> Any:
    """Random numbers like a tree of arrays, others for each leaf: equal ones hide derivatives that are interchanged."""
    number = count()
    return tree_map(lambda leaf: np.asarray(drawn_weights(f"{purpose} {next(number)}", np.shape(leaf))), tree)


class Line(NamedTuple):
    """A random line through an input.

    Attributes
    ----------
    direction : array, or a tree of arrays
        Like the input.
    step : float
    outputs : sequence of arrays, or of trees of arrays
        Those at `POINTS`, in steps along the direction.
    """

    direction: Any
    step: float
    outputs: Sequence[Any]

    def weights(self, purpose: str) -> Any:
        """Random weights for the outputs, divided by the units of their rows."""
        _, behind, here, ahead, _ = self.outputs
        drawn = drawn_like(here, purpose)
        return tree_map(lambda w, y, *beside: np.asarray(w / row_units(y, beside)), drawn, here, ahead, behind)


def line_through(f: Callable[[Any], Any], x: Any, here: Any, scale: Scale = SCALES[0]) -> Line | None:
    """A line on which f, which answers `here` at x, is evaluated; None where it raises, outside of its domain perhaps.

    x and what f answers are arrays, or trees of arrays; x is real.
    """
    direction = tree_map(
        lambda leaf, units: _rounded(np.asarray(leaf, dtype=float), units, scale), x, drawn_like(x, "line")
    )
    try:
        return Line(direction, scale.step, [f(_moved(x, direction, t * scale.step)) if t else here for t in POINTS])
    except Exception:  # noqa: BLE001  whatever it raises there
        return None


def weighted(weights: Any, output: Any) -> float:
    """Re Σ w·y."""
    return float(sum(np.sum(w * y).real for w, y in tree_leaves(weights, output)))


def look(
    f: Callable[[Any], Any],
    x: Any,
    here: Any,
    weights: Any,
    slopes: Callable[[Any], Sequence[Slope]],
    at_end: Callable[[Any], bool] | None = None,
    first: Line | None = None,
) -> float:
    """How far derivatives of weighted outputs are from differences; infinite where no look confirms all of them.

    Parameters
    ----------
    f, x, here
        As for `line_through`.
    weights : array, or a tree of arrays, like what f answers
    slopes : the reported derivatives along a direction, a tree like x; none where they are not as they should be
    at_end : callable, optional
        Whether the derivative at another point is the very one at x. It is called where it must not be.
    first : Line, optional
        The first line, if f was evaluated on it already.
    """
    size = float(sum(np.sum(np.abs(w * y)) for w, y in tree_leaves(weights, here)))
    for scale in SCALES:
        line, first = first or line_through(f, x, here, scale), None
        reported = slopes(line.direction) if line else ()
        if not line or not reported or not math.isfinite(size):
            return math.inf
        values = [weighted(weights, output) for output in line.outputs]
        distance = max(distance_of_slope(values, size, scale.step, slope, ACCURATE) for slope in reported)
        if math.isfinite(distance):
            ends = _moved(x, line.direction, POINTS[-1] * scale.step)
            if at_end and ends_differently(values, scale.step, reported[0]) and at_end(ends):
                return math.inf
            return distance
    return math.inf


def slope_of(gradient: Any, direction: Any) -> Slope:
    """The slope of a gradient along a direction, both trees."""
    terms = [g * v for g, v in tree_leaves(gradient, direction)]
    return Slope(float(sum(np.sum(t) for t in terms)), [float(np.sum(np.abs(t))) for t in terms])


def apply_to_multiples(derivative: Callable[[float], Any]) -> tuple[Any, bool]:
    """What a derivative answers to a vector, and whether it answers so many times the same to its `MULTIPLES`."""
    answer = derivative(1.0)
    largest = max((float(np.max(np.abs(leaf), initial=0.0)) for (leaf,) in tree_leaves(answer)), default=0.0)
    off = max(  # one that overflows shows nothing
        float(np.max(np.abs(multiple / k - leaf), initial=0.0, where=np.isfinite(multiple)))
        for k in MULTIPLES
        for leaf, multiple in tree_leaves(answer, derivative(k))
    )
    return answer, off <= TOLERATED * largest


def unit_of(sizes: Iterable[float]) -> float:
    """A power of two by which tangents of these sizes are divided, so that none overflows what one of size 1 does not.

    A direction is as long as its input is large. What a derivative answers to it is so many times what it answers to
    a tangent of size 1, which is all that the originals ask for.
    """
    return float(np.ldexp(1.0, np.frexp(max(sizes, default=1.0))[1]))


def _moved(x: Any, direction: Any, step: float) -> Any:
    return tree_map(lambda leaf, v: np.asarray(leaf + step * v), x, direction)


def _rounded(x: np.ndarray, direction: np.ndarray, scale: Scale) -> np.ndarray:
    """A direction in a scale's units, in which every step is a number of float64, however large x is."""
    return ((x + scale.step * direction * scale.units(np.abs(x))) - x) / scale.step


def check_forward(
    cost: Callable[[Any], float],
    slope: Callable[[Any], float],
    size: int,
    by_entry: Callable[[], Report],
    accuracy: float,
    zero: Any = ZERO,
) -> Report:
    """Check forward mode along a random direction, and entry by entry where it is not found right there.

    A wrong entry of the Jacobian is wrong in the slope, but for directions that have probability zero.

    Parameters
    ----------
    cost, slope : functions of the step along the direction
    size : how many entries there are
    by_entry : checks each
    accuracy : float
    zero : array
        0 in the precision of what moves; a step may come in a wider one, and is for all to be in that.
    """
    along = check_gradient(
        lambda at: cost(at["direction"]),
        {"direction": zero},
        gradient=lambda at: {"direction": np.array(float(slope(at["direction"])))},
        accuracy=accuracy,
    )
    if along.verdict == "agree" or size > ENTRIES:
        return along
    each = by_entry()
    return along if along.verdict == "disagree" and each.verdict == "agree" else each  # not linear in the direction
