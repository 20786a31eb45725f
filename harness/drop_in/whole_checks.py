"""The whole check of derivatives that looks leave in doubt, which alone may refuse."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from harness.checks.functions.gradient_check import check_gradient
from harness.drop_in.fallback import Outcome, Result, check_within, compared, disagreeing, drawn_weights
from harness.drop_in.line_looks import Doubt, Looks, Part, look, push
from harness.drop_in.line_slopes import SCALES, SHARE
from harness.drop_in.reported_function import Arrays, Function
from harness.verdict.report import Report

ENTRIES = 30
"""So many passes of forward mode, one for each entry, are worth the name of the entry that is wrong."""

BESIDE, JUST_BESIDE, SIDES = 2.0**-6, 2.0**-26, 64
"""Where a first derivative jumps, second ones are looked at so many units away on opposite sides, and compared with
those at so many random places much closer by."""


def check_doubts(
    function: Function, looks: Looks, accuracy: float, *, rules_of_library: bool = False, is_blind: bool = False
) -> Iterator[Result]:
    """What the whole check finds of each derivative that is in doubt."""
    for doubt in looks.doubts:
        check = _check_forward if doubt.is_forward else _check_reverse
        result = check_within(
            lambda accuracy, check=check, part=doubt.part: disagreeing(check(function, part, accuracy), looks.faults),
            accuracy,
            doubt.largest,
            rules_of_library=rules_of_library,
            is_blind=is_blind,
        )
        is_open = result.outcome is Outcome.OPEN and function.is_derivative
        yield Result(Outcome.RIGHT) if is_open and _is_right_beside(function, doubt, accuracy) else result


def _check_reverse(function: Function, part: Part, accuracy: float) -> Report:
    report = check_gradient(
        lambda theta: part.total(function.call(function.leaves(theta))),
        function.theta,
        gradient=lambda theta: function.gradient(theta, part.weights),
        accuracy=accuracy,
    )
    return report.with_facts(compared("reverse mode", part.what))


def _check_forward(function: Function, part: Part, accuracy: float) -> Report:
    """Along a random direction, and entry by entry where forward mode is not found right there.

    A wrong entry of the Jacobian is wrong in the slope, but for directions that have probability zero.
    """
    drawn = [drawn_weights(f"direction {k}", leaf.shape) for k, leaf in enumerate(function.x)]
    direction = [v * SCALES[0].units(np.abs(leaf)) for v, leaf in zip(drawn, function.x)]

    def slope(theta: Any, tangents: Arrays) -> float:
        return part.total(push(function, function.leaves(theta), tangents))

    def by_entry(theta: Any) -> Any:
        ends = np.cumsum([leaf.size for leaf in function.x])
        rows = [[r.reshape(x.shape) for r, x in zip(np.split(row, ends[:-1]), function.x)] for row in np.eye(ends[-1])]
        found = np.array([slope(theta, tangents) for tangents in rows])
        return function.tree([g.reshape(x.shape) for g, x in zip(np.split(found, ends[:-1]), function.x)])

    def check(theta: Any, at: Callable[[Any], Any], gradient: Callable[[Any], Any]) -> Report:
        cost = lambda given: part.total(function.call(function.leaves(at(given))))  # noqa: E731
        report = check_gradient(cost, theta, gradient=gradient, accuracy=accuracy)
        return report.with_facts(compared("forward mode", part.what))

    def moved(line: Any) -> Any:
        return function.moved(direction, line["direction"])

    along = check(
        {"direction": np.array(0.0)}, moved, lambda line: {"direction": np.array(slope(moved(line), direction))}
    )
    if along.verdict == "agree" or sum(leaf.size for leaf in function.x) > ENTRIES:
        return along
    each = check(function.theta, lambda theta: theta, by_entry)
    return along if along.verdict == "disagree" and each.verdict == "agree" else each  # not linear in the direction


def _is_right_beside(function: Function, doubt: Doubt, accuracy: float) -> bool:
    """Whether a second derivative is a convention where the first one jumps, as at a kink.

    It has to be right away from there on both sides, and each of its numbers between those just beside.
    """
    x, mode = function.x, "forward" if doubt.is_forward else "reverse"

    def beside(width: float, number: int) -> Arrays:
        drawn = [drawn_weights(f"beside {number // 2} {k}", leaf.shape) for k, leaf in enumerate(x)]
        units = [width * (1 - number % 2 * 2) * SCALES[1].units(np.abs(leaf)) for leaf in x]
        return [leaf + unit * v for leaf, unit, v in zip(x, units, drawn)]

    def numbers(at: Arrays) -> np.ndarray:
        if doubt.is_forward:
            found = push(function, at, [drawn_weights(f"tangent {k}", leaf.shape) for k, leaf in enumerate(x)])
        else:
            found = function.pull_back(at, doubt.part.weights)
        return np.concatenate([np.ravel(each) for each in found])

    if any(look(function, [mode], accuracy, x=beside(BESIDE, side)).doubts for side in (0, 1)):
        return False
    reported, near = numbers(x), np.array([numbers(beside(JUST_BESIDE, number)) for number in range(SIDES)])
    room = SHARE * np.max(np.abs(near), initial=0.0)
    return bool(np.all((near.min(axis=0) - room <= reported) & (reported <= near.max(axis=0) + room)))
