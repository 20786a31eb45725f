"""Cheap looks at reported derivatives, along random lines: they may accept, and never refuse.

A look takes φ(x) = Σ w·f(x), the outputs added up with random weights w, and a random direction v. It accepts the
gradient g of φ where g·v is the slope of t -> φ(x + t·v) to ten digits. A wrong entry of the Jacobian J changes
g·v = wᵀJv, but for w and v of probability zero. Whatever a look does not accept, be it wrong, noisy, at a kink or badly
scaled, is left to the whole check.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np

from harness.drop_in.fallback import ACCURACY, ORIGINAL_TOLERANCE
from harness.drop_in.line_slopes import FIXED_SLOPE, JUMP, POINTS, SCALES, ZERO_VALUE, row_units, slope_error, slope_of
from harness.drop_in.reported_function import Arrays, ReportedFunction, drawn_weights, largest_of, relative_difference
from harness.facts.fact import Fact, wrong
from harness.facts.kinds import Kind

FEW_OUTPUTS = 4
"""Of so many outputs every subset is added up by itself: 15 sums of four. Of more, all, each, and all but each: the 2ⁿ
subsets would cost too much."""


class Line(NamedTuple):
    """A line t -> x + t·v, and the outputs at t = k·step for the k of `POINTS`."""

    direction: Arrays
    step: float
    outputs: Sequence[Arrays]


@dataclass(frozen=True, eq=False)
class OutputSum:
    """A sum φ = Σ w·f of outputs, whose gradient is checked."""

    # one array w for each output; None for an output that is left out, whose cotangent is then missing
    weights: Sequence[np.ndarray | None]
    name: str  # which outputs these are, for a report
    # whether no entry in it changes along a line on which others do, so that its gradient has to be 0
    is_fixed: bool = False
    # whether it is checked in forward mode, too, which answers all outputs at once: a sum of several shows nothing that
    # each output alone does not
    in_forward: bool = True

    def total(self, outputs: Arrays) -> float:
        """φ = Σ w·f."""
        return float(sum(np.sum(w * y) for w, y in zip(self.weights, outputs) if w is not None))

    def size(self, outputs: Arrays) -> float:
        """Σ |w·f|, to which the roundings of φ are relative."""
        return float(sum(np.sum(np.abs(w * y)) for w, y in zip(self.weights, outputs) if w is not None))


class Unconfirmed(NamedTuple):
    """A derivative that no look accepted: of which sum, by which mode, and the largest number of its gradient."""

    outputs: OutputSum
    is_forward: bool
    largest: float = 0.0


@dataclass(frozen=True, eq=False)
class ReportedSums:
    """A function at x: its outputs there, sums of these, and what reverse mode reports for the gradient of each sum."""

    function: ReportedFunction
    x: Arrays
    here: Arrays
    sums: Sequence[OutputSum]
    gradients: Mapping[OutputSum, Arrays]

    @property
    def whole(self) -> OutputSum:
        """The sum of all outputs, but for entries that do not change along the line; it comes first."""
        return self.sums[0]

    @property
    def gradient(self) -> Arrays:
        """That of the whole; empty where reverse mode is not looked at."""
        return self.gradients.get(self.whole, ())

    @cached_property
    def computed_size(self) -> float:
        """The size of all that is computed, to which the roundings in any of it are relative."""
        return max(self.function.primal_size, *(each.size(self.here) for each in self.sums))

    def derivatives(self, modes: Sequence[str]) -> list[Unconfirmed]:
        """All that looks have to confirm in these modes; those of forward mode come last."""
        reverse = [Unconfirmed(each, False, largest_of(gradient)) for each, gradient in self.gradients.items()]
        forward = [Unconfirmed(each, True) for each in self.sums if "forward" in modes and each.in_forward]
        return reverse + forward


class Looks(NamedTuple):
    """What the looks at one function found."""

    reported: ReportedSums
    unconfirmed: list[Unconfirmed]  # what is left to the whole check
    faults: list[Fact]  # what is wrong whatever the numbers are, such as a rule that is not linear
    error: float  # the largest distance of an accepted slope from differences
    # the last direction that forward mode was applied to, and the derivatives that it answered
    direction: Arrays
    pushed: Arrays
    scatter: float = 0.0  # how far values and gradients differ from call to call, as a share of themselves


def look(
    function: ReportedFunction,
    modes: Sequence[str],  # of "reverse" and "forward"
    accuracy: float = ACCURACY,  # the share by which a slope may be off
    faults: Sequence[Fact] = (),  # faults that are known already: with any, the whole is unconfirmed
    x: Arrays | None = None,
) -> Looks:
    """Look at a function's derivatives in these modes, at its x or elsewhere."""
    x = function.x if x is None else x
    here = function.call(x)
    lines = lines_through(function, x, here)
    first = next(lines, None)
    sums = _output_sums(function, here, first)
    gradients = {each: function.pull_back(x, each.weights) for each in sums if "reverse" in modes}
    reported = ReportedSums(function, x, here, sums, gradients)
    looks = look_along_lines(reported, reported.derivatives(modes), chain([first], lines), accuracy)
    is_linear, scatter = _call_anew(reported) if gradients else (True, 0.0)
    not_linear = [] if is_linear else [wrong(Kind.NOT_LINEAR, mode="reverse")]
    found, pending = [*faults, *looks.faults, *not_linear], looks.unconfirmed
    if (found or scatter > accuracy) and not any(each.outputs is sums[0] for each in pending):
        pending = [*pending, Unconfirmed(sums[0], not gradients, largest_of(reported.gradient))]
    return looks._replace(unconfirmed=pending, faults=found, scatter=scatter)


def look_along_lines(
    reported: ReportedSums, pending: list[Unconfirmed], lines: Iterable[Line | None], accuracy: float
) -> Looks:
    """What one line after the other leaves unconfirmed; a line is None where f raises on it."""
    function, x = reported.function, reported.x
    direction, pushed, faults, error = (), [], [], 0.0
    for line in lines:
        if line is None:  # and perhaps f raises on no shorter one
            continue
        if pending and pending[-1].is_forward:
            direction, (pushed, is_linear) = line.direction, _push_along(function, x, line.direction)
            if not is_linear:
                faults.append(wrong(Kind.NOT_LINEAR, mode="forward"))
                break
        errors = {each: _error_of(each, reported, line, pushed, accuracy) for each in pending}
        accepted = [each for each, found in errors.items() if math.isfinite(found)]
        if accepted and accepted[0].outputs is reported.whole and reported.gradients and _is_cached(reported, line):
            break
        error = max([error, *(errors[each] for each in accepted)])
        pending = [each for each in pending if each not in accepted]
        if not pending:
            break
    answered = pushed[0] if pushed else ()
    return Looks(reported, pending, faults, error, direction, answered)


def lines_through(
    function: ReportedFunction, x: Arrays, here: Arrays, moving: Sequence[int] | None = None
) -> Iterator[Line | None]:
    """A line through x for each scale, where the outputs are `here`; None where f raises, outside its domain perhaps.

    Only the inputs of the numbers `moving` differ along them, or all. Where values are too coarse, there is no line.
    """
    for scale in SCALES if function.may_look else ():
        drawn = [drawn_weights(f"line {k}", leaf.shape) for k, leaf in enumerate(x)]
        units = [scale.units(np.abs(leaf)) * float(moving is None or k in moving) for k, leaf in enumerate(x)]
        # x + h·v rounds, for x near 1e9 and v near 1 by 2e-6 of h·v. The direction is what x really moves by, over h.
        ends = [leaf + scale.step * v * unit for leaf, v, unit in zip(x, drawn, units)]
        direction = [(end - leaf) / scale.step for end, leaf in zip(ends, x)]
        try:
            outputs = [function.call(_along(x, direction, t * scale.step)) if t else here for t in POINTS]
        except Exception:  # noqa: BLE001  whatever it raises there
            yield None
            continue
        same = all(len(each) == len(here) and all(a.shape == b.shape for a, b in zip(each, here)) for each in outputs)
        yield Line(direction, scale.step, outputs) if same else None


def _along(x: Arrays, direction: Arrays, step: float) -> Arrays:
    return [leaf + step * v for leaf, v in zip(x, direction)]


def _output_sums(function: ReportedFunction, here: Arrays, line: Line | None) -> list[OutputSum]:
    """The sum of all outputs first, then those of subsets, then that of the entries that stay the same on the line."""
    weights = [drawn_weights(f"{function.output_name} {k}", y.shape) for k, y in enumerate(here)]
    if line is None or function.is_derivative or sum(y.size for y in here) == 1:
        return _sums_of_subsets(function, weights, [np.ones(y.shape) for y in here])
    fixed = _fixed_entries(here, line)
    # A fixed entry of 1e10 would bring a rounding of 1e-3 into the slope of a sum with others, so it is left out there.
    moving = [np.where(rest, 0.0, w) for rest, w in zip(fixed, weights)]
    behind, at, ahead = (np.concatenate([np.ravel(y) for y in outputs]) for outputs in line.outputs[1:4])
    units = np.split(row_units(behind, at, ahead), np.cumsum([y.size for y in here])[:-1])
    sums = _sums_of_subsets(function, moving, [unit.reshape(y.shape) for unit, y in zip(units, here)])
    if any(map(np.any, fixed)):
        of_fixed = [np.where(rest, w, 0.0) if np.any(rest) else None for rest, w in zip(fixed, weights)]
        sums.append(OutputSum(of_fixed, f"entries of the {function.output_name} that do not move", is_fixed=True))
    return sums


def _fixed_entries(here: Arrays, line: Line) -> Arrays:
    """Masks of the entries that are the same at all points of a line; of none where all are, or none."""
    fixed = [np.logical_and.reduce([y == other for other in others]) for y, *others in zip(here, *line.outputs)]
    is_mixed = any(map(np.any, fixed)) and not all(map(np.all, fixed))
    return fixed if is_mixed else [np.zeros(y.shape, dtype=bool) for y in here]


def _sums_of_subsets(function: ReportedFunction, weights: Arrays, units: Arrays) -> list[OutputSum]:
    """The sum of all outputs, and of subsets where a caller can use some of several outputs.

    Rules that take a missing cotangent for something else than zeros are wrong in a subset alone.
    """
    count = len(weights) if function.output_numbers else 1
    sizes = range(1, count) if count <= FEW_OUTPUTS else (1, count - 1)
    subsets = [places for size in sizes for places in combinations(range(count), size)]
    sums = []
    for places in (range(len(weights)), *subsets):
        is_whole = len(places) == len(weights)
        # Times the least unit, no weight is above 1.5. Larger cotangents than the originals' could overflow.
        least = min(float(np.min(units[k], initial=1.0)) for k in places)
        chosen = [least * weights[k] / units[k] if k in places else None for k in range(len(weights))]
        which = "" if is_whole else f" {', '.join(str(function.output_numbers[k]) for k in places)} alone"
        is_single = len(places) == 1 or not function.output_numbers
        sums.append(OutputSum(chosen, function.output_name + which, in_forward=is_single))
    return sums


def _push_along(function: ReportedFunction, x: Arrays, direction: Arrays) -> tuple[list[Arrays], bool]:
    """The answers of forward mode for a direction that have to agree, and whether it is linear in the direction.

    The answers are the derivatives along the direction, and, where tangents can be None, the sum of those along the
    part of each input. A rule that takes None for something else than zeros answers another sum.
    """
    found = push(function, x, direction)
    multiples = [push(function, x, direction, factor) for factor in function.linearity_factors]
    answers = [found]
    if len(direction) > 1 and function.output_numbers:
        alone = [[v if v is each else None for v in direction] for each in direction]
        with suppress(Exception):  # a rule that raises without a tangent misleads nobody
            answers.append([np.sum(each, axis=0) for each in zip(*(push(function, x, part) for part in alone))])
    return answers, all(relative_difference(multiple, found) <= ORIGINAL_TOLERANCE for multiple in multiples)


def push(function: ReportedFunction, x: Arrays, tangents: Sequence[np.ndarray | None], factor: float = 1.0) -> Arrays:
    """The derivatives along tangents, by forward mode of c·tangents with the largest entry near `factor`, over c.

    A direction is as long as its input is large, 1e300 perhaps, and a multiple of it would overflow. The originals
    apply forward mode to tangents near 1 alone.
    """
    unit = float(np.ldexp(1.0, np.frexp(largest_of(tangents))[1])) / factor
    return [unit * t for t in function.push_forward(x, [None if v is None else v / unit for v in tangents])]


def _error_of(
    derivative: Unconfirmed, reported: ReportedSums, line: Line, pushed: Sequence[Arrays], accuracy: float
) -> float:
    """How far a reported derivative is from differences along a line; infinite where these do not confirm it.

    Along v, reverse mode reports the slope (wᵀJ)v, and each answer of forward mode the slope wᵀ(Jv).
    """
    outputs = derivative.outputs
    if derivative.is_forward:
        slopes = [slope_of(outputs.weights, answer) for answer in pushed]
    else:
        slopes = [slope_of(reported.gradients[outputs], line.direction)]
    values, terms_size = [outputs.total(each) for each in line.outputs], outputs.size(line.outputs[2])
    rounding_size = (FIXED_SLOPE if outputs.is_fixed else ZERO_VALUE) * reported.computed_size
    return max(slope_error(values, line.step, slope, accuracy, terms_size, rounding_size) for slope in slopes)


def _is_cached(reported: ReportedSums, line: Line) -> bool:
    """Whether the gradient at the end of a line is bit for bit that at x, although the slope clearly changes.

    A function that keeps x of its first call answers so. Its slope at x itself is right.
    """
    function, outputs, gradient = reported.function, reported.whole, reported.gradient
    # φ(h) - 2 φ(0) + φ(-h) = h² φ'', and between 0 and the end 2h of the line, the slope changes by 2h φ''.
    lower, here, upper = (outputs.total(each) for each in line.outputs[1:4])
    change_of_slope = 2.0 * abs(upper - 2.0 * here + lower) / line.step
    if function.is_pure or not change_of_slope > JUMP * sum(slope_of(gradient, line.direction).shares):
        return False
    ends = function.pull_back(_along(reported.x, line.direction, POINTS[-1] * line.step), outputs.weights)
    return all(np.array_equal(a, b) for a, b in zip(ends, gradient))


def _call_anew(reported: ReportedSums) -> tuple[bool, float]:
    """Whether reverse mode is linear in the cotangent after a further call, and how far values and gradients scatter.

    Linear rules scale exactly by powers of two. So only where c·w has not exactly c times the gradient of w is that of
    w computed again, which tells a rule that is not linear from a function with noise.
    """
    again, x, weights, gradient = reported.function.called_anew(), reported.x, reported.whole.weights, reported.gradient
    is_linear, scatter = True, relative_difference(again.call(x), reported.here)
    for factor in again.linearity_factors:
        scaled = again.pull_back(x, [None if w is None else factor * w for w in weights])
        multiple = [g / factor for g in scaled]
        if relative_difference(multiple, gradient) > 0.0:
            repeated = again.pull_back(x, weights)
            is_linear = is_linear and relative_difference(multiple, repeated) <= ORIGINAL_TOLERANCE
            scatter = max(scatter, relative_difference(repeated, gradient))
    return is_linear, scatter
