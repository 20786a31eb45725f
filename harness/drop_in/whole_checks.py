"""The whole check of the derivatives that looks leave unconfirmed, which alone may refuse."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from harness.checks.functions.gradient_check import check_gradient
from harness.drop_in.fallback import Outcome, Result, check_within
from harness.drop_in.line_looks import (
    Looks,
    OutputSum,
    ReportedSums,
    Unconfirmed,
    lines_through,
    look,
    look_along_lines,
    push,
)
from harness.drop_in.line_slopes import SCALES, SHARE_OF_INPUT
from harness.drop_in.reported_function import Arrays, ReportedFunction, drawn_weights
from harness.facts.fact import Fact, Severity, note
from harness.facts.kinds import Kind
from harness.verdict.report import Report

FEW_ENTRIES = 30
"""With so many entries in the inputs, a pass of forward mode for each is worth the name of the wrong entry. For more,
the report says that forward mode is wrong along a direction."""

BESIDE, JUST_BESIDE, PLACES = 2.0**-6, 2.0**-26, 64
"""Where a first derivative jumps, second ones are looked at `BESIDE` units away: a look's line, which reaches 3·2⁻¹⁰
units, stays on one side. Their numbers at x are compared with those `JUST_BESIDE` x, where a smooth second derivative
is the same to 1e-8. So many `PLACES` at random are on every side of two or three kinks that meet."""


def check_unconfirmed(
    function: ReportedFunction, looks: Looks, accuracy: float, *, rules_of_library: bool = False, is_blind: bool = False
) -> Iterator[Result]:
    """The result of the whole check on each unconfirmed derivative. Options are those of `fallback.check_within`."""
    for derivative in looks.unconfirmed:
        part, mode, confirmed = function, "forward mode" if derivative.is_forward else "reverse mode", []
        if function.can_hold_inputs and len(function.x) > 1:
            part = function.of_inputs(_inputs_in_doubt(looks.reported, derivative, accuracy))
            confirmed = [name for name in function.theta if name not in part.theta]
        facts = [
            *looks.faults,
            note(Kind.COMPARED_DERIVATIVE, mode, outputs=derivative.outputs.name, confirmed=confirmed),
        ]

        def check(accuracy: float, part=part, derivative=derivative, facts=facts) -> Report:
            check_mode = _check_forward if derivative.is_forward else _check_reverse
            return _with_facts(check_mode(part, derivative.outputs, accuracy), facts)

        result = check_within(check, accuracy, derivative.largest, rules_of_library=rules_of_library, is_blind=is_blind)
        is_open = result.outcome is Outcome.OPEN and function.is_derivative
        yield Result(Outcome.RIGHT) if is_open and _is_right_beside(part, derivative, accuracy) else result


def _inputs_in_doubt(reported: ReportedSums, derivative: Unconfirmed, accuracy: float) -> list[int]:
    """The inputs, by number, in which a derivative is unconfirmed, where looks that hold these confirm all others.

    Labels that require a gradient are an example: the function jumps wherever they move.
    """

    def is_confirmed(moving: Sequence[int]) -> bool:
        lines = lines_through(reported.function, reported.x, reported.here, moving)
        return not look_along_lines(reported, [derivative], lines, accuracy).unconfirmed

    every = range(len(reported.x))
    in_doubt = [k for k in every if not is_confirmed([k])]
    others = [k for k in every if k not in in_doubt]
    # sqrt(|a·b|) at 0 is smooth in a and in b, and not in both together.
    is_apart = in_doubt and others and (len(others) == 1 or is_confirmed(others))
    return in_doubt if is_apart else list(every)


def _with_facts(report: Report, facts: Sequence[Fact]) -> Report:
    """The report with more facts. It disagrees where one of them is wrong, whatever its numbers are."""
    report = report.with_facts(*facts)
    if not any(fact.severity == Severity.WRONG for fact in facts):
        return report
    outliers = report.outliers or tuple(source.name for source in report.sources[:1])
    return replace(report, verdict="disagree", outliers=outliers)


def _check_reverse(function: ReportedFunction, outputs: OutputSum, accuracy: float) -> Report:
    """The gradient of Σ w·f against differences of it, coordinate by coordinate."""
    return check_gradient(
        lambda theta: outputs.total(function.call(jax.tree.leaves(theta))),
        function.theta,
        gradient=lambda theta: function.tree(function.pull_back(jax.tree.leaves(theta), outputs.weights)),
        accuracy=accuracy,
    )


def _check_forward(function: ReportedFunction, outputs: OutputSum, accuracy: float) -> Report:
    """Along a random direction, and entry by entry where forward mode is not found right there.

    With t for the place on the line, the first check is that of a cost of one parameter, t -> Σ w·f(x + t·v), whose
    gradient at t is Σ w·(J(x + t·v) v). A wrong entry of J changes it, but for v of probability zero.
    """
    shapes, sizes = [leaf.shape for leaf in function.x], [leaf.size for leaf in function.x]
    drawn = [drawn_weights(f"direction {k}", shape) for k, shape in enumerate(shapes)]
    direction = [v * SCALES[0].units(np.abs(leaf)) for v, leaf in zip(drawn, function.x)]

    def slope(theta: Any, tangents: Arrays) -> float:
        return outputs.total(push(function, jax.tree.leaves(theta), tangents))

    def split(numbers: np.ndarray) -> Arrays:
        return [part.reshape(shape) for part, shape in zip(np.split(numbers, np.cumsum(sizes)[:-1]), shapes)]

    def by_entry(theta: Any) -> Any:
        return function.tree(split(np.array([slope(theta, split(unit)) for unit in np.eye(sum(sizes))])))

    def check(theta: Any, at: Callable[[Any], Any], gradient: Callable[[Any], Any]) -> Report:
        cost = lambda given: outputs.total(function.call(jax.tree.leaves(at(given))))  # noqa: E731
        return check_gradient(cost, theta, gradient=gradient, accuracy=accuracy)

    def moved(place: Any) -> Arrays:
        return [leaf + place["direction"] * v for leaf, v in zip(function.x, direction)]

    along = check(
        {"direction": np.array(0.0)}, moved, lambda place: {"direction": np.array(slope(moved(place), direction))}
    )
    if along.verdict == "agree" or sum(sizes) > FEW_ENTRIES:
        return along
    each = check(function.theta, lambda theta: theta, by_entry)
    # Right for every unit vector and wrong along a direction is a rule that is not linear, such as one that takes |v|.
    return along if along.verdict == "disagree" and each.verdict == "agree" else each


def _is_right_beside(function: ReportedFunction, derivative: Unconfirmed, accuracy: float) -> bool:
    """Whether a second derivative is right on both sides of x, and at x between those just beside it.

    At x the first derivative jumps, as that of |x| at 0, and any second one is a convention: 0 lies between the 0 on
    the left and the 0 on the right, 5 does not.
    """
    x, mode = function.x, "forward" if derivative.is_forward else "reverse"

    def beside(width: float, number: int) -> Arrays:
        """A point at random beside x; the odd one of a pair is the even one mirrored at x."""
        drawn = [drawn_weights(f"beside {number // 2} {k}", leaf.shape) for k, leaf in enumerate(x)]
        units = [width * (1 - number % 2 * 2) * SCALES[1].units(np.abs(leaf)) for leaf in x]
        return [leaf + unit * v for leaf, unit, v in zip(x, units, drawn)]

    def numbers(at: Arrays) -> np.ndarray:
        if derivative.is_forward:
            found: Sequence[Any] = push(
                function, at, [drawn_weights(f"tangent {k}", leaf.shape) for k, leaf in enumerate(x)]
            )
        else:
            found = function.pull_back(at, derivative.outputs.weights)
        return np.concatenate([np.ravel(each) for each in found])

    if any(look(function, [mode], accuracy, x=beside(BESIDE, side)).unconfirmed for side in (0, 1)):
        return False
    reported, near = numbers(x), np.array([numbers(beside(JUST_BESIDE, number)) for number in range(PLACES)])
    room = SHARE_OF_INPUT * np.max(np.abs(near), initial=0.0)
    return bool(np.all((near.min(axis=0) - room <= reported) & (reported <= near.max(axis=0) + room)))
