"""Cheap looks at reported derivatives, along random lines: they may only accept.

Whatever a look does not accept, be it wrong, noisy, at a kink or badly scaled, is left to the whole check. Outputs are
added up with random weights. A wrong entry of the Jacobian makes the gradient of that sum wrong, but for weights of
probability zero.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from harness.drop_in.fallback import ACCURATE, TOLERATED, drawn_weights
from harness.drop_in.line_slopes import (
    JUMP,
    NOTHING,
    POINTS,
    SCALES,
    STILL,
    Scale,
    Slope,
    distance_of_slope,
    row_units,
    slope_of,
)
from harness.drop_in.reported_function import Arrays, Function
from harness.facts.fact import Fact, wrong
from harness.facts.kinds import Kind

ALL_PARTS = 4
"""Of so many outputs, every subset is a part; of more, each output, all but each, and all."""


class Line(NamedTuple):
    """A random line through inputs, and the outputs at `POINTS`, in steps along its direction."""

    direction: Arrays
    step: float
    outputs: Sequence[Arrays]


@dataclass(frozen=True, eq=False)
class Part:
    """Outputs that are checked together, added up with weights.

    Attributes
    ----------
    weights : list of arrays
        None for an output beside them, whose cotangent is missing.
    what : str
        What they are, for a report.
    is_still : bool
        Whether no entry moves along a line on which others do.
    in_forward : bool
        Whether they are a part for forward mode, too, which needs no sums of outputs.
    """

    weights: Sequence[np.ndarray | None]
    what: str
    is_still: bool = False
    in_forward: bool = True

    def total(self, outputs: Arrays) -> float:
        """Σ w·y."""
        return float(sum(np.sum(w * y) for w, y in zip(self.weights, outputs) if w is not None))

    def size(self, outputs: Arrays) -> float:
        """Σ |w·y|."""
        return float(sum(np.sum(np.abs(w * y)) for w, y in zip(self.weights, outputs) if w is not None))


class Doubt(NamedTuple):
    """A derivative that no look accepted: of which outputs, in which mode, and the largest of its numbers."""

    part: Part
    is_forward: bool
    largest: float = 0.0


class Looks(NamedTuple):
    """What looks leave.

    Attributes
    ----------
    whole : Part
        All outputs that move.
    doubts : list of Doubt
    faults : list of Fact
        What is wrong whatever the numbers are.
    scatter : float
        How far values and gradients differ from call to call, as a share of themselves.
    distance : float
        That of a slope from differences, the largest of those that were accepted.
    gradient : arrays
        What reverse mode answers to the weights of the whole.
    direction, ahead : arrays
        What forward mode was last applied to, and what it answered.
    """

    whole: Part
    doubts: list[Doubt]
    faults: list[Fact]
    scatter: float
    distance: float
    gradient: Arrays
    direction: Arrays
    ahead: Arrays

    @property
    def largest(self) -> float:
        """The largest number of the gradient."""
        return _largest(self.gradient)


def look(
    function: Function,
    modes: Sequence[str],
    accuracy: float = ACCURATE,
    faults: Sequence[Fact] = (),
    x: Arrays | None = None,
    may_look: bool = True,
) -> Looks:
    """What is left in doubt of a function's derivatives in these modes, at its x or elsewhere."""
    x = function.x if x is None else x
    here = function.call(x)
    line = _line_through(function, x, here, SCALES[0]) if may_look else None
    parts = _parts(function, here, line)
    whole, beside = parts[0], max(function.beside, *(part.size(here) for part in parts))
    gradients = {part: function.pull_back(x, part.weights) for part in parts if "reverse" in modes}
    doubts = [Doubt(part, False, _largest(gradient)) for part, gradient in gradients.items()]
    doubts += [Doubt(part, True) for part in parts if "forward" in modes and part.in_forward]
    gradient, direction, ways = gradients.get(whole, ()), (), []
    found, farthest = [*faults], 0.0
    for scale in SCALES:
        line = line if scale is SCALES[0] else _line_through(function, x, here, scale)
        if line is None or not doubts or (gradients and _is_kept(function, x, line, whole, gradient)):
            break
        if doubts[-1].is_forward:
            direction, (ways, is_linear) = line.direction, _tangents(function, x, line.direction)
            if not is_linear:
                found.append(wrong(Kind.NOT_LINEAR, mode="forward"))
                break
        slopes = [
            [slope_of(doubt.part.weights, way) for way in ways]
            if doubt.is_forward
            else [slope_of(gradients[doubt.part], line.direction)]
            for doubt in doubts
        ]
        distances = [_distance(doubt.part, line, each, accuracy, beside) for doubt, each in zip(doubts, slopes)]
        farthest = max([farthest, *filter(math.isfinite, distances)])
        doubts = [doubt for doubt, distance in zip(doubts, distances) if not math.isfinite(distance)]
    is_linear, scatter = _call_again(function, x, here, whole, gradient) if gradients else (True, 0.0)
    found += [] if is_linear else [wrong(Kind.NOT_LINEAR, mode="reverse")]
    if (found or scatter > accuracy) and not any(doubt.part is whole for doubt in doubts):
        doubts.append(Doubt(whole, not gradients, _largest(gradient)))
    return Looks(whole, doubts, found, scatter, farthest, gradient, direction, ways[0] if ways else ())


def _line_through(function: Function, x: Arrays, here: Arrays, scale: Scale) -> Line | None:
    """A line through x, where the outputs are `here`; None where f raises on it, outside of its domain perhaps."""
    drawn = [drawn_weights(f"line {k}", leaf.shape) for k, leaf in enumerate(x)]
    ends = [leaf + scale.step * v * scale.units(np.abs(leaf)) for leaf, v in zip(x, drawn)]
    direction = [(end - leaf) / scale.step for end, leaf in zip(ends, x)]  # every step is a float64, however large x is
    try:
        outputs = [function.call(_along(x, direction, t * scale.step)) if t else here for t in POINTS]
    except Exception:  # noqa: BLE001  whatever it raises there
        return None
    same = all(len(each) == len(here) and all(a.shape == b.shape for a, b in zip(each, here)) for each in outputs)
    return Line(direction, scale.step, outputs) if same else None


def _along(x: Arrays, direction: Arrays, step: float) -> Arrays:
    return [leaf + step * v for leaf, v in zip(x, direction)]


def _parts(function: Function, here: Arrays, line: Line | None) -> list[Part]:
    """All outputs, then the subsets that are checked by themselves, and the entries that do not move along the line."""
    weights = [drawn_weights(f"{function.what} {k}", y.shape) for k, y in enumerate(here)]
    if line is None or function.is_derivative:
        return _subsets(function, weights, [np.ones(y.shape) for y in here])
    still = [np.logical_and.reduce([y == other for other in others]) for y, *others in zip(here, *line.outputs)]
    if all(map(np.all, still)) or not any(map(np.any, still)):
        still = [np.zeros(y.shape, dtype=bool) for y in here]
    behind, at, ahead = (np.concatenate([np.ravel(y) for y in outputs]) for outputs in line.outputs[1:4])
    ends = np.cumsum([y.size for y in here])[:-1]
    units = [each.reshape(y.shape) for each, y in zip(np.split(row_units(behind, at, ahead), ends), here)]
    parts = _subsets(function, [np.where(rest, 0.0, w) for rest, w in zip(still, weights)], units)
    if any(map(np.any, still)):
        rest = [np.where(rest, w, 0.0) if np.any(rest) else None for rest, w in zip(still, weights)]
        parts.append(Part(rest, f"entries of the {function.what} that do not move", is_still=True))
    return parts


def _subsets(function: Function, weights: Arrays, units: Arrays) -> list[Part]:
    """All outputs, and each subset of a few, as the caller of a function with several outputs uses them."""
    count = len(weights) if function.numbers else 1
    sizes = range(1, count) if count <= ALL_PARTS else (1, count - 1)
    chosen = [places for size in sizes for places in combinations(range(count), size)]
    parts = []
    for places in (range(len(weights)), *chosen):
        is_whole = len(places) == len(weights)
        # cotangents are no larger than the originals'
        least = min(float(np.min(units[k], initial=1.0)) for k in places)
        those = [least * weights[k] / units[k] if k in places else None for k in range(len(weights))]
        named = "" if is_whole else f" {', '.join(str(function.numbers[k]) for k in places)} alone"
        is_single = len(places) == 1 or not function.numbers
        parts.append(Part(those, function.what + named, in_forward=is_single))
    return parts


def _tangents(function: Function, x: Arrays, direction: Arrays) -> tuple[list[Arrays], bool]:
    """The outputs' derivatives by forward mode, as one and as the sum of each input's, and whether they are linear."""
    found = push(function, x, direction)
    multiples = [push(function, x, direction, factor) for factor in function.multiples]
    ways = [found]
    if len(direction) > 1 and function.numbers:
        alone = [[v if v is each else None for v in direction] for each in direction]
        ways.append([np.sum(shares, axis=0) for shares in zip(*(push(function, x, tangents) for tangents in alone))])
    return ways, all(share_off(multiple, found) <= TOLERATED for multiple in multiples)


def push(function: Function, x: Arrays, tangents: Sequence[np.ndarray | None], factor: float = 1.0) -> Arrays:
    """As of `push_forward`, by tangents of size 1 and by so many times these, so that none overflows.

    A direction is as long as its input is large. What a derivative answers to it is so many times what it answers to
    a tangent of size 1, which is all that the originals ask for.
    """
    unit = float(np.ldexp(1.0, np.frexp(_largest(tangents))[1])) / factor
    return [unit * t for t in function.push_forward(x, [None if v is None else v / unit for v in tangents])]


def _distance(part: Part, line: Line, slopes: Sequence[Slope], accuracy: float, beside: float) -> float:
    """How far the slopes of a part are from differences along a line; infinite where these do not confirm them."""
    values, size = [part.total(outputs) for outputs in line.outputs], part.size(line.outputs[2])
    nothing = (STILL if part.is_still else NOTHING) * beside
    return max(distance_of_slope(values, line.step, slope, accuracy, size, nothing) for slope in slopes)


def _is_kept(function: Function, x: Arrays, line: Line, part: Part, gradient: Arrays) -> bool:
    """Whether the gradient at the end of a line is the very one at x, although the slope is clearly another there."""
    lower, here, upper = (part.total(outputs) for outputs in line.outputs[1:4])
    turn = 2.0 * abs(upper - 2.0 * here + lower) / line.step
    if function.is_pure or not turn > JUMP * sum(slope_of(gradient, line.direction).shares):
        return False
    ends = function.pull_back(_along(x, line.direction, POINTS[-1] * line.step), part.weights)
    return all(np.array_equal(a, b) for a, b in zip(ends, gradient))


def _call_again(function: Function, x: Arrays, here: Arrays, part: Part, gradient: Arrays) -> tuple[bool, float]:
    """Whether reverse mode is linear in the cotangent at a further call, and how far values and gradients scatter.

    A rule that ignores signs, multiplies by the cotangent twice, clips it or drops small ones is not linear.
    """
    again, is_linear = function.renewed(), True
    scatter = share_off(again.call(x), here)
    for factor in function.multiples:
        scaled = again.pull_back(x, [None if w is None else factor * w for w in part.weights])
        multiple = [g / factor for g in scaled]
        if share_off(multiple, gradient) > 0.0:
            repeated = again.pull_back(x, part.weights)
            is_linear = is_linear and share_off(multiple, repeated) <= TOLERATED
            scatter = max(scatter, share_off(repeated, gradient))
    return is_linear, scatter


def _largest(arrays: Iterable[np.ndarray | None]) -> float:
    return max((float(np.max(np.abs(a), initial=0.0)) for a in arrays if a is not None), default=0.0)


def share_off(found: Arrays, of: Arrays) -> float:
    """How far arrays are from others, as a share of each of these, as far as both are finite.

    What is off by less than `ACCURATE` of the largest of all is off by less than `TOLERATED`.
    """
    least, shares = ACCURATE / TOLERATED * _largest(of), [0.0]
    for a, b in zip(found, of):
        off = float(np.max(np.abs(a - b), initial=0.0, where=np.isfinite(a) & np.isfinite(b)))
        size = max(least, float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b))))
        shares.append(off / size if size else float(off > 0.0))
    return max(shares)
